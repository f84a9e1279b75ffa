"""A bot's project folder: is its model fresh, train it, open the bot, teach it one more sentence."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialogue
from dialogue.assembly import actions, most_actions, understanding_of
from dialogue.bot import Bot
from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.domain import Domain
from dialogue.errors import ModelError, ProjectError, TrainingError, suggestion
from dialogue.training.data import TrainingData, read_data, training_files
from dialogue.training.folder import FORMAT, Manifest, current_version, read_manifest, write_version
from dialogue.training.memory import collect_rarely, keep_freed_memory, peak_mb
from encoders.threads import limit_threads

if TYPE_CHECKING:
    from dialogue.model import Model
    from dialogue.store.base import TrackerStore
    from dialogue.training.corpus import Corpus
    from policies.chain import Chain
    from policies.types import Story

Progress = Callable[[str, int, int], None]
TAUGHT = "taught.yml"


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What a training took and gave. `lines` say it to a person; `fresh` means that nothing had to be done."""

    folder: Path
    fresh: bool
    examples: int
    intents: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    lines: tuple[str, ...]


def fingerprint(config: Config) -> str:
    """SHA-256 of everything a model depends on: format, version, configuration and training data."""
    seen = hashlib.sha256(json.dumps([FORMAT, dialogue.__version__]).encode())
    held_out = [config.project / part.options["held_out"] for part in config.policies if part.options.get("held_out")]
    for file in (config.file, *training_files(config.data_paths), *training_files(held_out)):
        seen.update(hashlib.sha256(file.read_bytes()).digest())
    return seen.hexdigest()


def is_fresh(project: Path) -> bool:
    """Whether the trained model belongs to the data as they are now.

    Raises:
        ProjectError: if bot.yml cannot be read.
        ModelError: if the model is damaged.
    """
    config = load_config(project)
    version = current_version(config.model_path)
    return version is not None and read_manifest(version).fingerprint == fingerprint(config)


def train(
    project: Path, *, force: bool = False, progress: Progress = lambda stage, done, total: None
) -> TrainingSummary:
    """Train the bot and write its model, unless there is a fresh one.

    Raises:
        ProjectError: if bot.yml or the data are wrong.
        TrainingError: if there is nothing to learn from.
    """
    config = load_config(project)
    version = current_version(config.model_path)
    print_ = fingerprint(config)
    if not force and version is not None and usable(version) == print_:
        return TrainingSummary(version, True, 0, 0, 0.0, 0.0, 0.0, (f"The model in {version} is up to date.",))
    keep_freed_memory()
    collect_rarely()
    from dialogue.training.corpus import build_corpus
    from dialogue.training.validate import check

    cpu, wall = time.process_time(), time.perf_counter()
    data, problems = check(config)
    if errors := [problem for problem in problems if problem.is_error]:
        raise ProjectError(errors)
    corpus = build_corpus(data)
    model, policies = learn(config, corpus, data.stories, progress)
    facts: dict[str, Any] = {
        "name": config.name,
        "language": config.language,
        "examples": corpus.hints.count(False),
        "intents": len(model.meaning.intents),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "peak_mb": round(peak_mb(), 1),
        "views": {name: round(weight, 4) for name, weight in model.head.weights.items()},
        "posterior": {name: round(value, 4) for name, value in model.head.notes().items()},
    }
    if (prior := model.head.intent_prior) is not None:
        counts = {name: round(count, 2) for name, count in zip(model.meaning.intents, prior.counts, strict=True)}
        facts["intent_prior"] = {"strength": prior.strength, "counts": counts}
    folder = write_version(
        config.model_path, Manifest(print_, facts), lambda place: write(place, model, policies, data.domain)
    )
    return TrainingSummary(
        folder=folder,
        fresh=False,
        examples=facts["examples"],
        intents=facts["intents"],
        cpu_seconds=facts["cpu_seconds"],
        wall_seconds=facts["wall_seconds"],
        peak_mb=facts["peak_mb"],
        lines=described(facts, folder, len(problems)),
    )


def learn(config: Config, corpus: Corpus, stories: Sequence[Story], progress: Progress) -> tuple[Model, Chain]:
    """Train the model and the policies."""
    from dialogue.plugins import build_policies
    from dialogue.training.held_out import held_out
    from dialogue.training.trainer import train_model
    from dialogue.usage import by_use
    from policies.chain import Chain

    model = by_use(config, train_model(config, corpus, progress))  # first: it says how many threads compute
    policies = Chain(build_policies(config)).fit(stories, seed=config.seed)
    return model, policies.calibrate(lambda file: held_out(model, None if file is None else config.project / file))


def write(folder: Path, model: Model, policies: Chain, domain: Domain) -> None:
    """All parts of a version."""
    (folder / "nlu").mkdir()
    model.save(folder / "nlu")
    (folder / "policies").mkdir()
    policies.save(folder / "policies")
    (folder / "domain.json").write_text(json.dumps(domain.as_dict(), ensure_ascii=False), "utf-8")


