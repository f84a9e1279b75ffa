"""Default actions, responses, and rasa-sdk classes in this process."""

import random
import sys
import textwrap
from dataclasses import replace

import pytest

from dialogue import events as ev
from dialogue.actions.base import ActionError, ActionRejected, ActionRequest
from dialogue.actions.dispatch import all_actions
from dialogue.actions.local import LocalActions
from dialogue.actions.remote import ActionServer, RemoteActions
from dialogue.actions.respond import Responder
from dialogue.actions.sdk import read_result, tracker_state
from dialogue.domain import (
    DEFAULT_ACTIONS,
    ActionSpec,
    Domain,
    IntentSpec,
    ResponseVariation,
    Slot,
    SlotMapping,
)
from dialogue.message import Button
from dialogue.tracker import Tracker
from policies.types import Candidate, Decision, Kind
from tests.dialogue.desk import DOMAIN, Talk, make_bot

RESPONDER = Responder(random.Random(1))


def request(name, domain=DOMAIN, tracker=None, candidates=()):
    decision = Decision(Kind.CLARIFY, name, 0.5, "test", "because", candidates)
    return ActionRequest(name, tracker or Tracker("ada", {"city": None}), domain, decision)


def run(name, domain=DOMAIN, **more):
    return all_actions(domain, RESPONDER).run(request(name, domain, **more))


@pytest.mark.parametrize("name", sorted(set(DEFAULT_ACTIONS) - {"action_listen"}))
def test_every_default_action_runs_in_an_empty_bot(name):
    assert all_actions(Domain()).run(request(name, Domain())) is not None


def test_deactivating_a_form():
    events = run("action_deactivate_loop").events
    assert [event.wire for event in events] == ["active_loop", "slot"]
    assert events[0].name is None


def test_the_domains_words_go_before_the_built_in_ones():
    own = Domain(responses={"utter_rephrase": (ResponseVariation(text="Come again?"),)})
    assert run("action_rephrase", own).replies[0].text == "Come again?"
    assert "other words" in run("action_rephrase").replies[0].text


def test_restart_says_nothing_unless_told():
    assert run("action_restart").replies == ()
    own = Domain(responses={"utter_restart": (ResponseVariation(text="Anew."),)})
    assert run("action_restart", own).replies[0].text == "Anew."


def test_default_fallback_takes_the_message_back():
    result = run("action_default_fallback")
    assert result.replies[0].text == "Sorry, I cannot help with that."
    assert [event.wire for event in result.events] == ["rewind"]


def test_titles_of_offered_intents():
    domain = Domain(
        intents={"ask_price": IntentSpec("ask_price", "asks the price"), "hours": IntentSpec("hours", "询问开放时间")},
        responses={
            "utter_clarify": (
                ResponseVariation(text="Which?", buttons=({"title": "Something else", "payload": "/out_of_scope"},)),
            )
        },
    )
    offered = tuple(Candidate(name, 0.4, 0.3, 0.5) for name in ("ask_price", "hours"))
    (reply,) = run("action_clarify", domain, candidates=offered).replies
    assert reply.text == "Which?"
    assert reply.buttons == (
        Button("Something else", "/out_of_scope"),
        Button("ask price", "/ask_price"),
        Button("询问开放时间", "/hours"),
    )


def test_an_answer_is_offered_by_its_title():
    titled = {"utter_faq/wifi": (ResponseVariation(text="Free.", metadata={"title": "无线网络"}),)}
    offered = (Candidate("faq/wifi", 0.4, 0.3, 0.5), Candidate("faq/own_food", 0.3, 0.2, 0.4))
    (reply,) = run("action_clarify", Domain(responses=titled), candidates=offered).replies
    assert reply.buttons == (Button("无线网络", "/faq/wifi"), Button("own food", "/faq/own_food"))


def test_affirmation_offers_the_intent_and_a_way_out():
    said = ev.UserUttered(text="hm", parse_data={"intent": {"name": "bye", "confidence": 0.3}})
    (reply,) = run("action_default_ask_affirmation", tracker=Tracker("ada").apply([said])).replies
    assert [button.payload for button in reply.buttons] == ["/bye", "/out_of_scope"]


