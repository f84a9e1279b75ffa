"""Which version of the model all processes of one server answer with: a file that whoever exchanges it writes."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from dialogue.errors import StarfoldError
from dialogue.server.service import BotService

logger = logging.getLogger(__name__)

SECONDS = 1.0  # until the others hear of an exchange
PAUSE = 10.0  # seconds until what could not be loaded is tried again


class Answering:
    """The file. It is not there until there was an exchange, and empty while no model is to answer."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def say(self, version: str | None) -> None:
        """Have all processes answer with a version, or none of them at all."""
        draft = self._file.with_name(f"{self._file.name}-{os.getpid()}")
        draft.write_text(version or "", "utf-8")
        draft.replace(self._file)

    def read(self) -> str | None:
        """The version, an empty text for none, None before there was an exchange."""
        try:
            return self._file.read_text("utf-8")
        except FileNotFoundError:
            return None


async def follow(service: BotService, answering: Answering) -> None:
    """Do as the process did that exchanged the model, until cancelled."""
    while True:
        await asyncio.sleep(SECONDS)
        said = answering.read()
        if said is None or said == (service.live.version or ""):
            continue
        try:
            await service.call(service.live.follow, said or None)
        except StarfoldError as error:
            logger.warning("another process exchanged the model, which this one cannot: %s", error)
            await asyncio.sleep(PAUSE)
