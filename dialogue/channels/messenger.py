"""Facebook Messenger and Instagram: webhooks of a page, and the Send API.

Source: https://developers.facebook.com/docs/messenger-platform. A page may answer within 24 hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialogue.channels import meta
from dialogue.channels.base import Address, Delivery, Heard, Incoming
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, heard, id_at, list_at, read_json, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx


class Messenger:
    """A page, or an Instagram account that belongs to one.

    Args:
        page_token: access token of the page.
        app_secret: of the app; proves that Meta is calling.
        verify_token: any text, typed into Meta's console as well when the webhook is set up.
        name: of the channel.
        api_base: where the Graph API is, with its version.
    """

    look = LOOKS["messenger"]

    def __init__(
        self,
        *,
        page_token: str,
        app_secret: str,
        verify_token: str,
        name: str = "messenger",
        api_base: str = meta.GRAPH,
    ) -> None:
        self.name = name
        self._token, self._secret, self._verify = page_token, app_secret, verify_token
        self._url = f"{api_base.rstrip('/')}/me/messages"

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        if delivery.method == "GET":
            return meta.subscription(delivery, self._verify)
        meta.verify(delivery, self._secret)
        entries = list_at(read_json(delivery.body), "entry")
        return Incoming(
            tuple(one for entry in entries for event in list_at(entry, "messaging") for one in self._heard(event))
        )

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        return text_at(await meta.get(client, "Messenger", self._url.removesuffix("/messages"), self._token), "name")

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        for piece in pieces(reply, self.look):
            fields = {"recipient": {"id": address["to"]}, "messaging_type": "RESPONSE", "message": _rendered(piece)}
            await meta.post(client, "Messenger", self._url, self._token, fields)

    def _heard(self, event: Any) -> tuple[Heard, ...]:
        message, pressed = at(event, "message"), at(event, "postback")
        if at(message, "is_echo") is True:
            return ()
        text = text_at(message, "quick_reply", "payload") or text_at(message, "text") or text_at(pressed, "payload")
        user = id_at(event, "sender", "id")
        # A postback of an old page has no mid: then its time tells it from others of the user.
        number = text_at(message, "mid") or text_at(pressed, "mid") or id_at(event, "timestamp")
        return heard(self.name, user, number, text, {"to": user}, {"user_id": user})


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message of the Send API. A custom reply is one already."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        return {"attachment": {"type": "image", "payload": {"url": piece.image, "is_reusable": True}}}
    choices = [{"content_type": "text", "title": one.title, "payload": one.payload} for one in piece.buttons]
    return {"text": piece.text, **({"quick_replies": choices} if choices else {})}
