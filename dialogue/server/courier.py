"""Between platforms and the bot: deliveries are kept before they are acknowledged, answered after, replies sent on.

A delivery is verified and read by its channel, its messages go into the mailbox, and only then is the platform
answered. Letters are claimed from the mailbox, in this process or in any other on the database, answered in the order
of their conversation, and their replies sent, each noted as soon as the platform has taken it. Whatever dies in
between is taken up where it stopped: a message is answered once, a reply sent at least once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from dialogue.channels.base import Channel, Incoming, Listener, Registers, SendError, Take
from dialogue.channels.choices import chosen
from dialogue.errors import StoreError
from dialogue.message import Message, Reply
from dialogue.server.logs import conversation_id
from dialogue.server.service import BotService, BusyError
from dialogue.store.mailbox import Letter
from dialogue.turn import TurnResult

logger = logging.getLogger(__name__)

POLL = 1.0  # seconds until letters that another process left are looked for
MOST_ATTEMPTS = 12
LONGEST_PAUSE = 300.0
SEND_SECONDS = 20.0


class Courier:
    """Answers the mailbox.

    Args:
        service: has the bot answer.
        channels: bring replies to their platforms, by name.
        client: for requests to platforms.
        most: letters worked on at once.
    """

    def __init__(
        self, service: BotService, channels: Sequence[Channel | Listener], client: httpx.AsyncClient, *, most: int = 32
    ) -> None:
        self._service = service
        self._channels: Mapping[str, Channel | Listener] = {channel.name: channel for channel in channels}
        self.client = client
        self._most = most
        self._mail = asyncio.Event()
        self._held: dict[asyncio.Task[None], int] = {}

    async def take(self, incoming: Incoming) -> None:
        """Keep what was heard; when this returns it will be answered, whatever happens.

        Raises:
            StoreError: if it could not be kept, and must not be acknowledged.
        """
        if not incoming.heard:
            return
        letters = [(heard.message, heard.address) for heard in incoming.heard]
        if await self._service.call(self._service.mailbox.put, letters):
            self._mail.set()

    async def run(self) -> None:
        """Work until cancelled; then finish what was begun."""
        keeping = asyncio.ensure_future(self._keep())
        try:
            while True:
                self._mail.clear()
                if await self._claim() == 0:
                    # Not `wait_for`: before Python 3.12 it can lose a cancellation that comes with the event.
                    mail = asyncio.ensure_future(self._mail.wait())
                    await asyncio.wait([mail], timeout=POLL)
                    mail.cancel()
        finally:
            if self._held:
                await asyncio.wait(self._held)
            keeping.cancel()

    async def send_due(self, turns: Sequence[TurnResult]) -> None:
        """Bring the replies of turns that nobody asked for, such as reminders, to where their users were last heard."""
        for turn in turns:
            message = turn.message
            if message.channel not in self._channels or not turn.replies:
                continue
            address = await self._service.call(self._service.mailbox.address, message.channel, message.sender)
            if address is not None:
                await self._service.call(self._service.mailbox.post, message, address)
                self._mail.set()

    async def bring(self, channel: str, conversation: str, replies: Sequence[Reply]) -> bool:
        """Send replies at once to where a user was last heard on a channel; False when that is not known here.

        Raises:
            SendError: if the platform did not take one; those after it are not sent.
        """
        found = self._channels.get(channel)
        address = (
            None if found is None else await self._service.call(self._service.mailbox.address, channel, conversation)
        )
        if found is None or address is None:
            return False
        for reply in replies:
            try:
                await asyncio.wait_for(found.send(reply, address, self.client), SEND_SECONDS)
            except (httpx.HTTPError, asyncio.TimeoutError) as error:
                raise SendError(str(error) or type(error).__name__, None) from error
        return True

    async def _claim(self) -> int:
        """Begin on as many letters as there are and may be worked on at once."""
        free = self._most - len(self._held)
        if free <= 0:
            await asyncio.wait(self._held, return_when=asyncio.FIRST_COMPLETED)
            return 1
        try:
            letters = await self._service.call(self._service.mailbox.claim, free)
        except StoreError as error:
            logger.warning("the mailbox cannot be reached: %s", error)
            return 0
        for letter in letters:
            if letter.id in self._held.values():
                continue  # a clock that was set let its lease run out
            task = asyncio.ensure_future(self._deliver(letter))
            self._held[task] = letter.id
            task.add_done_callback(self._done)
        return len(letters)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._held[task]
        self._mail.set()  # the conversation's next letter may be claimed now
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a letter was left to its lease: %s", error)

    async def _keep(self) -> None:
        """Hold what is being worked on."""
        while True:
            await asyncio.sleep(self._service.mailbox.lease / 3)
            if self._held:
                with contextlib.suppress(StoreError):  # what is lost is taken up again, and answered once all the same
                    await self._service.call(self._service.mailbox.keep, list(self._held.values()))

    async def _deliver(self, letter: Letter) -> None:
        conversation_id.set(letter.message.sender)
        mailbox, call = self._service.mailbox, self._service.call
        try:
            message = await self._meant(letter.message)
            replies = (await self._service.handle(message)).replies
        except (StoreError, BusyError) as error:
            await call(mailbox.put_off, letter, pause(letter.attempts), str(error))
            return
        except Exception as error:
            logger.exception("message %s of %s cannot be answered", letter.message.id, letter.message.channel)
            await self._again_or_never(letter, pause(letter.attempts), f"{type(error).__name__}: {error}")
            return
        for number, reply in enumerate(replies[letter.sent :], letter.sent + 1):
            if not await self._send(letter, reply):
                return
            if number < len(replies) and not await call(mailbox.mark_sent, letter, number):
                return  # somebody else has the letter now
        await call(mailbox.remove, letter)

    async def _meant(self, message: Message) -> Message:
        """The message, or the button that it means. Its conversation has no other letter in work meanwhile."""
        tracker = await self._service.call(self._service.bot.tracker, message.sender)
        look = getattr(self._channels.get(message.channel), "look", None)
        payload = chosen(message.text, tracker.events, look)
        if payload is None:
            return message
        return replace(message, text=payload, metadata={**message.metadata, "typed": message.text})

    async def _send(self, letter: Letter, reply: Reply) -> bool:
        """Send a reply; False when the letter was put off."""
        name = letter.message.channel
        channel = self._channels.get(name)
        try:
            if channel is None:
                raise SendError(f"there is no channel {name!r} here", retry_after=LONGEST_PAUSE)
            await asyncio.wait_for(channel.send(reply, letter.address, self.client), SEND_SECONDS)
        except (SendError, httpx.HTTPError, asyncio.TimeoutError) as error:
            wait = error.retry_after if isinstance(error, SendError) else pause(letter.attempts)
            self._service.metrics.sent.labels(name, "refused" if wait is None else "put off").inc()
            logger.warning("%s did not take a reply: %s", name, str(error) or type(error).__name__)
            if wait is None:
                return True  # the others may still go
            await self._again_or_never(letter, max(wait, pause(letter.attempts)), str(error) or type(error).__name__)
            return False
        self._service.metrics.sent.labels(name, "taken").inc()
        return True

    async def _again_or_never(self, letter: Letter, seconds: float, error: str) -> None:
        mailbox = self._service.mailbox
        if letter.attempts + 1 < MOST_ATTEMPTS:
            await self._service.call(mailbox.put_off, letter, seconds, error)
        else:
            logger.error("message %s of %s is given up: %s", letter.message.id, letter.message.channel, error)
            await self._service.call(mailbox.give_up, letter, error)


def pause(attempts: int) -> float:
    """Seconds until the next attempt after so many."""
    return float(min(LONGEST_PAUSE, 2**attempts))


async def register(channel: Registers, client: httpx.AsyncClient) -> None:
    """Have a channel tell its platform what it has to; trouble that goes by is waited out."""
    while True:
        try:
            await channel.register(client)
        except SendError as error:
            logger.warning("a channel could not be registered: %s", error)
            if error.retry_after is None:
                return
            await asyncio.sleep(error.retry_after)
        else:
            return


async def listen(channel: Listener, take: Take, client: httpx.AsyncClient) -> None:
    """Run a listener until cancelled, begun anew when it breaks down."""
    attempts = 0
    while True:
        try:
            await channel.listen(take, client)
            return
        except Exception:
            logger.exception("the channel %s broke down; it begins anew", channel.name)
            await asyncio.sleep(pause(attempts))
            attempts = min(attempts + 1, 10)
