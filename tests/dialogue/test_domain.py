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
from dialogue.extraction import Heard, extract_slots
from dialogue.tracker import Tracker
from dialogue.training.data import collect_data, read_data
from policies.types import Entity

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
        (
            "intents: [a: {descripton: x}]",
            "1:15: warning: intent 'a': unknown key 'descripton'; did you mean 'description'?",
        ),
        ("intents:\n- a:\n  use_entities: []", "2:3: intents: expected one name with its options indented under it"),
        ("intents: [a, a]", "1:14: warning: intent 'a' is declared twice; first in"),
        ("slots: {a: {}}", "1:9: slot 'a' has no type; expected one of text, bool"),
        ("slots: {a: {type: flaot}}", "1:19: slot 'a': unknown type 'flaot'; did you mean 'float'?"),
        ("slots: {a: {type: categorical}}", "warning: slot 'a' is categorical but has no values"),
        ("slots: {a: {type: float, min_value: 3}}", "min_value 3 is not below max_value 1"),
        (
            "slots: {a: {type: bool, initial_value: maybe}}",
            "warning: slot 'a': initial_value 'maybe' is not of type bool",
        ),
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
        ("responses: {utter_a: [{text: null}]}", "a variation with nothing to say"),
        ("responses: {utter_a: [{txt: hi}]}", "unknown key 'txt'; did you mean 'text'?"),
        ("responses: {utter_a: [hi]}", "response 'utter_a': expected a mapping, got the text 'hi'"),
        ("responses: {utter_a: [{text: hi, buttons: [{payload: x}]}]}", "a button: the key title is missing"),
        ("responses: {utter_a: [{text: hi, condition: [{type: slt, name: a, value: 1}]}]}", "expected type slot"),
        ("forms: {f: {}}", "1:9: form 'f' has no required_slots"),
        ("forms: {f: {required_slots: {a: []}}}", "form 'f': slots with mappings under them, as Rasa 2 had it"),
        ("forms: {f: {a: [{type: from_text}]}}", "form 'f': slots with mappings under them, as Rasa 2 had it"),
        ("forms: {f: {required_slots: [], required_slot: [a]}}", "unknown key 'required_slot'; did you mean"),
        ("forms: [f]", "forms: a list of names, as Rasa 1 had it; required_slots is a list"),
        (
            "forms: {f: {required_slots: [], ignored_intent: a}}",
            "unknown key 'ignored_intent'; did you mean 'ignored_intents'?",
        ),
        ("intents: [a: {triggers: action_b}]", "intent 'a': triggers went with Rasa 1; write a rule"),
        ("slots: {a: {type: unfeaturized}}", "type unfeaturized went with Rasa 2; write type any"),
        ("slots: {a: {type: text, auto_fill: true}}", "slot 'a': auto_fill went with Rasa 2; write a mapping"),
        ("slots: {a: {type: text, colour: red}}", "warning: slot 'a': unknown key 'colour'"),
        ("session_config: {session: 1}", "warning: session_config: unknown key 'session'"),
        ('version: "2.0"\nslots: {a: {type: text}}', "1:10: version 2.0: slots of Rasa 2 mean something else; migrate"),
        (
            'version: "2.0"\nslots: {a: {type: unfeaturized}, b: {auto_fill: true, type: any}}\nforms: [f, g]',
            "1:10: version 2.0",
        ),
        (
            'version: "2.0"\nslots: {a: {type: any, mappings: []}}',
            "warning: version: expected \"3.1\", got the text '2.0'",
        ),
        (
            "slots: {a: {type: text, mappings: [{type: from_llm, allow_nlu_correction: true}]}}",
            "1:43: warning: a mapping of slot 'a': no language model fills slots here",
        ),
        ('version: "2.0"\nintents: [a]', "warning: version: expected \"3.1\", got the text '2.0'; read as 3.1"),
        ("version: 4", 'warning: version: expected "3.1", got the number 4; read as 3.1'),
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
    assert not any(problem.is_error for problem in problems)


