"""Made-up measurements for reports: outcomes whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dialogue.errors import Where
from dialogue.report.contributions import Contribution
from dialogue.report.findings import Findings
from dialogue.report.labels import Suspect, Twins
from dialogue.report.learning import Point
from dialogue.report.measures import Estimate
from dialogue.report.outcomes import Outcomes
from dialogue.training.types import Example

INTENTS = ("greet", "opening_hours", "faq/wifi", "book_a_guided_tour_of_the_large_telescope_at_night", "问路")
HOSTILE = "</li><script>alert(1)</script><img src=https://evil.example/x.png>"


def made(inside: int = 200, outside: int = 0, seed: int = 0, skill: float = 1.0) -> Outcomes:
    """Messages of a calibrated model; `skill` adds to the log odds of its being right, which its confidence knows."""
    rng = np.random.default_rng(seed)
    n = inside + outside
    sure = 1 / (1 + np.exp(-(rng.normal(1.0, 1.5, n) + skill)))
    right = (rng.random(n) < sure) & (np.arange(n) < inside)
    truth = [
        INTENTS[i] if i >= 0 else None for i in np.where(np.arange(n) < inside, rng.integers(0, len(INTENTS), n), -1)
    ]
    other = [INTENTS[(INTENTS.index(t) + 1) % len(INTENTS)] if t else INTENTS[0] for t in truth]
    none = np.where(np.arange(n) < inside, rng.beta(1, 6, n), rng.beta(4, 2, n))
    return Outcomes(
        texts=tuple(f"message {i}" for i in range(n)),
        truth=tuple(truth),
        guess=tuple(t if hit and t else o for t, o, hit in zip(truth, other, right, strict=True)),
        right=right,
        confidence=sure * (1 - none),
        lower=sure * (1 - none) * 0.8,
        upper=1 - (1 - sure * (1 - none)) * 0.8,
        none=none,
        sure=sure,
        likely=np.where(np.arange(n) < inside, np.where(right, sure, 1 - sure), np.nan),
    )


def findings(*, outside: int = 60, curve: bool = True) -> Findings:
    """Something of everything a page shows, with a sentence that would do harm where it is not escaped."""
    outcomes = made(300, outside)
    texts = (HOSTILE, "", "图书馆几点开门", *outcomes.texts[3:])
    right = outcomes.right.copy()
    right[:3] = False
    guess = tuple(INTENTS[0] if i < 3 else name for i, name in enumerate(outcomes.guess))
    truth = (*INTENTS[1:4], *outcomes.truth[3:])
    examples = [
        Example(text, intent, where=Where("data/nlu.yml", 7))
        for text, intent in ((HOSTILE, "greet"), ("hi", "faq/wifi"))
    ]
    return Findings(
        name="Nova & friends",
        examples=1234,
        outcomes=replace(outcomes, texts=texts, right=right, guess=guess, truth=truth),
        numbers={
            "classes": 5,
            "ece": 0.041,
            "threshold": 0.7,
            "train_cpu_seconds": 12.0,
            "train_wall_seconds": 9.0,
            "peak_mb": 900.0,
            "ms_per_message_p50": 4.0,
            "ms_per_message_p95": 9.0,
            "coverage_at_2pct_error": 0.7,
            "error_at_that_coverage": 0.0095,
        },
        training={"encoders": 2.0, "look": 0.5, "fusion": 8.0, "weigh": 1.5},
        answering={"words": 0.4, "bert": 2.0, "fusion": 1.2, "posterior": 0.4},
        contributions=[
            Contribution("fusion", 0.6, 0.7, None, Estimate(0.05, 0.03, 0.07)),
            Contribution("bert", 0.3, 0.3, None, Estimate(-0.001, -0.004, 0.002)),
            Contribution("words", 0.1, 0.0, 0.0123, None),
        ],
        suspects=[Suspect(examples[0], 0.01, "faq/wifi", 0.97)] * 20,
        twins=[Twins(examples[0], examples[1], 0.96)],
        repeated=3,
        seen=2,
        curve=[Point(150, 220, 300), Point(300, 250, 300), Point(1234, 270, 300)] if curve else [],
    )
