"""How sure a measured number is: intervals at 95 % for what another sample of messages would have shown.

They are about the messages alone. The model is taken as it is: that another training, of other examples or another
seed, gives another model is not in them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from dialogue.report.outcomes import Bools, Floats, Ints
from dialogue.training import metrics

LEVEL = 0.95
TIMES = 1000
SEED = 0


def wilson(hits: Floats | Ints | int, of: Floats | Ints | int) -> tuple[Floats, Floats]:
    """The score interval of a share.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Args:
        hits: [...] how many.
        of: [...] of how many, 1 at least.

    Returns:
        Lower and upper bound, [...] each.
    """
    z = ndtri((1 + LEVEL) / 2)
    n = np.asarray(of, float)
    share = np.asarray(hits, float) / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def bootstrap(statistic: Callable[[Ints], float], known: Bools, times: int = TIMES) -> tuple[float, float]:
    """The percentile interval of a statistic (Efron 1979, "Bootstrap methods: another look at the jackknife").

    Messages in and out of scope are drawn apart, as many of each as there are. For a difference of two models the
    statistic takes both at the same messages, so the interval is a paired one.

    Args:
        statistic: of rows [N], with repetitions.
        known: [N] which messages are in scope.
        times: resamples.
    """
    rng = np.random.default_rng(SEED)
    strata = [rows for rows in (np.flatnonzero(known), np.flatnonzero(~known)) if len(rows)]
    values = [
        statistic(np.concatenate([rows[rng.integers(0, len(rows), len(rows))] for rows in strata]))
        for _ in range(times)
    ]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def calibrated_ece(confidence: Floats, times: int = TIMES) -> tuple[float, float]:
    """The calibration error that confidences [N] show when they are right exactly as often as they say.

    It is never zero: in few messages the share that is right strays from any confidence. Answers are drawn by the
    confidences (Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams").
    """
    rng = np.random.default_rng(SEED)
    errors = [metrics.ece(confidence, rng.random(len(confidence)) < confidence) for _ in range(times)]
    low, high = np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