def test_a_setting_is_made_once(tmp_path: Path) -> None:
    sections = "session_config: {{session_expiration_time: {}}}\nconfig: {{store_entities_as_slots: {}}}\n"
    for name, values in (("one.yml", (30, "false")), ("two.yml", (60, "true")), ("zoo.yml", (30, "false"))):
        (tmp_path / name).write_text(sections.format(*values), encoding="utf-8")
    data, problems = collect_data([tmp_path])
    assert (data.domain.session_expiration_minutes, data.domain.store_entities_as_slots) == (30, False)
    assert [str(problem).removeprefix(f"{tmp_path}/").replace(str(tmp_path), ".") for problem in problems] == [
        "two.yml:1:43: warning: session_expiration_time is set twice; first in ./one.yml:1:43, which is kept",
        "two.yml:2:35: warning: store_entities_as_slots is set twice; first in ./one.yml:2:35, which is kept",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slots: {a: {type: text, mappings: [from_text]}}", "1:36: a mapping of slot 'a': expected a mapping"),
        ("slots: {a: text}", "1:12: slot 'a': expected a mapping, got the text 'text'"),
        ("responses: {utter_a: hi}", "1:22: response 'utter_a': expected a list, got the text 'hi'"),
        ("responses: {utter_a: [{text: b, buttons: [c]}]}", "1:43: a button: expected a mapping, got the text 'c'"),
        ("nlu: [{intent: a, examples: [[b]]}]", "1:30: an example: expected a mapping, got a list"),
        ("nlu: [null]", "1:7: an nlu item: expected one of"),
        ("stories: [{story: a, steps: [null]}]", "1:30: a step: expected one of"),
        ("stories: [{story: a, steps: [or: [null]]}]", "1:35: an alternative of `or`: expected intent"),
        ("slots: {a: {type: text, mappings: [null]}}", "1:36: a mapping of slot 'a' has no type"),
        ("slots: {a: null}", "1:9: slot 'a' has no type"),
        ("nlu: [a]", "1:7: an nlu item: expected a mapping, got the text 'a'"),
        (
            "responses: {utter_a: [{text: b, condition: [c]}]}",
            "1:45: a condition of a response: expected a mapping, got the text 'c'",
        ),
        (
            "rules: [{rule: a, condition: [b], steps: [intent: restart]}]",
            "1:31: a condition of a rule: expected a mapping, got the text 'b'",
        ),
        ("stories: [{story: a, steps: [b]}]", "1:30: a step: expected a mapping, got the text 'b'"),
        (
            "slots: {a: {type: text, mappings: [{type: from_text, conditions: [{requested_slot: a}]}]}}",
            "1:67: warning: a condition of a slot mapping: the key active_loop is missing; read as null",
        ),
    ],
)
def test_a_mistake_is_told_once(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "all.yml").write_text(text, encoding="utf-8")
    (problem,) = collect_data([tmp_path])[1]
    assert f"{problem}".removeprefix(f"{tmp_path}/all.yml:").startswith(told), str(problem)


def test_what_rasa_3_allows_besides(tmp_path: Path) -> None:
    text = """\
version: 3.1
intents: [faq: {is_retrieval_intent: true}, a: {use_entities: false, ignore_entities: false}, b: {use_entities: true}]
slots:
  a: {type: text, value_reset_delay: 3}
  b: {type: my.Slot, own_option: 1}
forms: {asks_as_its_action_says: null}
responses: {utter_silent: [{text: ""}], utter_pictured: [{text: null, image: x.png}]}
session_config: {session_expiration_time: null}
actions:
"""
    domain = domain_of(tmp_path, text)
    assert [domain.intents[name].use_entities for name in ("faq", "a", "b")] == [None, (), None]
    assert domain.forms["asks_as_its_action_says"].required_slots == ()
    assert [domain.responses[name][0].text for name in ("utter_silent", "utter_pictured")] == ["", None]
    assert domain.session_expiration_minutes == 60
    _, problems = collect_data([tmp_path])
    (told,) = [str(problem).partition("warning: ")[2] for problem in problems]
    assert told.startswith("slot 'b': class my.Slot is not loaded")


