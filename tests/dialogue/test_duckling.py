"""Entities from a Duckling server, over HTTP; and what servers do that are none."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from dialogue.actions.dispatch import all_actions
from dialogue.actions.http import Endpoint
from dialogue.actions.respond import Responder
from dialogue.assembly import understanding_of
from dialogue.bot import Bot
from dialogue.config_file import load_config
from dialogue.domain import Slot
from dialogue.duckling import EXTRACTOR, Asked, DucklingUnderstanding
from dialogue.fold import start, step
from tests.dialogue.desk import DOMAIN, FakeUnderstanding, MemoryStore, Talk, chain, mapped
from tests.dialogue.servers import FakeServer, free_port, hangs_up, no_http, sleeps

ENGLISH = Asked("en")
NOW = 1_792_000_000.5
DAY = {"value": "2026-10-16T00:00:00.000+02:00", "grain": "day", "type": "value"}
FROM = {"value": "2026-10-16T18:00:00.000+02:00", "grain": "hour"}
TO = {"value": "2026-10-17T00:00:00.000+02:00", "grain": "hour"}
# A text, where its entity stands, what Duckling answers as `value`, and the value of the entity.
SHAPES = [
    ("time", "greet on Friday", (6, 15), {**DAY, "values": [DAY]}, DAY["value"]),
    (
        "time",
        "greet tonight",
        (6, 13),
        {"type": "interval", "from": FROM, "to": TO, "values": [{"type": "interval", "from": FROM, "to": TO}]},
        {"from": FROM["value"], "to": TO["value"]},
    ),
    ("time", "greet after six", (6, 15), {"type": "interval", "from": FROM}, {"from": FROM["value"], "to": None}),
    ("number", "greet forty-two", (6, 15), {"value": 42, "type": "value"}, 42),
    ("ordinal", "greet the first", (6, 15), {"value": 1, "type": "value"}, 1),
    ("amount-of-money", "greet €12.50", (6, 12), {"value": 12.5, "unit": "EUR", "type": "value"}, 12.5),
    (
        "amount-of-money",
        "greet under 5$",
        (6, 14),
        {"type": "interval", "to": {"value": 5, "unit": "$"}},
        {"from": None, "to": 5},
    ),
    (
        "duration",
        "greet 2 hours",
        (6, 13),
        {"value": 2, "hour": 2, "unit": "hour", "type": "value", "normalized": {"value": 7200, "unit": "second"}},
        2,
    ),
    ("email", "greet a@b.org", (6, 13), {"value": "a@b.org"}, "a@b.org"),
    ("phone-number", "greet 555 1234", (6, 14), {"value": "5551234"}, "5551234"),
    ("url", "greet x.org/a", (6, 13), {"value": "x.org/a", "domain": "x.org"}, "x.org/a"),
    ("distance", "greet 3 miles", (6, 13), {"value": 3, "type": "value", "unit": "mile"}, 3),
    ("temperature", "greet 20 degrees", (6, 16), {"value": 20, "type": "value", "unit": "degree"}, 20),
    ("quantity", "greet 2 cups", (6, 12), {"value": 2, "type": "value", "unit": "cup", "product": None}, 2),
    ("time", "greet 🌙 明天", (8, 10), DAY, DAY["value"]),
]


def match(dim, text, start, end, value):
    return {"body": text[start:end], "start": start, "end": end, "dim": dim, "latent": False, "value": value}


def asking(url, asked=ENGLISH, **options):
    return DucklingUnderstanding(FakeUnderstanding(), Endpoint(url, **options), asked, clock=lambda: NOW)


@pytest.mark.parametrize(("dim", "text", "place", "value", "expected"), SHAPES)
def test_every_shape_of_duckling_becomes_an_entity_as_in_rasa(dim, text, place, value, expected):
    with FakeServer((200, [match(dim, text, *place, value)])) as server:
        (belief,) = asking(server.url.removesuffix("/webhook")).parse_many([text])
    *_, entity = belief.entities
    assert belief.top.name == "greet"
    assert (entity.entity, entity.start, entity.end, entity.extractor) == (dim, *place, EXTRACTOR)
    assert entity.value == expected
    assert entity.info == value
    assert entity.confidence is None


def test_the_form_says_what_to_look_for():
    asked = Asked("en_GB", ("time", "amount-of-money"), "Europe/Oslo")
    with FakeServer((200, [])) as server:
        asking(server.url, asked, token="secret").parse_many(["greet & meet ü?"])
        asking(f"{server.url}/parse/").parse_many(["greet"])
        asking(server.url).parse_many(["  "])
    assert server.paths == ["/webhook/parse?token=secret", "/webhook/parse/"]
    first, second = server.requests
    assert json.loads(first.pop("dims")) == ["time", "amount-of-money"]
    assert first == {"text": "greet & meet ü?", "locale": "en_GB", "tz": "Europe/Oslo", "reftime": "1792000000500"}
    assert second == {"text": "greet", "locale": "en", "reftime": "1792000000500"}


def nothing_like_it(value):
    return 200, [{"dim": "time", "start": 0, "end": 5, "value": {"value": 1}}, value]


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": "no"}),
        (404, b"not here"),
        (200, b"garbage"),
        (200, b"[NaN]"),
        (200, {"dim": "time"}),
        nothing_like_it("time"),
        nothing_like_it({"dim": "time", "start": 0, "end": 5}),
        nothing_like_it({"dim": 3, "start": 0, "end": 5, "value": {}}),
        nothing_like_it({"dim": "time", "start": 3, "end": 2, "value": {}}),
        nothing_like_it({"dim": "time", "start": 0, "end": 50, "value": {}}),
        nothing_like_it({"dim": "time", "start": "0", "end": 5, "value": {}}),
        hangs_up,
        no_http,
        sleeps(1),
    ],
)
def test_a_server_that_does_not_do_costs_no_turn_and_is_told_of_once(answer, caplog):
    with FakeServer(answer) as server:
        understanding = asking(server.url, timeout=0.3)
        for _ in range(2):
            (belief,) = understanding.parse_many(["greet Oslo"])
            assert belief.top.name == "greet"
            assert [entity.entity for entity in belief.entities] == ["city"]
    assert caplog.text.count("messages are understood without it") == 1
    assert caplog.text.count(f"Duckling {server.url}/parse") == 1


def test_nobody_there_is_told_of_again_after_the_server_had_come_back(caplog):
    with FakeServer((500, {}), (200, []), (500, {})) as server:
        understanding = asking(server.url)
        for _ in range(4):
            understanding.parse_many(["greet"])
    assert caplog.text.count("expected status 200, got 500") == 2
    understanding = asking(f"http://127.0.0.1:{free_port()}")
    assert understanding.parse_many(["greet"])[0].top.name == "greet"
    assert "cannot be reached" in caplog.text
    assert understanding.timings["duckling"] > 0


def test_what_duckling_finds_fills_slots_and_stays_in_the_conversation():
    text = "greet for 42"
    domain = replace(
        DOMAIN, slots={**DOMAIN.slots, "when": Slot("when", "any", mappings=(mapped("from_entity", entity="time"),))}
    )
    interval = {"type": "interval", "from": FROM, "to": TO}
    with FakeServer((200, [match("time", text, 6, 12, interval)])) as server:
        understanding = asking(server.url)
        bot = Bot(understanding, domain, chain(), all_actions(domain, Responder(random.Random(1))), MemoryStore())
        talk = Talk(bot)
        assert talk.say(text) == ["Hello!"]
    assert talk.tracker.slots["when"] == {"from": FROM["value"], "to": TO["value"]}
    (said,) = [event for event in talk.tracker.events if event.wire == "user"]
    shown = said.parse_data["entities"][-1]
    assert shown == {
        "entity": "time",
        "start": 6,
        "end": 12,
        "value": {"from": FROM["value"], "to": TO["value"]},
        "extractor": EXTRACTOR,
        "additional_info": interval,
    }
    assert step(start({}, 5), said).turns[-1].entities[-1].info == interval


def test_bot_yml_names_the_server(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "bot.yml").write_text("language: zh-CN\nduckling: {url: 'http://127.0.0.1:1', dimensions: [time]}\n")
    config = load_config(tmp_path)
    found = understanding_of(config, FakeUnderstanding())
    assert isinstance(found, DucklingUnderstanding)
    assert found._asked == Asked("zh_CN", ["time"])
    (tmp_path / "bot.yml").write_text("name: none\n")
    inner = FakeUnderstanding()
    assert understanding_of(load_config(tmp_path), inner) is inner
