"""The domain reader, and the domain as the dictionary it came from."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dialogue.domain import (
    NOWHERE,
    Domain,
    EntitySpec,
    Form,
    IntentSpec,
    MappingCondition,
    ResponseCondition,
    ResponseVariation,
    SlotMapping,
)
from dialogue.training.data import collect_data, read_data

DOMAIN = """\
version: "3.1"
intents:
- greet
- book_visit: {description: wants to reserve a visit}
- inform:
    use_entities: [city]
    ignore_entities: [people]
- silent: {use_entities: []}
- faq
entities:
- people
- city: {roles: [from, to], groups: ["1"], influence_conversation: false}
slots:
  city:
    type: text
    mappings:
    - {type: from_entity, entity: city, role: to, intent: inform, not_intent: [greet, faq]}
    - type: from_text
      conditions:
      - {active_loop: visit_form, requested_slot: city}
      - active_loop: null
  seats: {type: float, min_value: 1, max_value: 10, initial_value: 2}
  kind: {type: categorical, values: [tour, true, 3], influence_conversation: false}
  sure:
    type: bool
    mappings:
    - {type: from_intent, intent: inform, value: null}
    - {type: custom, action: action_book}
  notes: {type: any}
  own: {type: my.Slot, values: [1]}
responses:
  utter_greet:
  - text: "Hello\\n"
    buttons: [{title: Book, payload: /book_visit, extra: {a: 1}}]
    channel: rest
    condition: [{type: slot, name: city, value: Rome}]
    metadata: {a: 1}
    id: g1
  - image: https://example.org/a.png
  utter_other:
  - custom: {a: [1, no]}
    attachment: {type: video}
    quick_replies: [{title: a, payload: b}]
    elements: [{title: c}]
  utter_faq/pets: [text: Dogs are welcome.]
actions:
- action_book: {send_domain: true}
- action_other
forms:
  visit_form:
    required_slots: [city, seats]
    ignored_intents: greet
