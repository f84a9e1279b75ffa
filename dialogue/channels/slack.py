"""Slack: the Events API, buttons by interactivity, and chat.postMessage.

Sources: https://docs.slack.dev/authentication/verifying-requests-from-slack, https://docs.slack.dev/apis/events-api.
In a direct message the bot hears everything, elsewhere what mentions it. Slack waits three seconds and then tries again
with the same event id, so a message counts once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, Response
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, fresh, heard, read_form, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

WINDOW = 300.0  # seconds within which a signature counts
PASSING = ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")


class Slack:
    """A Slack app.

    Args:
        token: of the bot user, `xoxb-...`.
        signing_secret: of the app; proves that Slack is calling.
        threads: answer a mention in a thread, each thread a conversation of its own.
        name: of the channel.
        api_base: where the Web API is.
    """

    look = LOOKS["slack"]

    def __init__(
        self,
        *,
        token: str,
        signing_secret: str,
        threads: bool = False,
        name: str = "slack",
        api_base: str = "https://slack.com/api",
    ) -> None:
        self.name = name
        self._token, self._secret, self._threads = token, signing_secret, threads
        self._base = api_base.rstrip("/")

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        self._verify(delivery)
        if delivery.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return Incoming(self._pressed(read_json(read_form(delivery.body).get("payload", "").encode())))
        body = read_json(delivery.body)
        if text_at(body, "type") == "url_verification":
            return Incoming(response=Response(body=text_at(body, "challenge").encode()))
        return Incoming(self._said(body))

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        headers = {"Authorization": f"Bearer {self._token}"}
        where = {"channel": address["channel"], **({"thread_ts": address["thread"]} if address.get("thread") else {})}
        for piece in pieces(reply, self.look):
            fields = {**where, **_rendered(piece)}
            url = f"{self._base}/chat.postMessage"
            await call(client, "Slack", "POST", url, json=fields, headers=headers, judge=_judge)

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        headers = {"Authorization": f"Bearer {self._token}"}
        said = await call(client, "Slack", "POST", f"{self._base}/auth.test", headers=headers, judge=_judge)
        return f"{text_at(said, 'user')} in {text_at(said, 'team')}"

    def _verify(self, delivery: Delivery) -> None:
        timestamp = delivery.headers.get("x-slack-request-timestamp", "")
        signed = b"v0:" + timestamp.encode() + b":" + delivery.body
        expected = "v0=" + hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        if not same(delivery.headers.get("x-slack-signature", ""), expected):
            raise RefusedError("Slack: the signature is missing or wrong")
        if not fresh(timestamp, time.time(), WINDOW):
            raise RefusedError("Slack: the signature is too old")

    def _said(self, body: Mapping[str, Any]) -> tuple[Heard, ...]:
        event = at(body, "event")
        direct = text_at(event, "channel_type") == "im" and text_at(event, "type") == "message"
        # What bots write, this one included, has a bot_id; edits and joins have a subtype.
        if not (direct or text_at(event, "type") == "app_mention") or at(event, "bot_id") or at(event, "subtype"):
            return ()
        thread = text_at(event, "thread_ts")
        if self._threads and not direct:
            thread = thread or text_at(event, "ts")
        user, channel = text_at(event, "user"), text_at(event, "channel")
        return self._heard(channel, user, thread, text_at(body, "event_id"), _plain(text_at(event, "text")))

    def _pressed(self, body: Mapping[str, Any]) -> tuple[Heard, ...]:
        """The button of an interaction; its trigger id is new for each press."""
        if text_at(body, "type") != "block_actions":
            return ()
        thread = text_at(body, "message", "thread_ts") or text_at(body, "container", "thread_ts")
        channel = text_at(body, "channel", "id") or text_at(body, "container", "channel_id")
        user, value = text_at(body, "user", "id"), text_at(body, "actions", 0, "value")
        return self._heard(channel, user, thread, text_at(body, "trigger_id"), value)

    def _heard(self, channel: str, user: str, thread: str, message: str, text: str) -> tuple[Heard, ...]:
        if not (channel and user):
            return ()
        whose = thread if self._threads and thread and not channel.startswith("D") else user
        known = {"user_id": user, "channel_id": channel}
        return heard(self.name, f"{channel}/{whose}", message, text, {"channel": channel, "thread": thread}, known)


def _judge(said: Any) -> bool | None:
    return None if at(said, "ok") is True else text_at(said, "error") in PASSING


def _plain(text: str) -> str:
    """What a person wrote, without Slack's escapes and the mention of the bot at its start."""
    text = re.sub(r"^\s*<@\w+(?:\|[^<>]*)?>[\s:,]*", "", text)
    text = re.sub(r"<(?:mailto:|tel:)?[^<>|]*\|([^<>]*)>", r"\1", text)
    text = re.sub(r"<([^<>|]*)>", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _rendered(piece: Piece) -> dict[str, Any]:
    """Fields of chat.postMessage. A custom reply is such fields already, for example `blocks`."""
    if piece.custom is not None:
        return dict(piece.custom)
    if piece.image is not None:
        block = {"type": "image", "image_url": piece.image, "alt_text": "image"}
        return {"text": piece.image, "blocks": [block]}
    if not piece.buttons:
        return {"text": piece.text}
    buttons = [
        {
            "type": "button",
            "action_id": f"button_{number}",
            "text": {"type": "plain_text", "text": button.title},
            "value": button.payload,
        }
        for number, button in enumerate(piece.buttons)
    ]
    said = {"type": "section", "text": {"type": "mrkdwn", "text": piece.text}}
    return {"text": piece.text, "blocks": [said, {"type": "actions", "elements": buttons}]}