def test_an_unknown_action_names_the_nearest():
    with pytest.raises(ActionError, match="'utter_gret'; did you mean 'utter_greet'"):
        run("utter_gret")


def test_no_variation_for_this_channel_says_nothing(caplog):
    only = Domain(responses={"utter_x": (ResponseVariation(text="x", channel="slack"),)})
    assert run("utter_x", only).replies == ()
    assert "utter_x" in caplog.text


def test_a_form_without_a_question_waits_in_silence(caplog):
    from dialogue.domain import Form

    result = run("f", Domain(forms={"f": Form("f", ("city",))}))
    assert (result.replies, result.events[-1].value) == ((), "city")
    assert "utter_ask_f_city" in caplog.text


# --- rasa-sdk in process ----------------------------------------------------------------------------------------------

SOURCE = """
import helper_beside
from dataclasses import dataclass
from rasa_sdk import Action
from rasa_sdk.events import SlotSet
from rasa_sdk.interfaces import ActionExecutionRejection


class Base(Action):
    pass


class Weather(Base):
    def name(self):
        return "action_weather"

    async def run(self, dispatcher, tracker, domain):
        city = tracker.get_slot("city") or next(tracker.get_latest_entity_values("city"), None)
        dispatcher.utter_message(text=f"Sunny in {city}", buttons=[{"title": "Thanks", "payload": "/bye"}])
        dispatcher.utter_message(response="utter_booked", note="by action")
        dispatcher.utter_message(json_message={"intents": len(domain["intents"])})
        dispatcher.utter_message(elements=[{"title": "Card", "subtitle": "one"}])
        return [SlotSet("city", helper_beside.shout(city))]


class Boom(Action):
    def name(self):
        return "action_boom"

    def run(self, dispatcher, tracker, domain):
        raise ActionExecutionRejection("action_boom", "not today")


class Loop(Action):
    def name(self):
        return "action_loop"

    def run(self, dispatcher, tracker, domain):
        return [{"event": "slto", "name": "city"}]
"""


@pytest.fixture
def local(tmp_path):
    (tmp_path / "helper_beside.py").write_text("def shout(text):\n    return str(text).upper()\n")
    (tmp_path / "actions.py").write_text(SOURCE)
    return LocalActions(tmp_path / "actions.py", RESPONDER)


def test_only_the_actions_of_the_file(local):
    assert local.names == ("action_weather", "action_boom", "action_loop")
    assert local.knows("action_weather")
    assert not local.knows("utter_greet")


def test_messages_and_events_of_an_asynchronous_action(local):
    tracker = Tracker("ada", {"city": "Oslo", "people": 2, "note": None})
    result = local.run(request("action_weather", tracker=tracker))
    first, named, custom, card = result.replies
    assert (first.text, first.buttons) == ("Sunny in Oslo", (Button("Thanks", "/bye"),))
    assert named.text == "Booked: Oslo, 2, by action."
    assert custom.custom == {"intents": len(DOMAIN.intents)}
    assert card.text == "Card : one"
    (event,) = result.events
    assert (event.name, event.value) == ("city", "OSLO")


def test_an_action_within_a_running_event_loop(local):
    import asyncio

    async def serve():
        return local.run(request("action_weather", tracker=Tracker("ada", {"city": "Rome"})))

    assert asyncio.run(serve()).replies[0].text == "Sunny in Rome"


def test_a_refusal(local):
    with pytest.raises(ActionRejected, match="not today"):
        local.run(request("action_boom"))


def test_a_damaged_event_names_the_action(local):
    with pytest.raises(ActionError, match=r"action_loop.*unknown event 'slto'; did you mean 'slot'"):
        local.run(request("action_loop"))


def test_local_actions_in_a_conversation(local):
    talk = Talk(make_bot(custom=local))
    assert talk.say("weather in Oslo")[0] == "Sunny in Oslo"
    assert talk.tracker.slots["city"] == "OSLO"
    assert talk.say("loop") == ["Sorry, something went wrong on my side. Please try again later."]


