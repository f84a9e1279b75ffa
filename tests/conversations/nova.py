"""Nova as a project of its own, with a clock that stands still, and the golden conversations with her."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.bot import Bot
from dialogue.message import Message
from dialogue.turn import TurnResult

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
LANGUAGES = ("en", "zh")
NAMES = {"en": "nova", "zh": "nova-zh"}
CLOCK = "datetime.now"
STOPPED = "lambda: datetime(2026, 10, 14, 17, 30)"  # a Wednesday afternoon


@dataclass(frozen=True, slots=True)
class Line:
    """What the user says and what a person expects of the bot: any of the kinds and actions, all of `says`.

    `falls_short` tells what the bot does instead where it is known not to do so.
    """

    user: str
    kinds: tuple[str, ...]
    actions: tuple[str, ...]
    says: tuple[str, ...]
    falls_short: str


def golden(language: str) -> list[Line]:
    """The golden conversation of a language."""
    rows = [json.loads(row) for row in (HERE / f"golden_{language}.jsonl").read_text("utf-8").splitlines()]
    return [_line(row) for row in rows]


def _line(row: dict[str, Any]) -> Line:
    kinds, actions, says = (_listed(row.get(key, ())) for key in ("kind", "action", "says"))
    return Line(row["user"], kinds, actions, says, row.get("falls_short", ""))


def _listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def write_project(folder: Path, language: str, *, tune: str) -> Path:
    """A project with Nova's data, in a folder of its own, where it is always the same Wednesday."""
    source = (ROOT / "data" / "actions.py").read_text("utf-8")
    if CLOCK not in source:
        raise ValueError(f"data/actions.py takes its time from elsewhere than {CLOCK}")
    (folder / "actions.py").write_text(source.replace(CLOCK, STOPPED), "utf-8")
    settings = {
        "version": "1",
        "name": NAMES[language],
        "language": language,
        "data": [str(ROOT / "data" / language)],
        "actions": "actions.py",
        "fusion": {"tune": tune},
    }
    (folder / "bot.yml").write_text(json.dumps(settings), "utf-8")
    return folder


def replay(bot: Bot, language: str) -> Iterator[tuple[Line, TurnResult]]:
    """The golden conversation with a bot, turn by turn."""
    for line in golden(language):
        yield line, bot.handle(Message(line.user, sender="golden"))


def deviations(line: Line, turn: TurnResult) -> list[str]:
    """What in a turn is not as a person expects."""
    decision, said = turn.decision, "\n".join(reply.text or "" for reply in turn.replies)
    found = []
    if decision.kind.value not in line.kinds:
        found.append(f"expected to {' or '.join(line.kinds)}, not to {decision.kind.value}")
    if line.actions and decision.action not in line.actions:
        found.append(f"expected {' or '.join(line.actions)}, not {decision.action}")
    found += [f"expected to read {words!r}, not {said!r}" for words in line.says if words not in said]
    return [f"{line.user!r}: {what} ({decision.reason})" for what in found]
