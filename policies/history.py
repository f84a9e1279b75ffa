"""Stories and conversations as one flat sequence of moves, and how the two are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.types import FILLED, DialogueState, Entity, Kind, Story, StoryStep, Turn

LISTEN = "action_listen"
NOT_UNDERSTOOD = "nlu_fallback"
ANYTHING = "<anything>"  # the intent of a step that any message is


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that happened: the user spoke (`turn` is set) or the bot ran `action`."""

    action: str | None = None
    turn: Turn | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What a matching step may have as its `step_key`."""
        if self.turn is None:
            return (self.action or "",)
        keys = (user_key(self.turn.intent), user_key(ANYTHING))
        return keys if self.turn.text is None else (*keys, text_key(self.turn.text))


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a story where the bot chooses what to do.

    Attributes:
        past: the user and action steps before it, oldest first.
        action: what the story does here.
        slots: what the story says of slots at this place.
        form: the form the story has in charge here, None when there is none.
        says_form: whether the story says anything about forms before this place.
        place: file:line:column of the step that says so; for listening, of the step before.
    """

    story: Story
    past: tuple[StoryStep, ...]
    action: str
    slots: Mapping[str, Any]
    form: str | None
    says_form: bool
    place: str = ""

    @property
    def where(self) -> str:
        """The story by name and place, for a reason."""
        kind = "rule" if self.story.is_rule else "story"
        return f"{kind} {self.story.name!r}" + (f" ({self.story.where})" if self.story.where else "")

    @property
    def kind(self) -> Kind:
        """What doing it is: an answer to a message that was not understood is a fallback."""
        if self.action == LISTEN:
            return Kind.LISTEN
        said = [step.intent for step in self.past if is_user(step)]
        return Kind.FALL_BACK if said and said[-1] == NOT_UNDERSTOOD else Kind.ACT

    @property
    def detail(self) -> int:
        """How much the point asks for besides its moves: entities, slots, a form, the start of a conversation."""
        entities = sum(len(step.entities) for step in self.past)
        return entities + len(self.slots) + self.says_form + self.story.conversation_start


def base_intent(name: str) -> str:
    """`faq` for the retrieval intent `faq/opening_hours`, other names as they are."""
    return name.partition("/")[0]


def user_key(intent: str | None) -> str:
    """Under which key a user move is indexed."""
    return f"user {base_intent(intent or NOT_UNDERSTOOD)}"


def text_key(text: str) -> str:
    """Under which key a text of an end-to-end story is indexed."""
    return f"text {plain(text)}"


def step_key(step: StoryStep) -> str:
    """Under which key a step is indexed; a text step has the text itself."""
    if step.action is not None:
        return step.action
    return user_key(step.intent) if step.intent is not None else text_key(step.text or "")


def plain(text: str) -> str:
    """A text as end-to-end steps compare it: without case and without needless spaces."""
    return " ".join(text.casefold().split())


def is_user(step: StoryStep) -> bool:
    """Whether the step is something the user says."""
    return step.intent is not None or step.text is not None


def moves(turns: Iterable[Turn], opening: Iterable[str] = ()) -> list[Move]:
    """Turns as moves, oldest first, after what the bot did before them."""
    found = [Move(action=action) for action in opening]
    for turn in turns:
        found.append(Move(turn=turn))
        found.extend(Move(action=action) for action in turn.actions)
    return found


