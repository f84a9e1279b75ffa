"""Feishu and Lark: encrypted events, and messages with cards.

Source: https://open.feishu.cn/document/server-docs/event-subscription-guide. Buttons come back as the event
`card.action.trigger`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, Response, SendError
from dialogue.channels.calls import Token, call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, heard, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

PASSING = (99991400, 230020, 11232, 11233)  # too many calls, of the app or to one chat
NO_TOKEN = (99991661, 99991663, 99991668)  # the access token is not good any more


class Feishu:
    """A Feishu or Lark app with a bot.

    Args:
        app_id: of the app.
        app_secret: of the app; gets access tokens.
        encrypt_key: of the page "Events and callbacks"; events are encrypted and signed with it.
        verification_token: of the same page.
        name: of the channel.
        api_base: where the API is; Lark's is `https://open.larksuite.com`.
    """

    look = LOOKS["feishu"]

    def __init__(
        self,
        *,
        app_id: str,
        app_secret: str,
        encrypt_key: str,
        verification_token: str,
        name: str = "feishu",
        api_base: str = "https://open.feishu.cn",
    ) -> None:
        self.name = name
        self._id, self._secret, self._base = app_id, app_secret, api_base.rstrip("/")
        self._key, self._verification = encrypt_key, verification_token
        self._access = Token(self._fetch)

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        sealed = text_at(read_json(delivery.body), "encrypt")
        if not sealed:
            raise RefusedError("Feishu: the event is not encrypted; set an Encrypt Key in the console", 403)
        if "x-lark-signature" not in delivery.headers:
            return self._challenge(sealed)
        self._verify(delivery)
        body = self._unsealed(sealed)
        if text_at(body, "type") == "url_verification":
            return self._challenge(sealed)
        return Incoming(self._heard(body), _json({}))

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        await self._access.get(client)
        return self._id

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        url = f"{self._base}/open-apis/im/v1/messages"
        for piece in pieces(reply, self.look):
            kind, content = _rendered(piece)
            fields = {"receive_id": address["chat"], "msg_type": kind, "content": json.dumps(content)}
            headers = {"Authorization": f"Bearer {await self._access.get(client)}"}
            wanted = {"receive_id_type": "chat_id"}
            await call(client, "Feishu", "POST", url, params=wanted, json=fields, headers=headers, judge=self._judge)

    def _unsealed(self, sealed: str) -> Mapping[str, Any]:
        """The event, if the verification token is in it."""
        body = read_json(decrypt(sealed, self._key))
        if not same(text_at(body, "header", "token") or text_at(body, "token"), self._verification):
            raise RefusedError("Feishu: the verification token is missing or wrong")
        return body

    def _challenge(self, sealed: str) -> Incoming:
        """The answer to the request that sets the webhook up. It need not be signed: the token inside proves it.

        Whatever else is wrong with an unsigned request, the answer is one and the same, so that nobody can find out by
        trying what is in a ciphertext.
        """
        try:
            body = self._unsealed(sealed)
        except RefusedError:
            body = {}
        if text_at(body, "type") != "url_verification":
            raise RefusedError("Feishu: the signature is missing")
        return Incoming(response=_json({"challenge": text_at(body, "challenge")}))

    def _verify(self, delivery: Delivery) -> None:
        headers = delivery.headers
        before = headers.get("x-lark-request-timestamp", "") + headers.get("x-lark-request-nonce", "") + self._key
        expected = hashlib.sha256(before.encode("utf-8", "replace") + delivery.body).hexdigest()
        if not same(headers["x-lark-signature"], expected):
            raise RefusedError("Feishu: the signature is wrong")

    def _heard(self, body: Mapping[str, Any]) -> tuple[Heard, ...]:
        kind, event = text_at(body, "header", "event_type"), at(body, "event")
        if kind == "im.message.receive_v1" and text_at(event, "sender", "sender_type") == "user":
            user = text_at(event, "sender", "sender_id", "open_id")
            message, number = at(event, "message"), text_at(event, "message", "message_id")
            return self._said(text_at(message, "chat_id"), user, number, _text(message))
        if kind == "card.action.trigger":
            chat, user = text_at(event, "context", "open_chat_id"), text_at(event, "operator", "open_id")
            pressed = text_at(event, "action", "value", "payload")
            return self._said(chat, user, text_at(body, "header", "event_id"), pressed)
        return ()

    def _said(self, chat: str, user: str, number: str, text: str) -> tuple[Heard, ...]:
        """In a group everyone has a conversation of their own with the bot."""
        if not (chat and user):
            return ()
        return heard(self.name, f"{chat}/{user}", number, text, {"chat": chat}, {"user_id": user, "chat_id": chat})

    async def _fetch(self, client: httpx.AsyncClient) -> tuple[str, float]:
        url = f"{self._base}/open-apis/auth/v3/tenant_access_token/internal"
        wanted = {"app_id": self._id, "app_secret": self._secret}
        said = await call(client, "Feishu", "POST", url, json=wanted, judge=self._judge)
        token, lasts = text_at(said, "tenant_access_token"), at(said, "expire")
        if not token or not isinstance(lasts, int):
            raise SendError("Feishu gave no access token", None)
        return token, float(lasts)

    def _judge(self, said: Any) -> bool | None:
        code = at(said, "code")
        if code in NO_TOKEN:
            self._access.forget()
            return True
        return None if code == 0 else code in PASSING


def decrypt(sealed: str, key: str) -> bytes:
    """The text of an encrypted event: AES-256-CBC under the key's SHA-256, the first block its initial vector.

    Raises:
        RefusedError: status 400, if it is none.
    """
    try:
        content = base64.b64decode(sealed, validate=True)
        cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(content[:16])).decryptor()
        padded = cipher.update(content[16:]) + cipher.finalize()
    except ValueError as problem:
        raise RefusedError("Feishu: the event cannot be decrypted", 400) from problem
    if not padded or not 1 <= padded[-1] <= 16:
        raise RefusedError("Feishu: the event cannot be decrypted", 400)
    return padded[: -padded[-1]]


def _text(message: Any) -> str:
    """The text of a message, without the places where somebody is mentioned."""
    if text_at(message, "message_type") != "text":
        return ""
    try:
        content = read_json(text_at(message, "content").encode())
    except RefusedError:
        return ""
    return re.sub(r"@_(user_\d+|all)\s*", "", text_at(content, "text")).strip()


def _json(value: dict[str, str]) -> Response:
    return Response(body=json.dumps(value).encode(), content_type="application/json")


def _rendered(piece: Piece) -> tuple[str, dict[str, Any]]:
    """Kind and content of a message. A custom reply is the content of a card."""
    if piece.custom is not None:
        return "interactive", dict(piece.custom)
    if not piece.buttons:
        return "text", {"text": piece.text}
    actions = [
        {
            "tag": "button",
            "text": {"tag": "plain_text", "content": button.title},
            "value": {"payload": button.payload},
        }
        for button in piece.buttons
    ]
    said = {"tag": "div", "text": {"tag": "plain_text", "content": piece.text}}
    return "interactive", {"elements": [said, {"tag": "action", "actions": actions}]}
