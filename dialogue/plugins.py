"""Builds the encoders and policies that bot.yml names, telling the place in bot.yml where that fails.

Names, entry points, dotted paths and options belong to `encoders.catalog` and `policies.catalog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

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

    return _build(config, "encoders", config.encoders.items(), lambda part: build(part.type, part.options))


def build_policies(config: Config) -> tuple[Policy, ...]:
    """The bot's policies in their order, untrained.

    Raises:
        ProjectError: with every policy that cannot be found or does not take its options.
    """
    from policies.catalog import build

    found = _build(config, "policies", enumerate(config.policies), lambda part: build(part.type, part.options))
    return tuple(found.values())


def check_parts(config: Config) -> tuple[Problem, ...]:
    """What keeps encoders and policies from being built. Imports their classes."""
    problems: list[Problem] = []
    for build in (build_encoders, build_policies):
        try:
            build(config)
        except ProjectError as wrong:
            problems += wrong.problems
    return tuple(problems)


def _build(
    config: Config, section: str, parts: Iterable[tuple[Key, Part]], build: Callable[[Part], Built]
) -> dict[Key, Built]:
    built: dict[Key, Built] = {}
    problems: list[Problem] = []
    for key, part in parts:
        try:
            built[key] = build(part)
        except ValueError as cause:
            option = getattr(cause, "key", None)
            keys: tuple[str | int, ...] = (section, key, option) if option else (section, key)
            problems.append(error(config.where(*keys), str(cause)))
    if problems:
        raise ProjectError(problems)
    return built
