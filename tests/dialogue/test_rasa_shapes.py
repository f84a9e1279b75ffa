"""Against what Rasa 3.6 answered and what its example bots do: the tracker's shape, and the form of formbot."""

import json
import os
import random
from collections import defaultdict
from pathlib import Path

import pytest

from dialogue.actions.dispatch import all_actions
from dialogue.actions.respond import Responder
from dialogue.bot import Bot
from dialogue.events import Event
from dialogue.tracker import Tracker
from dialogue.training.data import read_data
from policies.catalog import build
from policies.chain import Chain
from tests.dialogue.desk import POLICIES, MemoryStore, Talk, make_bot
from tests.dialogue.test_form_loop import Place
from tests.dialogue.test_nova_stories import Told

BOTS = os.environ.get("STARFOLD_RASA_BOTS")
needs_bots = pytest.mark.skipif(not BOTS, reason="STARFOLD_RASA_BOTS does not name a folder of Rasa projects")
# What only one side has: Rasa's featurisation and model ids, the belief and a decision's reasons here.
OURS = {"belief", "kind", "reason", "passed", "doubt"}
THEIRS = {"model_id", "assistant_id"}


def golden():
    assert BOTS
    return json.loads(Path(BOTS, "golden", "tracker.json").read_text("utf-8"))


def shape(value):
    """Keys and types, numbers being one type; of a list the shapes of its items."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items() if key not in OURS | THEIRS}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def by_type(events):
    """For each type of event the types each key may have."""
    found = defaultdict(lambda: defaultdict(set))
    for event in events:
        for key, value in event.items():
            found[event["event"]][key].add("list" if isinstance(value, list) else str(type(shape(value)).__name__))
    return found


@needs_bots
def test_a_tracker_of_rasa_is_read_and_shown_whole():
    told = golden()
    tracker = Tracker("u1").apply(Event.from_dict(event) for event in told["events"])
    shown = json.loads(json.dumps(tracker.as_dict("ALL")))
    assert shown["events"] == told["events"]
    assert {key for key in told if shown[key] != told[key]} <= {"slots", "latest_message"}
    assert shape(shown["latest_message"]) == shape(told["latest_message"])


@needs_bots
def test_a_tracker_of_ours_has_the_keys_and_types_of_rasas():
    told = golden()
    talk = Talk(make_bot())
    talk.turn("greet", channel="rest", metadata={"k": 1})
    talk.turn("chat", channel="rest", metadata={"k": 1})
    ours = json.loads(json.dumps(talk.tracker.as_dict()))
    assert list(ours) == list(told)
    for key in told:
        if key not in ("events", "latest_message", "slots"):
            assert shape(ours[key]) == shape(told[key]), key
    assert set(ours["slots"]) >= set(told["slots"])
    message, theirs = ours["latest_message"], told["latest_message"]
    assert set(message) - OURS == set(theirs)
    for key in set(theirs) - {"text_tokens", "intent_ranking", "response_selector"}:
        assert shape(message[key]) == shape(theirs[key]), key
    assert shape(message["intent_ranking"][0]) == shape(theirs["intent_ranking"][0])
    assert shape(message["response_selector"]["faq"]["response"]).keys() == (
        theirs["response_selector"]["default"]["response"].keys()
    )
    mine, rasas = by_type(ours["events"]), by_type(told["events"])
    for wire in mine.keys() & rasas.keys():
        assert set(mine[wire]) == set(rasas[wire]), wire
        for key in rasas[wire]:
            assert mine[wire][key] & rasas[wire][key] or "NoneType" in mine[wire][key] | rasas[wire][key], (wire, key)
    assert set(rasas) - set(mine) == {"user_featurization"}


@needs_bots
def test_the_form_of_formbot():
    assert BOTS
    bot = Path(BOTS, "formbot")
    data = read_data([bot / "domain.yml", bot / "data"])
    told = Told()
    places = all_actions(data.domain, Responder(random.Random(1)), custom=[Place(validate_restaurant_form=[])])
    chain = Chain([build(name) for name in POLICIES]).fit(data.stories)
    talk = Talk(Bot(told, data.domain, chain, places, MemoryStore()))

    def say(words, intent):
        return [reply.text for reply in talk.turn(told.tell(words, intent)).replies]

    assert say("a restaurant", "request_restaurant") == ["What cuisine?"]
    assert say("your boss?", "chitchat") == ["chitchat", "What cuisine?"]
    assert say("stop", "stop") == ["Do you want to continue?"]
    assert say("yes", "affirm") == ["What cuisine?"]
    assert say("[afghan](cuisine) food", "inform") == ["How many people?"]
    assert say("[5](number)", "inform") == ["Do you want to sit outside?"]
    assert say("yes", "affirm") == ["Please provide additional preferences"]
    assert talk.tracker.slots["outdoor_seating"] is True
    assert say("no", "deny") == ["Please give your feedback on your experience so far"]
    done, values = say("it was great", "inform")
    assert done == "All done!"
    assert "cuisine: afghan" in values
    assert "preferences: no additional preferences" in values
    assert "feedback: it was great" in values
    assert talk.tracker.active_form is None

    assert say("a restaurant", "request_restaurant")[0] == "All done!", "slots are kept, as in Rasa"
    say("/restart", "restart")
    say("a restaurant", "request_restaurant")
    say("stop", "stop")
    talk.turn(told.tell("no", "deny"))
    assert talk.tracker.active_form is None
    assert talk.tracker.requested_slot is None
