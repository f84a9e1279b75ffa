"""What the posterior and its interval cost on top of a point estimate, as a share of a turn.

    python -m tests.bench.interval        both languages of the example bot; about four minutes

A turn is one message, heard as the first of a conversation. The point estimate is what any classifier would compute
here: the kernel of the message with the examples, the latent mean, its link to probabilities. On top of it are the
variance, the draws, the probability of the unknown, and of every intent and answer the mean, the interval and what each
encoder contributed.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dialogue.bot import Bot
from dialogue.message import Message
from dialogue.posterior.conjugate import ConjugatePosterior
from dialogue.posterior.head import Head
from dialogue.posterior.kernel import Views, by_column
from dialogue.project import open_bot
from encoders.tokenizer import tokenize
from tests.bench.nova import HELD_OUT, PROJECTS, prepare, table, trained

RESULTS = Path(__file__).parent / "results" / "interval.json"
WARM = 20  # messages before the first that is measured


def main() -> None:
    found = {}
    for language in PROJECTS:
        with tempfile.TemporaryDirectory() as place:
            project = prepare(Path(place), language, "last_layers" if language == "en" else "none")
            trained(project)
            bot = open_bot(project)
            found[language] = shares(bot, texts(language))
            bot.close()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(table(found))


def texts(language: str) -> list[str]:
    """The held-out messages in scope."""
    lines = (HELD_OUT / f"{language}_in_scope.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def shares(bot: Bot, messages: list[str]) -> dict[str, float]:
    """Milliseconds of a turn, of what stands above the encoders and the fusion, of the point estimate in it."""
    model: Any = bot.understanding
    taught = by_column(model.head.views)
    turns, above, points = [], [], []
    for number, text in enumerate([*messages[:WARM], *messages]):
        start = time.perf_counter()
        turn = bot.handle(Message(text, sender=f"interval-{number}"))
        turns.append((time.perf_counter() - start) * 1000)
        above.append(turn.milliseconds["posterior"])
        views = model.views([tokenize(text, model.language)])
        start = time.perf_counter()
        point(model.head, views, taught)
        points.append((time.perf_counter() - start) * 1000)
    whole, head, least = (median(times[WARM:]) for times in (turns, above, points))
    rest = [(a - p) / t for a, p, t in zip(above[WARM:], points[WARM:], turns[WARM:], strict=True)]
    return {
        "turn_ms": round(whole, 2),
        "above_the_encoders_ms": round(head, 2),
        "point_estimate_ms": round(least, 2),
        "posterior_and_interval_share": round(median(rest), 3),
    }


def point(head: Head, views: Views, taught: Views) -> int:
    """The most probable intent, and nothing else."""
    rows = np.sum(list(head.by_view(views, taught).values()), axis=0)
    posterior = head.posterior
    assert isinstance(posterior, ConjugatePosterior)
    return int(posterior.link_(head.process.mean(rows)).argmax())


if __name__ == "__main__":
    main()
