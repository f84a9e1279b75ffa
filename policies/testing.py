"""The conformance kit: what every policy must hold, for this package's own and for third parties' tests.

```python
def test_my_policy(tmp_path):
    check_policy(MyPolicy, tmp_path)
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from policies.base import Gate, Policy
from policies.types import (
    FILLED,
    Belief,
    Candidate,
    Decision,
    DialogueState,
    Doubt,
    Entity,
    Kind,
    Pass,
    Story,
    StoryStep,
    Turn,
    Verdict,
)

CITY = Entity("city", 0, 4, "Oslo", "lookup")


def sample_stories() -> tuple[Story, ...]:
    """Stories and rules with every kind of step."""
    return (
        Story("greet", (StoryStep(intent="greet"), StoryStep(action="utter_greet")), "rules.yml:1", is_rule=True),
        Story(
            "submit",
            (
                StoryStep(action="booking"),
                StoryStep(sets_form=True),
                StoryStep(slots={"requested_slot": None}),
                StoryStep(action="utter_done"),
            ),
            "rules.yml:5",
            is_rule=True,
            condition=(StoryStep(active_form="booking", sets_form=True),),
        ),
        Story(
            "book",
            (
                StoryStep(intent="book", entities=(CITY,)),
                StoryStep(slots={"city": FILLED}),
                StoryStep(action="utter_sure"),
                StoryStep(intent="affirm"),
                StoryStep(action="action_book"),
                StoryStep(text="thanks a lot"),
                StoryStep(action="utter_bye"),
            ),
            "stories.yml:1",
        ),
    )


def belief(*means: tuple[str, float]) -> Belief:
    """A belief with these intents, most probable first, and the rest of the probability on "none of these"."""
    intents = tuple(Candidate(name, mean, max(0.0, mean - 0.1), min(1.0, mean + 0.1)) for name, mean in means)
    return Belief(intents, max(0.0, 1 - sum(mean for _, mean in means)), 0.5, 0.1)


def sample_beliefs() -> Iterator[Belief]:
    """Sure, torn, flat, lost and empty ones."""
    yield belief(("greet", 1.0))
    yield belief(("book", 0.45), ("greet", 0.44), ("affirm", 0.01))
    yield belief(*((f"intent_{index}", 0.02) for index in range(40)))
    yield belief(("greet", 0.0))
    yield belief()


def sample_states() -> Iterator[DialogueState]:
    """Usual and odd ones: nothing said, unknown names, a form without a question, everything refused."""
    yield DialogueState({}, ())
    yield DialogueState({}, (Turn(None),), started=False)
    yield DialogueState({}, (Turn("greet", text="hello"),))
    yield DialogueState({"city": "Oslo"}, (Turn("book", (CITY,)),))
    yield DialogueState({"city": ["Oslo"]}, (Turn("book", (CITY,), ("utter_sure",)), Turn("affirm")))
    yield DialogueState({}, (Turn("no such intent", (), ("no such action",) * 12, "\ud800 ☂"),), failures=99)
    yield DialogueState({}, (Turn("greet"),), active_form="booking", requested_slot="city")
    yield DialogueState({}, (Turn("greet", (), ("booking",)),), active_form="no such form")
    yield DialogueState({}, (Turn("greet"),), rejected=frozenset({"utter_greet", "booking", "action_rephrase"}))
    yield DialogueState({}, (Turn("faq/opening"),) * 500)
    doubt = Doubt(Kind.CLARIFY, "torn", 0.45, (Candidate("book", 0.45, 0.3, 0.6),))
    yield DialogueState({}, (Turn(None),), doubt=doubt, failures=1)


def check_policy(make: Callable[[], Policy], folder: Path) -> None:
    """All checks.

    Args:
        make: gives a new policy, always the same.
        folder: an existing, empty folder to write in.

    Raises:
        AssertionError: naming the promise that was broken.
    """
    fitted = make().fit(sample_stories(), seed=1)
    verdicts = _verdicts(fitted)
    _check_shapes(verdicts)
    assert _verdicts(fitted) == verdicts, "the same arguments gave another verdict"
    assert _verdicts(make().fit(sample_stories(), seed=1)) == verdicts, "the same seed gave another policy"
    unlike = sample_stories()[:1] * 3
    assert _verdicts(make().fit(unlike, seed=1).fit(sample_stories(), seed=1)) == verdicts, "fit kept what it knew"
    _check_pure(fitted)
    fitted.save(folder)
    assert _verdicts(make().load(folder)) == verdicts, "load gave another policy than was saved"
    _check_shapes(_verdicts(make().fit(())))


def _verdicts(policy: Policy) -> list[tuple[DialogueState, Verdict | Doubt]]:
    """Every decision, and every judgement of a gate, on the samples."""
    asked = [policy.decide, policy.judge] if isinstance(policy, Gate) else [policy.decide]
    return [(state, ask(seen, state)) for ask in asked for seen in sample_beliefs() for state in sample_states()]


def _check_shapes(verdicts: Sequence[tuple[DialogueState, Verdict | Doubt]]) -> None:
    for state, verdict in verdicts:
        assert isinstance(verdict, (Decision, Pass, Doubt)), f"expected a verdict, got {verdict!r}"
        assert verdict.reason, "a verdict gave no reason"
        if isinstance(verdict, Decision):
            assert verdict.action not in state.rejected, f"{verdict.action} was refused in this turn"
            listens = verdict.action == "action_listen"
            assert listens == (verdict.kind is Kind.LISTEN), f"{verdict.action} is of kind {verdict.kind.value}"


def _check_pure(policy: Policy) -> None:
    for seen in sample_beliefs():
        for state in sample_states():
            before = repr((seen, state))
            policy.decide(seen, state)
            assert repr((seen, state)) == before, "decide changed its arguments"
