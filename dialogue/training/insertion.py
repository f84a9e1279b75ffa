"""Stories and examples put into existing YAML files as text: every line that was there stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dialogue.errors import ProjectError, TrainingError
from dialogue.training.data import training_files
from dialogue.training.nodes import Listing, Node, Report, Scalar, Table
from dialogue.training.written import annotate, scalar, story_lines
from dialogue.training.yaml import parse_yaml, read_yaml
from policies.types import Entity, Story

OWN_FILE = "interactive.yml"
HEADER = 'version: "3.1"\n'


def insert_story(paths: Sequence[Path], story: Story) -> Path:
    """Add a story after the last one of the first file that has any in block style; else to a file of its own.

    Args:
        paths: the bot's training data; the file of its own goes into the first folder of them.
        story: what to add.

    Returns:
        The file that was written.

    Raises:
        TrainingError: if no file has stories and none of `paths` is a folder.
    """
    lines = list(story_lines(story))
    for file, content in _readable(paths):
        section = content.entries.get("stories")
        if section is not None and _is_block(section.value, file):
            indent = " " * (_dash(section.value, file) - 1)
            _put(file, _end_of(section.value, content), [indent + line for line in lines])
            return file
    return _into_own(paths, "stories", lines)


def insert_example(paths: Sequence[Path], text: str, intent: str, entities: Sequence[Entity] = ()) -> Path:
    """Add an example below the last one of its intent, where those stand in a literal block; else to a file of its own.

    Raises:
        TrainingError: as `insert_story`, or if the text has more than one line.
    """
    if "\n" in text.strip():
        raise TrainingError(f"{text!r} has more than one line; write it into the training data by hand")
    written = annotate(text.strip(), entities)
    for file, content in _readable(paths):
        section = content.entries.get("nlu")
        for item in section.value.items if section is not None and isinstance(section.value, Listing) else ():
            block = _examples_of(item, intent)
            if block is not None and (last := _last_line(block)) is not None:
                line, column = last
                _put(file, line, [f"{' ' * (column - 1)}- {written}"])
                return file
    lines = [f"- intent: {scalar(intent)}", "  examples:", f"  - text: {scalar(written)}"]
    return _into_own(paths, "nlu", lines)


def _readable(paths: Sequence[Path]) -> Iterator[tuple[Path, Table]]:
    for file in training_files(paths):
        try:
            yield file, read_yaml(file, Report())
        except ProjectError:  # told by whoever reads the data for training
            continue


def _is_block(node: Node, file: Path) -> bool:
    """Whether a list has items that each begin with a dash in a line of its own."""
    return isinstance(node, Listing) and bool(node.items) and _dash(node, file) > 0


def _dash(node: Node, file: Path) -> int:
    """Column of the dash of a list's last item; 0 when there is none before it."""
    if not isinstance(node, Listing) or not node.items:
        return 0
    where = node.items[-1].where
    before = file.read_text("utf-8").splitlines()[where.line - 1][: where.column - 1]
    return len(before.rstrip()) if before.strip() == "-" else 0


def _end_of(node: Node, content: Table) -> int:
    """The number of the last line that may belong to a section: the one before the next, or the last of all."""
    later = [entry.where.line for entry in content.entries.values() if entry.where.line > node.where.line]
    return min(later) - 1 if later else -1


def _examples_of(item: Node, intent: str) -> Scalar | None:
    """The literal block of an intent's examples."""
    if not isinstance(item, Table) or "intent" not in item.entries or "examples" not in item.entries:
        return None
    name, examples = item.entries["intent"].value, item.entries["examples"].value
    right = isinstance(name, Scalar) and name.text == intent and isinstance(examples, Scalar)
    return examples if right and isinstance(examples, Scalar) and examples.style == "|" else None


def _last_line(block: Scalar) -> tuple[int, int] | None:
    """Line and column of the last example of a literal block."""
    found = None
    for where, line in block.lines():
        if line.strip().startswith("-"):
            found = where.line, where.column + len(line) - len(line.lstrip())
    return found


def _put(file: Path, after: int, lines: Sequence[str]) -> None:
    """Write lines after a line of the file (-1 for the end), but before blank lines and comments that end there."""
    raw = file.read_bytes().decode("utf-8")
    ending = "\r\n" if "\r\n" in raw else "\n"
    before = raw.split(ending)
    place = len(before) if after < 0 else after
    while place and (not before[place - 1].strip() or before[place - 1].startswith("#")):
        place -= 1
    _replace(file, ending.join([*before[:place], *lines, *(before[place:] or [""])]))


def _into_own(paths: Sequence[Path], section: str, lines: Sequence[str]) -> Path:
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is None:
        raise TrainingError("name a folder in `data:` of bot.yml, where new training data may be written")
    file = folder / OWN_FILE
    if not file.exists():
        file.write_text(HEADER, "utf-8")
    content = read_yaml(file, Report())
    if section in content.entries:
        _put(file, _end_of(content.entries[section].value, content), lines)
    else:
        _put(file, -1, [f"{section}:", *lines])
    return file


def _replace(file: Path, text: str) -> None:
    """Write a file in one step, if it can still be read. Raises `ProjectError` when it could not."""
    raw = text.encode("utf-8")
    parse_yaml(raw, str(file), Report())
    draft = file.with_suffix(".tmp")
    draft.write_bytes(raw)
    os.replace(draft, file)
