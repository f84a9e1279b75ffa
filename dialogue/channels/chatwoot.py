"""Chatwoot: the bot answers first, and people take over in Chatwoot's inbox.

Source: https://www.chatwoot.com/hc/user-guide/articles/1677497472-how-to-use-agent-bots. An agent bot hears what is
said in its inboxes. While a conversation is pending, it is the bot's; a reply that hands over opens it, and from then
on people answer and the bot keeps still until it is pending again.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, fresh, heard, id_at, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

WINDOW = 300.0  # seconds within which a signature counts
INCOMING = ("incoming", 0)


class Chatwoot:
    """An agent bot of Chatwoot.

    Args:
        token: access token of the agent bot.
        secret: of the agent bot's webhook. A Chatwoot that does not sign proves itself by `?secret=` in the webhook's
            address.
        name: of the channel.
        api_base: where Chatwoot is.
    """

    look = LOOKS["chatwoot"]

    def __init__(
        self, *, token: str, secret: str, name: str = "chatwoot", api_base: str = "https://app.chatwoot.com"
    ) -> None:
        self.name = name
        self._token, self._secret, self._base = token, secret, api_base.rstrip("/")

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        self._verify(delivery)
        return Incoming(self._heard(read_json(delivery.body)))

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`. A reply that hands over is said first; then the conversation is opened for people."""
        url = f"{self._base}/api/v1/accounts/{address['account']}/conversations/{address['conversation']}"
        headers = {"api_access_token": self._token}
        for piece in pieces(reply, self.look):
            fields = {"message_type": "outgoing", "private": False, **_rendered(piece)}
            await call(client, "Chatwoot", "POST", f"{url}/messages", json=fields, headers=headers)
        if reply.hands_over:
            await call(client, "Chatwoot", "POST", f"{url}/toggle_status", json={"status": "open"}, headers=headers)

    def _verify(self, delivery: Delivery) -> None:
        given = delivery.headers.get("x-chatwoot-signature")
        if given is None:
            if not same(delivery.query.get("secret", ""), self._secret):
                raise RefusedError("Chatwoot: neither a signature nor the secret in the webhook's address")
            return
        timestamp = delivery.headers.get("x-chatwoot-timestamp", "")
        signed = timestamp.encode("utf-8", "replace") + b"." + delivery.body
        if not same(given, "sha256=" + hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()):
            raise RefusedError("Chatwoot: the signature is wrong")
        if not fresh(timestamp, time.time(), WINDOW):
            raise RefusedError("Chatwoot: the signature is too old")

    def _heard(self, body: Mapping[str, Any]) -> tuple[Heard, ...]:
        """What a visitor wrote or chose, as long as the conversation is the bot's."""
        if text_at(body, "conversation", "status") != "pending" or at(body, "private") is True:
            return ()
        number, text = id_at(body, "id"), ""
        if text_at(body, "event") == "message_created" and at(body, "message_type") in INCOMING:
            text = text_at(body, "content")
        elif text_at(body, "event") == "message_updated":
            text = text_at(body, "content_attributes", "submitted_values", 0, "value")
            number = f"{number}-chosen"
        conversation, account = id_at(body, "conversation", "id"), id_at(body, "account", "id")
        if not (account.isdecimal() and conversation.isdecimal()):
            return ()
        address = {"account": account, "conversation": conversation}
        known = {**address, "inbox_id": id_at(body, "inbox", "id"), "user_id": id_at(body, "sender", "id")}
        return heard(self.name, f"{account}/{conversation}", number, text, address, known)


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message. A custom reply is one already, such as `content_type: cards`."""
    if piece.custom is not None:
        return dict(piece.custom)
    if not piece.buttons:
        return {"content": piece.text}
    items = [{"title": button.title, "value": button.payload} for button in piece.buttons]
    return {"content": piece.text, "content_type": "input_select", "content_attributes": {"items": items}}