def points(story: Story) -> Iterator[Point]:
    """Every place of a story where the bot acts or, its actions done, listens.

    A first step that is an action is what the story begins after, so it is not a place to choose. A rule that waits
    for no one does not say what comes after its last action; one without any action says nothing to the message, as the
    bot does between two messages of a story. A rule that listens and then acts does so whatever is said. A story ends
    at the first thing the bot says in free words.
    """
    slots: dict[str, Any] = {}
    form: str | None = None
    says_form = False
    past: list[StoryStep] = []
    for step in (*story.condition, *(_with_anything(story.steps) if story.is_rule else story.steps), None):
        if step is not None and step.bot_text is not None:
            return
        choice = _choice(story, past, step)
        if choice is not None:
            acts = step is not None and step.action is not None
            place = step.where if step is not None and acts else past[-1].where
            yield Point(story, tuple(past), choice, dict(slots), form, says_form, place)
        if step is None:
            return
        slots |= step.slots
        if step.sets_form:
            form, says_form = step.active_form, True
        if is_user(step) or step.action not in (None, LISTEN):
            past.append(step)


def _with_anything(steps: Iterable[StoryStep]) -> Iterator[StoryStep]:
    """The steps of a rule, with what the user says between listening and acting, which it leaves open."""
    listened: StoryStep | None = None
    for step in steps:
        if listened is not None and step.action is not None:
            yield StoryStep(intent=ANYTHING, where=listened.where)
        if step.action is not None or is_user(step):
            listened = step if step.action == LISTEN else None
        yield step


def recent(past: tuple[StoryStep, ...], turns: int) -> tuple[StoryStep, ...]:
    """The steps from the user's last `turns` on; all, when there are fewer."""
    said = [index for index, step in enumerate(past) if is_user(step)]
    return past[said[-turns] :] if len(said) > turns else past


def _choice(story: Story, past: Sequence[StoryStep], step: StoryStep | None) -> str | None:
    """What the bot does before `step`, given what came before; None where it does not choose."""
    if not past:
        return None
    if step is None:
        silent = story.is_rule and is_user(past[-1])
        return LISTEN if story.wait_for_user_input and (silent or _acted(story, past)) else None
    if step.action is not None:
        return step.action
    return LISTEN if is_user(step) and (is_user(past[-1]) or _acted(story, past)) else None


def _acted(story: Story, past: Sequence[StoryStep]) -> bool:
    """Whether the last step is an action of the story's own, after which it listens."""
    return past[-1].action is not None and (len(past) > 1 or not story.is_rule)


def step_matches(step: StoryStep, move: Move) -> bool:
    """Whether a move is what the step says: the same action, text or intent with at least the step's entities."""
    if move.turn is None:
        return step.action == move.action
    if step.text is not None and step.intent is None:
        return move.turn.text is not None and plain(step.text) == plain(move.turn.text)
    return _intent_matches(step.intent, move.turn.intent) and all(
        any(_entity_matches(wanted, found) for found in move.turn.entities) for wanted in step.entities
    )


def _intent_matches(wanted: str | None, found: str | None) -> bool:
    if wanted is None:
        return False
    if wanted == ANYTHING:
        return True
    if found is None:
        return wanted == NOT_UNDERSTOOD
    return wanted in (found, base_intent(found))


def _entity_matches(wanted: Entity, found: Entity) -> bool:
    """Whether an entity is of the kind a story names. As in Rasa, the value a story gives is only an example."""
    return (
        wanted.entity == found.entity
        and (wanted.role is None or wanted.role == found.role)
        and (wanted.group is None or wanted.group == found.group)
    )


def slot_matches(wanted: Any, found: Any) -> bool:
    """Whether a slot stands as a story says: None means empty, `FILLED` not empty, strings ignore case."""
    if wanted is FILLED or wanted is None or wanted == []:
        return (wanted is FILLED) != (found is None or found == [])
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted.casefold() == found.casefold()
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(wanted == found)


def slots_match(wanted: Mapping[str, Any], state: DialogueState) -> bool:
    """Whether every slot the story speaks of stands so in the conversation."""
    return all(slot_matches(value, state.slots.get(name)) for name, value in wanted.items())


def ends_with(past: Sequence[StoryStep], history: Sequence[Move]) -> bool:
    """Whether the conversation ends with these steps."""
    if len(past) > len(history):
        return False
    return all(step_matches(step, move) for step, move in zip(reversed(past), reversed(history), strict=False))
