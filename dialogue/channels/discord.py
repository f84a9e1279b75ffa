"""Discord by interactions: a slash command and buttons, without a connection to its gateway.

Source: https://discord.com/developers/docs/interactions. Discord waits three seconds, so an interaction is deferred,
and replies follow up within its fifteen minutes; the first takes the place of the waiting sign.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, Response
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, fresh, heard, list_at, read_json, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

WINDOW = 300.0  # seconds within which a signature counts
ROW = 5  # buttons
PING, COMMAND, COMPONENT = 1, 2, 3
PONG, MESSAGE, DEFERRED = 1, 4, 5
EPHEMERAL = 64


class Discord:
    """A Discord application.

    Args:
        application_id: of the application.
        public_key: of the application, in hexadecimal digits; proves that Discord is calling.
        token: of its bot, with which the command is made when the server starts; without one it must be there.
        command: name of the slash command that talks to the bot.
        description: what Discord says about the command.
        name: of the channel.
        api_base: where the API is, with its version.

    Raises:
        ValueError: if the key is none.
    """

    look = LOOKS["discord"]

    def __init__(
        self,
        *,
        application_id: str,
        public_key: str,
        token: str | None = None,
        command: str = "ask",
        description: str = "Talk to the bot",
        name: str = "discord",
        api_base: str = "https://discord.com/api/v10",
    ) -> None:
        self.name = name
        self._id, self._token, self._base = application_id, token, api_base.rstrip("/")
        self._command, self._description = command, description
        try:
            self._key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        except ValueError as problem:
            raise ValueError("public_key: expected the 64 hexadecimal digits of Discord's console") from problem

    async def register(self, client: httpx.AsyncClient) -> None:
        """Make the command, or change it. See `Registers.register`."""
        if self._token is None:
            return
        option = {"type": 3, "name": "message", "description": "What you want to say", "required": True}
        command = {"name": self._command, "type": 1, "description": self._description, "options": [option]}
        headers = {"Authorization": f"Bot {self._token}"}
        await call(
            client, "Discord", "POST", f"{self._base}/applications/{self._id}/commands", json=command, headers=headers
        )

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        self._verify(delivery)
        body = read_json(delivery.body)
        if at(body, "type") == PING:
            return Incoming(response=_answer(PONG))
        if at(body, "type") not in (COMMAND, COMPONENT):
            raise RefusedError("Discord: expected a command or a button", 400)
        found = self._heard(body)
        return Incoming(found, _answer(DEFERRED) if found else _answer(MESSAGE, content="…", flags=EPHEMERAL))

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        if self._token is None:
            return f"{self._id}, unproved without a token"
        headers = {"Authorization": f"Bot {self._token}"}
        return text_at(await call(client, "Discord", "GET", f"{self._base}/users/@me", headers=headers), "username")

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        url = f"{self._base}/webhooks/{self._id}/{address['token']}"
        for piece in pieces(reply, self.look):
            await call(client, "Discord", "POST", url, json={"allowed_mentions": {"parse": []}, **_rendered(piece)})

    def _verify(self, delivery: Delivery) -> None:
        timestamp = delivery.headers.get("x-signature-timestamp", "")
        try:
            given = bytes.fromhex(delivery.headers.get("x-signature-ed25519", ""))
            self._key.verify(given, timestamp.encode("utf-8", "replace") + delivery.body)
        except (ValueError, InvalidSignature) as problem:
            raise RefusedError("Discord: the signature is missing or wrong") from problem
        if not fresh(timestamp, time.time(), WINDOW):
            raise RefusedError("Discord: the signature is too old")

    def _heard(self, body: Mapping[str, Any]) -> tuple[Heard, ...]:
        """What was typed into the command, or the button that was pressed. Everyone has a conversation of their own."""
        typed = [text_at(option, "value") for option in list_at(body, "data", "options")]
        text = text_at(body, "data", "custom_id") or " ".join(word for word in typed if word)
        user = text_at(body, "member", "user", "id") or text_at(body, "user", "id")
        place, token = text_at(body, "channel_id"), text_at(body, "token")
        if not (user and place and token):
            return ()
        known = {"user_id": user, "channel_id": place, "locale": text_at(body, "locale")}
        return heard(self.name, f"{place}/{user}", text_at(body, "id"), text, {"token": token}, known)


def _answer(kind: int, **data: Any) -> Response:
    answer = {"type": kind, **({"data": data} if data else {})}
    return Response(body=json.dumps(answer).encode(), content_type="application/json")


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message. A custom reply is one already, for example with `embeds`."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        return {"embeds": [{"image": {"url": piece.image}}]}
    buttons = [{"type": 2, "style": 1, "label": one.title, "custom_id": one.payload} for one in piece.buttons]
    rows = [{"type": 1, "components": buttons[start : start + ROW]} for start in range(0, len(buttons), ROW)]
    return {"content": piece.text, **({"components": rows} if rows else {})}
