"""A promised share of wrong answers: the threshold that keeps it, whatever the scores are worth.

Learn then test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, "Learn then Test: Calibrating Predictive Algorithms
to Achieve Risk Control", Theorem 1) on the grid of thresholds below. Whoever answers from a fixed threshold on errs in
a share r of the answers; of the held-out messages that would have been answered, as many are wrong as in throws of a
coin that falls so with probability r. The p-value of "r is above the promise" is therefore a binomial tail, and testing
each of the J thresholds at (1 - confidence) / J makes the chance of taking any bad one at most 1 - confidence. Nothing
is assumed of the model, only that messages to come are like the held-out ones.
"""

from __future__ import annotations

import math

from policies.types import HeldOut

GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
NEVER = 1.0  # a threshold that no posterior mean passes


def keeping(held_out: HeldOut, error: float, confidence: float) -> float:
    """The lowest threshold of the grid that is shown to keep the promise; `NEVER` when none is.

    Args:
        held_out: see `HeldOut`.
        error: most wrong answers among the answers, a share.
        confidence: probability, over the drawing of the held-out messages, that the promise is kept.
    """
    level = (1 - confidence) / len(GRID)
    for threshold in GRID:
        answered = [right for score, right in zip(held_out.scores, held_out.right, strict=True) if score >= threshold]
        if binomial_tail(answered.count(False), len(answered), error) <= level:
            return threshold
    return NEVER


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


def least(error: float, confidence: float) -> int:
    """How many held-out messages, all answered and none wrong, are the fewest that can show the promise."""
    return math.ceil(math.log((1 - confidence) / len(GRID)) / math.log1p(-error))