VALIDATING = """
from rasa_sdk import Action, FormValidationAction, ValidationAction
from rasa_sdk.events import ActionExecuted, SessionStarted, SlotSet


class Everywhere(ValidationAction):
    async def extract_people(self, dispatcher, tracker, domain):
        return {"people": 7} if "seven" in tracker.latest_message["text"] else {}

    def validate_city(self, value, dispatcher, tracker, domain):
        return {"city": str(value).upper()}

    def validate_people(self, value, dispatcher, tracker, domain):
        return {"people": value}


class Booking(FormValidationAction):
    def name(self):
        return "validate_booking"

    async def required_slots(self, domain_slots, dispatcher, tracker, domain):
        return [name for name in domain_slots if name != "note" or tracker.get_slot("people") != 7]

    def validate_city(self, value, dispatcher, tracker, domain):
        if value == "ROME":
            dispatcher.utter_message(response="utter_booked", note="not there")
            return {"city": None}
        return {"city": value}

    async def validate_people(self, value, dispatcher, tracker, domain):
        return {"people": value}

    def validate_note(self, value, dispatcher, tracker, domain):
        return {"note": value}


class AskCity(Action):
    def name(self):
        return "action_ask_booking_city"

    async def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(text=f"Where to, {tracker.sender_id}?")
        return [SlotSet("note", None)]


class Begin(Action):
    def name(self):
        return "action_session_start"

    async def run(self, dispatcher, tracker, domain):
        await dispatcher.stream_chunk(text="Good day.")
        return [SessionStarted(), SlotSet("likes", True), ActionExecuted("action_listen")]


class Restart(Action):
    def name(self):
        return "action_restart"

    def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(text="Not now.")
"""


def test_validation_and_replaced_defaults_in_this_process(tmp_path):
    (tmp_path / "actions.py").write_text(VALIDATING)
    place = LocalActions(tmp_path / "actions.py", RESPONDER)
    names = ("action_validate_slot_mappings", "validate_booking", "action_ask_booking_city")
    people = Slot("people", "float", mappings=(SlotMapping("custom"),))
    slots = {**DOMAIN.slots, "people": people}
    domain = replace(DOMAIN, actions={name: ActionSpec(name) for name in names}, slots=slots)
    talk = Talk(make_bot(custom=place, domain=domain))
    assert talk.say("book") == ["Good day.", "Where to, ada?"]
    assert talk.tracker.slots["likes"] is True
    assert talk.say("Rome") == ["Booked: ROME, , not there.", "Where to, ada?"]
    assert talk.say("Oslo") == ["How many?"]
    assert talk.tracker.slots["city"] == "OSLO"
    assert talk.say("inform seven") == ["Booked: OSLO, 7, ."], "for seven nothing more is required"
    assert talk.tracker.active_form is None
    assert talk.say("/restart") == ["Not now."]
    assert talk.tracker.slots["city"] == "OSLO"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_at_all", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        (
            "from rasa_sdk import Action\nclass A(Action):\n  def name(self): return 'a'\nclass B(A): pass",
            "two actions are called 'a'",
        ),
        ("from rasa_sdk import Action\nclass A(Action):\n  def __init__(self, x): pass", "A cannot be built"),
    ],
)
def test_a_file_that_cannot_serve_is_named(tmp_path, source, said):
    file = tmp_path / "actions.py"
    file.write_text(textwrap.dedent(source))
    with pytest.raises(ActionError, match=said) as problem:
        LocalActions(file, RESPONDER)
    assert str(file) in str(problem.value)


def test_no_file_no_actions(tmp_path):
    with pytest.raises(ActionError, match="no Python file"):
        LocalActions(tmp_path / "nothing.py", RESPONDER)


@pytest.mark.parametrize(("events", "responses"), [([3], []), ([], ["hello"]), ([{"event": "slot"}], [])])
def test_garbage_from_an_action_is_an_error(events, responses):
    with pytest.raises(ActionError, match="action_weather"):
        read_result(request("action_weather"), events, responses, RESPONDER)


