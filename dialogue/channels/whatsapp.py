"""WhatsApp by Meta's Cloud API.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api. Free text may go out within 24 hours of a message.
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

MOST_REPLY_BUTTONS = 3  # more of them, to ten, are a list
LIST_TITLE = "☰"


class WhatsApp:
    """A phone number of the Cloud API.

    Args:
        token: access token of a system user.
        phone_number_id: of the number that answers; messages to others of the account are passed over.
        app_secret: of the app; proves that Meta is calling.
        verify_token: any text, typed into Meta's console as well when the webhook is set up.
        name: of the channel.
        api_base: where the Graph API is, with its version.
    """

    look = LOOKS["whatsapp"]

    def __init__(
        self,
        *,
        token: str,
        phone_number_id: str,
        app_secret: str,
        verify_token: str,
        name: str = "whatsapp",
        api_base: str = meta.GRAPH,
    ) -> None:
        self.name = name
        self._token, self._secret, self._verify = token, app_secret, verify_token
        self._number = phone_number_id
        self._url = f"{api_base.rstrip('/')}/{phone_number_id}/messages"

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        if delivery.method == "GET":
            return meta.subscription(delivery, self._verify)
        meta.verify(delivery, self._secret)
        changes = [
            at(change, "value")
            for entry in list_at(read_json(delivery.body), "entry")
            for change in list_at(entry, "changes")
        ]
        mine = [value for value in changes if id_at(value, "metadata", "phone_number_id") == self._number]
        return Incoming(
            tuple(one for value in mine for message in list_at(value, "messages") for one in self._heard(message))
        )

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        said = await meta.get(client, "WhatsApp", self._url.removesuffix("/messages"), self._token)
        return text_at(said, "display_phone_number")

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        where = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": address["to"]}
        for piece in pieces(reply, self.look):
            await meta.post(client, "WhatsApp", self._url, self._token, {**where, **_rendered(piece)})

    def _heard(self, message: Any) -> tuple[Heard, ...]:
        user = id_at(message, "from")
        answer = at(message, "interactive")
        texts = (
            text_at(message, "text", "body"),
            text_at(answer, "button_reply", "id"),
            text_at(answer, "list_reply", "id"),
            text_at(message, "button", "payload"),
            text_at(message, "image", "caption"),
        )
        text = next((found for found in texts if found), "")
        return heard(self.name, user, text_at(message, "id"), text, {"to": user}, {"user_id": user})


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message of the Cloud API. A custom reply is one already, such as a template."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        return {"type": "image", "image": {"link": piece.image}}
    if not piece.buttons:
        return {"type": "text", "text": {"body": piece.text, "preview_url": True}}
    action: dict[str, Any]
    if len(piece.buttons) <= MOST_REPLY_BUTTONS:
        kind = "button"
        action = {
            "buttons": [{"type": "reply", "reply": {"id": one.payload, "title": one.title}} for one in piece.buttons]
        }
    else:
        kind = "list"
        rows = [{"id": one.payload, "title": one.title} for one in piece.buttons]
        action = {"button": LIST_TITLE, "sections": [{"rows": rows}]}
    return {"type": "interactive", "interactive": {"type": kind, "body": {"text": piece.text}, "action": action}}
