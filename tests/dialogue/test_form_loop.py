"""Forms from begin to end: what validates, what asks, what leaves them and what comes back."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue import events as ev
from dialogue.actions.base import ActionRejected, ActionResult
from dialogue.actions.two_stage import TwoStageFallback
from dialogue.domain import ActionSpec, EntitySpec, Form, MappingCondition, Slot, SlotMapping
from dialogue.message import Reply
from dialogue.tracker import Tracker
from policies.catalog import build
from policies.chain import Chain
from policies.testing import belief
from tests.dialogue.desk import DOMAIN, POLICIES, STORIES, Custom, Talk, chain, make_bot, respond
from tests.dialogue.test_actions import request
from tests.policies.worlds import action, form, rule, story, user

ENDED = (None, None)


class Place(Custom):
    """Custom actions as functions."""

    def __init__(self, **actions):
        self.actions = actions
        self.asked = []

    def knows(self, name):
        return name in self.actions

    def run(self, request):
        self.asked.append(request)
        made = self.actions[request.name]
        made = made(request) if callable(made) else made
        return made if isinstance(made, ActionResult) else ActionResult(tuple(made))


def slot(name, value):
    return ev.SlotSet(name=name, value=value)


def candidates(request):
    """What the SDK would validate: the last slot events."""
    found = {}
    for event in request.tracker.backwards():
        if not isinstance(event, ev.SlotSet):
            break
        found.setdefault(event.name, event.value)
    return found


def where(talk):
    return talk.tracker.active_form, talk.tracker.requested_slot


def test_validation_sees_what_was_just_filled_and_may_change_it():
    place = Place(validate_booking=lambda request: [slot("city", str(candidates(request)["city"]).upper())])
    talk = Talk(make_bot(custom=place))
    talk.say("book in Rome")
    assert [candidates(request) for request in place.asked] == [{"city": "Rome"}]
    assert place.asked[0].tracker.events[-2].name == "booking"
    assert talk.tracker.slots["city"] == "ROME"
    assert talk.tracker.requested_slot == "people"


def test_the_message_that_begins_a_form_fills_what_only_the_form_wants():
    within = (MappingCondition("booking"),)
    city = Slot("city", "text", mappings=(SlotMapping("from_entity", entity="city", conditions=within),))
    note = Slot("note", "text", mappings=(SlotMapping("from_text", conditions=(MappingCondition("booking", "note"),)),))
    place = Place(validate_booking=[])
    domain = replace(DOMAIN, slots={**DOMAIN.slots, "city": city, "note": note})
    talk = Talk(make_bot(domain=domain, custom=place))
    assert talk.say("inform Rome") != ["How many?"]
    assert talk.tracker.slots["city"] is None
    assert talk.say("book in Rome") == ["How many?"]
    assert [candidates(request) for request in place.asked] == [{"city": "Rome"}]
    assert (talk.tracker.slots["city"], talk.tracker.slots["note"]) == ("Rome", None)


def test_a_slot_that_validation_empties_is_asked_for_again_after_what_validation_says():
    place = Place(validate_booking=lambda request: ActionResult((slot("city", None),), (Reply("Not there."),)))
    talk = Talk(make_bot(custom=place))
    talk.say("book")
    assert talk.say("Rome") == ["Not there.", "Which city?"]
    assert talk.tracker.slots["city"] is None
    assert where(talk) == ("booking", "city")


def test_what_validation_does_not_mention_is_as_good_as_said():
    talk = Talk(make_bot(custom=Place(validate_booking=[])))
    talk.say("book")
    assert talk.say("Rome") == ["How many?"]
    assert talk.tracker.slots["city"] == "Rome"


def test_validation_may_ask_for_slots_the_domain_does_not_require():
    def check(asked):
        slots = {**asked.tracker.slots, **candidates(asked)}
        wanted = ["city", "people"] if slots.get("city") == "Rome" else ["city"]
        return [slot("requested_slot", next((name for name in wanted if slots.get(name) is None), None))]

    domain = replace(DOMAIN, forms={"booking": Form("booking", ("city",))})
    for city, answer, left in (("Rome", "How many?", ("booking", "people")), ("Oslo", None, ENDED)):
        talk = Talk(make_bot(custom=Place(validate_booking=check), domain=domain))
        talk.say("book")
        said = talk.say(city)
        assert where(talk) == left
        assert said[0] == answer or answer is None
        if city == "Rome":
            assert talk.say("3")[0].startswith("Booked: Rome, 3")
            assert where(talk) == ENDED


def test_validation_may_fill_what_no_mapping_can():
    place = Place(validate_booking=lambda request: [slot("city", "Oslo")] if "city" not in candidates(request) else [])
    talk = Talk(make_bot(custom=place))
    assert talk.say("book") == ["How many?"], "filled at activation"
    assert talk.tracker.slots["city"] == "Oslo"


@pytest.mark.parametrize("end", [[ev.ActiveLoop(name=None)], [slot("requested_slot", None)]])
def test_validation_may_end_the_form(end):
    talk = Talk(make_bot(custom=Place(validate_booking=lambda r: end if candidates(r).get("city") else [])))
    talk.say("book")
    assert talk.say("Rome")[0].startswith("Booked: Rome")
    assert where(talk) == ENDED
    loops = [event.name for event in talk.tracker.events if isinstance(event, ev.ActiveLoop)]
    assert loops == ["booking", None]


def test_validation_may_refuse_and_keep_what_was_said():
    refusal = ev.ActionExecutionRejected(name="booking")
    talk = Talk(make_bot(custom=Place(validate_booking=lambda r: [refusal] if "city" in candidates(r) else [])))
    talk.say("book")
    assert talk.say("chat Rome")[0] == "Nice weather."
    assert talk.tracker.slots["city"] == "Rome"
    assert talk.tracker.active_form == "booking"


def test_an_action_that_tells_of_any_refusal_is_not_asked_again_in_this_turn():
    place = Place(action_weather=[ev.ActionExecutionRejected(name="another"), slot("note", "kept")])
    talk = Talk(make_bot(custom=place))
    result = talk.turn("weather")
    assert len(place.asked) == 1
    assert result.decision.action == "action_default_fallback"
    names = [event.name for event in result.events if isinstance(event, ev.ActionExecutionRejected)]
    assert names == ["another", "action_weather"]


def test_a_validation_that_refuses_to_run_refuses_for_the_form():
    def refuse(request):
        if request.tracker.active_form:
            raise ActionRejected("no")
        return []

    talk = Talk(make_bot(custom=Place(validate_booking=refuse)))
    result = talk.turn("book")
    assert any(isinstance(event, ev.ActionExecutionRejected) for event in result.events)


def test_a_failing_validation_is_an_apology_and_the_form_asks_again():
    works = iter([True, False, True])

    def check(asked):
        if next(works):
            return []
        raise ConnectionError("down")

    talk = Talk(make_bot(custom=Place(validate_booking=check)))
    talk.say("book")
    assert talk.say("Rome") == ["Sorry, something went wrong on my side. Please try again later."]
    assert where(talk) == ("booking", "city")
    assert talk.say("Rome") == ["How many?"]


def test_the_order_of_what_asks():
    names = ["action_ask_booking_city", "utter_ask_booking_city", "action_ask_city", "utter_ask_city"]
    for index in range(4):
        left = names[index:]
        responses = {name: respond(name) for name in left if name.startswith("utter")}
        others = {name: said for name, said in DOMAIN.responses.items() if name not in names}
        place = Place(
            **{name: ActionResult(replies=(Reply(name),)) for name in left if name.startswith("action")},
        )
        talk = Talk(make_bot(custom=place, domain=replace(DOMAIN, responses={**others, **responses})))
        assert talk.say("book") == [left[0]]


def test_what_asks_sees_the_slots_of_this_turn():
    domain = replace(DOMAIN, responses={**DOMAIN.responses, "utter_ask_people": respond("How many to {city}?")})
    talk = Talk(make_bot(domain=domain, custom=Place(validate_booking=lambda r: [slot("city", "Paris")])))
    talk.say("book")
    assert talk.say("Rome") == ["How many to Paris?"]


def test_a_form_that_is_complete_ends_at_once():
    domain_done = replace(DOMAIN, forms={"booking": Form("booking", ("city", "people"))})
    talk = Talk(make_bot(domain=domain_done))
    assert talk.say("book Oslo 3") == ["Booked: Oslo, 3, ."]
    assert where(talk) == ENDED
    wires = [(e.wire, getattr(e, "name", None)) for e in talk.tracker.events if e.wire in ("active_loop", "action")]
    assert wires[-5:] == [
        ("action", "booking"),
        ("active_loop", "booking"),
        ("active_loop", None),
        ("action", "utter_booked"),
        ("action", "action_listen"),
    ]


LEAVING = (
    story(
        "stop and go on",
        user("book"),
        action("booking"),
        form("booking"),
        user("bye"),
        action("utter_offer"),
        user("affirm"),
        action("booking"),
    ),
    story(
        "stop and stop",
        user("book"),
        action("booking"),
        form("booking"),
        user("bye"),
        action("utter_offer"),
        user("deny"),
        action("action_deactivate_loop"),
        form(None),
    ),
)


def leaving_chain():
    kept = [one for one in STORIES if one.name not in ("bye", "affirm")]
    return Chain([build(name) for name in POLICIES]).fit((*kept, *LEAVING))


def test_an_answer_to_what_a_story_asked_instead_is_no_answer_to_the_form():
    talk = Talk(make_bot(policies=leaving_chain()))
    for text in ("book", "Rome", "3"):
        talk.say(text)
    assert where(talk) == ("booking", "note")
    assert talk.say("/bye") == ["Shall I book?"]
    assert talk.tracker.active_loop.rejected
    result = talk.turn("affirm")
    assert [reply.text for reply in result.replies] == ["Anything else?"]
    assert any(isinstance(event, ev.LoopInterrupted) and event.is_interrupted for event in result.events)
    assert talk.tracker.slots["note"] is None
    assert not talk.tracker.active_loop.is_interrupted
    assert talk.say("a window seat") == ["Booked: Rome, 3, a window seat."]


def test_validation_fills_nothing_on_the_way_back_into_a_form():
    def check(asked):
        return [slot("note", asked.tracker.latest_message.text)]  # as an `extract_note` of rasa-sdk would

    place = Place(validate_booking=lambda r: check(r) if r.tracker.requested_slot == "note" else [])
    talk = Talk(make_bot(policies=leaving_chain(), custom=place))
    for text in ("book", "Rome", "3"):
        talk.say(text)
    assert where(talk) == ("booking", "note")
    checks, place.actions = place.actions, {"validate_booking": []}
    assert talk.say("/bye") == ["Shall I book?"]
    place.actions = checks
    assert talk.say("affirm") == ["Anything else?"]
    assert candidates(place.asked[-1]) == {}, "nothing was said to the form"
    assert talk.tracker.slots["note"] is None
    assert talk.say("a window seat") == ["Booked: Rome, 3, a window seat."]


def test_validation_chooses_the_next_slot_on_the_way_back_into_a_form():
    def choose(asked):
        empty = (name for name in ("city", "note") if asked.tracker.slots[name] is None)
        return [slot("requested_slot", next(empty, None))]

    place = Place(validate_booking=choose, utter_chat=lambda asked: [slot("city", "Rome")])
    domain = replace(DOMAIN, forms={"booking": Form("booking", ("city",))})
    talk = Talk(make_bot(custom=place, domain=domain))
    assert talk.say("book") == ["Which city?"]
    assert talk.say("chat") == ["Anything else?"]
    assert where(talk) == ("booking", "note")


def test_the_message_that_begins_a_form_is_heard_by_custom_mappings_for_the_form():
    def mapped(*conditions):
        return (SlotMapping("custom", action="action_where", conditions=conditions),)

    for mappings, asked in ((mapped(MappingCondition("booking")), "people"), (mapped(), "people")):
        place = Place(action_where=[slot("city", "Rome")])
        domain = replace(DOMAIN, slots={**DOMAIN.slots, "city": Slot("city", "text", mappings=mappings)})
        talk = Talk(make_bot(custom=place, domain=domain))
        talk.say("book")
        assert where(talk) == ("booking", asked)
        assert [request.name for request in place.asked] == ["action_where"], "once"


def test_one_action_of_two_mappings_runs_as_the_form_begins_for_the_one_that_wants_it():
    within = SlotMapping("custom", action="action_where", conditions=(MappingCondition("booking"),))
    always = Slot("any", "text", mappings=(SlotMapping("custom", action="action_where"),))
    slots = {"any": always, **DOMAIN.slots, "city": Slot("city", "text", mappings=(within,))}
    place = Place(action_where=lambda asked: [slot("city", "Rome")] if asked.tracker.active_form else [])
    talk = Talk(make_bot(custom=place, domain=replace(DOMAIN, slots=slots)))
    talk.say("book")
    assert where(talk) == ("booking", "people")


@pytest.mark.parametrize("actions", [{"action_where": lambda asked: 1 / 0}, {}])
def test_a_custom_mapping_that_fails_as_a_form_begins_fills_nothing(actions, caplog):
    place = Place(**actions)
    mapping = SlotMapping("custom", action="action_where", conditions=(MappingCondition("booking"),))
    domain = replace(DOMAIN, slots={**DOMAIN.slots, "city": Slot("city", "text", mappings=(mapping,))})
    talk = Talk(make_bot(custom=place, domain=domain))
    assert talk.say("book") == ["Which city?"]
    assert "action action_where failed" in caplog.text


def test_a_slot_that_only_validation_asks_for_is_asked_for_again_after_an_interruption():
    place = Place(validate_booking=lambda r: [slot("requested_slot", "note")])
    domain = replace(DOMAIN, forms={"booking": Form("booking", ("city", "people"))})
    talk = Talk(make_bot(policies=leaving_chain(), custom=place, domain=domain))
    assert talk.say("book") == ["Anything else?"]
    assert talk.say("/bye") == ["Shall I book?"]
    assert talk.say("/affirm") == ["Anything else?"]
    assert where(talk) == ("booking", "note")


def test_who_answers_the_form_after_all_is_back_in_it_and_is_checked():
    place = Place(validate_booking=lambda r: [slot("city", None)] if candidates(r).get("city") == "Rome" else [])
    talk = Talk(make_bot(policies=leaving_chain(), custom=place))
    talk.say("book")
    assert talk.say("bye") == ["Shall I book?"]
    assert talk.say("Rome") == ["Which city?"]
    assert talk.say("Oslo") == ["How many?"]
    assert where(talk) == ("booking", "people")


def test_what_a_button_sends_fills_a_slot_from_text_as_in_rasa():
    talk = Talk(make_bot())
    for text in ("book", "Rome", "3"):
        talk.say(text)
    assert talk.say("/affirm") == ["Booked: Rome, 3, /affirm."]


def test_a_form_is_left_for_good():
    talk = Talk(make_bot(policies=leaving_chain()))
    talk.say("book")
    talk.say("bye")
    talk.say("deny")
    assert where(talk) == ENDED
    assert talk.say("greet") == ["Hello!"]


def test_a_restart_in_the_middle_of_a_form():
    talk = Talk(make_bot())
    talk.say("book Rome")
    talk.say("/restart")
    assert where(talk) == ENDED
    assert talk.tracker.slots["city"] is None
    assert talk.say("book") == ["Which city?"]


@pytest.mark.parametrize("line", ["/restart", "/back"])
def test_a_default_intent_is_never_the_forms(line):
    place = Place(validate_booking=[])
    talk = Talk(make_bot(custom=place))
    for text in ("book", "Rome", "3"):
        talk.say(text)
    asked = len(place.asked)
    result = talk.turn(line)
    assert result.decision.action == f"action_{line[1:]}"
    assert not any(isinstance(event, ev.ActionExecutionRejected) for event in result.events)
    assert len(place.asked) == asked
    assert where(talk) == ENDED, "what the form was told and asked since it began is one turn to go back over"


def test_what_was_not_understood_leaves_a_form_neither_before_nor_after_a_question():
    talk = Talk(make_bot())
    talk.say("greet")
    talk.say("book")
    assert talk.say("faq wifi?") == ["The wifi is free.", "Which city?"]
    talk.say("blub")
    assert talk.say("Rome") == ["How many?"]


# --- slots filled by custom actions -----------------------------------------------------------------------------------

CUSTOM_SLOT = replace(
    DOMAIN,
    slots={
        **DOMAIN.slots,
        "mood": Slot("mood", "text", mappings=(SlotMapping("custom", action="action_mood", intents=("chat",)),)),
        "other": Slot("other", "text", mappings=(SlotMapping("custom", action="action_mood"),)),
    },
    actions={
        **DOMAIN.actions,
        "action_mood": ActionSpec("action_mood"),
        "action_validate_slot_mappings": ActionSpec("action_validate_slot_mappings"),
    },
)


def test_custom_mappings_run_their_action_once_and_validation_has_the_last_word(caplog):
    place = Place(
        action_mood=lambda r: ActionResult(
            (slot("mood", "fine"), slot("other", "x"), ev.Restarted()), (Reply("Noted."),)
        ),
        action_validate_slot_mappings=lambda r: [slot("other", None)],
    )
    talk = Talk(make_bot(custom=place, domain=CUSTOM_SLOT))
    assert talk.say("chat in Rome") == ["Noted.", "Nice weather."]
    assert [request.name for request in place.asked] == ["action_mood", "action_validate_slot_mappings"]
    assert candidates(place.asked[1]) == {"city": "Rome", "mood": "fine", "other": "x"}
    slots = talk.tracker.slots
    assert (slots["city"], slots["mood"], slots["other"]) == ("Rome", "fine", None)
    assert "its events of type restart are ignored" in caplog.text
    assert "action_mood" not in [e.name for e in talk.tracker.events if isinstance(e, ev.ActionExecuted)]


def test_a_failing_custom_mapping_changes_nothing(caplog):
    def fail(request):
        raise ConnectionError("down")

    talk = Talk(make_bot(custom=Place(action_mood=fail, action_validate_slot_mappings=fail), domain=CUSTOM_SLOT))
    assert talk.say("chat in Rome") == ["Nice weather."]
    assert talk.tracker.slots["city"] == "Rome"
    assert "down" in caplog.text


def test_a_project_may_extract_slots_itself():
    domain = replace(DOMAIN, actions={**DOMAIN.actions, "action_extract_slots": ActionSpec("action_extract_slots")})
    talk = Talk(make_bot(custom=Place(action_extract_slots=[slot("city", "Oslo")]), domain=domain))
    talk.say("greet in Rome")
    assert talk.tracker.slots["city"] == "Oslo"


def test_a_slot_of_an_entitys_name_needs_no_mapping():
    for stored, value in ((True, "Rome"), (False, None)):
        domain = replace(
            DOMAIN,
            entities={"city": EntitySpec("city")},
            slots={**DOMAIN.slots, "city": Slot("city", "text")},
            store_entities_as_slots=stored,
        )
        talk = Talk(make_bot(domain=domain))
        talk.say("greet in Rome")
        assert talk.tracker.slots["city"] == value


# --- properties -------------------------------------------------------------------------------------------------------

LINE = st.sampled_from(
    ["book", "Rome", "Oslo", "3", "inform Rome 2", "deny", "chat", "faq wifi?", "blub", "greet", "a window", "affirm"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINE, max_size=12), st.booleans())
def test_a_form_ends_only_when_all_is_filled_and_never_forgets(lines, validates):
    place = Place(**({"validate_booking": []} if validates else {}))
    talk = Talk(make_bot(custom=place))
    for line in ["book", *lines]:
        before = dict(talk.tracker.slots)
        result = talk.turn(line)
        after = talk.tracker
        ended = [e for e in result.events if isinstance(e, ev.ActiveLoop) and e.name is None]
        for event in ended:
            assert all(after.slots[name] is not None for name in ("city", "people", "note")), event
        if after.active_form:
            wanted = next(name for name in ("city", "people", "note") if after.slots[name] is None)
            assert after.requested_slot == wanted
        else:
            assert after.requested_slot is None
        if any(isinstance(event, ev.ActionExecutionRejected) for event in result.events):
            assert {name for name, value in before.items() if value is not None} <= {
                name for name, value in after.slots.items() if value is not None
            } | {"requested_slot"}
        assert after.latest_action == "action_listen"


# --- the two-stage fallback -------------------------------------------------------------------------------------------

TWO_STAGE = rule(
    "two stages", user("nlu_fallback"), action("action_two_stage_fallback"), form("action_two_stage_fallback")
)
VAGUE = belief(("weather", 0.3), ("chat", 0.2))


def staged(**beliefs):
    return Talk(make_bot(policies=chain(TWO_STAGE), beliefs={"hm": VAGUE, "huh": VAGUE, **beliefs}))


def test_yes_to_the_first_question_counts_as_said_at_once():
    talk = staged()
    talk.say("greet")
    (asked,) = talk.turn("hm").replies
    assert asked.text == "Did I understand you right?"
    assert [button.payload for button in asked.buttons] == ["/weather", "/out_of_scope"]
    assert talk.say("/weather") == ["Shall I book?"]
    assert [turn.intent for turn in talk.tracker.state().turns] == ["greet", "weather"]
    assert where(talk) == ENDED
    assert talk.tracker.failures == 0
    assert talk.say("deny") == ["Fine."]


def test_no_then_said_otherwise():
    talk = staged()
    talk.say("greet")
    talk.say("hm")
    assert talk.say("/out_of_scope") == ["Sorry, I did not understand that. Could you say it in other words?"]
    assert talk.say("chat in Oslo") == ["Nice weather."]
    assert [turn.intent for turn in talk.tracker.state().turns] == ["greet", "chat"]
    assert talk.tracker.slots["city"] == "Oslo"


def test_no_then_unclear_then_asked_once_more():
    for answer, said in (("/chat", ["Nice weather."]), ("/out_of_scope", ["Sorry, I cannot help with that."])):
        talk = staged()
        talk.say("greet")
        talk.say("hm")
        talk.say("/out_of_scope")
        assert talk.turn("huh").replies[0].buttons[0].payload == "/weather"
        assert talk.say(answer) == said
        assert where(talk) == ENDED
        assert talk.tracker.state().turns[0].intent == "greet"


def test_an_unclear_answer_to_the_first_question_ends_it():
    talk = staged()
    talk.say("greet")
    talk.say("hm")
    assert talk.say("huh") == ["Sorry, I cannot help with that."]
    assert where(talk) == ENDED
    assert [turn.intent for turn in talk.tracker.state().turns] == ["greet"]
    assert talk.turn("hm").replies[0].buttons, "it begins anew"


def test_the_stages_spelled_out_are_taken_back():
    def said(text, **parse):
        return ev.UserUttered(text=text, parse_data={"intent": {"name": text}, **parse})

    def ran(name):
        return ev.ActionExecuted(name=name)

    listen, doubt = ran("action_listen"), {"doubt": {"reason": "x"}}
    before = [listen, said("greet"), ran("utter_greet"), listen]
    stages = [said("hm", **doubt), ran("action_default_ask_affirmation"), listen]
    again = [said("no"), ran("action_default_ask_rephrase"), listen, said("chat")]
    for events, rewinds in (([*stages, said("weather")], 2), ([*stages, *again], 3), ([said("weather")], 0)):
        tracker = Tracker("ada").apply([*before, *events])
        result = TwoStageFallback(None).run(request("action_revert_fallback_events", tracker=tracker))
        assert sum(event.wire == "rewind" for event in result.events) == rewinds
        after = tracker.apply([ran("action_revert_fallback_events"), *result.events])
        assert [turn.intent for turn in after.state().turns] == ["greet", events[-1].intent]


def test_conditions_of_a_mapping_name_a_form_or_none():
    mapping = SlotMapping("from_text", conditions=(MappingCondition(None), MappingCondition("booking", "people")))
    talk = Talk(
        make_bot(domain=replace(DOMAIN, slots={**DOMAIN.slots, "note": Slot("note", "text", mappings=(mapping,))}))
    )
    talk.say("book")
    assert talk.tracker.slots["note"] == "book"
    talk.say("Rome")
    assert talk.tracker.slots["note"] == "book"
