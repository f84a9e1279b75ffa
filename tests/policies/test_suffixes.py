"""The index of endings against looking at everything."""

from hypothesis import given
from hypothesis import strategies as st

from policies.history import ends_with, moves
from policies.suffixes import Suffixes
from policies.types import StoryStep
from tests.policies.worlds import action, said, user

STEPS = st.sampled_from(
    [user("a"), user("b", "city"), user("faq/x"), action("x"), action("y"), StoryStep(text="Hi  you")]
)
TURNS = st.builds(
    lambda intent, actions, entities, text: said(intent, *actions, entities=entities, text=text),
    st.sampled_from(["a", "b", "faq/x", "faq/y", None]),
    st.lists(st.sampled_from("xy"), max_size=2),
    st.lists(st.just("city"), max_size=1),
    st.sampled_from([None, "hi you", "other"]),
)


@given(
    pasts=st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=12), turns=st.lists(TURNS, min_size=1, max_size=3)
)
def test_it_finds_what_a_search_finds_in_the_same_order(pasts, turns):
    index: Suffixes[int] = Suffixes()
    for number, past in enumerate(pasts):
        index.add(past, number)
    history = moves(turns)
    assert list(index.ending(history)) == [n for n, past in enumerate(pasts) if ends_with(past, history)]


def test_what_does_not_fit_is_not_looked_at():
    index: Suffixes[int] = Suffixes()
    for number in range(20_000):
        index.add((action(f"utter_{number}"), user("yes")), number)
    history = moves([said("begin", "utter_7"), said("yes")])
    for _ in range(2_000):  # takes a minute where every entry is looked at
        assert list(index.ending(history)) == [7]