def test_classes_of_rasas_own_are_its_types(tmp_path: Path) -> None:
    text = """\
slots:
  a: {type: rasa.shared.core.slots.TextSlot}
  b: {type: rasa.shared.core.slots.FloatSlot, max_value: 5}
  c: {type: rasa.shared.core.slots.AnySlot}
"""
    domain = domain_of(tmp_path, text)
    assert [slot.type for slot in domain.slots.values()] == ["text", "float", "any"]
    assert not domain.slots["c"].influence_conversation
    assert collect_data([tmp_path])[1] == []
    (tmp_path / "domain.yml").write_text("slots: {a: {type: rasa.shared.core.slots.UnfeaturizedSlot}}")
    (told,) = collect_data([tmp_path])[1]
    assert "type unfeaturized went with Rasa 2" in told.message


def test_a_file_is_of_rasa_2_if_its_slots_are(tmp_path: Path) -> None:
    text = """\
version: "2.0"
entities: [size]
slots: {size: {type: text, mappings: [{type: from_entity, entity: size}]}, done: {type: bool}}
forms: {order: {required_slots: [size]}}
"""
    domain = domain_of(tmp_path, text)
    assert domain.slots["size"].mappings[0].entity == "size"
    assert domain.forms["order"].required_slots == ("size",)


def test_names_of_what_is_refused_are_known(tmp_path: Path) -> None:
    """So that one mistake is not told again at every place that names a slot or a form."""
    text = """\
version: "2.0"
intents: [go]
slots: {a: {type: unfeaturized}, b: {type: text}}
forms: [trip]
stories:
- {story: s, steps: [intent: go, slot_was_set: [a, b], action: trip, active_loop: trip]}
"""
    (tmp_path / "domain.yml").write_text(text, encoding="utf-8")
    data, problems = collect_data([tmp_path])
    assert [str(problem).partition(": ")[2] for problem in problems] == [
        "version 2.0: slots and forms of Rasa 2 mean something else; migrate them with `rasa data migrate` of Rasa 3 "
        "(slots get their mappings, required_slots becomes a list)"
    ]
    assert (list(data.domain.slots), list(data.domain.forms)) == (["a", "b"], ["trip"])


@pytest.mark.parametrize("mappings", ["[]", "[{type: controlled}]", "[{type: custom}]", "[{type: from_llm}]"])
def test_a_slot_that_only_actions_fill(tmp_path: Path, mappings: str) -> None:
    """Not even the entity of its name does, which fills a slot without a word of mappings."""
    text = f"entities: [a, b]\nslots: {{a: {{type: text, mappings: {mappings}}}, b: {{type: text}}}}\n"
    domain = domain_of(tmp_path, text)
    assert [mapping.type for mapping in domain.slots["a"].mappings] == ["custom"]
    assert domain.slots["b"].mappings == ()
    heard = Heard("x", "say", (Entity("a", 0, 1, "x", "regex"), Entity("b", 0, 1, "x", "regex")))
    again = domain_of(tmp_path, json.dumps(domain.as_dict()))
    for one in (domain, again):
        assert [event.name for event in extract_slots(one, Tracker("ada"), heard)] == ["b"]


def test_environment_variables_in_plain_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_PHONE", "1234")
    monkeypatch.delenv("DESK_FAX", raising=False)
    text = """\
responses:
  utter_call:
  - text: Call ${DESK_PHONE}.
  utter_pay: [{text: "It is ${DESK_PHONE}."}]
nlu:
- intent: price
  examples: |
    - is it ${DESK_FAX}?
"""
    (tmp_path / "it.yml").write_text(text, encoding="utf-8")
    data = read_data([tmp_path])
    assert data.domain.responses["utter_call"][0].text == "Call 1234."
    assert data.domain.responses["utter_pay"][0].text == "It is ${DESK_PHONE}."
    assert data.examples[0].text == "is it ${DESK_FAX}?"
    (tmp_path / "it.yml").write_text("responses:\n  utter_fax:\n  - text: Fax ${DESK_FAX}\n", encoding="utf-8")
    _, problems = collect_data([tmp_path])
    assert "environment variable DESK_FAX is not set" in str(problems[0])
