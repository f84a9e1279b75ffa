"""LINE: webhooks of the Messaging API, and push messages.

Source: https://developers.line.biz/en/reference/messaging-api. A reply token serves once and for a moment, so replies
are pushed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, heard, list_at, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx


class Line:
    """A channel of the Messaging API.

    Args:
        token: long-lived channel access token.
        channel_secret: of the channel; proves that LINE is calling.
        name: of the channel.
        api_base: where the API is.
    """

    look = LOOKS["line"]

    def __init__(
        self, *, token: str, channel_secret: str, name: str = "line", api_base: str = "https://api.line.me"
    ) -> None:
        self.name = name
        self._token, self._secret = token, channel_secret
        self._url = f"{api_base.rstrip('/')}/v2/bot/message/push"

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        digest = hmac.new(self._secret.encode(), delivery.body, hashlib.sha256).digest()
        if not same(delivery.headers.get("x-line-signature", ""), base64.b64encode(digest).decode()):
            raise RefusedError("LINE: the signature is missing or wrong")
        events = list_at(read_json(delivery.body), "events")
        return Incoming(tuple(one for event in events for one in self._heard(event)))

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        headers = {"Authorization": f"Bearer {self._token}"}
        for piece in pieces(reply, self.look):
            fields = {"to": address["to"], "messages": [_rendered(piece)]}
            await call(client, "LINE", "POST", self._url, json=fields, headers=headers)

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        headers = {"Authorization": f"Bearer {self._token}"}
        said = await call(client, "LINE", "GET", f"{self._url.removesuffix('message/push')}info", headers=headers)
        return text_at(said, "displayName")

    def _heard(self, event: Any) -> tuple[Heard, ...]:
        """What was said, or the button that was pressed. In a group everyone has a conversation of their own."""
        source, user = at(event, "source"), text_at(event, "source", "userId")
        place = text_at(source, "groupId") or text_at(source, "roomId") or user
        text = text_at(event, "postback", "data") or text_at(event, "message", "text")
        number = text_at(event, "message", "id") or text_at(event, "webhookEventId")
        if not user:
            return ()
        known = {"user_id": user, "chat_id": place}
        return heard(self.name, user if place == user else f"{place}/{user}", number, text, {"to": place}, known)


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message object. A custom reply is one already, such as a flex message."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        return {"type": "image", "originalContentUrl": piece.image, "previewImageUrl": piece.image}
    message: dict[str, Any] = {"type": "text", "text": piece.text}
    if piece.buttons:
        items = [
            {
                "type": "action",
                "action": {"type": "postback", "label": one.title, "data": one.payload, "displayText": one.title},
            }
            for one in piece.buttons
        ]
        message["quickReply"] = {"items": items}
    return message
