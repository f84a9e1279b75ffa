"""A story against the policies: its steps are replayed, and wherever the bot acts the policies are asked.

The semantics are those of `rasa test`: nothing is executed, what an action or form brings about is taken from the
story (`slot_was_set`, `active_loop`), and after a wrong prediction the conversation goes on as the story does. A form
that is predicted where the story has something else counts as having refused the message, and the policies are asked
once more. Between the turns the bot must listen, also at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dialogue.domain import ACTION_LISTEN, REQUESTED_SLOT, Domain, Slot
from dialogue.events import ActionExecuted, ActionExecutionRejected, ActiveLoop, Event, SlotSet, UserUttered
from dialogue.slots import seen_state, slots_told
from dialogue.tracker import Tracker
from dialogue.understanding import Understanding, parse_data, shortcut
from policies.chain import Chain
from policies.history import is_user, plain
from policies.types import FILLED, Belief, Candidate, Decision, DialogueState, Entity, Story, StoryStep

Understand = Callable[[StoryStep], Belief]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the story expects.

    Attributes:
        step: the place in the story's steps; their number for the listening at the end.
        decision: the policies' own, where an action was expected.
    """

    step: int
    what: Literal["action", "intent", "entities"]
    expected: str
    predicted: str
    decision: Decision | None = None

    @property
    def right(self) -> bool:
        """Whether it came as expected."""
        return self.expected == self.predicted


@dataclass(frozen=True, slots=True)
class Replayed:
    """A story and all that was checked in it, in order."""

    story: Story
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return all(check.right for check in self.checks)

    @property
    def actions(self) -> tuple[Check, ...]:
        """What was expected of the policies, to listen included."""
        return tuple(check for check in self.checks if check.what == "action")


def replay(story: Story, domain: Domain, policies: Chain, understand: Understand | None = None) -> Replayed:
    """Replay a story whose slots hold values as written.

    Args:
        story: what to replay.
        domain: of the bot; its slots begin with their initial values.
        policies: who is asked.
        understand: gives the belief of a user step, and what it believes is checked against the step; by default the
            step's own intent and entities are taken as certain.
    """
    run = _Run(story, domain, policies, understand)
    for index, step in enumerate(story.steps):
        run.take(index, step)
    run.listen(len(story.steps))
    return Replayed(story, tuple(run.checks))


def gold(step: StoryStep) -> Belief:
    """A belief certain of what the step is annotated with; a step that has only a text means none of the intents."""
    if step.intent is None:
        return Belief((), 1.0, 0.0, 0.0, entities=step.entities)
    name, _, key = step.intent.partition("/")
    answers = {name: (Candidate(step.intent, 1.0, 1.0, 1.0),)} if key else {}
    return Belief((Candidate(name, 1.0, 1.0, 1.0),), 0.0, 0.0, 0.0, answers, step.entities)


def parser(understanding: Understanding, domain: Domain) -> Understand:
    """Beliefs from the texts of the steps; a step without a text is believed as it is annotated."""

    def understand(step: StoryStep) -> Belief:
        if step.text is None:
            return gold(step)
        return shortcut(step.text, domain) or understanding.parse_many([step.text])[0]

    return understand


