"""Telegram: its Bot API, called by a webhook or asked by long polling.

Source: https://core.telegram.org/bots/api. With nothing but a token the bot polls, which needs no public address. With
`webhook_url` Telegram calls, and proves itself by the secret token that was agreed on when the webhook was set.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, Response, SendError, Take
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, heard, id_at, list_at, read_json, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

WAIT = 50  # seconds a request for updates is held open
KINDS = ("message", "callback_query")


class _Telegram:
    """What both ways have in common: reading an update, and sending."""

    look = LOOKS["telegram"]

    def __init__(self, token: str, name: str, api_base: str) -> None:
        self.name = name
        self._base = f"{api_base.rstrip('/')}/bot{token}"

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """Send a reply to its chat. See `Channel.send`."""
        thread = {"message_thread_id": address["thread"]} if address.get("thread") else {}
        for piece in pieces(reply, self.look):
            method, fields = _rendered(piece)
            await self._call(client, method, {"chat_id": address["chat"], **thread, **fields})

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        return text_at(await self._call(client, "getMe", {}), "result", "username")

    async def _call(self, client: httpx.AsyncClient, method: str, fields: Mapping[str, Any], **options: Any) -> Any:
        return await call(client, "Telegram", "POST", f"{self._base}/{method}", json=dict(fields), **options)

    def _heard(self, update: Mapping[str, Any]) -> tuple[Heard, ...]:
        """The message of an update, or the payload of the button that was pressed."""
        pressed = at(update, "callback_query")
        message = at(pressed, "message") if pressed is not None else at(update, "message")
        text = (
            text_at(pressed, "data") if pressed is not None else text_at(message, "text") or text_at(message, "caption")
        )
        chat, thread = at(message, "chat", "id"), at(message, "message_thread_id")
        writer = at(pressed if pressed is not None else message, "from")
        if at(writer, "is_bot") is True:
            return ()
        return heard(
            self.name,
            id_at(message, "chat", "id"),
            id_at(update, "update_id"),
            re.sub(r"^(/\w+)@\w+", r"\1", text),
            {"chat": chat, "thread": thread if isinstance(thread, int) else None},
            {
                "chat_id": id_at(message, "chat", "id"),
                "user_id": id_at(writer, "id"),
                "user": text_at(writer, "username"),
            },
        )


class TelegramWebhook(_Telegram):
    """A bot that Telegram calls."""

    def __init__(self, token: str, webhook_url: str, secret: str | None, name: str, api_base: str) -> None:
        super().__init__(token, name, api_base)
        self._webhook_url = webhook_url
        # Without one of its own the secret is made from the token, which only the bot and Telegram have.
        self._secret = secret or hmac.new(token.encode(), b"starfold webhook", hashlib.sha256).hexdigest()

    async def register(self, client: httpx.AsyncClient) -> None:
        """Tell Telegram the webhook and the secret. See `Registers.register`."""
        wanted = {"url": self._webhook_url, "secret_token": self._secret, "allowed_updates": list(KINDS)}
        await self._call(client, "setWebhook", wanted)

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        if not same(delivery.headers.get("x-telegram-bot-api-secret-token", ""), self._secret):
            raise RefusedError("Telegram: the secret token is missing or wrong")
        update = read_json(delivery.body)
        pressed = text_at(update, "callback_query", "id")
        if not pressed:
            return Incoming(self._heard(update))
        # The answer of a webhook may call a method: this one ends the waiting sign on the button.
        answer = json.dumps({"method": "answerCallbackQuery", "callback_query_id": pressed}).encode()
        return Incoming(self._heard(update), Response(body=answer, content_type="application/json"))


class TelegramPolling(_Telegram):
    """A bot that asks Telegram for updates. Only one process may do so for one token."""

    async def listen(self, take: Take, client: httpx.AsyncClient) -> None:
        """See `Listener.listen`. An update counts as received when the next request names the one after it."""
        offset, webhook = 0, True
        while True:
            try:
                if webhook:
                    await self._call(client, "deleteWebhook", {})
                    webhook = False
                wanted = {"offset": offset, "timeout": WAIT, "allowed_updates": list(KINDS)}
                answer = await self._call(client, "getUpdates", wanted, timeout=WAIT + 10)
            except SendError as problem:
                if problem.retry_after is None:
                    raise
                logger.warning("%s", problem)
                await asyncio.sleep(problem.retry_after)
                continue
            for update in list_at(answer, "result"):
                number = at(update, "update_id")
                if not isinstance(number, int):
                    continue
                await take(Incoming(self._heard(update)))
                offset = max(offset, number + 1)
                await self._acknowledge(update, client)

    async def _acknowledge(self, update: Mapping[str, Any], client: httpx.AsyncClient) -> None:
        """End the waiting sign on a button; one that has ended by itself is no matter."""
        if pressed := text_at(update, "callback_query", "id"):
            try:
                await self._call(client, "answerCallbackQuery", {"callback_query_id": pressed})
            except SendError as problem:
                logger.info("%s", problem)


def telegram(
    *,
    token: str,
    webhook_url: str | None = None,
    secret: str | None = None,
    name: str = "telegram",
    api_base: str = "https://api.telegram.org",
) -> TelegramWebhook | TelegramPolling:
    """A Telegram bot.

    Args:
        token: of the bot, from BotFather.
        webhook_url: public address of the webhook; without one the bot polls.
        secret: what Telegram has to show at the webhook; made from the token when not given.
        name: of the channel.
        api_base: where the Bot API is.
    """
    if webhook_url is None:
        return TelegramPolling(token, name, api_base)
    return TelegramWebhook(token, webhook_url, secret, name, api_base)


def _rendered(piece: Piece) -> tuple[str, dict[str, Any]]:
    """A method of the Bot API and its fields. A custom reply names its `method`; without one it is a message."""
    if piece.custom is not None:
        method = piece.custom.get("method", "sendMessage")
        return str(method), {key: value for key, value in piece.custom.items() if key != "method"}
    if piece.image is not None:
        return "sendPhoto", {"photo": piece.image}
    fields: dict[str, Any] = {"text": piece.text, "parse_mode": "HTML"}
    if piece.buttons:
        rows = [[{"text": button.title, "callback_data": button.payload}] for button in piece.buttons]
        fields["reply_markup"] = {"inline_keyboard": rows}
    return "sendMessage", fields
