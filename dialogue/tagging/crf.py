"""A linear-chain conditional random field: the probability of a whole sequence of tags.

Lafferty, McCallum and Pereira 2001, "Conditional Random Fields". p(y | x) is proportional to
exp(start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_t, y_t+1] + end[y_n]). What is no BIO sequence has the
potential `FORBIDDEN`, so none is ever decoded. Everything here is in nats. Training needs the partition of many texts
in torch (`dialogue.tagging.network`); serving decodes one text in numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.tagging.tags import Span, inside, may_begin, may_follow, spans_of

Potentials: TypeAlias = NDArray[np.floating[Any]]
FORBIDDEN = -1e4


@dataclass(frozen=True)
class Chain:
    """Potentials between tags: `start` [T], `transition` [T, T] from one tag to the next, `end` [T]."""

    start: Potentials
    transition: Potentials
    end: Potentials

    @cached_property
    def follow(self) -> Potentials:
        """[T, T]: exp of the transitions."""
        return np.exp(self.transition)

    @classmethod
    def constrained(cls, start: FloatArray, transition: FloatArray, end: FloatArray) -> Chain:
        """With what is no BIO sequence forbidden."""
        tags = len(start)
        return cls(
            np.where(may_begin(tags), start, FORBIDDEN).astype(np.float64),
            np.where(may_follow(tags), transition, FORBIDDEN).astype(np.float64),
            np.asarray(end, np.float64),
        )


def best(chain: Chain, emission: Potentials) -> IntArray:
    """The most probable tags [n] for emissions [n, T] (Viterbi)."""
    score = chain.start + emission[0]
    back = np.zeros(emission.shape, np.int64)
    for t in range(1, len(emission)):
        through = score[:, None] + chain.transition  # [T, T]
        back[t] = through.argmax(axis=0)
        score = through.max(axis=0) + emission[t]
    tags = np.zeros(len(emission), np.int64)
    tags[-1] = (score + chain.end).argmax()
    for t in range(len(emission) - 1, 0, -1):
        tags[t - 1] = back[t, tags[t]]
    return tags


def forward(chain: Chain, emission: Potentials) -> Potentials:
    """Log sums [n, T] over all beginnings that end at t with a tag, its own emission included; -inf where none can."""
    alpha = np.empty(emission.shape)
    alpha[0] = chain.start + emission[0]
    for t in range(1, len(emission)):
        alpha[t] = log_product(alpha[t - 1], chain.follow) + emission[t]
    return alpha


def backward(chain: Chain, emission: Potentials) -> Potentials:
    """Log sums [n, T] over all endings after t, given the tag at t."""
    beta = np.empty(emission.shape)
    beta[-1] = chain.end
    for t in range(len(emission) - 2, -1, -1):
        beta[t] = log_product(emission[t + 1] + beta[t + 1], chain.follow.T)
    return beta


def totals(chain: Chain, emissions: Sequence[Potentials], costs: Potentials) -> Potentials:
    """Log sums [B, I] over all tags of B texts, none of them empty.

    Args:
        chain: of all the texts.
        emissions: [n, T] of each.
        costs: [I, L], what a span of each label adds; each row gives a sum of its own.
    """
    begin = np.zeros((len(costs), len(chain.start)))
    begin[:, 1::2] = costs  # the tags of first pieces
    score = (chain.start + begin) + np.stack([emission[0] for emission in emissions])[:, None]  # [B, I, T]
    for t in range(1, max(map(len, emissions))):
        going = [b for b, emission in enumerate(emissions) if len(emission) > t]
        ones = np.stack([emissions[b][t] for b in going])[:, None]
        score[going] = log_product(score[going], chain.follow) + begin + ones
    found: Potentials = np.logaddexp.reduce(score + chain.end, axis=2)
    return found


def log_product(log_row: Potentials, matrix: Potentials) -> Potentials:
    """log(exp(row) @ matrix), [..., T], in the scale of the largest: far cheaper than a sum over [T, T]."""
    top = log_row.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):  # log 0 = -inf is what a forbidden tag has
        found: Potentials = np.log(np.exp(log_row - top) @ matrix) + top
    return found


def spans(chain: Chain, emission: Potentials) -> list[tuple[Span, float]]:
    """The spans of the most probable tags, each with the probability of just this span with this label."""
    if not len(emission):
        return []
    found = spans_of(best(chain, emission).tolist())
    if not found:
        return []
    alpha, beta = forward(chain, emission), backward(chain, emission)
    whole = float(np.logaddexp.reduce(alpha[-1] + chain.end))
    return [(span, _probability(chain, emission, alpha, beta, whole, span)) for span in found]


def _probability(
    chain: Chain, emission: Potentials, alpha: Potentials, beta: Potentials, whole: float, span: Span
) -> float:
    """All sequences in which the span stands just so: what is before is free, what follows does not go on with it."""
    further = inside(span.label)
    path = alpha[span.first, further - 1]
    tag = further - 1
    for t in range(span.first + 1, span.last):
        path += chain.transition[tag, further] + emission[t, further]
        tag = further
    if span.last == len(emission):
        path += chain.end[tag]
    else:
        rest = chain.transition[tag] + emission[span.last] + beta[span.last]
        path += np.logaddexp.reduce(np.delete(rest, further))
    return float(np.clip(np.exp(path - whole), 0.0, 1.0))
