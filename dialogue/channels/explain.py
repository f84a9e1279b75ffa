"""A turn as a person reads it on a terminal: replies, the belief as bars, the decision and why, the time it took.

Texts and names come from outside, so all of them pass through `plain`: never read as markup, no control characters.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dialogue.domain import AUTOMATIC_SLOTS
from policies.types import Belief, Candidate, Decision, Entity

if TYPE_CHECKING:
    from dialogue.events import Event
    from dialogue.message import Reply
    from dialogue.turn import TurnResult

BAR = 24  # columns, where there is room
LEAST_BAR = 8
BESIDE_BAR = 50  # columns for name and numbers
SHOWN_INTENTS = 5
SHOWN_ANSWERS = 3
INDENT = (0, 0, 0, 2)

_UNPRINTABLE = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def plain(text: str, style: str = "") -> Text:
    """`text` as it stands, with control characters (so also terminal escapes) replaced."""
    return Text(text.replace("\r\n", "\n").translate(_UNPRINTABLE), style=style)


def reply(said: Reply, first_button: int = 1) -> RenderableType:
    """One message of the bot, its buttons numbered from `first_button`."""
    lines: list[RenderableType] = []
    if said.text is not None:
        lines.append(plain(said.text))
    if said.image is not None:
        lines.append(plain(f"image: {said.image}", "italic"))
    lines += [plain(_json(extra), "italic") for extra in (said.attachment, said.custom) if extra is not None]
    for number, button in enumerate(said.buttons, start=first_button):
        lines.append(Text.assemble((f"[{number}] ", "bold cyan"), plain(button.title)))
    return Group(*lines)


def summary(turn: TurnResult) -> Text:
    """One dim line: the most probable intent, its probability and interval, P(unknown), the policy that decided."""
    belief, top = turn.belief, turn.belief.top
    intent = "no intents" if top is None else f"{top.name} {top.mean:.2f} {_interval(top, 2)}"
    return plain(f"{intent} · unknown {belief.unknown:.2f} · {turn.decision.policy}", "dim")


def why(turn: TurnResult, width: int = 80) -> RenderableType:
    """Everything known about a turn: belief, what each encoder gave, entities, decision, passes, milliseconds.

    `width` is the terminal's, in columns: the bars are made to fit.
    """
    room = max(LEAST_BAR, min(BAR, width - BESIDE_BAR))
    parts: list[RenderableType] = [_belief(turn.belief, room)]
    if turn.belief.contributions:
        parts += [_heading("encoders"), _contributions(turn.belief.contributions, room)]
    if turn.belief.entities:
        parts += [_heading("entities"), _entities(turn.belief.entities)]
    parts += [_heading("decision"), _decision(turn.decision)]
    if turn.milliseconds:
        stages = " · ".join(f"{stage} {spent:.1f}" for stage, spent in turn.milliseconds.items())
        parts += [_heading("milliseconds"), Padding(plain(stages), INDENT)]
    return Group(*parts)


def bar(candidate: Candidate, width: int = BAR) -> Text:
    """A probability and its credible interval in `width` columns.

    Solid up to the lower bound, dark on to the mean, light on to the upper bound.
    """
    lower, mean, upper = (round(x * width) for x in (candidate.lower, candidate.mean, candidate.upper))
    return Text.assemble(
        ("█" * lower, "green"), ("▓" * (mean - lower), "green"), ("░" * (upper - mean), "green"), "·" * (width - upper)
    )


def grid(columns: int, *, rigid: Collection[int] = ()) -> Table:
    """A table without lines whose cells are folded, never cut; columns numbered in `rigid` keep their width."""
    table = Table.grid(padding=(0, 2))
    for number in range(columns):
        table.add_column(overflow="fold", no_wrap=number in rigid)
    return table


def slots(values: Mapping[str, Any]) -> RenderableType:
    """The bot's slots and their values; those every bot has only when they are set."""
    shown = {name: value for name, value in values.items() if name not in AUTOMATIC_SLOTS or value is not None}
    if not shown:
        return plain("no slots", "dim")
    table = grid(2)
    for name, value in shown.items():
        table.add_row(plain(name), plain("unset", "dim") if value is None else plain(_json(value)))
    return Padding(table, INDENT)


