"""How often each intent was meant in the conversations of a store.

Counted are the messages people typed, each by the posterior means of its intents: .7 of an `order` and .2 of a `cancel`
count .7 and .2. Their sum is the expected count, the one an expectation-maximisation takes for the shares (Saerens et
al. 2002); counting the best intent alone would count an intent too often just where others are mistaken for it. What
is "none of these" counts for none.

* A button or another `/intent` was not understood but told, so it does not count; right after a message the bot was in
  doubt of it tells what was meant there, and counts 1 in place of that message's numbers.
* What was taken back (a rewind) did not happen. What another program said, or a reminder, does not count.
* Only the ten best intents of a message are stored; the rest of it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from dialogue.config import Config
from dialogue.events import Event, Restarted, SessionStarted, UserUtteranceReverted, UserUttered
from dialogue.model import Model
from dialogue.posterior.intent_prior import IntentPrior, shares
from dialogue.store.base import TrackerStore
from dialogue.understanding import SHORTCUT


def by_use(config: Config, model: Model) -> Model:
    """The model with the prior of its intents that bot.yml asks for, from its own store; else as it is.

    Raises:
        StoreError: if the store cannot be read.
    """
    if config.intent_prior is None:
        return model
    from dialogue.store.sql import SqlTrackerStore

    # The store's folder, too, unless bot.yml says otherwise.
    config.model_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(SqlTrackerStore(config.store_url)) as store:
        counts = meant_in_store(store)
    head = model.head.expecting(prior_of(model, counts, config.intent_prior.strength))
    return Model(model.language, model.encoders, model.members, head, model.meaning, model.entities, model.tagger)


def prior_of(model: Model, counts: Mapping[str, float], strength: float) -> IntentPrior:
    """The prior of a model's intents; counts of intents it does not have are passed over."""
    numbers = model.meaning.groups()
    groups = np.empty(len(model.meaning.classes), np.int64)
    for intent, classes in enumerate(numbers.values()):
        groups[classes] = intent
    process = model.head.process
    base = shares(groups, process.labels, process.noise.min() / process.noise)
    return IntentPrior(strength, base, tuple(float(counts.get(name, 0.0)) for name in numbers), tuple(groups.tolist()))


def meant_in_store(store: TrackerStore) -> dict[str, float]:
    """The expected count of every intent. Raises `StoreError` if the store cannot be read."""
    total: dict[str, float] = {}
    for conversation in store.conversations(having=UserUttered.wire):
        add(total, meant(store.events(conversation)))
    return total


def meant(events: Iterable[Event]) -> dict[str, float]:
    """The expected count of every intent in one conversation."""
    said: list[Counted] = []  # one for each message that was not taken back
    doubt = False  # whether the last message, which may be taken back since, left the bot in doubt
    for event in events:
        if isinstance(event, UserUttered):
            one = counted(event, doubt)
            if one.tells and said and said[-1].doubted:
                said[-1] = replace(said[-1], means={})
            said.append(one)
            doubt = one.doubted
        elif isinstance(event, UserUtteranceReverted) and said:
            gone = said.pop()
            doubt = doubt or gone.doubted or gone.tells
        elif isinstance(event, (Restarted, SessionStarted)):
            doubt = False
    total: dict[str, float] = {}
    for one in said:
        add(total, one.means)
    return total


@dataclass(frozen=True, slots=True)
class Counted:
    """What a message counts, whether the bot was in doubt of it, and whether it tells what one in doubt meant."""

    means: Mapping[str, float]
    doubted: bool = False
    tells: bool = False


def counted(event: UserUttered, doubt: bool) -> Counted:
    """What one message counts; `doubt` is whether the bot was in doubt of the one before."""
    if event.external or event.text is None:
        return Counted({})
    if SHORTCUT.fullmatch(event.text.strip()):
        tells = doubt and event.intent is not None and event.understood
        return Counted({str(event.intent): 1.0} if tells else {}, tells=tells)
    shown = event.parse_data.get("belief") or {}
    means = {str(one["name"]): float(one["mean"]) for one in shown.get("intents") or ()}
    return Counted(means, doubted=not event.understood)


def add(total: dict[str, float], means: Mapping[str, float]) -> None:
    """Add up, in `total`."""
    for intent, mean in means.items():
        total[intent] = total.get(intent, 0.0) + mean
