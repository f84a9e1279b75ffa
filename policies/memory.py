"""Memorised stories: a conversation that goes as a story went is continued as the story was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from policies.following import follow
from policies.history import (
    NOT_UNDERSTOOD,
    Move,
    Point,
    base_intent,
    ends_with,
    is_user,
    moves,
    plain,
    points,
    slots_match,
    step_key,
)
from policies.storage import load_stories, save_stories
from policies.types import Belief, DialogueState, Pass, Story, StoryStep, Turn, Verdict

FILE = "stories.json"


class MemoryPolicy:
    """Recalls the story that the conversation follows.

    A story is recalled where everything it tells up to some point, or its last `max_history` user turns before it, is
    how the conversation ends: older turns are forgotten until a story fits (augmented memoisation). Turns that no
    story knows, such as a question that a rule answered or a message that was not understood, are looked past. Where
    several stories fit, the longest wins, then the one that asks for more entities and slots, then the one written
    first.

    Args:
        max_history: user turns of a story that must fit.
        name: under which decisions are signed.

    Raises:
        ValueError: if `max_history` is less than 1.
    """

    def __init__(self, *, max_history: int = 5, name: str = "memory") -> None:
        if max_history < 1:
            raise ValueError(f"max_history: expected at least 1 turn, got {max_history}")
        self.max_history = max_history
        self.name = name

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Remember the stories, not the rules; nothing is random here."""
        self.stories_ = tuple(story for story in stories if not story.is_rule)
        self.intents_, self.texts_ = set[str](), set[str]()
        self.points_: dict[str, list[tuple[tuple[StoryStep, ...], Point]]] = defaultdict(list)
        for story in self.stories_:
            self.intents_ |= {base_intent(step.intent) for step in story.steps if step.intent is not None}
            self.texts_ |= {plain(step.text) for step in story.steps if step.text is not None}
            for point in points(story):
                self.points_[step_key(point.past[-1])].append((self._recent(point.past), point))
        return self

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """What the longest fitting story does next; an answer to an intent is as sure as the intent."""
        if not state.turns:
            return Pass("nothing was said yet")
        last = state.turns[-1]
        if not self._knows(last):
            return Pass("no story knows this turn")
        history = moves(turn for turn in state.turns if self._knows(turn))
        fitting = [
            (len(past), point.detail, -index, point)
            for index, (past, point) in enumerate(self._indexed(history[-1]))
            if self._fits(past, point, history, state)
        ]
        if not fitting:
            return Pass("no story goes like this")
        return follow(max(fitting, key=lambda found: found[:3])[3], belief, self.name)

    def save(self, folder: Path) -> None:
        """Write the stories as JSON."""
        save_stories(self.stories_, folder / FILE)

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming a damaged file."""
        return self.fit(load_stories(folder / FILE))

    def _recent(self, past: tuple[StoryStep, ...]) -> tuple[StoryStep, ...]:
        """The steps from the user's `max_history`-th last on; all, when there are fewer."""
        said = [index for index, step in enumerate(past) if is_user(step)]
        return past[said[-self.max_history] :] if len(said) > self.max_history else past

    def _knows(self, turn: Turn) -> bool:
        """Whether some story has such a turn."""
        by_intent = base_intent(turn.intent or NOT_UNDERSTOOD) in self.intents_
        return by_intent or (turn.text is not None and plain(turn.text) in self.texts_)

    def _indexed(self, last: Move) -> list[tuple[tuple[StoryStep, ...], Point]]:
        return [entry for key in last.keys for entry in self.points_.get(key, ())]

    def _fits(self, past: tuple[StoryStep, ...], point: Point, history: Sequence[Move], state: DialogueState) -> bool:
        return (
            point.action not in state.rejected
            and point.form == state.active_form
            and slots_match(point.slots, state)
            and ends_with(past, history)
        )
