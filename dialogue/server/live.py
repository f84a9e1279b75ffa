"""The bot that answers just now, exchanged for another version of its model while turns go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialogue.bot import Bot
from dialogue.errors import ModelError
from dialogue.server.memory import settle


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bot, the name of the version of its model, and what the version says of itself."""

    bot: Bot
    version: str
    facts: dict[str, Any]


class Live:
    """Holds the bot that answers. A turn keeps the one it began with.

    Args:
        load: reads a version by its name, or the current one of the model folder; raises `StarfoldError` if it cannot.
        first: what answers at the start.
        say: is told the version that answers from now on, None for none, whenever it is exchanged here.
    """

    def __init__(
        self,
        load: Callable[[str | None], Loaded],
        first: Loaded,
        *,
        say: Callable[[str | None], None] = lambda version: None,
    ) -> None:
        self._load = load
        self._say = say
        self._now: Loaded | None = first
        self._before: str | None = None
        self._swapping = threading.Lock()

    @property
    def bot(self) -> Bot:
        """The one that answers. Raises `ModelError` while none is loaded."""
        return self.now.bot

    @property
    def now(self) -> Loaded:
        """The one that answers, with its version. Raises `ModelError` while none is loaded."""
        if self._now is None:
            raise ModelError("no model is loaded")
        return self._now

    @property
    def version(self) -> str | None:
        """Name of the version that answers; None while none is loaded."""
        return None if self._now is None else self._now.version

    @property
    def before(self) -> str | None:
        """The version that answered before the last exchange."""
        return self._before

    def swap(self, version: str | None = None) -> Loaded:
        """Load another version, try it on a text, and only then let it answer. Blocks; turns go on meanwhile.

        Raises:
            StarfoldError: if it cannot be loaded; the bot stays what it was.
        """
        with self._swapping:
            loaded = self._exchange(version)
            self._say(loaded.version)
        settle()
        return loaded

    def load(self, version: str | None) -> Loaded:
        """A version that is not to answer. Blocks. Raises `StarfoldError` if it cannot be loaded."""
        return self._load(version)

    def unload(self) -> None:
        """Let none answer until one is exchanged for it; turns that began go on."""
        with self._swapping:
            self._drop()
            self._say(None)

    def follow(self, version: str | None) -> None:
        """Exchange the model, or unload it, because another process did. Blocks, and raises, as `swap`."""
        with self._swapping:
            if version is None:
                self._drop()
            else:
                self._exchange(version)
        settle()

    def roll_back(self) -> Loaded:
        """Exchange the bot for the version before, until the next exchange or start.

        Raises:
            ModelError: if there is none.
        """
        if self._before is None:
            raise ModelError("there is no version to go back to: the model was not exchanged since the start")
        return self.swap(self._before)

    def _exchange(self, version: str | None) -> Loaded:
        loaded = self._load(version)
        loaded.bot.parse("hello")
        self._before, self._now = self._now.version if self._now else self._before, loaded
        return loaded

    def _drop(self) -> None:
        if self._now is not None:
            self._before, self._now = self._now.version, None
