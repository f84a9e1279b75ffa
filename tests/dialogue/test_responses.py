"""Which variation is said, and what is filled in."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.domain import ResponseCondition, ResponseVariation
from dialogue.message import Button
from dialogue.responses import choose, fill, render


def variation(text, channel=None, **slots):
    return ResponseVariation(
        text=text, channel=channel, condition=tuple(ResponseCondition(name, value) for name, value in slots.items())
    )


PLAIN = variation("plain")
SLACK = variation("slack", "slack")
RICH = variation("rich", plan="Gold")
RICH_SLACK = variation("rich slack", "slack", plan="Gold")
ALL = (PLAIN, SLACK, RICH, RICH_SLACK)


@pytest.mark.parametrize(
    ("variations", "slots", "channel", "text"),
    [
        (ALL, {"plan": "Gold"}, "slack", "rich slack"),
        ((PLAIN, SLACK, RICH), {"plan": "Gold"}, "slack", "slack"),
        ((PLAIN, RICH), {"plan": "Gold"}, "slack", "rich"),
        (ALL, {"plan": "Gold"}, "rest", "rich"),
        (ALL, {"plan": "gOLD"}, "rest", "rich"),
        (ALL, {"plan": "tin"}, "slack", "slack"),
        (ALL, {"plan": None}, "rest", "plain"),
        (ALL, {}, None, "plain"),
        ((SLACK,), {}, "rest", None),
        ((RICH,), {}, "rest", None),
        ((), {}, "rest", None),
    ],
)
def test_the_order_of_variations(variations, slots, channel, text):
    chosen = choose(variations, slots, channel, random.Random(0))
    assert (chosen and chosen.text) == text


@pytest.mark.parametrize(
    ("wanted", "found", "holds"),
    [(True, True, True), (True, "true", False), (True, 1, False), (3, 3.0, True), ("a", "A", True), ("a", None, False)],
)
def test_how_a_condition_compares(wanted, found, holds):
    chosen = choose((variation("yes", plan=wanted),), {"plan": found}, None, random.Random(0))
    assert (chosen is not None) == holds


def test_equal_variations_are_said_at_random_but_the_same_under_a_seed():
    equal = [variation(str(number)) for number in range(3)]
    said = [choose(equal, {}, None, rng).text for rng in [random.Random(7)] for _ in range(300)]
    assert min(Counter(said).values()) > 60
    assert said == [choose(equal, {}, None, rng).text for rng in [random.Random(7)] for _ in range(300)]


def test_slots_are_filled_in_everywhere_but_in_elements():
    (main, card) = render(
        "utter_x",
        ResponseVariation(
            text="Hi {name}",
            image="http://x/{name}.png",
            custom={"deep": [{"for": "{name}"}], "n": 1},
            buttons=({"title": "{name}?", "payload": '/inform{"name": "{name}"}'},),
            quick_replies=({"title": "Q {name}", "payload": "/q"},),
            attachment={"url": "{name}"},
            elements=({"title": "{name}", "subtitle": "s", "buttons": ({"title": "Go", "url": "http://x"},)},),
        ),
        {"name": "Ada"},
    )
    assert main.text == "Hi Ada"
    assert main.image == "http://x/Ada.png"
    assert main.custom == {"deep": [{"for": "Ada"}], "n": 1}
    assert card.as_dict()["buttons"] == [{"title": "Go", "payload": "http://x", "url": "http://x"}], "nothing is lost"
    assert main.buttons == (Button("Ada?", '/inform{"name": "Ada"}'), Button("Q Ada", "/q"))
    assert main.attachment == {"url": "Ada"}
    assert (card.text, card.buttons) == ("{name} : s", (Button("Go", "http://x"),))
    assert main.metadata["utter_action"] == "utter_x"


def test_only_elements_make_no_empty_reply():
    (card,) = render("utter_x", ResponseVariation(elements=({"title": "A"},)), {})
    assert card.text == "A"


def test_empty_and_unknown_slots(caplog):
    assert fill("a {empty}b {unknown} {0} {} {{x}}", {"empty": None, "x": 1}) == "a b {unknown} {0} {} {x}"
    assert "{unknown}" in caplog.text


def test_json_in_a_payload_is_left_alone():
    assert fill('/inform{"city": "Oslo"}', {}) == '/inform{"city": "Oslo"}'
    assert fill('/inform{"place": {"city": "{city}"}}', {"city": "Oslo"}) == '/inform{"place": {"city": "Oslo"}}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('/inform{{"city": "Oslo"}}', '/inform{"city": "Oslo"}'),
        ('/inform{{"city": "{city}"}}', '/inform{"city": "Rome"}'),
        ("{{{city}}}", "{Rome}"),
        ("{{city}} is {city}", "{city} is Rome"),
        ("{odd}", "{{x}}"),
    ],
)
def test_doubled_braces_are_single_ones_as_in_rasa(text, said, caplog):
    assert fill(text, {"city": "Rome", "odd": "{{x}}"}) == said
    assert caplog.text == ""


@given(st.text())
def test_any_text_can_be_filled(text):
    assert isinstance(fill(text, {}), str)
    assert fill(text.replace("{", ""), {}) == text.replace("{", "")
