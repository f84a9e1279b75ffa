"""What is tagged, and with what.

A text is tagged piece by piece: a word, or a single character where the script has no spaces, since an entity may begin
or end inside what the tokenizer takes for one word. The tags are BIO (Ramshaw and Marcus 1995, "Text Chunking using
Transformation-Based Learning"): `O` is outside, and for each label l there is `B` for a first piece and `I` for a
further one. They are numbered O = 0, B of label l = 1 + 2 l, I = 2 + 2 l.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.kernel import IntArray
from encoders.features import Utterance
from encoders.tokenizer import is_unspaced
from policies.types import Entity

OUTSIDE = 0


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """What an entity is: its type, with role and group."""

    entity: str
    role: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """`text[start:end]`, a part of token `word`; `place` is S for a whole word, else B, M or E within it."""

    text: str
    start: int
    end: int
    word: int
    place: str


@dataclass(frozen=True, slots=True)
class Span:
    """Pieces `first` to `last`, exclusive, with a label."""

    first: int
    last: int
    label: int


def pieces_of(utterance: Utterance) -> tuple[Piece, ...]:
    """The pieces of a text, in order."""
    found: list[Piece] = []
    for number, token in enumerate(utterance.tokens):
        if len(token.text) < 2 or not is_unspaced(token.text):
            found.append(Piece(token.text, token.start, token.end, number, "S"))
            continue
        last = len(token.text) - 1
        for i, character in enumerate(token.text):
            place = "B" if i == 0 else "E" if i == last else "M"
            found.append(Piece(character, token.start + i, token.start + i + 1, number, place))
    return tuple(found)


def first(label: int) -> int:
    """The tag of a label's first piece."""
    return 1 + 2 * label


def inside(label: int) -> int:
    """The tag of a label's further pieces."""
    return 2 + 2 * label


def tag_count(labels: Sequence[Label]) -> int:
    """How many tags there are."""
    return 1 + 2 * len(labels)


def may_follow(tags: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """[T, T] bool: whether the second tag may follow the first. `I` follows only `B` or `I` of its own label."""
    allowed = np.ones((tags, tags), bool)
    for tag in range(2, tags, 2):
        allowed[:, tag] = False
        allowed[[tag - 1, tag], tag] = True
    return allowed


def may_begin(tags: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """[T] bool: whether a text may begin with the tag."""
    allowed: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.arange(tags) % 2 == 1
    allowed[OUTSIDE] = True
    return allowed


def labels_of(annotated: Iterable[Sequence[Entity]]) -> tuple[Label, ...]:
    """Every label that occurs, in alphabetical order."""
    return tuple(sorted({label_of(entity) for entities in annotated for entity in entities}))


def tags_of(pieces: Sequence[Piece], entities: Sequence[Entity], labels: Sequence[Label]) -> IntArray:
    """The tags [n] of annotated pieces. A piece belongs to an annotation that covers the greater part of it."""
    tags = np.zeros(len(pieces), np.int64)
    for entity in entities:
        label = labels.index(label_of(entity))
        covered = [i for i, piece in enumerate(pieces) if _overlap(piece, entity) * 2 > piece.end - piece.start]
        if covered and not tags[covered].any():
            tags[covered] = inside(label)
            tags[covered[0]] = first(label)
    return tags


def spans_of(tags: Sequence[int]) -> list[Span]:
    """The spans that tags stand for, in order."""
    spans: list[Span] = []
    for i, tag in enumerate(tags):
        if tag % 2 == 1:
            spans.append(Span(i, i + 1, (tag - 1) // 2))
        elif tag != OUTSIDE:
            spans[-1] = Span(spans[-1].first, i + 1, spans[-1].label)
    return spans


def label_of(entity: Entity) -> Label:
    """What the tagger is to call an annotated entity."""
    return Label(entity.entity, entity.role or "", entity.group or "")


def _overlap(piece: Piece, entity: Entity) -> int:
    return max(0, min(piece.end, entity.end) - max(piece.start, entity.start))
