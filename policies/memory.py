"""Memorised stories: a conversation that goes as a story went is continued as the story was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from typing_extensions import Self

from policies.following import follow
from policies.history import (
    NOT_UNDERSTOOD,
    Point,
    base_intent,
    moves,
    plain,
    points,
    recent,
    slots_match,
)
from policies.storage import load_stories, save_stories
from policies.suffixes import Suffixes
from policies.types import Belief, DialogueState, Pass, Story, Turn, Verdict

FILE = "stories.json"


class MemoryPolicy:
    """Recalls the story that the conversation follows.

    A story is recalled where everything it tells up to some point, or its last `max_history` user turns before it, is
    how the conversation ends: older turns are forgotten until a story fits (augmented memoisation). Turns that no
    story knows, such as a question that a rule answered or a message that was not understood, are looked past. Where
    several stories fit, the longest wins, then the one that asks for more entities and slots, then the one that has
    fewer filled slots to say nothing of, then the one written first.

    A form that no story names, one of rules alone, is no concern of stories: during it they go as if there were none.

    Where no story fits, turns that left a form and went back to it are looked past, too.

    Without `augmented` nothing else is forgotten: of what is not looked past the last `max_history` user turns, or all
    of it when it is shorter, must be the story's.

    Args:
        max_history: user turns of a story that must fit.
        augmented: whether older turns may be forgotten.
        name: under which decisions are signed.

    Raises:
        ValueError: if `max_history` is less than 1.
    """

    def __init__(self, *, max_history: int = 5, augmented: bool = True, name: str = "memory") -> None:
        if max_history < 1:
            raise ValueError(f"max_history: expected at least 1 turn, got {max_history}")
        self.max_history = max_history
        self.augmented = augmented
        self.name = name

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Remember the stories, not the rules; nothing is random here."""
        self.stories_ = tuple(story for story in stories if not story.is_rule)
        self.intents_, self.texts_ = set[str](), set[str]()
        self.slots_ = {name for story in self.stories_ for step in story.steps for name in step.slots}
        self.forms_ = set[str | None]()  # and other actions, for a story tells of a form by either
        self.points_: Suffixes[tuple[int, Point]] = Suffixes()
        for story in self.stories_:
            self.intents_ |= {base_intent(step.intent) for step in story.steps if step.intent is not None}
            self.texts_ |= {plain(step.text) for step in story.steps if step.text is not None}
            self.forms_ |= {name for step in story.steps for name in (step.active_form, step.action)}
            for point in points(story):
                past = recent(point.past, self.max_history)
                self.points_.add(past, (len(past), point))
        return self

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """What the longest fitting story does next; an answer to an intent is as sure as the intent."""
        if not state.turns:
            return Pass("nothing was said yet")
        reason = "no story knows this turn"
        for turns in _ways(state.turns):
            if self._knows(turns[-1]):
                if (point := self._recalled(turns, state)) is not None:
                    return follow(point, belief, self.name)
                reason = "no story goes like this"
        return Pass(reason)

    def save(self, folder: Path) -> None:
        """Write the stories as JSON."""
        save_stories(self.stories_, folder / FILE)

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming a damaged file."""
        return self.fit(load_stories(folder / FILE))

    def _knows(self, turn: Turn) -> bool:
        """Whether some story has such a turn."""
        by_intent = base_intent(turn.intent or NOT_UNDERSTOOD) in self.intents_
        return by_intent or (turn.text is not None and plain(turn.text) in self.texts_)

    def _recalled(self, turns: Sequence[Turn], state: DialogueState) -> Point | None:
        """The place of the story that these turns follow. It may begin with what the bot said first, or after it."""
        known = [turn for turn in turns if self._knows(turn)]
        opening = state.opening
        if not self.augmented and len(known) > self.max_history:
            known, opening = known[-self.max_history :], ()
        history = moves(known, opening)
        whole = len(history), len(history) - len(opening)
        form = state.active_form if state.active_form in self.forms_ else None
        filled = {name for name in self.slots_ if state.slots.get(name) not in (None, [])}
        fitting = [
            (length, point.detail, -len(filled - point.slots.keys()), -index, point)
            for index, (length, point) in enumerate(self.points_.ending(history))
            if (self.augmented or length in whole) and _holds(point, state, form)
        ]
        return max(fitting, key=lambda found: found[:-1])[-1] if fitting else None


def _ways(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    """The turns; then those but for what did something else and went back to what the turn before ended with, a form.

    What the bot did after that follows from the turn before.
    """
    yield turns
    kept: list[Turn] = []
    for turn in turns:
        form = kept[-1].actions[-1] if kept and kept[-1].actions else None
        if form in turn.actions[1:]:
            since = turn.actions[turn.actions.index(form, 1) + 1 :]
            kept[-1] = replace(kept[-1], actions=(*kept[-1].actions, *since))
        else:
            kept.append(turn)
    if len(kept) < len(turns):
        yield kept


def _holds(point: Point, state: DialogueState, form: str | None) -> bool:
    """Whether form and slots stand as the story has them, and its action may run."""
    return point.action not in state.rejected and point.form == form and slots_match(point.slots, state)
