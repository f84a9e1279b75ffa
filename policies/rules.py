"""Rules: what is always done, whatever came before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from typing_extensions import Self

from policies.following import follow, intent_mean
from policies.history import LISTEN, Move, Point, is_user, moves, points, slots_match, step_key
from policies.storage import load_stories, save_stories
from policies.suffixes import Suffixes
from policies.types import Belief, Decision, DialogueState, Kind, Pass, Story, Verdict

FILE = "rules.json"
DEFAULT_INTENTS = {"restart": "action_restart", "back": "action_back", "session_start": "action_session_start"}


class RulePolicy:
    """Does what a rule says if the conversation ends as the rule begins and its conditions hold.

    Where several rules apply, the one with the most steps wins, then the one that asks for more entities, slots and
    forms, then the one written first. A general rule that ends while a form is in charge gives the form the word
    again, unless a story goes on otherwise after the same answer within that form. `/restart`, `/back` and
    `/session_start` work without a rule.

    Args:
        restrict: whether a rule of more than one user turn is refused when the training data are checked.
        check: whether rules and stories that contradict a rule are refused then; else they are warned of.
        name: under which decisions are signed.
    """

    def __init__(self, *, restrict: bool = True, check: bool = True, name: str = "rules") -> None:
        self.restrict = restrict
        self.check = check
        self.name = name

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Keep the rules, and the stories that leave a form; nothing is random here."""
        self.rules_ = tuple(story for story in stories if story.is_rule)
        self.leaving_ = tuple(story for story in stories if not story.is_rule and any(_left(story)))
        self.left_ = {place for story in self.leaving_ for place in _left(story)}
        self.points_: Suffixes[Point] = Suffixes()
        self.turns_ = 1  # a rule may look back as many turns as it has user steps, and at the actions before them
        for point in (point for rule in self.rules_ for point in points(rule)):
            self.points_.add(point.past, point)
            self.turns_ = max(self.turns_, 1 + sum(map(is_user, point.past)))
        return self

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """The action of the longest rule that applies; an answer to an intent is as sure as the intent."""
        if not state.turns:
            return Pass("nothing was said yet")
        if (action := default_action(state)) is not None:
            reason = f"/{state.turns[-1].intent} always does this"
            return Decision(Kind.ACT, action, intent_mean(belief), self.name, reason)
        best = self.point(state)
        return Pass("no rule applies") if best is None else self._verdict(best, belief, state)

    def point(self, state: DialogueState) -> Point | None:
        """The place of the rule that applies; None where none does."""
        return most_exact(self.applying(state))

    def applying(self, state: DialogueState) -> Iterator[Point]:
        """The places of all rules that apply, in the order of the rules."""
        opening = state.opening if len(state.turns) <= self.turns_ else ()
        for point in self.points_.ending(moves(state.turns[-self.turns_ :], opening)):
            if (
                point.action not in state.rejected
                and (not point.says_form or point.form == state.active_form)
                and not (point.story.conversation_start and state.started)
                and slots_match(point.slots, state)
            ):
                yield point

    def save(self, folder: Path) -> None:
        """Write the rules, and the stories that matter to them, as JSON."""
        save_stories((*self.rules_, *self.leaving_), folder / FILE)

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming a damaged file."""
        return self.fit(load_stories(folder / FILE))

    def _verdict(self, point: Point, belief: Belief, state: DialogueState) -> Verdict:
        form = state.active_form
        answered = point.action == LISTEN and point.past[-1].action is not None
        if answered and form is not None and not point.says_form and form not in state.rejected:
            if self._leaves(form, moves(state.turns[-1:])):
                return Pass(f"a story does not go back to {form} after {point.past[-1].action}")
            reason = f"follows from {point.past[-1].action}: {point.where} is done, so {form} goes on"
            return Decision(Kind.ACT, form, 1.0, self.name, reason)
        return follow(point, belief, self.name)

    def _leaves(self, form: str, history: Sequence[Move]) -> bool:
        before, last = history[-2:]
        return any((form, key, last.action) in self.left_ for key in before.keys)


def default_action(state: DialogueState) -> str | None:
    """What `/restart`, `/back` or `/session_start` does, if the message is one of them and was not answered yet."""
    turn = state.turns[-1]
    action = None if turn.actions else DEFAULT_INTENTS.get(turn.intent or "")
    return None if action in state.rejected else action


def most_exact(applying: Iterable[Point]) -> Point | None:
    """The longest of several places, then the one that asks for more, then the first; None of none."""
    return max(applying, key=lambda point: (len(point.past), point.detail), default=None)


def _left(story: Story) -> Iterator[tuple[str, str, str]]:
    """Where a story, within a form, does not go back to it after an answer: the form, what was before, the answer.

    As in Rasa only the answer and the one step before it count.
    """
    for point in points(story):
        answer = point.past[-1].action
        goes_on = point.form in (None, answer, point.action)
        if not goes_on and point.form is not None and answer is not None and len(point.past) > 1:
            yield point.form, step_key(point.past[-2]), answer
