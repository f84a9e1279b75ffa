"""`starfold test nlu`: train the configured pipeline on one set of sentences, measure it on another."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.config import Config
from dialogue.config_file import has_config, load_config
from dialogue.errors import TrainingError
from dialogue.model import Model
from dialogue.posterior.base import Predictive
from dialogue.training import metrics
from dialogue.training.corpus import Corpus, with_hints
from dialogue.training.memory import collect_rarely, keep_freed_memory, peak_mb
from dialogue.training.tables import read_examples
from dialogue.training.trainer import train_model
from dialogue.training.types import Example
from policies.types import Entity

TIMED_MESSAGES = 200
TOLERATED_ERROR = 0.02
WHOLE = "whole"
OUT_OF_SCOPE = "out_of_scope"  # the intent that Rasa too knows by this name


@dataclass(frozen=True, slots=True)
class Scored:
    """A set of messages and what the model makes of it.

    `truth` [N] is the class, -1 for out of scope; `elsewhere` the class of the intent `out_of_scope`, where there is
    one: to take what is out of scope for that is right.
    """

    truth: np.ndarray[Any, np.dtype[np.int64]]
    predictive: Predictive
    elsewhere: int | None = None

    @property
    def known(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which messages are in scope: [N] bool."""
        return self.truth >= 0

    @property
    def score(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The posterior mean of the most probable class: [N]."""
        return self.predictive.mean.max(axis=1)  # type: ignore[no-any-return]

    @property
    def right(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether that class is the true one: [N] bool."""
        guess = self.predictive.mean.argmax(axis=1)
        found: np.ndarray[Any, np.dtype[np.bool_]] = guess == self.truth
        return found if self.elsewhere is None else found | (~self.known & (guess == self.elsewhere))

    @property
    def none(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The probability that a message is not the bot's business: [N]."""
        unknown = self.predictive.unknown
        return unknown if self.elsewhere is None else unknown + self.predictive.mean[:, self.elsewhere]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A model that was trained, the messages it was asked, what it makes of them, and all numbers about it.

    `training` holds the seconds of each stage of the training, `answering` the median milliseconds of each stage of an
    answer.
    """

    config: Config
    model: Model
    taught: Sequence[Example]
    tested: Sequence[Example]
    scored: Scored
    numbers: Mapping[str, Any]
    training: Mapping[str, float]
    answering: Mapping[str, float]


class StageClock:
    """Seconds of each stage of a training, told of as its progress.

    What passes between two reports belongs to the stage under way, or when that is done, to the one that begins.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: str | None = None
        self._last = time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take a report: `stage` is at `done` of `total`."""
        now, stage = time.perf_counter(), stage.partition(" ")[0]  # "fusion 1 of 2" is fusion
        spent_in = self._open or stage
        self.seconds[spent_in] = self.seconds.get(spent_in, 0.0) + now - self._last
        self._open, self._last = None if total and done >= total else stage, now


def evaluate_nlu(**options: Any) -> Mapping[str, Any]:
    """The numbers of `measure_nlu`: plain ones by name; None for what was not measured."""
    return measure_nlu(**options).numbers


def measure_nlu(
    *,
    train: Path,
    test: Path,
    valid: Path | None = None,
    valid_oos: Path | None = None,
    oos: Path | None = None,
    project: Path = Path(),
    cache: Path | None = None,
) -> Measurement:
    """Train and measure.

    Args:
        train: examples to learn; see `read_examples` for the kinds of file.
        test: in-scope messages; a label that is not in `train` counts as out of scope.
        valid: in-scope messages the threshold is tuned on; without it, the training texts with themselves left out.
        valid_oos: out-of-scope messages for the same; without it, the training texts with their intents left out.
        oos: out-of-scope test messages.
        project: folder whose bot.yml says how to train; the defaults without one.
        cache: folder of cached features to use and keep; without one nothing is reused, and times are whole.

    Raises:
        ProjectError: if a file cannot be read.
        TrainingError: if no test message is in scope.
    """
    config = load_config(project) if has_config(project) else Config()
    examples = read_examples(train)
    tested = read_examples(test) + outside(oos)
    keep_freed_memory()
    collect_rarely()
    with tempfile.TemporaryDirectory() as nothing:
        config = config.model_copy(update={"cache": str(cache or nothing)})
        cpu, wall, clock = time.process_time(), time.perf_counter(), StageClock()
        model = train_model(config, corpus_of(examples), clock)
        cpu, wall, peak = time.process_time() - cpu, time.perf_counter() - wall, peak_mb()
        scored = score(model, tested, config.cache_path)
    if not scored.known.any():
        raise TrainingError(f"no message of {test} has an intent of {train}")
    spent = latencies(model, [e.text for e in tested[:TIMED_MESSAGES]])
    p50, p95 = metrics.percentiles(spent.pop(WHOLE))
    numbers = {
        **in_scope(scored),
        **metrics.ranking(scored.none[scored.known], scored.none[~scored.known]),
        **decided(model, scored, tuning_set(model, valid, valid_oos, cache)),
        **slots(model, scored, tested),
        "train_cpu_seconds": cpu,
        "train_wall_seconds": wall,
        "peak_mb": peak,
        "ms_per_message_p50": p50,
        "ms_per_message_p95": p95,
        "train_size": len(examples),
        "classes": len(model.meaning.classes),
        "seed": config.seed,
        "views": model.head.weights,
        "evidence": None if np.isnan(model.head.evidence) else model.head.evidence,
    }
    answering = {stage: float(np.median(times)) for stage, times in spent.items()}
    return Measurement(config, model, examples, tested, scored, numbers, clock.seconds, answering)


def corpus_of(examples: Sequence[Example]) -> Corpus:
    """Examples and the names of their intents, as something to learn."""
    annotated = [e.entities for e in examples]
    return with_hints([e.text for e in examples], [e.intent for e in examples], {}, annotated=annotated)


def outside(file: Path | None) -> list[Example]:
    """Out-of-scope messages, whatever their label."""
    return [Example(e.text, "", where=e.where) for e in read_examples(file)] if file else []


def score(model: Model, examples: Sequence[Example], cache: Path | None = None) -> Scored:
    """What the model makes of messages, features taken from a cache folder if there is one."""
    number = {name: i for i, name in enumerate(model.meaning.classes)}
    truth = np.array([number.get(example.intent, -1) for example in examples], np.int64)
    return Scored(truth, model.predict([example.text for example in examples], cache), number.get(OUT_OF_SCOPE))


def in_scope(scored: Scored) -> dict[str, float]:
    """Accuracy and calibration; in scope by the probabilities given that it is one of the intents."""
    known, truth = scored.known, scored.truth[scored.known]
    p = scored.predictive.known[known]
    guess = p.argmax(axis=1)
    return {
        "accuracy": float((guess == truth).mean()),
        "macro_f1": metrics.macro_f1(truth, guess),
        "nll": float(-np.log(p[np.arange(len(truth)), truth] + 1e-12).mean()),
        "ece": metrics.ece(p.max(axis=1), guess == truth),
        "ece_all": metrics.ece(scored.score, scored.right),
        "aurc": metrics.aurc(scored.score, scored.right),
    }


def slots(model: Model, scored: Scored, tested: Sequence[Example]) -> dict[str, float | None]:
    """How well entities are found, and how far their confidences are from the share that is right (`slot_ece`).

    Whole sentences are right when intent and every entity is.
    """
    if model.tagger is None or not any(example.entities for example in tested):
        return {"slot_f1": None, "slot_ece": None, "sentence_accuracy": None}
    found = [model.parse(example.text).entities for example in tested]
    guessed = [spans_of(entities) for entities in found]
    truth = [spans_of(example.entities) for example in tested]
    same = np.array([ours == theirs for ours, theirs in zip(guessed, truth, strict=True)])
    intent = scored.predictive.known.argmax(axis=1) == scored.truth
    return {
        "slot_f1": metrics.span_f1(guessed, truth),
        "slot_ece": entity_ece(found, truth),
        "sentence_accuracy": float((same & intent)[scored.known].mean()),
    }


def entity_ece(found: Sequence[Sequence[Entity]], truth: Sequence[metrics.Spans]) -> float | None:
    """Calibration error of the entities that have a confidence; None without any."""
    sure = [
        (entity.confidence, spans_of([entity]) <= theirs)
        for entities, theirs in zip(found, truth, strict=True)
        for entity in entities
        if entity.confidence is not None
    ]
    return metrics.ece(np.array([c for c, _ in sure]), np.array([right for _, right in sure])) if sure else None


def spans_of(entities: Sequence[Entity]) -> metrics.Spans:
    """Kind, start and end of each."""
    return frozenset((one.entity, one.start, one.end) for one in entities)


def tuning_set(model: Model, valid: Path | None, valid_oos: Path | None, cache: Path | None) -> tuple[Any, Any, Any]:
    """Scores to tune a threshold on: of in-scope messages, whether they are right, of out-of-scope messages."""
    left_out = model.head.left_out
    known, right, unknown = left_out.known, left_out.right, left_out.unknown
    if valid is not None:
        held_out = score(model, read_examples(valid), cache)
        known, right = held_out.score, held_out.right
    if valid_oos is not None:
        unknown = score(model, outside(valid_oos), cache).score
    return known, right, unknown


def decided(model: Model, scored: Scored, tuning: tuple[Any, Any, Any]) -> dict[str, float | None]:
    """What happens at one threshold, and how much is answered where at most two in a hundred answers may be wrong."""
    known, right, unknown = tuning
    threshold = metrics.best_threshold(known, right, unknown)
    inside, out = scored.known, ~scored.known
    answered = scored.score >= threshold
    strict = metrics.threshold_for_error(known, right, TOLERATED_ERROR)
    kept = scored.score[inside] >= strict
    return {
        "threshold": threshold,
        "in_scope_accuracy_at_threshold": float((answered & scored.right)[inside].mean()),
        "oos_recall_at_threshold": float((~answered | scored.right)[out].mean()) if out.any() else None,
        "coverage_at_2pct_error": float(kept.mean()),
        "error_at_that_coverage": float((~scored.right[inside])[kept].mean()) if kept.any() else None,
    }


def latencies(model: Model, texts: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds of one message at a time, by stage and as a whole."""
    spent: dict[str, list[float]] = {WHOLE: []}
    for text in texts:
        start = time.perf_counter()
        model.parse(text)
        spent[WHOLE].append((time.perf_counter() - start) * 1000)
        for stage, milliseconds in model.timings.items():
            spent.setdefault(stage, []).append(milliseconds)
    return spent
