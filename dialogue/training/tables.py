"""Sets of labelled sentences: JSON-lines, CSV or TSV, and Rasa YAML. What `starfold test nlu` trains and tests on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dialogue.errors import ProjectError, Where, error
from dialogue.training.data import read_data
from dialogue.training.nodes import Report
from dialogue.training.types import Example
from dialogue.training.yaml import decode
from policies.types import Entity

COLUMNS = ("text", "intent")
MAX_CELL = 10_000_000  # characters; the csv module's own limit is smaller than a long message


def read_examples(path: Path) -> list[Example]:
    """Read a set of sentences and their intents.

    The kind is told by the suffix: `.jsonl` or `.json` has one object `{"text": ..., "intent": ...}` a line, with
    `tokens` and BIO `tags` where entities are marked (other keys are passed over); `.csv` and `.tsv` have a header
    naming the columns text and intent, or just two columns; `.yml`, `.yaml` and folders are Rasa training data. Texts
    are kept as they are; a text may be empty.

    Raises:
        ProjectError: with every problem found.
    """
    if path.is_dir() or path.suffix.lower() in (".yml", ".yaml"):
        return list(read_data([path]).examples)
    reader = READERS.get(path.suffix.lower())
    where = Where(str(path))
    if reader is None:
        message = f"unknown kind of file; expected one of {', '.join((*READERS, '.yml', '.yaml'))}"
        raise ProjectError([error(where, message)])
    try:
        raw = path.read_bytes()
    except OSError as cause:
        raise ProjectError([error(where, f"cannot be read: {cause.strerror or cause}")]) from cause
    report = Report()
    found = list(reader(decode(raw, str(path)), str(path), report))
    if not found and not report.problems:
        report.error(where, "no examples in the file")
    report.raise_errors()
    return found


def _read_json_lines(text: str, file: str, report: Report) -> Iterator[Example]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = Where(file, number)
        try:
            found = json.loads(line)
            json.dumps(found, ensure_ascii=False).encode()  # refuses broken surrogates
        except json.JSONDecodeError as cause:
            report.error(Where(file, number, cause.colno), f"not JSON: {cause.msg}")
        except (ValueError, RecursionError) as cause:
            report.error(where, f"not usable as JSON: {cause}")
        else:
            example = _read_object(found, where, report)
            if example is not None:
                yield example


def _read_object(found: object, where: Where, report: Report) -> Example | None:
    wanted = 'expected an object such as {"text": "hi", "intent": "greet"}'
    if not isinstance(found, dict):
        report.error(where, f"{wanted}, got {type(found).__name__}")
        return None
    for key in COLUMNS:
        if not isinstance(found.get(key), str):
            report.error(where, f"{wanted}; {key} is {'no text' if key in found else 'missing'}")
            return None
    if not found["intent"].strip():
        report.error(where, "the intent is empty")
        return None
    marked = _read_tags(found, where, report) if "tags" in found else ()
    return Example(found["text"], found["intent"].strip(), marked, where=where)


def _read_tags(found: Mapping[str, Any], where: Where, report: Report) -> tuple[Entity, ...]:
    """The entities that BIO tags mark (`B-city`, `I-city`, `O`), by the places of the tokens in the text."""
    tokens, tags, text = _texts(found.get("tokens")), _texts(found["tags"]), found["text"]
    if tokens is None or tags is None or len(tokens) != len(tags):
        report.error(where, "expected tokens and tags to be lists of texts, as long as each other")
        return ()
    entities: list[Entity] = []
    end, open_ = 0, False
    for token, tag in zip(tokens, tags, strict=True):
        start = text.find(token, end)
        if start < 0:
            report.error(where, f"token {token!r} is not in the text after character {end}")
            return ()
        end = start + len(token)
        kind, _, name = tag.partition("-")
        if kind == "I" and open_ and entities[-1].entity == name:
            begin = entities[-1].start
            entities[-1] = Entity(name, begin, end, text[begin:end], "annotation")
        elif kind in ("B", "I") and name:
            entities.append(Entity(name, start, end, token, "annotation"))
        elif tag != "O":
            report.error(where, f"tag {tag!r}: expected O, B-<entity> or I-<entity>")
            return ()
        open_ = tag != "O"
    return tuple(entities)


def _texts(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


def _read_csv(text: str, file: str, report: Report, delimiter: str = ",") -> Iterator[Example]:
    csv.field_size_limit(MAX_CELL)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: tuple[int, int] | None = None
    line = 1
    try:
        for row in rows:
            where, line = Where(file, line), rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns = _columns(row)
                if columns is None:
                    report.error(
                        where, f"expected a header with text and intent, or two columns; got {len(row)} columns"
                    )
                    return
                if _is_header(row):
                    continue
            if len(row) <= max(columns) or not row[columns[1]].strip():
                report.error(where, "expected a text and an intent in this row")
                continue
            yield Example(row[columns[0]], row[columns[1]].strip(), where=where)
    except csv.Error as cause:
        report.error(Where(file, line), f"not CSV: {cause}")


def _is_header(row: Sequence[str]) -> bool:
    return set(COLUMNS) <= {cell.strip().lower() for cell in row}


def _columns(row: Sequence[str]) -> tuple[int, int] | None:
    """Places of text and intent, from the header or, in a file of two columns, in that order."""
    if _is_header(row):
        names = [cell.strip().lower() for cell in row]
        return names.index("text"), names.index("intent")
    return (0, 1) if len(row) == 2 else None


def _read_tsv(text: str, file: str, report: Report) -> Iterator[Example]:
    return _read_csv(text, file, report, delimiter="\t")


READERS: Mapping[str, Callable[[str, str, Report], Iterator[Example]]] = MappingProxyType(
    {".jsonl": _read_json_lines, ".json": _read_json_lines, ".csv": _read_csv, ".tsv": _read_tsv}
)
