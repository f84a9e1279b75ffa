"""Responses from a server, and the domain's own words when it fails; and how bot.yml names both kinds of server."""

import json
import random
from dataclasses import replace

import pytest

from dialogue.actions.base import ActionError, ActionRequest, Outside
from dialogue.actions.dispatch import all_actions
from dialogue.actions.http import Endpoint
from dialogue.actions.nlg import CallbackResponder
from dialogue.actions.remote import RemoteActions
from dialogue.assembly import actions, most_actions, responder_of
from dialogue.bot import Bot
from dialogue.config_file import load_config
from dialogue.domain import ActionSpec
from dialogue.message import Button
from dialogue.tracker import Tracker
from policies.types import Decision, Kind
from tests.dialogue.desk import DOMAIN, Custom, FakeUnderstanding, MemoryStore, Talk, chain, respond
from tests.dialogue.servers import FakeServer, hangs_up, sleeps

NAMED = replace(DOMAIN, responses={**DOMAIN.responses, "utter_greet": respond("Hello!", id="g1")})


def talk_with(url, domain=NAMED, **options):
    responder = CallbackResponder(Endpoint(url, **options), random.Random(1))
    places = all_actions(domain, responder, custom=(Custom(),))
    return Talk(Bot(FakeUnderstanding(), domain, chain(), places, MemoryStore()))


def test_what_the_server_is_asked_and_says():
    said = {
        "text": "Ahoy",
        "buttons": [{"title": "Book", "payload": "/book"}],
        "image": "i.png",
        "attachment": None,
        "custom": {},
        "elements": [],
        "id": "g7",
    }
    with FakeServer((200, said)) as fake:
        talk = talk_with(fake.url)
        (reply,) = talk.turn("greet", channel="rest").replies
    assert (reply.text, reply.buttons, reply.image) == ("Ahoy", (Button("Book", "/book"),), "i.png")
    assert reply.metadata == {"utter_action": "utter_greet", "id": "g7"}
    (sent,) = fake.requests
    assert set(sent) == {"response", "id", "arguments", "tracker", "channel"}
    assert (sent["response"], sent["id"], sent["arguments"], sent["channel"]) == (
        "utter_greet",
        "g1",
        {},
        {"name": "rest"},
    )
    assert sent["tracker"]["latest_message"]["text"] == "greet"


def test_what_an_action_gives_to_fill_in_is_sent():
    with FakeServer((200, {"text": "ok"})) as fake:
        responder = CallbackResponder(Endpoint(fake.url), random.Random(1))
        responder.replies("utter_booked", Tracker("ada"), NAMED, city="Rome", name="own")
    assert fake.requests[0]["arguments"] == {"city": "Rome", "name": "own"}


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": "x"}),
        (200, b"no json"),
        (200, [1]),
        (200, {}),
        (200, {"text": 5}),
        (200, {"buttons": [1]}),
        (204, b""),
        hangs_up,
        sleeps(0.5),
    ],
)
def test_a_server_that_fails_leaves_the_domains_words_and_a_warning(answer, caplog):
    with FakeServer(answer) as fake:
        assert talk_with(fake.url, timeout=0.2).say("greet") == ["Hello!"]
    assert "conversation ada: response utter_greet: " in caplog.text


def test_bot_yml_names_the_servers(tmp_path):
    domain = replace(DOMAIN, actions={"action_x": ActionSpec("action_x")})
    decision = Decision(Kind.ACT, "action_x", 1.0, "rules", "because")
    said = {"responses": [{"response": "utter_bye"}], "events": []}
    with FakeServer((200, said)) as acts, FakeServer((200, {"text": "Ahoy"})) as words:
        server = {
            "url": acts.url,
            "token": "t",
            "selective_domain": True,
            "basic_auth": {"username": "a", "password": "b"},
        }
        settings = {"data": ["."], "actions": server, "nlg": words.url}
        (tmp_path / "bot.yml").write_text(json.dumps(settings))
        config = load_config(tmp_path)
        places, beside = actions(config, domain)
        for name in ("action_x", "utter_greet"):
            with pytest.raises(Outside, match=name):  # it would have to wait
                beside.run(ActionRequest(name, Tracker("ada"), domain, decision))
        assert (acts.requests, words.requests) == ([], [])
        result = places.run(ActionRequest("action_x", Tracker("ada"), domain, decision))
    assert isinstance(responder_of(config), CallbackResponder)
    assert isinstance(places._places[0]._places[0], RemoteActions)
    assert [reply.text for reply in result.replies] == ["Ahoy"]
    assert "domain" not in acts.requests[0]
    assert acts.paths == ["/webhook?token=t"]
    assert acts.headers[0]["Authorization"].startswith("Basic ")


def test_how_many_actions_a_turn_may_have():
    assert most_actions({}) == 10
    assert most_actions({"MAX_NUMBER_OF_PREDICTIONS": "3"}) == 3
    for wrong in ("0", "-1", "ten", ""):
        with pytest.raises(ActionError, match="MAX_NUMBER_OF_PREDICTIONS: expected a whole number"):
            most_actions({"MAX_NUMBER_OF_PREDICTIONS": wrong})
    bot = Bot(
        FakeUnderstanding(), NAMED, chain(), all_actions(NAMED, custom=(Custom(),)), MemoryStore(), most_actions=3
    )
    names = [event.name for event in Talk(bot).turn("loop").events if event.wire == "action"]
    assert names[2:] == ["action_loop"] * 3 + ["action_listen"]
