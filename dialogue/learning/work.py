"""A project's messages put to use: suggestions for new intents, and questions whose answers teach the most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ModelError, TrainingError, suggestion
from dialogue.learning.discover import Suggestion, discover
from dialogue.learning.heard import Said, said_in_file, said_in_store
from dialogue.learning.review import worth_asking
from dialogue.model import Model
from dialogue.project import read, refuse_contradiction
from dialogue.training.corpus import build_corpus
from dialogue.training.data import TrainingData, read_data
from dialogue.training.folder import current_version
from dialogue.training.insertion import insert_example
from policies.history import plain

Ask = Callable[[str, str, Sequence[str]], str]  # question, what Enter means, what may be completed; EOFError ends
Say = Callable[[str], None]
SKIP = "skip"


def discover_intents(project: Path, messages: Path | None, *, least: int) -> list[Suggestion]:
    """What the bot did not understand, sorted; messages of a file, or those of the store that no gate let through.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    config = load_config(project)
    data = read_data(config.data_paths)
    corpus = build_corpus(data)
    said = [one for one in unlabelled(config, data, messages) if one.doubted]
    taught = [pair for *pair, hint in zip(corpus.texts, corpus.classes, corpus.hints, strict=True) if not hint]
    texts, classes = [text for text, _ in taught], [name for _, name in taught]
    return discover(_model(config), texts, classes, said, least=least, seed=config.seed)


def review_messages(project: Path, messages: Path | None, *, most: int, ask: Ask, say: Say) -> int:
    """Ask a person about the messages the bot would learn most from, and write the answers into the training data.

    Args:
        project: folder of the trained bot.
        messages: a file of them; None for those of the store.
        most: how many to ask about.
        ask: asks the person.
        say: tells the person.

    Returns:
        How many examples were written.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    config = load_config(project)
    data = read_data(config.data_paths)
    model = _model(config)
    written = 0
    for one in worth_asking(model, unlabelled(config, data, messages), most):
        say(one.told)
        try:
            intent = _choose(ask, say, one.guess, [*model.meaning.classes, SKIP])
        except EOFError:
            break
        if intent == SKIP:
            continue
        try:
            refuse_contradiction(data, one.text, intent)
            say(f"example of {intent} written to {insert_example(config.data_paths, one.text, intent)}")
            written += 1
        except TrainingError as refused:
            say(str(refused))
    return written


def unlabelled(config: Config, data: TrainingData, messages: Path | None) -> list[Said]:
    """Messages that are no examples yet, the most frequent first."""
    from dialogue.store.sql import SqlTrackerStore

    if messages is not None:
        said = said_in_file(messages)
    else:
        with closing(SqlTrackerStore(config.store_url)) as store:
            said = said_in_store(store)
    known = {plain(example.text) for example in data.examples}
    return [one for one in said if plain(one.text) not in known]


def _choose(ask: Ask, say: Say, guess: str, names: list[str]) -> str:
    while (answer := ask("intent", guess, names).strip() or guess) not in names:
        say(f"there is no intent {answer!r}{suggestion(answer, names)}; {SKIP!r} leaves the message alone")
    return answer


def _model(config: Config) -> Model:
    version = current_version(config.model_path)
    if version is None:
        raise ModelError(f"there is no model in {config.model_path}; `starfold train` makes one")
    model, _, _ = read(config, version)
    return model
