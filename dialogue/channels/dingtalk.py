"""DingTalk: a robot in HTTP mode.

Source: https://open.dingtalk.com/document/orgapp/receive-message. The signature covers only the time, not the body, so
whoever sees one can use it for an hour: keep the webhook behind HTTPS. Replies go to the address that comes with each
message, for as long as it lasts, and only to DingTalk's own hosts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, SendError
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces, shorten
from dialogue.channels.hosts import check_address
from dialogue.channels.payload import at, fresh, heard, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

WINDOW = 3600.0  # seconds, DingTalk's own
HOSTS = ("oapi.dingtalk.com", "api.dingtalk.com")
PASSING = (-1, 130101, 410100)  # busy, or more than twenty messages in a minute
TITLE = 30  # characters of the text shown in lists of chats


class DingTalk:
    """A robot of an internal app.

    Args:
        app_secret: of the app; proves that DingTalk is calling.
        hosts: where replies may go, as in `dialogue.channels.hosts`.
        name: of the channel.
    """

    look = LOOKS["dingtalk"]

    def __init__(self, *, app_secret: str, hosts: tuple[str, ...] = HOSTS, name: str = "dingtalk") -> None:
        self.name = name
        self._secret, self._hosts = app_secret, hosts

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        timestamp = delivery.headers.get("timestamp", "")
        if not same(delivery.headers.get("sign", ""), sign(timestamp, self._secret)):
            raise RefusedError("DingTalk: the signature is missing or wrong")
        if not fresh(timestamp[:-3], time.time(), WINDOW):
            raise RefusedError("DingTalk: the signature is too old")
        return Incoming(self._heard(read_json(delivery.body)))

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        if time.time() * 1000 > address["until"]:
            raise SendError("DingTalk: the time to answer this message is over", None)
        try:
            url = check_address(address["url"], self._hosts, "DingTalk")
        except RefusedError as problem:
            raise SendError(str(problem), None) from problem
        for piece in pieces(reply, self.look):
            await call(client, "DingTalk", "POST", url, json=_rendered(piece), judge=_judge)

    def _heard(self, body: Any) -> tuple[Heard, ...]:
        text = text_at(body, "text", "content").strip()
        user, chat = text_at(body, "senderStaffId") or text_at(body, "senderId"), text_at(body, "conversationId")
        if not (text and user and chat):
            return ()
        url, until = text_at(body, "sessionWebhook"), at(body, "sessionWebhookExpiredTime")
        address = {
            "url": check_address(url, self._hosts, "DingTalk"),
            "until": until if isinstance(until, int) else time.time() * 1000 + WINDOW * 1000,
        }
        known = {"user_id": user, "conversation_id": chat, "user": text_at(body, "senderNick")}
        return heard(self.name, f"{chat}/{user}", text_at(body, "msgId"), text, address, known)


def sign(timestamp: str, secret: str) -> str:
    """The signature of a time in milliseconds."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _judge(said: Any) -> bool | None:
    code = at(said, "errcode")
    return None if code in (None, 0) else code in PASSING


def _rendered(piece: Piece) -> dict[str, Any]:
    """A message of the robot. A custom reply is one already, such as an actionCard."""
    if piece.custom is not None:
        return dict(piece.custom)
    title = shorten(piece.text.split("\n", 1)[0], TITLE)
    # In DingTalk's markdown a single line break is none.
    return {"msgtype": "markdown", "markdown": {"title": title, "text": piece.text.replace("\n", "  \n")}}
