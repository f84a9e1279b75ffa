"""Microsoft Teams, and whatever else speaks the Bot Framework's protocol, now that of Microsoft 365 Agents.

Source: https://learn.microsoft.com/azure/bot-service/rest-api. A delivery carries a JSON web token signed by a key that
Microsoft publishes; a reply is posted to the `serviceUrl` of the message, which the token has to name as well and which
has to be one of Microsoft's hosts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, SendError
from dialogue.channels.calls import Token, call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.hosts import check_address
from dialogue.channels.payload import at, heard, list_at, read_json, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

ISSUER = "https://api.botframework.com"
METADATA = "https://login.botframework.com/v1/.well-known/openidconfiguration"
LOGIN = "https://login.microsoftonline.com"
SCOPE = "https://api.botframework.com/.default"
HOSTS = ("smba.trafficmanager.net", ".botframework.com", ".infra.gov.teams.microsoft.us")
LEEWAY = 300.0  # seconds that clocks may differ
KEYS_LAST = 24 * 3600.0  # seconds
KEYS_REST = 300.0  # seconds until an unknown key may have the keys fetched again


class Teams:
    """A bot registered with Azure.

    Args:
        app_id: of the registration.
        app_password: a client secret of the registration.
        tenant: directory id of a single-tenant bot; `botframework.com` for a multi-tenant one.
        hosts: where replies may go, as in `dialogue.channels.hosts`.
        metadata_url: OpenID document that names the signing keys.
        login_url: where access tokens come from.
        name: of the channel.
    """

    look = LOOKS["teams"]

    def __init__(
        self,
        *,
        app_id: str,
        app_password: str,
        tenant: str = "botframework.com",
        hosts: tuple[str, ...] = HOSTS,
        metadata_url: str = METADATA,
        login_url: str = LOGIN,
        name: str = "teams",
    ) -> None:
        self.name = name
        self._id, self._password, self._hosts = app_id, app_password, hosts
        self._metadata_url = metadata_url
        self._token_url = f"{login_url.rstrip('/')}/{tenant}/oauth2/v2.0/token"
        self._access = Token(self._fetch)
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")

    async def prepare(self, delivery: Delivery, client: httpx.AsyncClient) -> None:
        """Fetch the signing keys when there are none, they are a day old, or one is asked for that is not there."""
        age = time.monotonic() - self._fetched
        if age < KEYS_REST or (age < KEYS_LAST and _key_id(_bearer(delivery)) in self._keys):
            return
        document = await call(client, "Microsoft's OpenID", "GET", self._metadata_url)
        keys = await call(client, "Microsoft's OpenID", "GET", text_at(document, "jwks_uri"))
        self._keys, self._fetched = dict(_readable(list_at(keys, "keys"))), time.monotonic()

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        claims = self._verify(_bearer(delivery))
        activity = read_json(delivery.body)
        service = text_at(activity, "serviceUrl")
        claimed = next((str(claims[name]) for name in ("serviceurl", "serviceUrl") if name in claims), None)
        if claimed is None or claimed.rstrip("/") != service.rstrip("/"):
            raise RefusedError("Teams: the token is for another service", 403)
        check_address(service, self._hosts, "Teams")
        return Incoming(self._heard(activity, service.rstrip("/")))

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        await self._access.get(client)
        return self._id

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        try:
            service = check_address(address["service"], self._hosts, "Teams")
        except RefusedError as problem:
            raise SendError(str(problem), None) from problem
        conversation, message = (quote(address[key], safe="") for key in ("conversation", "message"))
        url = f"{service}/v3/conversations/{conversation}/activities/{message}"
        for piece in pieces(reply, self.look):
            fields = {
                "type": "message",
                "from": address["bot"],
                "recipient": address["user"],
                "conversation": {"id": address["conversation"]},
                "replyToId": address["message"],
                **_rendered(piece),
            }
            headers = {"Authorization": f"Bearer {await self._access.get(client)}"}
            await call(client, "Teams", "POST", url, json=fields, headers=headers)

    def _verify(self, token: str) -> Mapping[str, Any]:
        key = self._keys.get(_key_id(token))
        if key is None:
            raise RefusedError("Teams: the token is missing or signed by an unknown key")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._id,
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as problem:
            raise RefusedError(f"Teams: the token does not hold: {problem}") from problem
        return claims

    def _heard(self, activity: Mapping[str, Any], service: str) -> tuple[Heard, ...]:
        if text_at(activity, "type") != "message":
            return ()
        chat, user = text_at(activity, "conversation", "id"), text_at(activity, "from", "id")
        if not (chat and user):
            return ()
        number = text_at(activity, "id")
        address = {
            "service": service,
            "conversation": chat,
            "message": number,
            "user": {"id": user, "name": text_at(activity, "from", "name")},
            "bot": {"id": text_at(activity, "recipient", "id"), "name": text_at(activity, "recipient", "name")},
        }
        known = {"user_id": user, "conversation_id": chat, "channel_id": text_at(activity, "channelId")}
        text = re.sub(r"<at>[^<]*</at>\s*", "", text_at(activity, "text")).strip()
        # In a team everyone has a conversation of their own with the bot.
        return heard(self.name, f"{chat}/{user}", number, text or text_at(activity, "value"), address, known)

    async def _fetch(self, client: httpx.AsyncClient) -> tuple[str, float]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._id,
            "client_secret": self._password,
            "scope": SCOPE,
        }
        said = await call(client, "Microsoft's login", "POST", self._token_url, data=form)
        token, lasts = text_at(said, "access_token"), at(said, "expires_in")
        if not token or not isinstance(lasts, int):
            raise SendError("Microsoft's login gave no access token", None)
        return token, float(lasts)


def _bearer(delivery: Delivery) -> str:
    scheme, _, token = delivery.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _key_id(token: str) -> str:
    try:
        return text_at(jwt.get_unverified_header(token), "kid")
    except jwt.InvalidTokenError:
        return ""


def _readable(keys: list[Any]) -> list[tuple[str, jwt.PyJWK]]:
    """The keys that can be used, under their ids."""
    found = []
    for key in keys:
        if text_at(key, "kid") and text_at(key, "kty") == "RSA":
            try:
                found.append((text_at(key, "kid"), jwt.PyJWK(key, "RS256")))
            except jwt.PyJWTError as problem:
                raise SendError(f"Microsoft's OpenID has a key that cannot be read: {problem}", None) from problem
    return found


def _rendered(piece: Piece) -> dict[str, Any]:
    """Fields of an activity. A custom reply is such fields already, such as `attachments` with an adaptive card."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        return {"attachments": [{"contentType": "image/png", "contentUrl": piece.image}]}
    if not piece.buttons:
        return {"text": piece.text, "textFormat": "markdown"}
    buttons = [
        {"type": "messageBack", "title": one.title, "displayText": one.title, "text": one.payload, "value": one.payload}
        for one in piece.buttons
    ]
    card = {
        "contentType": "application/vnd.microsoft.card.hero",
        "content": {"text": piece.text, "buttons": buttons},
    }
    return {"attachments": [card]}
