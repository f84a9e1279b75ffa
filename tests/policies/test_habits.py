"""What a turn leads to wherever stories tell it."""

import time

import numpy as np
import pytest

from policies.episodes import ELSEWHERE
from policies.habits import LIKE, TRUST, USUAL, Habit, after, habits, turned
from policies.transformer import TransformerPolicy
from policies.types import Decision, Kind, Pass
from tests.policies.worlds import action, belief, form, rule, said, state, story, user

# Thanks are answered alike after three different things, a yes differently after each.
STORIES = (
    story("sky", user("sky"), action("utter_sky"), user("thank"), action("utter_welcome"), action("utter_more")),
    story("way", user("way"), action("utter_way"), user("thank"), action("utter_welcome"), action("utter_more")),
    story("menu", user("menu"), action("utter_menu"), user("thank"), action("utter_welcome"), action("utter_more")),
    story("room", user("room"), action("utter_room"), user("affirm"), action("action_book")),
    story("leave", user("leave"), action("utter_leave"), user("affirm"), action("action_cancel")),
)


@pytest.fixture(scope="module")
def fitted() -> TransformerPolicy:
    return TransformerPolicy().fit(STORIES)


def test_a_habit_is_a_beta_of_the_contexts_that_agree():
    found = habits(STORIES)
    mean = (TRUST * USUAL + 3) / (TRUST + 3 + 2)  # thanks agree three times of three, the yes never of two
    thanks, yes = found["thank",], found["affirm",]
    assert (thanks.action, thanks.agree, thanks.differ) == ("utter_welcome", LIKE * mean + 3, LIKE * (1 - mean))
    assert (yes.agree, yes.differ) == pytest.approx((LIKE * mean + 1, LIKE * (1 - mean) + 1))
    assert found[turned("thank", ["utter_welcome"])].action == "utter_more"
    assert found["thank", "utter_welcome", "utter_more"].action == "action_listen"
    assert found["thank", "utter_welcome"].mean > thanks.mean, "what comes next is a matter of its own"


def test_an_action_is_followed_as_it_always_is_whatever_it_answered():
    stories = [*STORIES, story("bye", user("bye"), action("utter_welcome"), action("utter_more"))]
    assert after(turned("sky", ["utter_x", "utter_welcome"])) == ("", "utter_welcome")
    assert after(turned("sky", [])) == ("sky",)
    assert habits(stories)["", "utter_welcome"].action == "utter_more"
    strange = TransformerPolicy().fit(stories).decide(belief(("sky", 1.0)), state(said("sky", "utter_welcome")))
    assert isinstance(strange, Decision)
    assert (strange.kind, strange.action) == (Kind.ACT, "utter_more")


def test_habits_take_time_with_the_number_of_stories_and_no_more():
    def told(number: int):
        ways = ((user(f"i{one}"), action(f"utter_{one}"), user("affirm"), action(f"do_{one}")) for one in range(number))
        return [story(str(one), *steps) for one, steps in enumerate(ways)]

    def seconds(stories) -> float:
        begun = time.process_time()
        habits(stories)
        return time.process_time() - begun

    few, many = told(500), told(4000)
    assert min(seconds(many) for _ in range(3)) < 8 * 4 * min(seconds(few) for _ in range(3))


def test_the_same_context_counts_once():
    twice = habits([*STORIES, story("sky again", *STORIES[0].steps)])
    assert twice == habits(STORIES)


def test_what_is_told_during_a_form_is_no_habit():
    asked = story("form", user("book"), action("book_form"), form("book_form"), user("why"), action("utter_why"))
    assert list(habits([asked])) == [("book",)]


def test_draws_are_of_the_beta_and_always_the_same():
    habit = Habit("utter_a", 3.0, 1.5)
    draws = habit.draws(128)
    assert draws.mean() == pytest.approx(3 / 4.5, abs=0.002)
    assert draws.var() == pytest.approx(3 * 1.5 / (4.5**2 * 5.5), rel=0.02)
    assert (draws == habit.draws(128)).all()
    assert np.abs(np.corrcoef(draws, np.arange(128))[0, 1]) < 0.3


