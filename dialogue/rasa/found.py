"""What the readers of a Rasa project find: a row for each part, and the values that stand in bot.yml for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dialogue.errors import Problem, Where, warning
from dialogue.training.nodes import Entry, Listing, Node, Scalar, ScalarValue, Table


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one part of a Rasa project.

    Attributes:
        where: its place.
        name: what Rasa calls it.
        here: what stands for it, as a key of bot.yml or a section of the data; empty for nothing.
        remark: what a person should know about the difference.
        lost: whether the bot can do less without it, so that it is worth a warning.
    """

    where: Where
    name: str
    here: str = ""
    remark: str = ""
    lost: bool = False

    def warning(self) -> Problem:
        """The row as a problem, for one that is lost."""
        return warning(self.where, f"{self.name}: {self.remark}")


def scalar(where: Where, value: ScalarValue) -> Scalar:
    """A value that nobody wrote, at the place of what it stands for."""
    return Scalar(where, value, "null" if value is None else str(value), '"' if isinstance(value, str) else "")


def listing(where: Where, items: Iterable[Node]) -> Listing:
    """A list of nodes."""
    return Listing(where, tuple(items))


def table(where: Where, values: Mapping[str, Node | ScalarValue]) -> Table:
    """A mapping; a plain value gets the place of the whole."""
    nodes = {
        key: value if isinstance(value, Scalar | Listing | Table) else scalar(where, value)
        for key, value in values.items()
    }
    return Table(where, {key: Entry(node.where, node) for key, node in nodes.items()})


def named(names: Sequence[str], remark: str) -> str:
    """A remark about options that were written, or nothing when none was."""
    return f"{', '.join(names)}: {remark}" if names else ""


def sentence(*parts: str) -> str:
    """Remarks joined, empty ones left out."""
    return "; ".join(part for part in parts if part)