def events(happened: Iterable[Event]) -> RenderableType:
    """The conversation's events, oldest first: number, name, and every field that says something."""
    table = grid(3)
    for number, event in enumerate(happened, start=1):
        shown = "  ".join(f"{key}={_json(value)}" for key, value in _told(event).items())
        table.add_row(plain(f"{number:>3}", "dim"), plain(event.wire, "bold"), plain(shown))
    return Padding(table, INDENT) if table.row_count else plain("no events", "dim")


def _told(event: Event) -> Mapping[str, Any]:
    """The fields of an event that say something; of what was understood, the most probable intent."""
    fields = event.as_dict()
    told = {key: fields[key] for key in fields if key not in ("event", "timestamp", "metadata", "parse_data")}
    intent = fields.get("parse_data", {}).get("intent", {})
    if intent.get("name"):
        told["intent"] = f"{intent['name']} {intent.get('confidence', 0.0):.3f}"
    return _filled(told)


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty, also inside; a confidence with three digits."""
    inner: dict[str, Any] = {
        key: _filled(value) if isinstance(value, Mapping) else value for key, value in values.items()
    }
    if isinstance(inner.get("confidence"), float):
        inner["confidence"] = round(inner["confidence"], 3)
    return {key: value for key, value in inner.items() if value is not False and value not in (None, {}, [])}


def _belief(belief: Belief, room: int = BAR) -> RenderableType:
    table = grid(4, rigid=(1, 2, 3))
    for candidate in belief.intents[:SHOWN_INTENTS]:
        _candidate(table, candidate, room)
    unknown = Candidate("unknown", belief.unknown, belief.unknown, belief.unknown)
    table.add_row(plain("unknown", "italic"), bar(unknown, room), f"{belief.unknown:.3f}", "")
    answers = belief.responses.get(belief.top.name.partition("/")[0], ()) if belief.top else ()
    parts: list[RenderableType] = [_heading("belief"), Padding(table, INDENT)]
    if answers:
        ranked = grid(4, rigid=(1, 2, 3))
        for candidate in answers[:SHOWN_ANSWERS]:
            _candidate(ranked, candidate, room)
        parts += [_heading("answers"), Padding(ranked, INDENT)]
    numbers = f"entropy {belief.entropy:.3f} nats, {belief.mutual_information:.3f} of them for want of examples"
    return Group(*parts, Padding(plain(numbers, "dim"), INDENT))


def _candidate(table: Table, candidate: Candidate, room: int) -> None:
    interval = plain(_interval(candidate, 3), "dim")
    table.add_row(plain(candidate.name), bar(candidate, room), f"{candidate.mean:.3f}", interval)


def _contributions(shares: Mapping[str, float], room: int) -> RenderableType:
    table = grid(3, rigid=(1, 2))
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        # A share of evidence may be negative; a bar cannot.
        length = min(1.0, max(0.0, share))
        table.add_row(plain(name), bar(Candidate(name, length, length, length), room), f"{share:.0%}")
    return Padding(table, INDENT)


def _entities(found: Iterable[Entity]) -> RenderableType:
    table = grid(5)
    for entity in found:
        sure = "" if entity.confidence is None else f"{entity.confidence:.3f}"
        place = f"{entity.start}-{entity.end}"
        table.add_row(plain(entity.entity), plain(_json(entity.value)), place, sure, plain(entity.extractor, "dim"))
    return Padding(table, INDENT)


def _decision(decision: Decision) -> RenderableType:
    table = grid(2)
    table.add_row(plain(decision.kind.value, "bold"), plain(f"{decision.action} {decision.confidence:.3f}"))
    table.add_row(plain(decision.policy), plain(decision.reason))
    for policy, reason in decision.passed:
        table.add_row(plain(policy, "dim"), plain(f"passed: {reason}", "dim"))
    return Padding(table, INDENT)


def _heading(name: str) -> Text:
    return Text(name, style="bold cyan")


def _interval(candidate: Candidate, digits: int) -> str:
    return f"[{candidate.lower:.{digits}f}, {candidate.upper:.{digits}f}]"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain_value)


def _plain_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