e2e_actions: [Good day]
config: {store_entities_as_slots: false}
session_config: {session_expiration_time: 0.5, carry_over_slots_to_new_session: false}
"""


def domain_of(folder: Path, text: str, name: str = "domain.yml") -> Domain:
    (folder / name).write_text(text, encoding="utf-8")
    return read_data([folder / name]).domain


def nowhere(value: Any) -> Any:
    """The same with every place forgotten."""
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: nowhere(getattr(value, one.name)) for one in fields(value) if one.name != "where"}
        return replace(value, **changed, **({"where": NOWHERE} if hasattr(value, "where") else {}))
    if hasattr(value, "items"):
        return {key: nowhere(inner) for key, inner in value.items()}
    return tuple(nowhere(inner) for inner in value) if isinstance(value, tuple) else value


def test_intents_and_entities(tmp_path: Path) -> None:
    domain = nowhere(domain_of(tmp_path, DOMAIN))
    assert domain.intents == {
        "greet": IntentSpec("greet"),
        "book_visit": IntentSpec("book_visit", "wants to reserve a visit"),
        "inform": IntentSpec("inform", use_entities=("city",), ignore_entities=("people",)),
        "silent": IntentSpec("silent", use_entities=()),
        "faq": IntentSpec("faq"),
    }
    assert domain.entities["city"] == EntitySpec("city", ("from", "to"), ("1",), False)


def test_slots_and_mappings(tmp_path: Path) -> None:
    slots = nowhere(domain_of(tmp_path, DOMAIN)).slots
    assert slots["city"].mappings == (
        SlotMapping("from_entity", "city", "to", intents=("inform",), not_intents=("greet", "faq")),
        SlotMapping("from_text", conditions=(MappingCondition("visit_form", "city"), MappingCondition(None))),
    )
    assert (slots["seats"].min_value, slots["seats"].max_value, slots["seats"].initial_value) == (1.0, 10.0, 2)
    assert (slots["kind"].values, slots["kind"].influence_conversation) == (("tour", True, 3), False)
    assert slots["sure"].mappings[1] == SlotMapping("custom", action="action_book")
    assert [slots["notes"].influence_conversation, slots["own"].type] == [False, "my.Slot"]


def test_responses_forms_and_the_rest(tmp_path: Path) -> None:
    domain = nowhere(domain_of(tmp_path, DOMAIN))
    assert domain.responses["utter_greet"] == (
        ResponseVariation(
            text="Hello\n",
            buttons=({"title": "Book", "payload": "/book_visit", "extra": {"a": 1}},),
            channel="rest",
            condition=(ResponseCondition("city", "Rome"),),
            metadata={"a": 1},
            id="g1",
        ),
        ResponseVariation(image="https://example.org/a.png"),
    )
    assert domain.responses["utter_other"][0].custom == {"a": [1, "no"]}
    assert domain.retrieval == {"faq": ("pets",)}
    assert domain.forms == {"visit_form": Form("visit_form", ("city", "seats"), ("greet",))}
    assert domain.actions["action_book"].send_domain
    assert (domain.session_expiration_minutes, domain.carry_over_slots) == (0.5, False)
    assert (domain.store_entities_as_slots, domain.e2e_actions) == (False, ("Good day",))
    assert domain.knows_action("utter_faq")
    assert domain.knows_action("visit_form")
    assert domain.knows_action("action_listen")
    assert not domain.knows_action("action_gone")


def test_as_dict_reads_back_the_same(tmp_path: Path) -> None:
    domain = domain_of(tmp_path, DOMAIN)
    again = domain_of(tmp_path, json.dumps(domain.as_dict()), "again.json")
    assert nowhere(again) == nowhere(domain)
    assert domain_of(tmp_path, json.dumps(Domain().as_dict()), "empty.json") == Domain()


def test_a_domain_may_be_split(tmp_path: Path) -> None:
    whole = domain_of(tmp_path, DOMAIN)
    folder = tmp_path / "parts" / "deep"
    folder.mkdir(parents=True)
    cut = DOMAIN.index("responses:")
    (folder / "a.yml").write_text(DOMAIN[:cut], encoding="utf-8")
    (folder / "b.yaml").write_text(DOMAIN[cut:], encoding="utf-8")
    assert nowhere(read_data([tmp_path / "parts"]).domain) == nowhere(whole)


def test_retrieval_keys_come_from_examples_too(tmp_path: Path) -> None:
    text = "intents: [faq]\nnlu:\n- intent: faq/wifi\n  examples: '- wifi?'\nresponses:\n  utter_faq/pets: [text: a]\n"
    assert domain_of(tmp_path, text).retrieval == {"faq": ("pets", "wifi")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("intents: [a: {descripton: x}]", "1:15: intent 'a': unknown key 'descripton'; did you mean 'description'?"),
        ("intents:\n- a:\n  use_entities: []", "2:3: intents: expected one name with its options indented under it"),
        ("intents: [a, a]", "1:14: warning: intent 'a' is declared twice; first in"),
        ("slots: {a: {}}", "1:9: slot 'a' has no type; expected one of text, bool"),
        ("slots: {a: {type: flaot}}", "1:19: slot 'a': unknown type 'flaot'; did you mean 'float'?"),
        ("slots: {a: {type: categorical}}", "slot 'a' is categorical but has no values"),
        ("slots: {a: {type: float, min_value: 3}}", "min_value 3 is not below max_value 1"),
        ("slots: {a: {type: bool, initial_value: maybe}}", "initial_value 'maybe' is not of type bool"),
        ("slots: {a: {type: text, values: [b]}}", "warning: slot 'a': values means nothing for type text"),
        (
            "slots: {a: {type: text, mappings: [{type: from_entty}]}}",
            "unknown type 'from_entty'; did you mean 'from_entity'?",
        ),
        ("slots: {a: {type: text, mappings: [{type: from_entity}]}}", "type from_entity needs the key entity"),
        ("slots: {a: {type: text, mappings: [{entity: b}]}}", "a mapping of slot 'a' has no type"),
        (
            "slots: {a: {type: text, mappings: [{type: from_text, conditions: [{requested_slot: a}]}]}}",
            "the key active_loop is missing",
        ),
        ("responses: {utter_a: []}", "1:13: response 'utter_a' has no variations"),
        ("responses: {utter_a: [{channel: rest}]}", "a variation with nothing to say"),
        ("responses: {utter_a: [{txt: hi}]}", "unknown key 'txt'; did you mean 'text'?"),
        ("responses: {utter_a: [hi]}", "response 'utter_a': expected a mapping, got the text 'hi'"),
        ("responses: {utter_a: [{text: hi, buttons: [{payload: x}]}]}", "a button: the key title is missing"),
        ("responses: {utter_a: [{text: hi, condition: [{type: slt, name: a, value: 1}]}]}", "expected type slot"),
        ("forms: {f: {}}", "1:9: form 'f' has no required_slots"),
        ("forms: {f: {required_slots: {a: []}}}", "required_slots of form 'f': expected a list, got a mapping"),
        ("session_config: {session_expiration_time: -1}", "expected minutes, 0 or more, got -1"),
        ("session_config: {session_expiration_time: soon}", "expected a number, got the text 'soon'"),
        ("config: {store_entities_as_slots: 1}", "expected true or false, got the number 1"),
        ("actions: {a: b}", "actions: expected a list, got a mapping"),
        ("slots: [a]", "slots: expected a mapping, got a list"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "domain.yml").write_text(text, encoding="utf-8")
    _, problems = collect_data([tmp_path])
    assert any(expected in str(problem) for problem in problems), [str(problem) for problem in problems]
    assert len(problems) == 1, [str(problem) for problem in problems]


def test_a_response_or_slot_is_written_once(tmp_path: Path) -> None:
    text = "slots: {a: {type: any}}\nresponses: {utter_a: [text: hi]}\nforms: {f: {required_slots: []}}\n"
    for name in ("one.yml", "two.yml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    _, problems = collect_data([tmp_path])
    assert [problem.where.file for problem in problems] == [str(tmp_path / "two.yml")] * 3
    assert all(str(tmp_path / "one.yml") in problem.message for problem in problems)
