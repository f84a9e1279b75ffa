"""What is kept of a slot's value, and what policies see of it."""

import pytest

from dialogue.domain import Domain, EntitySpec, IntentSpec, Slot
from dialogue.slots import OTHER, kept, seen, seen_slots
from dialogue.training.seen import as_policies_see
from policies.types import FILLED
from tests.policies.worlds import rule, slot, user

BUDGET = Slot("budget", "categorical", values=("Low", True, 3))


@pytest.mark.parametrize(
    ("one", "value", "expected"),
    [
        (BUDGET, "low", "Low"),
        (BUDGET, "true", True),
        (BUDGET, "3", 3),
        (BUDGET, "huge", OTHER),
        (BUDGET, None, None),
        (Slot("x", "bool"), "True", True),
        (Slot("x", "bool"), "0", False),
        (Slot("x", "bool"), 1, True),
        (Slot("x", "bool"), "perhaps", None),
        (Slot("x", "bool"), [1], None),
        (Slot("x", "float"), "0.5", 0.5),
        (Slot("x", "float"), 12.5, 1.0),
        (Slot("x", "float", min_value=-2, max_value=20), 12.5, 12.5),
        (Slot("x", "float", min_value=-2.0, max_value=20), "-7", -2.0),
        (Slot("x", "float"), "four", None),
        (Slot("x", "float"), "nan", None),
        (Slot("x", "text"), "4", "4"),
        (Slot("x", "my.Slot"), {"a": 1}, {"a": 1}),
    ],
)
def test_what_policies_see(one, value, expected):
    found = seen(one, value)
    assert found == expected
    assert type(found) is type(expected)
    assert seen(one, found) == expected, "to see it twice changes nothing"


def test_a_list_slot_holds_a_list():
    assert kept(Slot("x", "list"), "a") == ["a"]
    assert kept(Slot("x", "list"), ["a"]) == ["a"]
    assert kept(Slot("x", "list"), None) is None
    assert kept(Slot("x", "text"), "a") == "a"


def test_all_slots_at_once():
    slots = {"budget": BUDGET, "name": Slot("name", "text")}
    assert seen_slots(slots, {"budget": "LOW", "name": "Ada", "requested_slot": None}) == {
        "budget": "Low",
        "name": "Ada",
        "requested_slot": None,
    }
    values = {"name": "Ada"}
    assert seen_slots(slots, values) is values


def test_a_story_asks_for_no_entity_that_its_intent_ignores():
    intents = {
        "all": IntentSpec("all"),
        "some": IntentSpec("some", use_entities=("city", "quiet"), ignore_entities=("city",)),
        "none": IntentSpec("none", use_entities=()),
    }
    entities = {name: EntitySpec(name, influence_conversation=name != "quiet") for name in ("city", "day", "quiet")}
    said = [user(name, *entities) for name in intents]
    told = as_policies_see(rule("r", *said), Domain(intents=intents, entities=entities))
    assert [[one.entity for one in step.entities] for step in told.steps] == [["city", "day"], ["quiet"], []]


def test_a_story_speaks_of_what_policies_see():
    domain = Domain(slots={"budget": BUDGET, "name": Slot("name", "text")})
    said = rule("r", slot("budget", "huge"), slot("name", "Ada"), slot("unknown", 1), slot("budget", FILLED))
    assert [dict(step.slots) for step in as_policies_see(said, domain).steps] == [
        *({"budget": OTHER}, {"name": FILLED}, {"unknown": 1}, {"budget": FILLED})
    ]