@dataclass(slots=True)
class _Run:
    """A replay under way."""

    story: Story
    domain: Domain
    policies: Chain
    understand: Understand | None
    checks: list[Check] = field(default_factory=list)
    belief: Belief | None = None
    tracker: Tracker = field(init=False)

    def __post_init__(self) -> None:
        slots = {slot.name: slot.initial_value for slot in self.domain.slots.values()}
        self.tracker = Tracker("story", {REQUESTED_SLOT: None, **slots})

    def take(self, index: int, step: StoryStep) -> None:
        if is_user(step):
            self.listen(index)
            self.hear(index, step)
        elif step.action is not None or step.bot_text is not None:
            self.act(index, step)
        elif step.sets_form:
            self.add(ActiveLoop(name=step.active_form))
        else:
            self.add(*(SlotSet(name=name, value=self.value(name, wanted)) for name, wanted in step.slots.items()))

    def add(self, *events: Event) -> None:
        self.tracker = self.tracker.apply(events)

    def listen(self, index: int) -> None:
        """What comes between two turns. Before the first there is nothing to ask."""
        self.act(index, StoryStep(action=ACTION_LISTEN))

    def hear(self, index: int, step: StoryStep) -> None:
        step = self.pressed(step)
        self.belief = gold(step) if self.understand is None else self.understand(step)
        if self.understand is not None:
            self.checks += _understood(index, step, self.belief)
        parse = parse_data(step.text or "", self.belief, self.domain)
        filled = slots_told(self.domain, step).items()
        self.add(UserUttered(text=step.text, parse_data=parse))
        self.add(*(SlotSet(name=name, value=value) for name, value in filled if value))

    def pressed(self, step: StoryStep) -> StoryStep:
        """The step with the entities of what a button sends, such as `/inform{"city": "Oslo"}`."""
        sent = None if step.text is None or step.entities else shortcut(step.text, self.domain)
        return step if sent is None else replace(step, entities=sent.entities)

    def act(self, index: int, step: StoryStep) -> None:
        if self.belief is None:  # a story may begin after an action; nothing was said that could be decided on
            self.add(*([_done(step, None)] if step.action != ACTION_LISTEN else ()))
            return
        decision = self.decide(step, self.belief)
        expected = step.action or f"bot: {step.bot_text}"
        right = self.is_meant(decision.action, step)
        self.checks.append(Check(index, "action", expected, expected if right else decision.action, decision))
        self.add(_done(step, decision if right else None))

    def decide(self, step: StoryStep, belief: Belief) -> Decision:
        decision = self.policies.decide(belief, self.state())
        form = self.tracker.active_form
        if decision.action == form and form in self.domain.forms and not self.is_meant(form, step):
            self.add(ActionExecutionRejected(name=form, policy=decision.policy, confidence=decision.confidence))
            decision = self.policies.decide(belief, self.state())
        return decision

    def state(self) -> DialogueState:
        return seen_state(self.domain.slots, self.tracker.state())

    def is_meant(self, action: str, step: StoryStep) -> bool:
        """Whether the action is the step's; words of the bot are those of any response that has them."""
        if step.bot_text is None:
            return action == step.action
        texts = [variation.text for variation in self.domain.responses.get(action, ())]
        return plain(step.bot_text) in [plain(text) for text in texts if text is not None]

    def value(self, name: str, wanted: Any) -> Any:
        return _filling(self.domain.slots.get(name)) if wanted is FILLED else wanted


def _done(step: StoryStep, decision: Decision | None) -> ActionExecuted:
    if decision is None:
        return ActionExecuted(name=step.action, action_text=step.bot_text)
    metadata = {"kind": decision.kind.value, "reason": decision.reason}
    return ActionExecuted(
        name=decision.action, policy=decision.policy, confidence=decision.confidence, metadata=metadata
    )


def _filling(slot: Slot | None) -> Any:
    """A value for a slot of which the story only says that it is filled."""
    if slot is None or slot.type not in ("bool", "float", "list", "categorical"):
        return "filled"
    return {"bool": True, "float": slot.max_value, "list": ["filled"], "categorical": (*slot.values, "filled")[0]}[
        slot.type
    ]


def _understood(index: int, step: StoryStep, belief: Belief) -> list[Check]:
    """What the belief of a text says against what the step is annotated with."""
    if step.text is None:
        return []
    found = []
    if step.intent is not None:
        found.append(Check(index, "intent", step.intent, _intent(belief, full="/" in step.intent)))
    wanted, seen = _listed(step.entities), _listed(belief.entities)
    return [*found, Check(index, "entities", wanted, seen)]


def _intent(belief: Belief, *, full: bool) -> str:
    top = belief.top
    if top is None:
        return "none"
    answers: Mapping[str, Sequence[Candidate]] = belief.responses
    if full and answers.get(top.name):
        best = answers[top.name][0].name
        return best if "/" in best else f"{top.name}/{best}"
    return top.name


def _listed(entities: Sequence[Entity]) -> str:
    """Entities as one line, in an order of their own: positions do not count, since a story may leave them out."""
    marks = [
        "".join((entity.entity, *(f" {part}" for part in (entity.role, entity.group) if part), f"={entity.value}"))
        for entity in entities
    ]
    return ", ".join(sorted(marks)) or "none"