def test_a_named_response_that_does_not_exist_takes_nothing_else_away(caplog):
    said = [{"text": "first"}, {"response": "utter_greeet"}]
    result = read_result(request("action_weather"), [{"event": "slot", "name": "city", "value": 1}], said, RESPONDER)
    assert [reply.text for reply in result.replies] == ["first"]
    assert len(result.events) == 1
    assert "the domain has no response 'utter_greeet'; did you mean 'utter_greet'" in caplog.text


def test_a_doubted_message_is_one_of_the_fallback_to_actions():
    parse = {"intent": {"name": "book", "confidence": 0.4}, "intent_ranking": [{"name": "book", "confidence": 0.4}]}
    for doubt, expected in (({}, ["book"]), ({"doubt": {"kind": "rephrase"}}, ["nlu_fallback", "book"])):
        tracker = Tracker("ada").apply([ev.UserUttered(text="hm", parse_data={**parse, **doubt})])
        seen = tracker_state(request("action_weather", tracker=tracker))["latest_message"]
        assert [one["name"] for one in seen["intent_ranking"]] == expected
        assert seen["intent"] == seen["intent_ranking"][0]
    assert seen["intent"]["confidence"] == pytest.approx(0.6)


def test_a_custom_action_without_anything_that_runs_it_says_so():
    domain = replace(DOMAIN, actions={"action_order": ActionSpec("action_order")})
    with pytest.raises(ActionError, match="action 'action_order' is custom, and neither a file nor a server"):
        run("action_order", domain)
    with pytest.raises(ActionError, match="nothing here runs the action 'action_ordr'; did you mean 'action_order'"):
        run("action_ordr", domain)


def test_a_response_without_words_says_nothing(caplog):
    domain = replace(DOMAIN, actions={"utter_lost": ActionSpec("utter_lost")})
    result = run("utter_lost", domain)
    assert (result.events, result.replies) == ((), ())
    assert "the domain has no response 'utter_lost'" in caplog.text
    with pytest.raises(ActionError, match="nothing here runs the action 'utter_last'"):
        run("utter_last", domain)


def test_a_server_is_not_asked_for_what_only_says_something():
    names = ("utter_lost", "utter_faq", "action_do")
    domain = replace(DOMAIN, actions={name: ActionSpec(name) for name in names}, retrieval={"faq": ("wifi",)})
    remote = RemoteActions(ActionServer("http://localhost:1"), domain, RESPONDER)
    assert [remote.knows(name) for name in names] == [False, False, True]


def test_an_answer_that_nobody_chose_is_not_said(caplog):
    domain = replace(DOMAIN, retrieval={"faq": ("wifi",)})
    assert run("utter_faq", domain).replies == ()
    assert "utter_faq: no answer was chosen" in caplog.text


@pytest.mark.parametrize("named", ["utter_rephrase", "utter_ask_rephrase", "utter_default"])
def test_what_is_not_understood_is_told_in_the_bots_own_words(named):
    (reply,) = run("action_rephrase", replace(DOMAIN, responses={named: (ResponseVariation(text="Pardon?"),)})).replies
    assert reply.text == "Pardon?"


@pytest.mark.parametrize("line", ["from .helping import SAID", "from my_desk.helping import SAID"])
def test_a_file_of_a_package_imports_from_it(tmp_path, line):
    package = tmp_path / "my_desk"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helping.py").write_text("SAID = 'with help'\n")
    source = """
    from rasa_sdk import Action

    class Say(Action):
        def name(self):
            return "action_say"

        def run(self, dispatcher, tracker, domain):
            dispatcher.utter_message(text=SAID)
    """
    (package / "actions.py").write_text(f"{line}\n{textwrap.dedent(source)}")
    before = list(sys.path)
    actions = LocalActions(package / "actions.py", RESPONDER)
    assert sys.path == before
    assert actions.names == ("action_say",)
    assert actions.run(request("action_say")).replies[0].text == "with help"
    if line.startswith("from ."):
        (package / "helping.py").write_text("SAID = 'with other help'\n")
        again = LocalActions(package / "actions.py", RESPONDER)
        assert again.run(request("action_say")).replies[0].text == "with other help"
    for name in ("my_desk", "my_desk.helping"):
        sys.modules.pop(name, None)
