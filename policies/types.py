"""What policies read and write: a belief, the state of a conversation, a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

TOLERANCE = 1e-4


class Filled(Enum):
    """In a story's slots: any value that is not empty."""

    FILLED = "filled"


FILLED = Filled.FILLED


class Candidate(NamedTuple):
    """One hypothesis with its posterior predictive probability and the bounds of its credible interval."""

    name: str
    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of the text that names a thing: `text[start:end]`, with the value it stands for.

    `confidence` is the probability of the annotation, or None for an extractor that has none (a regex, a lookup).
    `info` is what more an extractor tells of the value, such as a unit or a grain.
    """

    entity: str
    start: int
    end: int
    value: Any
    extractor: str
    confidence: float | None = None
    role: str | None = None
    group: str | None = None
    info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Belief:
    """What the bot thinks a message means.

    Attributes:
        intents: every intent, most probable first. Their means and `unknown` sum to 1.
        unknown: probability of "none of these".
        entropy: of the posterior predictive over intents and unknown, in nats.
        mutual_information: between the answer and the model's parameters, in nats: the part of the entropy that more
            examples would remove.
        responses: for each retrieval intent its answers, most probable first; means sum to 1 within the intent.
        entities: found in the text, in order.
        contributions: share of the evidence for the top intent that came through each encoder; sums to 1 or is empty.

    Raises:
        ValueError: if a number is not finite, probabilities do not sum to 1, intents are not sorted, or of a candidate
            not 0 <= lower <= mean <= upper <= 1.
    """

    intents: tuple[Candidate, ...]
    unknown: float
    entropy: float
    mutual_information: float
    responses: Mapping[str, tuple[Candidate, ...]] = field(default_factory=lambda: MappingProxyType({}))
    entities: tuple[Entity, ...] = ()
    contributions: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        numbers = (self.unknown, self.entropy, self.mutual_information, *self.contributions.values())
        if not all(math.isfinite(x) for x in numbers):
            raise ValueError(f"belief holds a number that is not finite: {numbers}")
        if not 0 <= self.unknown <= 1 or self.entropy < -TOLERANCE or self.mutual_information < -TOLERANCE:
            raise ValueError(
                f"belief out of range: unknown {self.unknown}, entropy {self.entropy}, "
                f"mutual information {self.mutual_information}"
            )
        for candidates in (self.intents, *self.responses.values()):
            _check(candidates)
        total = self.unknown + sum(candidate.mean for candidate in self.intents)
        if abs(total - 1) > 1e-3:
            raise ValueError(f"belief does not sum to 1: intents and unknown give {total:.6f}")
        means = [candidate.mean for candidate in self.intents]
        if means != sorted(means, reverse=True):
            raise ValueError("belief's intents are not sorted by mean")

    @property
    def top(self) -> Candidate | None:
        """The most probable intent, or None for a bot without intents."""
        return self.intents[0] if self.intents else None

    @property
    def answer(self) -> Candidate | None:
        """What acting on the top intent comes to: itself, or its best answer if it is a retrieval intent."""
        top = self.top
        return None if top is None else self._answers_of(top, 1)[0]

    def best(self, most: int) -> tuple[Candidate, ...]:
        """The most probable answers: the intents, and in place of a retrieval intent each of its answers."""
        found: list[Candidate] = []
        for intent in self.intents:
            if len(found) == most and found[-1].mean >= intent.mean:
                break
            found = sorted([*found, *self._answers_of(intent, most)], key=lambda answer: -answer.mean)[:most]
        return tuple(found)

    def _answers_of(self, intent: Candidate, most: int) -> tuple[Candidate, ...]:
        responses = self.responses.get(intent.name, ())[:most]
        return tuple(_both(intent, response) for response in responses) or (intent,)


def _check(candidates: Sequence[Candidate]) -> None:
    for name, mean, lower, upper in candidates:  # what is not a number is in no order
        if not (-TOLERANCE <= lower <= mean + TOLERANCE and mean - TOLERANCE <= upper <= 1 + TOLERANCE):
            raise ValueError(
                f"candidate {name!r}: expected 0 <= lower <= mean <= upper <= 1, "
                f"got lower {lower}, mean {mean}, upper {upper}"
            )


def _both(intent: Candidate, response: Candidate) -> Candidate:
    """An answer by its full name: the probability of the intent times that of the answer within it."""
    name = response.name if response.name.startswith(f"{intent.name}/") else f"{intent.name}/{response.name}"
    bounds = (intent.mean * response.mean, intent.lower * response.lower, intent.upper * response.upper)
    return Candidate(name, *bounds)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Messages as the bot would have taken them had it not learned from them.

    `scores` [N] are the probabilities of what it would have answered, `right` [N] whether that was right.
    """

    scores: tuple[float, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One user message and what the bot did after it, oldest action first.

    `intent` is the name a story would use (None when the belief was below every gate); `actions` are names.
    """

    intent: str | None
    entities: tuple[Entity, ...] = ()
    actions: tuple[str, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class DialogueState:
    """What a policy may know of the conversation: a fold of its events, without a handle on any store.

    Attributes:
        slots: every slot's value, None when unset.
        turns: oldest first; the last one is being answered, its `actions` are those already run in this turn.
        opening: what the bot did in this session before the user first spoke, while that is remembered.
        active_form: the form in charge, if any.
        requested_slot: the slot that form last asked for.
        rejected: actions refused in this turn; they may not be predicted again.
        failures: user turns in a row that ended in a fallback of any kind.
        started: false until the session's first user message was answered.
        doubt: why the belief must not be acted on, if a gate said so; the last turn then has no intent.
    """

    slots: Mapping[str, Any]
    turns: tuple[Turn, ...]
    opening: tuple[str, ...] = ()
    active_form: str | None = None
    requested_slot: str | None = None
    rejected: frozenset[str] = frozenset()
    failures: int = 0
    started: bool = True
    doubt: Doubt | None = None


class Kind(str, Enum):
    """What the bot does next."""

    ACT = "act"  # run an action it is sure of
    CLARIFY = "clarify"  # offer the top few intents as buttons
    REPHRASE = "rephrase"  # ask the user to say it otherwise
    FALL_BACK = "fall_back"  # say that it did not understand
    HAND_OVER = "hand_over"  # pass to a person
    LISTEN = "listen"  # wait for the user


@dataclass(frozen=True, slots=True)
class Decision:
    """The next action.

    Attributes:
        action: name of the action or response to run; `action_listen` to wait.
        confidence: probability, copied from whatever the policy trusted, never made up: a turn's first decision that
            rests on the intent has the intent's posterior mean, a learned policy's has its own posterior. 1.0 for what
            is no guess: to wait, what follows from an action before, a form in charge, a story's very words.
        policy: name of the policy that decided.
        reason: one sentence for a person.
        candidates: for `CLARIFY`, the intents to offer.
        passed: for `/why`: the policies that were asked before, each with its reason to pass.
    """

    kind: Kind
    action: str
    confidence: float
    policy: str
    reason: str
    candidates: tuple[Candidate, ...] = ()
    passed: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.confidence) and 0 <= self.confidence <= 1):
            raise ValueError(f"decision {self.action!r}: confidence {self.confidence} is not a probability")


@dataclass(frozen=True, slots=True)
class Pass:
    """A policy has nothing to say here."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A gate's word that the belief does not carry an answer: policies then see the turn without its intent.

    Attributes:
        kind: what would help: clarify, rephrase, fall back or hand over.
        confidence: posterior mean of the best intent, copied from the belief.
        candidates: for `CLARIFY`, the intents to offer.
    """

    kind: Kind
    reason: str
    confidence: float
    candidates: tuple[Candidate, ...] = ()


Verdict = Decision | Pass


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step of a story or rule as policies train on it.

    Exactly one of `intent`, `action`, `text` is set for a turn's step; `slots` and `active_form` record what the story
    says became true at this point (`slot_was_set`, `active_loop`), with `sets_form` telling "form ended" from "not
    said". A slot's value is as it must be, None for empty, or `FILLED`. `where` is file:line:column; two steps that
    stand in different places may be equal.
    """

    intent: str | None = None
    action: str | None = None
    text: str | None = None
    bot_text: str | None = None
    entities: tuple[Entity, ...] = ()
    slots: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    active_form: str | None = None
    sets_form: bool = False
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Story:
    """A story or rule, flat: checkpoints joined, OR steps multiplied out.

    `condition` and the two flags are a rule's (`conversation_start`, `wait_for_user_input`); `where` is file:line.
    """

    name: str
    steps: tuple[StoryStep, ...]
    where: str = ""
    is_rule: bool = False
    condition: Sequence[StoryStep] = ()
    conversation_start: bool = False
    wait_for_user_input: bool = True
