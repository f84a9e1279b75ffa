"""Builds the encoders, policies and channels that bot.yml names, telling the place in bot.yml where that fails.

Names, entry points, dotted paths and options belong to `encoders.catalog`, `policies.catalog` and `dialogue.catalog`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from dialogue.config import Config, Part
from dialogue.errors import Problem, ProjectError, error
from encoders.base import Encoder
from policies.base import Policy

Key = TypeVar("Key", str, int)
Built = TypeVar("Built")


def build_encoders(config: Config) -> dict[str, Encoder]:
    """The bot's encoders under their own names, untrained.

    Raises:
        ProjectError: with every encoder that cannot be found or does not take its options.
    """
    from encoders.catalog import build

    return _build(config, "encoders", config.encoders.items(), lambda _, part: build(part.type, part.options))


def build_policies(config: Config) -> tuple[Policy, ...]:
    """The bot's policies in their order, untrained.

    Raises:
        ProjectError: with every policy that cannot be found or does not take its options.
    """
    from policies.catalog import build

    found = _build(config, "policies", enumerate(config.policies), lambda _, part: build(part.type, part.options))
    return tuple(found.values())


def make_channels(config: Config, names: Collection[str] | None = None) -> dict[str, Any]:
    """The bot's channels under their names, whatever they are: `dialogue.assembly` says what they have to be.

    Args:
        config: of the bot.
        names: those wanted; all by default.

    Raises:
        ProjectError: with every channel that cannot be found or does not take its options.
    """
    from dialogue.catalog import build

    wanted = [(name, part) for name, part in config.channels.items() if names is None or name in names]
    return _build(config, "channels", wanted, lambda name, part: build(name, part.type, part.options))


def check_parts(config: Config) -> tuple[Problem, ...]:
    """What keeps encoders, policies and channels from being built. Imports their classes."""
    problems: list[Problem] = []
    builders: tuple[Callable[[Config], object], ...] = (build_encoders, build_policies, make_channels)
    for build in builders:
        try:
            build(config)
        except ProjectError as wrong:
            problems += wrong.problems
    return tuple(problems)


def _build(
    config: Config, section: str, parts: Iterable[tuple[Key, Part]], build: Callable[[Key, Part], Built]
) -> dict[Key, Built]:
    built: dict[Key, Built] = {}
    problems: list[Problem] = []
    for key, part in parts:
        try:
            built[key] = build(key, part)
        except ValueError as cause:
            option = getattr(cause, "key", None)
            keys: tuple[str | int, ...] = (section, key, option) if option else (section, key)
            problems.append(error(config.where(*keys), str(cause)))
    if problems:
        raise ProjectError(problems)
    return built
