"""YAML files with the place of every value.

Parsed by libyaml through PyYAML's event interface: ten thousand examples take milliseconds where a round-trip loader
takes seconds. Scalars follow the core schema of YAML 1.2.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so `no`,
`on` and `yes` stay texts. Nothing is constructed: tags other than `!!str` and its like are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dialogue.errors import Problem, ProjectError, Where, error
from dialogue.training.nodes import Entry, Listing, Node, Report, Scalar, ScalarValue, Table

MAX_DEPTH = 64
MAX_NODES = 2_000_000
NULLS = frozenset(("", "~", "null", "Null", "NULL"))
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq")) | {"!"}

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile(r"\r\n|\n|\r")
# YAML 1.2 breaks lines only at CR and LF; libyaml still knows the three breaks of 1.1. They travel in disguise.
_DISGUISE = str.maketrans("\x85\u2028\u2029", "\ufdd0\ufdd1\ufdd2")
_UNDISGUISE = str.maketrans("\ufdd0\ufdd1\ufdd2", "\x85\u2028\u2029")


class NoMappingError(ProjectError):
    """A YAML file whose top level is a list or a single value."""


def read_yaml(path: Path, report: Report) -> Table:
    """Read a file whose top level is a mapping; an empty file is an empty one.

    Problems that leave something to read (a key given twice) are reported.

    Raises:
        ProjectError: the file cannot be read at all: missing, not UTF-8, not YAML.
        NoMappingError: it can, but is no mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as cause:
        raise ProjectError([error(Where(str(path)), f"cannot be read: {cause.strerror or cause}")]) from cause
    return parse_yaml(raw, str(path), report)


def parse_yaml(raw: bytes, file: str, report: Report) -> Table:
    """As `read_yaml`, from bytes; `file` is only named in problems."""
    text = decode(raw, file)
    if forbidden := _FORBIDDEN.search(text):
        code = f"U+{ord(forbidden.group()):04X}"
        raise ProjectError([error(_place(text, forbidden.start(), file), f"character {code} is not allowed in YAML")])
    builder = _Builder(file, _LINE_END.split(text), report)
    try:
        node = builder.build(yaml.parse(text.translate(_DISGUISE), Loader=getattr(yaml, "CLoader", yaml.Loader)))
    except yaml.MarkedYAMLError as cause:
        raise ProjectError([_syntax_problem(cause, file, builder.lines)]) from cause
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return Table(Where(file), {})
    if not isinstance(node, Table):
        raise NoMappingError([error(node.where, "expected a mapping (`key: value`) at the top level of the file")])
    return node


def decode(raw: bytes, file: str) -> str:
    """Bytes of a text file as text, without a byte order mark.

    Raises:
        ProjectError: not UTF-8; names the byte and its place.
    """
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as cause:
        line_start = raw.rfind(b"\n", 0, cause.start) + 1
        column = len(raw[line_start : cause.start].decode("utf-8", errors="replace")) + 1
        where = Where(file, raw.count(b"\n", 0, cause.start) + 1, column)
        message = f"byte 0x{raw[cause.start]:02x} (byte {cause.start} of the file) is not UTF-8; save the file as UTF-8"
        raise ProjectError([error(where, message)]) from cause


def resolve(text: str) -> ScalarValue:
    """What a plain scalar means in the core schema; a number too large for a float is infinite."""
    if text in NULLS:
        return None
    if text in TRUTHS:
        return TRUTHS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text


def _place(text: str, index: int, file: str) -> Where:
    before = _LINE_END.split(text[:index])
    return Where(file, len(before), len(before[-1]) + 1)


def _syntax_problem(cause: yaml.MarkedYAMLError, file: str, lines: list[str]) -> Problem:
    mark = cause.problem_mark or cause.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    shown = lines[line] if line < len(lines) else ""
    where = Where(file, line + 1, column + 1)
    if "\t" in shown[: len(shown) - len(shown.lstrip())]:
        return error(where, "a tab in the indentation; YAML wants spaces")
    context = f" {cause.context}" if cause.context else ""
    if cause.context and cause.context_mark and cause.context_mark.line != line:
        context += f" (begun in line {cause.context_mark.line + 1})"
    return error(where, f"not valid YAML{context}: {cause.problem}")


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. `key` waits for its value."""

    where: Where
    anchor: str | None
    is_table: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merged: list[Node] = field(default_factory=list)
    key: Scalar | None = None
    size: int = 1


class _Builder:
    """Turns parser events into nodes, with a stack of its own instead of recursion."""

    def __init__(self, file: str, lines: list[str], report: Report) -> None:
        self.file = file
        self.lines = lines
        self.report = report
        self.anchors: dict[str, Node] = {}
        self.stack: list[_Open] = []
        self.root: Node | None = None

    def build(self, events: Iterable[yaml.Event]) -> Node | None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._fatal(event, "a second document (`---`) in the file; expected one")
            elif isinstance(event, yaml.ScalarEvent):
                self._add(self._scalar(event), event.anchor)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self.anchors:
                    raise self._fatal(event, f"alias *{event.anchor} refers to nothing that is complete before it")
                self._add(self.anchors[event.anchor], None)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
        return self.root

    def _where(self, event: yaml.Event) -> Where:
        mark = event.start_mark
        return Where(self.file, mark.line + 1, mark.column + 1) if mark else Where(self.file)

    def _fatal(self, event: yaml.Event, message: str) -> ProjectError:
        return ProjectError([error(self._where(event), message)])

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in TAGS:
            raise self._fatal(event, f"tag {event.tag} is not allowed here")

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        self._check_tag(event)
        where, style = self._where(event), event.style or ""
        text = event.value.translate(_UNDISGUISE)
        if style or event.tag is not None:
            return Scalar(where, text, text, style, self._indent(where, text) if style == "|" else 0)
        value = resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._fatal(event, f"{text} is not a finite number")
        return Scalar(where, value, text)

    def _indent(self, where: Where, text: str) -> int:
        """How far the lines of a literal block are indented, seen at its first line that is not blank."""
        for number, line in enumerate(text.split("\n"), start=where.line):
            if line.strip() and number < len(self.lines):
                return max(0, len(self.lines[number]) - len(line))
        return 0

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._check_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            raise self._fatal(event, f"nested deeper than {MAX_DEPTH} levels")
        is_table = isinstance(event, yaml.MappingStartEvent)
        self.stack.append(_Open(self._where(event), event.anchor, is_table))

    def _close(self) -> None:
        done = self.stack.pop()
        if not done.is_table:
            self._add(Listing(done.where, tuple(done.items), done.size), done.anchor)
            return
        for node in done.merged:
            for table in node.items if isinstance(node, Listing) else (node,):
                if not isinstance(table, Table):
                    raise ProjectError([error(table.where, "`<<` merges mappings; expected an alias of one")])
                done.entries = {**table.entries, **done.entries}
        self._add(Table(done.where, done.entries, done.size), done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        parent.size += node.size
        if parent.size > MAX_NODES:
            raise ProjectError([error(parent.where, f"more than {MAX_NODES} values, aliases counted each time")])
        if not parent.is_table:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise ProjectError([error(node.where, "a key must be a text, not a list or a mapping")])
            parent.key = node
        else:
            self._put(parent, parent.key, node)
            parent.key = None

    def _put(self, parent: _Open, key: Scalar, node: Node) -> None:
        if key.text == "<<" and not key.style:
            parent.merged.append(node)
        elif key.text in parent.entries:
            first = parent.entries[key.text].where
            self.report.error(key.where, f"key {key.text!r} is given twice; first in line {first.line}")
        else:
            parent.entries[key.text] = Entry(key.where, node)
