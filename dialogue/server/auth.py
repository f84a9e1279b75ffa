"""Who is calling: a developer with an API token or a JWT, a user by Rasa's JWT, or a visitor of a web page.

A JWT is as Rasa has it: `user: {username, role}`, where `admin` may do everything and `user` only what concerns the
conversation of its own name. A visitor's token names one conversation and is short; it can be renewed for as long as
its session lasts. Tokens are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from dialogue.channels.base import RefusedError

VISITOR = "starfold:visitor"
TOKEN_SECONDS = 3600
SESSION_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody known: `name` for limits and logs, and the only `conversation` they may see; None: all of them."""

    name: str
    conversation: str | None

    @property
    def developer(self) -> bool:
        """Whether they may do everything."""
        return self.conversation is None

    def may(self, conversation: str) -> bool:
        """Whether a conversation is theirs."""
        return self.conversation is None or self.conversation == conversation


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor's conversation, the token for it, and when that expires, in seconds since 1970."""

    conversation: str
    token: str
    expires: float


class Authority:
    """Knows callers by what they show.

    Args:
        tokens: of developers.
        jwt_secret: secret of HS256, or public key of RS256 in PEM; None: JWTs are not taken.
        jwt_method: HS256 or RS256.
        visitor_secret: signs visitors' tokens; the same on all replicas.
        identity_secret: a web page signs with it who its user is, as a JWT (HS256) with `sub`; None: it cannot.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        visitor_secret: str,
        jwt_secret: str | None = None,
        jwt_method: str = "HS256",
        identity_secret: str | None = None,
    ) -> None:
        self._digests = [_digest(token) for token in tokens]
        self._jwt_secret = jwt_secret
        self._jwt_method = jwt_method
        # Whoever may sign one kind of token must not be able to sign another.
        self._visitor_secret = hmac.digest(visitor_secret.encode(), VISITOR.encode(), "sha256")
        self._identity_secret = identity_secret

    def caller(self, shown: str | None) -> Caller:
        """Who shows this token.

        Raises:
            RefusedError: with status 401, if nobody we know does.
        """
        if not shown:
            raise RefusedError("expected a token: Authorization: Bearer TOKEN")
        digest = _digest(shown)
        if any(hmac.compare_digest(digest, known) for known in self._digests):
            return Caller(f"token {digest.hex()[:8]}", None)
        claims = self._visitor(shown, self._visitor_secret)
        if claims is not None:
            return Caller(f"visitor {claims['sub']}", str(claims["sub"]))
        return self._user(shown)

    def session(self, shown: str | None = None) -> Session:
        """A visitor's conversation: a new one, the one of an old token, or that of a user whom the page vouches for.

        Raises:
            RefusedError: with status 401, if the token is forged or its session is over.
        """
        now = time.time()
        if not shown:
            return self._session(f"web-{uuid.uuid4().hex}", now, now)
        claims = self._visitor(shown, self._visitor_secret, expired=True)
        if claims is not None:
            begun = float(claims["begun"])
            if now - begun > SESSION_SECONDS:
                raise RefusedError("the session is over")
            return self._session(str(claims["sub"]), begun, now)
        if self._identity_secret is None:
            raise RefusedError("expected a visitor's token")
        try:
            identity = jwt.decode(
                shown, self._identity_secret, algorithms=["HS256"], options={"require": ["sub", "exp"]}
            )
        except jwt.InvalidTokenError as error:
            raise RefusedError(f"the token is not valid: {error}") from error
        return self._session(f"web:{identity['sub']}", now, now)

    def _session(self, conversation: str, begun: float, now: float) -> Session:
        expires = int(now + TOKEN_SECONDS)
        claims = {"aud": VISITOR, "sub": conversation, "exp": expires, "begun": begun}
        return Session(conversation, jwt.encode(claims, self._visitor_secret, "HS256"), expires)

    def _visitor(self, shown: str, secret: bytes, *, expired: bool = False) -> dict[str, Any] | None:
        """The claims of a visitor's token; None if it is none of ours. Raises `RefusedError` for one that expired."""
        options: Any = {"require": ["sub", "exp", "begun"], "verify_exp": not expired}
        try:
            claims: dict[str, Any] = jwt.decode(shown, secret, algorithms=["HS256"], audience=VISITOR, options=options)
        except jwt.ExpiredSignatureError as error:
            raise RefusedError("the token has expired") from error
        except jwt.InvalidTokenError:
            return None
        return claims

    def _user(self, shown: str) -> Caller:
        """Who a JWT in Rasa's shape is of."""
        if self._jwt_secret is None:
            raise RefusedError("the token is not valid")
        try:
            claims = jwt.decode(shown, self._jwt_secret, algorithms=[self._jwt_method], options={"verify_aud": False})
        except jwt.InvalidTokenError as error:
            raise RefusedError(f"the token is not valid: {error}") from error
        user = claims.get("user")
        if not isinstance(user, dict) or user.get("role") not in ("admin", "user"):
            raise RefusedError("expected a JWT with user: {username, role: admin or user}", 403)
        if user["role"] == "admin":
            return Caller(f"user {user.get('username', 'admin')}", None)
        if not isinstance(user.get("username"), str) or not user["username"]:
            raise RefusedError("expected a JWT with user: {username, role: admin or user}", 403)
        return Caller(f"user {user['username']}", user["username"])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
