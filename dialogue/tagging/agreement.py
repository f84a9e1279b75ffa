"""What the entities of a text say of its intent.

An intent was taught with some labels and without the others. With Z the sum over all tags of a text, and Z_i the same
where each span of a label that none of the n examples of intent i has costs log(n + 1) nats (rule of succession: such
a span would be one in n + 1), Z_i / Z is how probably the entities are such as intent i has. Head and tagger read the
same words, so their evidence is not added but pooled: P(i | x) is proportional to P_head(i | x) (Z_i / Z)^WEIGHT, a
logarithmic opinion pool (Genest and Zidek 1986, "Combining Probability Distributions: A Critique and an Annotated
Bibliography"). The tags are then decoded with what a span of each label costs on average over that belief.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.kernel import FloatArray
from dialogue.tagging.crf import Chain, Potentials, totals
from dialogue.tagging.tags import Label, label_of
from policies.types import Entity

SMALLEST = 1e-30
WEIGHT = 0.25  # what gives left-out messages of SNIPS and MASSIVE the highest probability


@dataclass(frozen=True, slots=True)
class Taught:
    """Intents, and what a span of each label costs in a text of each: [I, L] nats, 0 or below."""

    intents: tuple[str, ...]
    costs: FloatArray

    def expected(self, belief: FloatArray) -> FloatArray:
        """[L] nats that a span of each label costs under a belief [I] in the intents; the rest of it costs nothing."""
        share = belief @ np.exp(self.costs) + max(0.0, 1.0 - float(belief.sum()))
        found: FloatArray = np.log(np.clip(share, SMALLEST, 1.0)).astype(np.float32)
        return found

    def columns(self, names: Sequence[str]) -> FloatArray:
        """[K, I]: 1 where the k-th intent of `names` is the i-th here; nothing was taught of one that is none."""
        return np.array([[name == intent for intent in self.intents] for name in names], np.float32).reshape(
            len(names), len(self.intents)
        )

    def lean(self, chain: Chain, emissions: Sequence[Potentials]) -> FloatArray:
        """[B, I] nats that the entities of each of B texts add to each intent, 0 or below."""
        found = np.zeros((len(emissions), len(self.intents)), np.float32)
        filled = [number for number, emission in enumerate(emissions) if len(emission)]
        if filled and self.costs.any():
            costs = np.vstack([np.zeros(self.costs.shape[1]), self.costs])
            sums = totals(chain, [emissions[number] for number in filled], costs)
            found[filled] = WEIGHT * (sums[:, 1:] - sums[:, :1])
        return found


def taught(labels: Sequence[Label], annotated: Sequence[Sequence[Entity]], intents: Sequence[str | None]) -> Taught:
    """What examples, each with its entities and its intent, teach; one whose intent is None teaches nothing here."""
    names = tuple(sorted({intent for intent in intents if intent is not None}))
    has, examples = np.zeros((len(names), len(labels)), np.bool_), np.zeros((len(names), 1))
    for entities, intent in zip(annotated, intents, strict=True):
        if intent is not None:
            row = names.index(intent)
            examples[row] += 1
            has[row, [labels.index(label_of(entity)) for entity in entities]] = True
    return Taught(names, np.where(has, 0, -np.log1p(examples)).astype(np.float32))
