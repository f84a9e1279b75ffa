"""What people said to the bot: the messages of a store or of a file, each text once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dialogue.errors import ProjectError, Where, error
from dialogue.events import EXTERNAL, UserUttered
from dialogue.store.base import TrackerStore
from dialogue.training.tables import read_examples
from policies.history import plain


@dataclass(frozen=True, slots=True)
class Said:
    """A text, how often it was said and how often no gate let it through."""

    text: str
    times: int
    doubted: int


def said_in_store(store: TrackerStore) -> list[Said]:
    """Every text people typed, the most frequent first; buttons and what came from outside are passed over.

    Raises:
        StoreError: if the store cannot be read.
    """
    return _counted(
        (event.text, not event.understood)
        for conversation in store.conversations(having=UserUttered.wire)
        for event in store.events(conversation)
        if isinstance(event, UserUttered) and event.text and not event.metadata.get(EXTERNAL)
    )


def said_in_file(file: Path) -> list[Said]:
    """The texts of a file: one a line (`.txt`), or any set `read_examples` reads, whatever its labels.

    Raises:
        ProjectError: if it cannot be read.
    """
    if file.suffix.lower() != ".txt":
        return _counted((example.text, True) for example in read_examples(file))
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise ProjectError([error(Where(str(file)), f"cannot be read as UTF-8 text: {cause}")]) from cause
    return _counted((line.strip(), True) for line in lines)


def _counted(texts: Iterator[tuple[str, bool]]) -> list[Said]:
    """Texts that differ in spelling marks alone count as one, in the wording that came first."""
    times: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    first: dict[str, str] = {}
    for text, doubt in texts:
        key = plain(text)
        if key and not text.startswith("/"):
            first.setdefault(key, text)
            times[key] += 1
            doubted[key] += doubt
    return [Said(first[key], n, doubted[key]) for key, n in times.most_common()]
