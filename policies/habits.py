"""What stories do after a turn wherever they tell it: how the learned policy answers where none goes like this.

A turn so far is an intent and what the bot did since; a context is what went before it, by the user's last intent and
the bot's last action. Where stories tell a turn in n contexts and go on in a of them with the same action, a further
context does so, too, with the probability Beta(LIKE m + a, LIKE (1 - m) + n - a): the beta-binomial model (Gelman et
al. 2013, "Bayesian Data Analysis", section 5.3). Its prior mean m is what the same stories say of it, a Beta in turn:
how often one context goes on as the others do, each left out once; of what the bot does first and of what it does next
apart. So a bot whose answers depend on what was asked before is not taken for one that always answers alike. Where no
story tells the turn so far, what follows its last action counts, whoever it answered; the context is then the turn
before that action. Forms ask for themselves: what is told during one is left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.history import base_intent, is_user, points
from policies.types import Story, StoryStep

LIKE = 2.0  # contexts that the prior counts as
USUAL, TRUST = 0.35, 1.0  # what m is without stories, and as how many contexts left out that counts
_KINDS = ("first", "next", "after")
_LEAST = 1e-12  # of a sum to divide by

Turned = tuple[str, ...]
Context = tuple[str, ...]
Shares = Mapping[str, float]  # of the actions that follow, in one context


@dataclass(frozen=True, slots=True)
class Habit:
    """What follows a turn in most contexts.

    Attributes:
        agree, differ: parameters of the Beta distribution of the probability that it does in another.
    """

    action: str
    agree: float
    differ: float

    @property
    def mean(self) -> float:
        """The probability that the action follows in a context of no story."""
        return self.agree / (self.agree + self.differ)

    def draws(self, count: int) -> NDArray[np.float64]:
        """So many draws of the probability: evenly spaced quantiles, in an order that goes with no other draws."""
        from scipy.special import betaincinv

        quantiles = (np.random.default_rng(0).permutation(count) + 0.5) / count
        found: NDArray[np.float64] = betaincinv(self.agree, self.differ, quantiles)
        return found

    def followed(self, shares: NDArray[np.float64], place: int, believed: float) -> NDArray[np.float64]:
        """Shares of all classes [DRAWS, C] in which its action, at this place, has its own; the others share the rest.

        `believed` is the probability of the turn's intent: the habit is of that alone.
        """
        own = self.draws(len(shares)) * believed
        found = shares.copy()
        found[:, place] = 0
        found *= ((1 - own) / np.maximum(found.sum(axis=1), _LEAST))[:, None]
        found[:, place] = 1 - found.sum(axis=1)
        return found


def habits(stories: Iterable[Story]) -> dict[Turned, Habit]:
    """The habit of every turn that stories tell outside of forms, and of every action under `after` it."""
    told = _told(stories)
    means = {kind: _mean(told[so_far].values() for so_far in told if _kind(so_far) == kind) for kind in _KINDS}
    return {so_far: _habit(list(contexts.values()), means[_kind(so_far)]) for so_far, contexts in told.items()}


def turned(intent: str, actions: Iterable[str | None]) -> Turned:
    """A turn so far."""
    return (base_intent(intent), *(action or "" for action in actions))


def after(so_far: Turned) -> Turned:
    """The last action of a turn, whatever it answered; a turn without one as it is."""
    return so_far if len(so_far) == 1 else ("", so_far[-1])


def _kind(so_far: Turned) -> str:
    return "first" if len(so_far) == 1 else "next" if so_far[0] else "after"


def _told(stories: Iterable[Story]) -> dict[Turned, dict[Context, Shares]]:
    """What follows each turn in each context."""
    counts: dict[Turned, dict[Context, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for story in stories:
        for point in points(story):
            said = [number for number, step in enumerate(point.past) if is_user(step)]
            if point.form is None and said:
                before, now, since = point.past[: said[-1]], point.past[said[-1]], point.past[said[-1] + 1 :]
                so_far = turned(now.intent or "", (step.action for step in since))
                counts[so_far][_context(before)][point.action] += 1
                if since:
                    counts[after(so_far)][so_far[:-1]][point.action] += 1
    return {
        so_far: {
            context: {action: count / followed.total() for action, count in followed.items()}
            for context, followed in contexts.items()
        }
        for so_far, contexts in counts.items()
    }


def _context(before: Sequence[StoryStep]) -> Context:
    """What went before a turn; empty where it begins the story."""
    intents = (base_intent(step.intent or "") for step in reversed(before) if is_user(step))
    return (next(intents, ""), before[-1].action or "") if before else ()


def _mean(told: Iterable[Iterable[Shares]]) -> float:
    """How often a context goes on as the others do."""
    agreed = [share for contexts in told for share in _agreements(list(contexts))]
    return (TRUST * USUAL + sum(agreed)) / (TRUST + len(agreed))


def _agreements(contexts: Sequence[Shares]) -> Iterator[float]:
    """For each of several contexts, how far it goes on as most of the others do."""
    votes = _votes(contexts)
    ranked = [action for action, _ in votes.most_common()]
    for followed in contexts if len(contexts) > 1 else ():
        left = {action: votes[action] - share for action, share in followed.items()}
        other = next((action for action in ranked if action not in followed), None)
        if other is not None:
            left[other] = votes[other]
        yield followed.get(max(left, key=left.__getitem__), 0.0)


def _habit(contexts: Sequence[Shares], mean: float) -> Habit:
    action, agree = _votes(contexts).most_common(1)[0]
    return Habit(action, LIKE * mean + agree, LIKE * (1 - mean) + len(contexts) - agree)


def _votes(contexts: Iterable[Shares]) -> Counter[str]:
    """In how many contexts each action follows."""
    votes: Counter[str] = Counter()
    for followed in contexts:
        votes.update(followed)
    return votes
