"""What a YAML file holds, each value with its place, and typed access that reports instead of raising."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dialogue.errors import Problem, ProjectError, Where, error, suggestion, warning

ScalarValue: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `text` is what was written, `value` what it means (`text` itself for strings).

    `style` is the YAML style: "" plain, "'" or '"' quoted, "|" literal, ">" folded; `indent` that of a literal's lines.
    """

    where: Where
    value: ScalarValue
    text: str
    style: str = ""
    indent: int = 0

    @property
    def size(self) -> int:
        """Number of nodes in it."""
        return 1

    def lines(self) -> Iterator[tuple[Where, str]]:
        """Its lines, each with its own place when it is a literal block, else with the place of the scalar."""
        for number, line in enumerate(self.text.split("\n")):
            if self.style == "|":
                yield Where(self.where.file, self.where.line + 1 + number, self.indent + 1), line
            else:
                yield self.where, line


@dataclass(frozen=True, slots=True)
class Listing:
    """A YAML sequence."""

    where: Where
    items: tuple[Node, ...]
    size: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A value under a key; `where` is the key's place."""

    where: Where
    value: Node


@dataclass(frozen=True, slots=True)
class Table:
    """A YAML mapping; keys are texts as written."""

    where: Where
    entries: Mapping[str, Entry]
    size: int = 1


Node: TypeAlias = Scalar | Listing | Table


class Report:
    """Collects problems while the reading goes on."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, where: Where, message: str) -> None:
        """Note something that stops training."""
        self.problems.append(error(where, message))

    def warning(self, where: Where, message: str) -> None:
        """Note something that does not."""
        self.problems.append(warning(where, message))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems found elsewhere."""
        self.problems.extend(problems)

    def raise_errors(self) -> None:
        """Raise `ProjectError` with everything noted if any of it is an error."""
        if any(problem.is_error for problem in self.problems):
            raise ProjectError(self.problems)


def describe(node: Node) -> str:
    """What a node is, for "expected a list, got ..."."""
    if isinstance(node, Listing):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return f"the truth value {node.text}"
    if isinstance(node.value, int | float):
        return f"the number {node.text}"
    return f"the text {shorten(node.text)!r}"


def shorten(text: str, width: int = 40) -> str:
    """The text on one line, cut to `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def is_empty(node: Node) -> bool:
    """Whether nothing was written (a key without a value)."""
    return isinstance(node, Scalar) and node.value is None


def is_mapping(node: Node) -> bool:
    """Whether it is a mapping, or nothing, which is read as an empty one. That it is something else is told there."""
    return isinstance(node, Table) or is_empty(node)


def plain(node: Node) -> Any:
    """The node as plain Python: dict, list, str, int, float, bool, None."""
    if isinstance(node, Table):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return node.value


def read_text(node: Node, what: str, report: Report) -> str | None:
    """A text that is not blank. Reports and gives None for anything else."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
        return node.value.strip()
    quotable = isinstance(node, Scalar) and node.value is not None and not isinstance(node.value, str)
    advice = "; put it in quotes to make it a text" if quotable else ""
    report.error(node.where, f"{what}: expected a text, got {describe(node)}{advice}")
    return None


def read_label(node: Node, what: str, report: Report) -> str | None:
    """A role or a group: a text, or a whole number as one. Reports and gives None for anything else."""
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return str(node.value)
    return read_text(node, what, report)


def read_flag(node: Node, what: str, report: Report, default: bool) -> bool:
    """True or false. Reports and gives the default for anything else."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    report.error(node.where, f"{what}: expected true or false, got {describe(node)}")
    return default


def read_number(node: Node, what: str, report: Report, default: float) -> float:
    """A finite number. Reports and gives the default for anything else."""
    if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    report.error(node.where, f"{what}: expected a number, got {describe(node)}")
    return default


def read_items(node: Node, what: str, report: Report) -> tuple[Node, ...]:
    """The items of a list; nothing written counts as an empty one."""
    if isinstance(node, Listing):
        return node.items
    if not is_empty(node):
        report.error(node.where, f"{what}: expected a list, got {describe(node)}")
    return ()


def read_texts(node: Node, what: str, report: Report) -> tuple[tuple[str, Where], ...]:
    """One text or a list of texts, each with its place."""
    nodes = (node,) if isinstance(node, Scalar) and not is_empty(node) else read_items(node, what, report)
    found = ((read_text(item, what, report), item.where) for item in nodes)
    return tuple((text, where) for text, where in found if text is not None)


def read_entries(node: Node, what: str, report: Report) -> Mapping[str, Entry]:
    """The entries of a mapping with free keys; nothing written counts as an empty one."""
    if isinstance(node, Table):
        return node.entries
    if not is_empty(node):
        report.error(node.where, f"{what}: expected a mapping, got {describe(node)}")
    return {}


def read_fields(
    node: Node, what: str, known: Collection[str], report: Report, *, strict: bool = True
) -> Mapping[str, Node]:
    """The values of a mapping with fixed keys. Unknown keys are reported with the nearest known one.

    Args:
        node: the mapping.
        what: what it is, for the report.
        known: its keys.
        report: gets what is wrong.
        strict: whether an unknown key is an error; a warning where Rasa passes over it.
    """
    fields = {}
    note = report.error if strict else report.warning
    for key, entry in read_entries(node, what, report).items():
        if key in known:
            fields[key] = entry.value
        else:
            note(entry.where, f"{what}: unknown key {key!r}{suggestion(key, known)}")
    return fields


def read_named(node: Node, what: str, report: Report) -> tuple[str, Where, Node | None] | None:
    """A list item that is a name, or a name with a mapping of options: `- x` or `- x: {...}`."""
    if isinstance(node, Table):
        if len(node.entries) != 1:
            keys = ", ".join(node.entries) or "none"
            report.error(node.where, f"{what}: expected one name with its options indented under it, got keys {keys}")
            return None
        name, entry = next(iter(node.entries.items()))
        return name, entry.where, None if is_empty(entry.value) else entry.value
    name_or_none = read_text(node, what, report)
    return None if name_or_none is None else (name_or_none, node.where, None)
