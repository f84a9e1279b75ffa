"""The gate: whether a belief is worth acting on, and what would help where it is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import Self

from policies.promise import NEVER, keeping, least
from policies.types import Belief, Candidate, DialogueState, Doubt, HeldOut, Kind, Pass, Verdict
from policies.untrained import Untrained

FILE = "gate.json"
# What each way out costs, as a share of what a wrong answer costs.
COSTS: Mapping[str, float] = {"wrong": 1.0, "clarify": 0.1, "rephrase": 0.2, "fall_back": 0.4, "hand_over": 0.5}


class ConfidencePolicy(Untrained):
    """Lets a turn's intent through, or doubts it. Of a retrieval intent each answer is judged for itself.

    By expected cost (the default; Berger 1985, "Statistical Decision Theory and Bayesian Analysis", section 1.3): with
    the answers' posterior means p, acting on the best costs `wrong * (1 - p_best)`; offering the top few, of
    mass m together, costs `clarify + rephrase * (1 - m)`, as the user must say it again when the right one is not
    among them; `rephrase`, `fall_back` and `hand_over` cost what they cost. The cheapest is chosen.

    By `threshold`: acts if the best intent's mean reaches it, `unknown` stays below its bound and the best two are not
    within `margin`; otherwise offers the top few if together they reach the threshold, else asks to rephrase.

    By `target_error`: as by a threshold, which training chooses so that with probability `confidence` at most this
    share of the answers is wrong (`policies.promise`).

    It judges a turn once, before anything was done in it.

    Args:
        costs: any of wrong, clarify, rephrase, fall_back, hand_over; the others keep their default. Not with
            `threshold`.
        threshold: least posterior mean, a probability.
        unknown: with `threshold`, the probability of "none of these" from which no intent is trusted.
        margin: with `threshold`, the difference of two means, as a probability, below which they are a tie.
        target_error: promised share of wrong answers among the answers. Not with `costs` or `threshold`.
        confidence: probability that the promise is kept.
        held_out: file of labelled messages to choose the threshold on; None for the examples, each left out in turn,
            which know nothing of messages out of scope.
        candidates: how many intents may be offered, at least 2.
        name: under which doubts are signed.

    Raises:
        ValueError: for an option out of its range, or an unknown cost.
    """

    def __init__(
        self,
        *,
        costs: Mapping[str, float] | None = None,
        threshold: float | None = None,
        unknown: float = 0.5,
        margin: float = 0.1,
        target_error: float | None = None,
        confidence: float = 0.95,
        held_out: str | None = None,
        candidates: int = 3,
        name: str = "confidence",
    ) -> None:
        given = {"costs": costs, "threshold": threshold, "target_error": target_error}
        if len(rules := [rule for rule, value in given.items() if value is not None]) > 1:
            raise ValueError(f"expected one of costs, threshold and target_error, got {' and '.join(rules)}")
        for option, value in (("target_error", target_error), ("confidence", confidence)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{option}: expected a probability between 0 and 1, got {value}")
        for option, value in (("threshold", threshold), ("unknown", unknown), ("margin", margin)):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{option}: expected a probability, got {value}")
        if candidates < 2:
            raise ValueError(f"candidates: expected at least 2, got {candidates}")
        self.costs = _checked_costs(costs or {})
        self.threshold = threshold
        self.unknown = unknown
        self.margin = margin
        self.target_error = target_error
        self.confidence = confidence
        self.held_out = held_out
        self.candidates = candidates
        self.threshold_: float | None = None
        self.name = name

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """Always a `Pass`, with what it thinks of the belief: to answer a doubt is the fallback's."""
        return Pass((state.doubt or self.judge(belief, state)).reason)

    def judge(self, belief: Belief, state: DialogueState) -> Doubt | Pass:
        """A `Doubt`, or a `Pass` that lets the intent through."""
        if not state.turns or state.turns[-1].actions:
            return Pass("this turn was judged before")
        top = belief.answer
        if top is None:
            return Doubt(Kind.REPHRASE, "the bot knows no intents", 0.0)
        offered = contenders(belief, self.candidates)
        if self.target_error is not None:
            return self._by_promise(belief, top, offered, self.target_error)
        if self.threshold is not None:
            return self._by_threshold(belief, top, offered, self.threshold)
        return self._by_costs(belief, top, offered)

    def calibrate(self, held_out: HeldOut) -> Self:
        """Choose the threshold that keeps the promise; without `target_error` there is nothing to choose."""
        if self.target_error is not None:
            self.threshold_ = keeping(held_out, self.target_error, self.confidence)
        return self

    def save(self, folder: Path) -> None:
        """Write gate.json if there is a promise."""
        if self.target_error is not None:
            (folder / FILE).write_text(json.dumps({"threshold": self.threshold_}), encoding="utf-8")

    def load(self, folder: Path) -> Self:
        """Read gate.json if there is a promise. Raises `ValueError` when it is missing or damaged."""
        if self.target_error is not None:
            file = folder / FILE
            try:
                self.threshold_ = float(json.loads(file.read_text(encoding="utf-8"))["threshold"])
            except (OSError, ValueError, TypeError, KeyError) as problem:
                raise ValueError(f"{file}: not the file of a gate: {problem}") from problem
        return self

    def _by_promise(self, belief: Belief, top: Candidate, offered: tuple[Candidate, ...], error: float) -> Doubt | Pass:
        if self.threshold_ is None:
            raise RuntimeError(f"policy {self.name!r} was not calibrated; `calibrate` chooses its threshold")
        told = _told(belief, top)
        if self.threshold_ == NEVER:
            few = f"that takes {least(error, self.confidence)} messages or more"
            return self._doubt(Kind.REPHRASE, f"{told}: no threshold is shown to keep {error:.1%}; {few}", top, ())
        promise = f"{self.threshold_:g}, from which on at most {error:.1%} of the answers are wrong"
        if top.mean >= self.threshold_:
            return Pass(f"{told}: reaches {promise}")
        between = len(offered) > 1 and sum(candidate.mean for candidate in offered) >= self.threshold_
        return self._doubt(Kind.CLARIFY if between else Kind.REPHRASE, f"{told}: below {promise}", top, offered)

    def _by_costs(self, belief: Belief, top: Candidate, offered: tuple[Candidate, ...]) -> Doubt | Pass:
        mass = sum(candidate.mean for candidate in offered)
        expected = {
            Kind.ACT: self.costs["wrong"] * (1 - top.mean),
            Kind.CLARIFY: self.costs["clarify"] + self.costs["rephrase"] * (1 - mass),
            Kind.REPHRASE: self.costs["rephrase"],
            Kind.FALL_BACK: self.costs["fall_back"],
            Kind.HAND_OVER: self.costs["hand_over"],
        }
        if len(offered) < 2:
            del expected[Kind.CLARIFY]
        kind = min(expected, key=lambda choice: expected[choice])
        reason = f"{_told(belief, top)}: to {_SAID[Kind.ACT]} would cost {expected[Kind.ACT]:.2f}"
        if kind is Kind.ACT:
            return Pass(f"{reason}, the least")
        return self._doubt(kind, f"{reason}, to {_SAID[kind]} {expected[kind]:.2f}", top, offered)

    def _by_threshold(
        self, belief: Belief, top: Candidate, offered: tuple[Candidate, ...], threshold: float
    ) -> Doubt | Pass:
        told = _told(belief, top)
        if belief.unknown > self.unknown:
            return self._doubt(Kind.REPHRASE, f"{told}: probably none of the intents", top, offered)
        others = [answer.mean for answer in belief.best(2) if answer.name != top.name]
        tied = bool(others) and top.mean - others[0] < self.margin
        if top.mean >= threshold and not tied:
            return Pass(f"{told}: reaches the threshold of {threshold:.2f}")
        why = "two intents are close" if tied else f"below the threshold of {threshold:.2f}"
        between = len(offered) > 1 and sum(candidate.mean for candidate in offered) >= threshold
        return self._doubt(Kind.CLARIFY if between else Kind.REPHRASE, f"{told}: {why}", top, offered)

    def _doubt(self, kind: Kind, reason: str, top: Candidate, offered: tuple[Candidate, ...]) -> Doubt:
        return Doubt(kind, reason, top.mean, offered if kind is Kind.CLARIFY else ())


_SAID = {
    Kind.ACT: "act on it",
    Kind.CLARIFY: "ask which is meant",
    Kind.REPHRASE: "ask again",
    Kind.FALL_BACK: "say that it was not understood",
    Kind.HAND_OVER: "hand over",
}


def contenders(belief: Belief, most: int) -> tuple[Candidate, ...]:
    """The answers a question may offer: the best, and up to `most` that are at least a quarter as probable."""
    answers = belief.best(most)
    return tuple(answer for answer in answers if answer.mean >= max(answers[0].mean / 4, 0.02))


def _told(belief: Belief, top: Candidate) -> str:
    return (
        f"{top.name} {top.mean:.2f} (between {top.lower:.2f} and {top.upper:.2f}), none of the intents "
        f"{belief.unknown:.2f}"
    )


def _checked_costs(costs: Mapping[str, float]) -> dict[str, float]:
    for name, cost in costs.items():
        if name not in COSTS:
            raise ValueError(f"costs: unknown {name!r}, expected any of {', '.join(COSTS)}")
        if not math.isfinite(cost) or cost < 0:
            raise ValueError(f"costs: {name}: expected a finite number, 0 or more, got {cost}")
    return {**COSTS, **costs}