def test_what_is_always_answered_alike_is_answered_so_in_a_new_place(fitted):
    for turns in ([], [said("room", "utter_room")], [said("leave", "utter_leave")]):
        first = fitted.decide(belief(("thank", 1.0)), state(*turns, said("thank")))
        assert isinstance(first, Decision)
        assert first.action == "utter_welcome"
        then = fitted.decide(belief(("thank", 1.0)), state(*turns, said("thank", "utter_welcome")))
        assert isinstance(then, Decision)
        assert then.action == "utter_more"
        last = fitted.decide(belief(("thank", 1.0)), state(*turns, said("thank", "utter_welcome", "utter_more")))
        assert isinstance(last, Decision)
        assert last.action == "action_listen"


def test_what_depends_on_what_went_before_is_not(fitted):
    for turns in ([], [said("sky", "utter_sky")]):
        assert isinstance(fitted.decide(belief(("affirm", 1.0)), state(*turns, said("affirm"))), Pass)


def test_nor_is_anything_where_stories_are_too_few_to_tell():
    policy = TransformerPolicy().fit(STORIES[:1])
    assert isinstance(policy.decide(belief(("thank", 1.0)), state(said("thank"))), Pass)


def test_it_is_never_surer_than_the_belief_and_leaves_the_rest_to_no_story(fitted):
    for mean in (0.9, 0.7, 0.4):
        found = {one.name: one for one in fitted.posterior(belief(("thank", mean)), state(said("thank")))}
        assert found["utter_welcome"].mean < mean + 0.1
        assert sum(one.mean for one in found.values()) == pytest.approx(1)
        assert found[ELSEWHERE].mean > 0.5 * (1 - mean)
        assert found["utter_welcome"].lower < found["utter_welcome"].mean < found["utter_welcome"].upper


def test_a_habit_speaks_during_a_form_only_when_it_refused_the_message(fitted):
    during = {"active_form": "book_form"}
    refused = {**during, "rejected": frozenset({"book_form"})}

    def named(where):
        return {one.name: one.mean for one in fitted.posterior(belief(("thank", 1.0)), where)}["utter_welcome"]

    outside = named(state(said("thank")))
    assert named(state(said("thank"), **during)) < outside == pytest.approx(named(state(said("thank"), **refused)))


def test_a_form_that_refused_the_message_goes_on_after_the_answer(fitted):
    during = {"active_form": "book_form"}
    answers = [("utter_welcome", "utter_more"), ("utter_welcome",)]
    done = [fitted.decide(belief(("thank", 1.0)), state(said("thank", *actions), **during)) for actions in answers]
    assert [(verdict.kind, verdict.action) for verdict in done] == [(Kind.ACT, "book_form"), (Kind.ACT, "utter_more")]
    assert done[0].reason.startswith("so stories answer anywhere: action_listen ")
    assert done[0].reason.endswith("; book_form goes on")
    outside = fitted.decide(belief(("thank", 1.0)), state(said("thank", *answers[0])))
    assert (outside.kind, outside.action) == (Kind.LISTEN, "action_listen")


def test_rules_are_no_stories():
    policy = TransformerPolicy().fit([*STORIES, rule("bye", user("bye"), action("utter_bye"))])
    assert isinstance(policy.decide(belief(("bye", 1.0)), state(said("bye"))), Pass)


def test_habits_are_kept(fitted, tmp_path):
    fitted.save(tmp_path)
    again = TransformerPolicy().load(tmp_path)
    assert again.learned_.habits == fitted.learned_.habits
    path = tmp_path / "transformer.json"
    path.write_text(
        path.read_text().replace('"turn": ["thank"], "action": "utter_welcome"', '"turn": ["thank"], "action": "x"')
    )
    with pytest.raises(ValueError, match="'x' is no action of the stories"):
        TransformerPolicy().load(tmp_path)
