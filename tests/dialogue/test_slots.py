"""What is kept of a slot's value, and what policies see of it."""

from dataclasses import replace

import pytest

from dialogue.domain import Domain, EntitySpec, IntentSpec, MappingCondition, Slot, SlotMapping
from dialogue.slots import OTHER, kept, seen, seen_slots, slots_told
from dialogue.training.seen import as_policies_see
from policies.types import FILLED, Entity, StoryStep
from tests.policies.worlds import rule, slot, story, user

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


SIZE = SlotMapping("from_entity", entity="size")


def sized(*values, role=None, intent="order"):
    return StoryStep(
        intent=intent, entities=tuple(Entity("size", 0, 0, value, "story", None, role) for value in values)
    )


@pytest.mark.parametrize(
    ("one", "said", "told"),
    [
        (Slot("x", "categorical", values=("large",), mappings=(SIZE,)), sized("small", "large"), {"x": "large"}),
        (Slot("x", "text", mappings=(SIZE,)), sized("large"), {"x": "large"}),
        (Slot("x", "list", mappings=(SIZE,)), sized("large", "red"), {"x": ["large", "red"]}),
        (Slot("x", "text", mappings=(SIZE,)), sized(), {}),
        (Slot("x", "text", mappings=(SIZE,)), sized("large", role="old"), {}),
        (Slot("x", "text", mappings=(replace(SIZE, role="old"),)), sized("large", role="old"), {"x": "large"}),
        (Slot("x", "text", mappings=(replace(SIZE, intents=("order",)),)), sized("large"), {"x": "large"}),
        (Slot("x", "text", mappings=(replace(SIZE, intents=("ask",)),)), sized("large"), {}),
        (Slot("x", "text", mappings=(replace(SIZE, not_intents=("order",)),)), sized("large"), {}),
        (Slot("x", "text", mappings=(replace(SIZE, conditions=(MappingCondition("form"),)),)), sized("large"), {}),
        (Slot("x", "text", mappings=(SlotMapping("from_text"), SIZE)), sized("large"), {"x": "large"}),
        (Slot("size", "text"), sized("large"), {"size": "large"}),
        (Slot("x", "text"), sized("large"), {}),
    ],
)
def test_a_message_of_a_story_fills_what_its_entities_are_for(one, said, told):
    domain = Domain(slots={one.name: one}, entities={"size": EntitySpec("size")}, store_entities_as_slots=True)
    assert slots_told(domain, said) == told


def test_that_no_form_asks_for_anything_tells_no_stories_apart_unless_the_domain_says_so():
    asked = story("s", slot("requested_slot", None), slot("requested_slot", "city"))

    def told(**slots):
        return [dict(step.slots) for step in as_policies_see(asked, Domain(slots=slots)).steps]

    assert told() == [{}, {"requested_slot": "city"}]
    declared = Slot("requested_slot", "categorical", values=("city",))
    assert told(requested_slot=declared) == [{"requested_slot": None}, {"requested_slot": "city"}]


def test_stories_are_told_apart_by_the_values_of_their_entities():
    kinds = [("categorical", {"values": ("large",)}), ("bool", {}), ("float", {}), ("text", {}), ("list", {})]
    slots = {kind: Slot(kind, kind, mappings=(SIZE,), **options) for kind, options in kinds}
    slots["quiet"] = Slot("quiet", "categorical", values=("large",), influence_conversation=False, mappings=(SIZE,))
    domain = Domain(slots=slots, entities={"size": EntitySpec("size")})

    def told(*values):
        return [dict(step.slots) for step in as_policies_see(story("s", sized(*values)), domain).steps]

    assert told("large") == [{}, {"categorical": "large", "bool": None}]
    assert told("true") == [{}, {"categorical": OTHER, "bool": True}]
    assert told(None) == [{}], "a name without a value means any"
    assert told() == [{}]
