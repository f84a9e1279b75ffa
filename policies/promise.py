"""A promised share of wrong answers: the threshold that keeps it, whatever the scores are worth.

Learn then test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, "Learn then Test: Calibrating Predictive Algorithms
to Achieve Risk Control", Theorem 1) on the grid of thresholds below. Whoever answers from a fixed threshold on errs in
a share r of the answers; of the held-out messages that would have been answered, as many are wrong as in throws of a
coin that falls so with probability r. The p-value of "r is above the promise" is therefore a binomial tail.

The thresholds are tested in a fixed sequence, from the strictest to the loosest until one fails, each at the whole of
1 - confidence (section 3.1 there; Bauer 1991, "Multiple testing in clinical trials"). That is enough: to take any bad
threshold the first bad one must pass, and it does so with that probability at most. A correction for their number, as
by Bonferroni, would cost most of the answers.

A threshold from which on few messages are answered fails however good it is, and would end the sequence, so that
starts where enough are answered: `enough`. Their number is looked at for that, never whether they are right. The start
being drawn with the messages, the chance of a bad threshold is still at most 1 - confidence wherever surer answers are
not more often wrong; in worlds made to break it (`tests/policies/test_promise.py`) it stays below that, too. Nothing
else is assumed of the model, only that messages to come are like the held-out ones.
"""

from __future__ import annotations

import math
from itertools import accumulate

from policies.types import HeldOut

GRID = (0.995, *(hundredths / 100 for hundredths in range(99, 29, -1)))  # strictest first
NEVER = 1.0  # a threshold that no posterior mean passes
# Where the sequence starts: with three times the answers that pass when none is wrong a few may be wrong; but of few
# held-out messages it is not to start further down than at a third. Chosen on training texts: tests/bench/README.md.
ROOM, SHARE = 3, 3


def keeping(held_out: HeldOut, error: float, confidence: float) -> float:
    """The lowest threshold of the grid that is shown to keep the promise; `NEVER` when none is.

    Args:
        held_out: see `HeldOut`.
        error: most wrong answers among the answers, a share.
        confidence: probability, over the drawing of the held-out messages, that the promise is kept.
    """
    surest = sorted(zip(held_out.scores, held_out.right, strict=True), reverse=True)
    wrong = list(accumulate((not right for _, right in surest), initial=0))  # among the n surest
    start = enough(len(surest), error, confidence)
    answered, kept = 0, NEVER
    for threshold in GRID:
        while answered < len(surest) and surest[answered][0] >= threshold:
            answered += 1
        if answered < start:
            continue
        if binomial_tail(wrong[answered], answered, error) > 1 - confidence:
            break
        kept = threshold
    return kept


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes) of a binomial X: summed from the largest term on, in logarithms, so that nothing overflows."""
    if successes >= trials:
        return 1.0
    log_odds = math.log(probability) - math.log1p(-probability)
    term = trials * math.log1p(-probability)  # of no success at all
    logs = [term]
    for k in range(1, successes + 1):
        term += math.log(trials - k + 1) - math.log(k) + log_odds
        logs.append(term)
    top = max(logs)
    return min(1.0, math.exp(top) * math.fsum(math.exp(one - top) for one in logs))


def enough(messages: int, error: float, confidence: float) -> int:
    """How many answers of so many held-out messages the first threshold that is tested must have."""
    few = least(error, confidence)
    return max(few, min(ROOM * few, messages // SHARE))


def least(error: float, confidence: float) -> int:
    """How many held-out messages, all answered and none wrong, are the fewest that can show the promise."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-error))
