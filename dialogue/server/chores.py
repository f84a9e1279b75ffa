"""What the server does of its own accord: reminders that come due, and conversations that are kept long enough."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from dialogue.clock import SetClock
from dialogue.errors import StarfoldError
from dialogue.server.courier import Courier
from dialogue.server.service import BotService

if TYPE_CHECKING:
    from dialogue.server.parts import Parts

logger = logging.getLogger(__name__)

REMINDER_SECONDS = 2.0
TIDY_SECONDS = 3600.0
STEADY = 60.0  # seconds that a clock may be set by and still be believed
DAY = 24 * 3600.0
BATCH = 100


async def remind(service: BotService, courier: Courier) -> None:
    """Run the turns of reminders as they come due, until cancelled; several processes may, each runs once."""
    while True:
        await asyncio.sleep(REMINDER_SECONDS)
        try:
            turns = await service.call(service.bot.due)
            for turn in turns:
                service.metrics.turn(turn, sum(turn.milliseconds.values()) / 1000)
                service.feed.touch(turn.message.sender)
            await courier.send_due(turns)
        except StarfoldError as error:
            logger.warning("reminders wait: %s", error)


async def tidy(here: Parts) -> None:
    """Delete conversations that rested for `retention_days`, until cancelled; for ever kept without that option.

    Nothing is deleted until the clock has run steadily for a while: one that is wrong must not make all look old.
    """
    days, clock = here.serving.retention_days, SetClock()
    clock.moved()
    while days is not None:
        await asyncio.sleep(TIDY_SECONDS)
        if abs(seconds := clock.moved()) > STEADY:
            logger.warning("the clock was set by %.0f s: old conversations stay for now", seconds)
            continue
        try:
            await forget_old(here.service, time.time() - days * DAY)
        except StarfoldError as error:
            logger.warning("old conversations stay for now: %s", error)


async def forget_old(service: BotService, before: float) -> int:
    """Delete conversations whose last event was before that time, in seconds since 1970. Returns how many."""
    forgotten = 0
    while old := await service.call(lambda: service.records.met(BATCH, before=before)):
        for one in old:
            await service.delete(one.conversation)
        forgotten += len(old)
    return forgotten