def described(facts: dict[str, Any], folder: Path, warnings: int) -> tuple[str, ...]:
    """What a training took, in sentences."""
    told = "1 warning" if warnings == 1 else f"{warnings} warnings"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(facts["views"].items(), key=lambda v: -v[1]))
    return (
        f"Trained {facts['name']} on {facts['examples']} examples of {facts['intents']} intents in "
        f"{facts['wall_seconds']} s ({facts['cpu_seconds']} CPU-s), peak memory {facts['peak_mb']:.0f} MB.",
        f"What the answers rest on: {shares}.",
        f"The posterior: {', '.join(f'{name} {value:.4g}' for name, value in facts['posterior'].items())}.",
        *([used(facts["intent_prior"])] if "intent_prior" in facts else []),
        f"Model: {folder}",
        *([f"{told}: `starfold validate` lists them."] if warnings else []),
    )


def used(prior: dict[str, Any]) -> str:
    """How often the intents were meant, in a sentence."""
    counts: dict[str, float] = prior["counts"]
    often = sorted(counts.items(), key=lambda pair: -pair[1])[:3]
    told = ", ".join(f"{name} {count:.4g}" for name, count in often if count > 0)
    return f"Meant in stored conversations: {sum(counts.values()):.4g} messages{f', {told} the most' if told else ''}."


def open_bot(project: Path, *, progress: Progress | None = None, retrain: bool = False) -> Bot:
    """The bot, trained first if there is no fresh model.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    from dialogue.store.sql import SqlTrackerStore

    train(project, force=retrain, progress=progress or (lambda stage, done, total: None))
    config = load_config(project)
    version = current_version(config.model_path)
    assert version is not None
    return bot_of(config, version, SqlTrackerStore(config.store_url))


def bot_of(config: Config, version: Path, store: TrackerStore) -> Bot:
    """The bot with the model of one version.

    Args:
        config: of its project.
        version: folder of the model.
        store: keeps the conversations.

    Raises:
        ModelError: if a part of the version is missing or damaged.
        ActionError: if the bot's own actions cannot be imported.
    """
    model, policies, domain = read(config, version)
    model.parse("")  # the first message should not pay for what is loaded late
    own, quick = actions(config, domain)
    return Bot(
        understanding_of(config, model),
        domain,
        policies,
        own,
        store,
        quick=quick,
        name=config.name,
        language=config.language,
        most_actions=most_actions(os.environ),
    )


def read(config: Config, version: Path) -> tuple[Model, Chain, Domain]:
    """All parts of a version. Raises `ModelError` when one is missing or damaged."""
    from dialogue.model import Model
    from dialogue.plugins import build_policies
    from policies.chain import Chain

    read_manifest(version)
    try:
        limit_threads(config.threads)
        model = Model.load(version / "nlu")
        policies = Chain(build_policies(config)).load(version / "policies")
    except (ValueError, OSError) as cause:
        raise ModelError(f"the model cannot be read: {cause}; train again") from cause
    return model, policies, read_data([version / "domain.json"]).domain


def teach(project: Path, text: str, intent: str) -> None:
    """One more example: written into the training data, and learned without training anew.

    Raises:
        TrainingError: if the text is blank or an example of something else, or the model has no such intent.
        ProjectError: if bot.yml or the data are wrong.
        ModelError: if there is no model.
    """
    from dialogue.training.taught import append_example

    config = load_config(project)
    version = current_version(config.model_path)
    if version is None:
        raise ModelError(f"there is no model in {config.model_path} yet; `starfold train` makes one")
    manifest = read_manifest(version)
    model, policies, domain = read(config, version)
    if intent not in model.meaning.classes:
        raise TrainingError(f"no intent {intent!r} to teach{suggestion(intent, model.meaning.classes)}")
    if not text.strip():
        raise TrainingError("a blank text teaches nothing")
    refuse_contradiction(read_data(config.data_paths), text, intent)
    fresh = manifest.fingerprint == fingerprint(config)
    taught = model.teach(text, intent)
    append_example(config.taught_path, text, intent)
    renewed = Manifest(fingerprint(load_config(project)) if fresh else manifest.fingerprint, manifest.facts)
    write_version(config.model_path, renewed, lambda place: write(place, taught, policies, domain))


def refuse_contradiction(data: TrainingData, text: str, intent: str) -> None:
    """Raises `TrainingError` if the data have the text for another intent: nothing could be trained from both."""
    from policies.history import plain

    for example in data.examples:
        if example.intent != intent and plain(example.text) == plain(text):
            raise TrainingError(f"{text!r} is an example of {example.intent!r}, in {example.where}; change it there")


def usable(version: Path) -> str | None:
    """The fingerprint of a version, or None for one that is damaged and will be trained anew."""
    try:
        return read_manifest(version).fingerprint
    except ModelError:
        return None
