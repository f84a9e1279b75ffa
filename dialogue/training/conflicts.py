"""Stories and rules that cannot be followed as they are written: each is replayed against the rules and the others.

What a conversation meets is looked up in an index of its ending, so the work grows with the number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialogue.config import Config
from dialogue.errors import Problem, Where, error, warning
from dialogue.training.data import TrainingData
from policies.history import LISTEN, Point, is_user, points, recent, step_key
from policies.rules import RulePolicy, most_exact
from policies.types import Belief, Candidate, Decision, DialogueState, Story, StoryStep, Turn

UNLIKELY = "action_unlikely_intent"
SAID = "*"  # an intent that no rule can mean: what was said is not told, or only by its words
CERTAIN = Belief((Candidate(SAID, 1.0, 1.0, 1.0),), 0.0, 0.0, 0.0)


def check_stories(config: Config, data: TrainingData) -> Iterator[Problem]:
    """Errors for rules against rules and stories against rules, warnings for the rest.

    The policy `rules` may allow rules of several user turns, and leave what contradicts itself at warnings.
    """
    options = next((part.options for part in config.policies if part.type == "rules"), {})
    if options.get("restrict", True):
        yield from _long_rules(data.stories, "restrict_rules: false" if config.rows else "restrict: false")
    rules = RulePolicy().fit(data.stories)
    slots = {slot.name: slot.initial_value for slot in data.domain.slots.values()}
    told: set[tuple[str, str]] = set()
    for story in data.stories:
        for point in points(story):
            found = _rule_against_rule(point, rules) if story.is_rule else _story_against_rule(point, rules, slots)
            if found is not None and (point.place, found.message) not in told:
                told.add((point.place, found.message))
                yield found if options.get("check", True) else warning(found.where, found.message)
    stories = [story for story in data.stories if not story.is_rule]
    yield from _same_past(stories, _max_history(config))
    yield from _never_reached(stories)
    yield from _never_predicted(data.stories)


def _long_rules(stories: Sequence[Story], option: str) -> Iterator[Problem]:
    """Rules of more than one user turn, once for each, however many ways through its `or` steps there are."""
    long = {story.where: story.name for story in stories if story.is_rule and sum(map(is_user, story.steps)) > 1}
    for where, name in long.items():
        message = f"rule {name!r} has more than one user turn; write a story, or allow it: `{option}`"
        yield error(_where(where), message)


def _rule_against_rule(point: Point, rules: RulePolicy) -> Problem | None:
    """Whether another rule decides where only this one's own words hold."""
    state = _state(point, point.slots, started=not point.story.conversation_start)
    best = most_exact(other for other in rules.applying(state) if _asks_no_more(other, point))
    if best is None or best.action == point.action:
        return None
    message = f"rule {point.story.name!r} goes on with {point.action} after {_name(point.past[-1])}"
    return error(_place(point), f"{message}, but {_other(best)} with {best.action}, in the same situation")


def _asks_no_more(other: Point, point: Point) -> bool:
    return (
        other.slots.keys() <= point.slots.keys()
        and (point.says_form or not other.says_form)
        and (point.story.conversation_start or not other.story.conversation_start)
    )


def _story_against_rule(point: Point, rules: RulePolicy, slots: Mapping[str, Any]) -> Problem | None:
    """Whether a rule decides at this place of a story. A form in charge comes before all rules."""
    form = point.form
    if form is not None and form in (point.action, point.past[-1].action):
        return None
    first = is_user(point.past[0]) and sum(map(is_user, point.past)) == 1
    state = _state(point, {**slots, **point.slots}, started=not first)
    best, verdict = rules.point(state), rules.decide(CERTAIN, state)
    if best is None or not isinstance(verdict, Decision) or verdict.action == point.action:
        return None
    message = f"story {point.story.name!r} goes on with {point.action} after {_name(point.past[-1])}"
    return error(_place(point), f"{message}, but {_other(best)} with {verdict.action}")


def _state(point: Point, slots: Mapping[str, Any], *, started: bool) -> DialogueState:
    """The conversation as it stands at a point, if it went as the story tells. A form has refused the message."""
    turns: list[Turn] = []
    for step in point.past:
        if is_user(step):
            turns.append(Turn(step.intent or SAID, step.entities, (), step.text))
        else:
            last = turns.pop() if turns else Turn(SAID)
            turns.append(Turn(last.intent, last.entities, (*last.actions, step.action or ""), last.text))
    rejected = frozenset({point.form} if point.form is not None and is_user(point.past[-1]) else ())
    return DialogueState(slots, tuple(turns), active_form=point.form, rejected=rejected, started=started)


def _same_past(stories: Sequence[Story], max_history: int) -> Iterator[Problem]:
    """Places that look the same to a memory of so many turns, where the stories do different things."""
    first_of: dict[Any, Point] = {}
    told: set[tuple[str, str]] = set()
    for story in stories:
        for point in points(story):
            first = first_of.setdefault(_situation(point, max_history), point)
            if first.action != point.action and (point.place, first.place) not in told:
                told.add((point.place, first.place))
                message = f"story {story.name!r} goes on with {point.action} after {_name(point.past[-1])}"
                same = f"their last {max_history} user turns are the same"
                yield warning(_place(point), f"{message}, but {_other(first)} with {first.action}; {same}")


def _situation(point: Point, max_history: int) -> Any:
    past = tuple(
        (step_key(step), tuple((one.entity, one.role, one.group) for one in step.entities))
        for step in recent(point.past, max_history)
    )
    return past, tuple(sorted((name, repr(value)) for name, value in point.slots.items())), point.form


def _never_reached(stories: Sequence[Story]) -> Iterator[Problem]:
    """Steps after words of the bot's own, which nothing predicts, and actions while a form waits for an answer."""
    for story in stories:
        words = next((step for step in story.steps if step.bot_text is not None), None)
        if words is not None:
            message = f"story {story.name!r} ends here, for words of the bot's own are not learned"
            yield warning(_where(words.where or story.where), f"{message}; write a response and name it as an action")
        for point in points(story):
            asks = point.form is not None and point.past[-1].action == point.form
            if asks and point.action not in (LISTEN, point.form):
                message = f"story {story.name!r} cannot be followed to {point.action}: {point.form} is active and waits"
                yield warning(_place(point), f"{message} for an answer; expected `active_loop: null` before it")


def _never_predicted(stories: Sequence[Story]) -> Iterator[Problem]:
    """Steps of the one action of Rasa's that nothing here predicts: the confidence gate asks about what is unlikely."""
    for story in stories:
        step = next((step for step in story.steps if step.action == UNLIKELY), None)
        if step is not None:
            kind = "rule" if story.is_rule else "story"
            message = f"{kind} {story.name!r} cannot be followed to here: nothing predicts {UNLIKELY}"
            yield warning(_where(step.where or story.where), f"{message}; write a rule for nlu_fallback")


def _max_history(config: Config) -> int:
    """How far the bot's memory looks back."""
    turns = (part.options.get("max_history") for part in config.policies if part.type == "memory")
    return next((found for found in turns if isinstance(found, int) and found > 0), 5)


def _name(step: StoryStep) -> str:
    return repr(step.intent or step.text or step.action)


def _other(point: Point) -> str:
    """The other rule or story with the place where it says otherwise."""
    kind = "rule" if point.story.is_rule else "story"
    return f"{kind} {point.story.name!r} ({point.place or point.story.where})"


def _place(point: Point) -> Where:
    return _where(point.place or point.story.where)


def _where(written: str) -> Where:
    file, line, column = written.rsplit(":", 2)
    return Where(file, int(line), int(column))
