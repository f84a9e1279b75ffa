"""What goes out, against a server that stands for the platform."""

import asyncio
import json

import httpx
import pytest

from dialogue.channels.base import SendError
from dialogue.channels.calls import Token, pause
from dialogue.message import Button, Reply
from tests.dialogue.platforms import SERVICE, answer, channel, discord_key, ready_teams
from tests.dialogue.servers import FakePlatform

CHOICES = (Button("Tonight", '/visit{"day": "tonight"}'), Button("Tomorrow", "tomorrow"))
ASKED = Reply(text="**When** do you & we <meet>?", buttons=CHOICES)
PLAIN = "When do you & we <meet>?"
LISTED = f"{PLAIN}\n1. Tonight\n2. Tomorrow"


def kind(called):
    """As `platforms.answer`."""
    request = httpx.Request(called.method, f"http://x{called.path}")
    done = answer(request)
    return done.status_code, done.json()


def sent(make, reply, address, answers=kind):
    """The requests that reach the platform."""

    async def run(url):
        async with httpx.AsyncClient() as client:
            await make(url).send(reply, address, client)

    with FakePlatform(answers) as platform:
        asyncio.run(run(platform.url))
        return platform.calls


def one(make, reply, address):
    (called,) = [call for call in sent(make, reply, address) if "oken" not in call.path]
    return called


def test_telegram():
    called = one(lambda url: channel("telegram", api_base=url), ASKED, {"chat": 42, "thread": None})
    assert called.path == "/bot1:T/sendMessage"
    assert called.json == {
        "chat_id": 42,
        "text": "<b>When</b> do you &amp; we &lt;meet&gt;?",
        "parse_mode": "HTML",
        "reply_markup": {
            "inline_keyboard": [
                [{"text": "Tonight", "callback_data": '/visit{"day": "tonight"}'}],
                [{"text": "Tomorrow", "callback_data": "tomorrow"}],
            ]
        },
    }
    photo = one(
        lambda url: channel("telegram", api_base=url), Reply(image="https://x/a.png"), {"chat": 42, "thread": 7}
    )
    assert (photo.path, photo.json) == (
        "/bot1:T/sendPhoto",
        {"chat_id": 42, "message_thread_id": 7, "photo": "https://x/a.png"},
    )
    custom = Reply(custom={"method": "sendDice", "emoji": "🎲"})
    dice = one(lambda url: channel("telegram", api_base=url), custom, {"chat": 42})
    assert (dice.path, dice.json) == ("/bot1:T/sendDice", {"chat_id": 42, "emoji": "🎲"})


def test_slack():
    called = one(lambda url: channel("slack", api_base=url), ASKED, {"channel": "C1", "thread": "1.2"})
    assert (called.path, called.headers["authorization"]) == ("/chat.postMessage", "Bearer xoxb-1")
    said = called.json
    assert (said["channel"], said["thread_ts"], said["text"]) == ("C1", "1.2", "*When* do you &amp; we &lt;meet&gt;?")
    section, actions = said["blocks"]
    assert section["text"] == {"type": "mrkdwn", "text": said["text"]}
    assert [button["value"] for button in actions["elements"]] == [button.payload for button in CHOICES]
    assert len({button["action_id"] for button in actions["elements"]}) == 2


def test_slack_answers_200_to_what_it_does_not_take():
    for error, again in (("channel_not_found", None), ("ratelimited", 5.0)):
        with pytest.raises(SendError) as problem:
            sent(
                lambda url: channel("slack", api_base=url),
                Reply(text="hi"),
                {"channel": "C1"},
                lambda _, error=error: (200, {"ok": False, "error": error}),
            )
        assert problem.value.retry_after == again
        assert "xoxb" not in str(problem.value)


def test_messenger():
    called = one(lambda url: channel("messenger", api_base=url), ASKED, {"to": "42"})
    assert (called.path, called.headers["authorization"]) == ("/me/messages", "Bearer PT")
    assert called.json == {
        "recipient": {"id": "42"},
        "messaging_type": "RESPONSE",
        "message": {
            "text": PLAIN,
            "quick_replies": [
                {"content_type": "text", "title": "Tonight", "payload": '/visit{"day": "tonight"}'},
                {"content_type": "text", "title": "Tomorrow", "payload": "tomorrow"},
            ],
        },
    }


def test_meta_says_in_a_400_what_goes_by():
    for code, again in ((613, 5.0), (100, None)):
        with pytest.raises(SendError) as problem:
            sent(
                lambda url: channel("whatsapp", api_base=url),
                Reply(text="hi"),
                {"to": "1"},
                lambda _, code=code: (400, {"error": {"code": code}}),
            )
        assert problem.value.retry_after == again


def test_whatsapp():
    called = one(lambda url: channel("whatsapp", api_base=url), ASKED, {"to": "49155"})
    assert called.path == "/4711/messages"
    assert called.json["interactive"]["body"] == {"text": f"*When*{PLAIN.removeprefix('When')}"}
    assert [one["reply"]["id"] for one in called.json["interactive"]["action"]["buttons"]] == [
        button.payload for button in CHOICES
    ]
    many = tuple(Button(f"Day {number}", f"day{number}") for number in range(10))
    rows = one(lambda url: channel("whatsapp", api_base=url), Reply(text="when?", buttons=many), {"to": "49155"})
    assert rows.json["interactive"]["type"] == "list"
    (section,) = rows.json["interactive"]["action"]["sections"]
    assert [row["id"] for row in section["rows"]] == [button.payload for button in many]
    too_many = (*many, Button("Day 10", "day10"))
    text = one(lambda url: channel("whatsapp", api_base=url), Reply(text="when?", buttons=too_many), {"to": "49155"})
    assert text.json["text"]["body"].endswith("10. Day 9\n11. Day 10")


def test_line():
    called = one(lambda url: channel("line", api_base=url), ASKED, {"to": "U1"})
    assert (called.path, called.headers["authorization"]) == ("/v2/bot/message/push", "Bearer LT")
    (message,) = called.json["messages"]
    assert (called.json["to"], message["text"]) == ("U1", PLAIN)
    assert [item["action"]["data"] for item in message["quickReply"]["items"]] == [b.payload for b in CHOICES]


def test_twilio():
    called = one(lambda url: channel("twilio", api_base=url), ASKED, {"to": "+1", "from": "+2"})
    assert called.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert called.headers["authorization"] == httpx.BasicAuth("AC1", "TT")._auth_header
    assert dict(httpx.QueryParams(called.body.decode())) == {"To": "+1", "From": "+2", "Body": LISTED}


def test_discord():
    assert discord_key()
    called = one(lambda url: channel("discord", api_base=url), ASKED, {"token": "it"})
    assert called.path == "/webhooks/99/it"
    assert called.json["allowed_mentions"] == {"parse": []}
    assert called.json["content"] == ASKED.text
    assert [one["custom_id"] for one in called.json["components"][0]["components"]] == [b.payload for b in CHOICES]


def test_chatwoot_hands_over_after_it_has_spoken():
    address = {"account": "3", "conversation": "13"}
    asked = one(lambda url: channel("chatwoot", api_base=url), ASKED, address)
    assert (asked.path, asked.headers["api_access_token"]) == ("/api/v1/accounts/3/conversations/13/messages", "CT")
    assert asked.json["content_attributes"]["items"][1] == {"title": "Tomorrow", "value": "tomorrow"}
    for reply in (Reply(text="a person", metadata={"handoff": True}), Reply(text="a person", custom={"handoff": True})):
        said, opened = sent(lambda url: channel("chatwoot", api_base=url), reply, address)
        assert said.json["content"] == "a person"
        assert (opened.path, opened.json) == (
            "/api/v1/accounts/3/conversations/13/toggle_status",
            {"status": "open"},
        )


def test_feishu():
    calls = sent(lambda url: channel("feishu", api_base=url), ASKED, {"chat": "oc_1"})
    token, said = calls
    assert token.json == {"app_id": "cli_1", "app_secret": "FS"}
    assert (said.path, said.query) == ("/open-apis/im/v1/messages", {"receive_id_type": "chat_id"})
    assert said.headers["authorization"] == "Bearer AT"
    assert (said.json["receive_id"], said.json["msg_type"]) == ("oc_1", "interactive")
    card = json.loads(said.json["content"])
    assert card["elements"][0]["text"]["content"] == PLAIN
    assert card["elements"][1]["actions"][1]["value"] == {"payload": "tomorrow"}


@pytest.mark.parametrize("name", ["wechat", "wecom"])
def test_wechat_and_wecom_write_letters_as_they_are(name):
    reply = Reply(text="今晚见", buttons=CHOICES)
    token, said = sent(lambda url: channel(name, api_base=url), reply, {"to": "ada"})
    assert token.path == {"wechat": "/cgi-bin/stable_token", "wecom": "/cgi-bin/gettoken"}[name]
    assert said.query == {"access_token": "AT"}
    assert said.path == {"wechat": "/cgi-bin/message/custom/send", "wecom": "/cgi-bin/message/send"}[name]
    assert "今晚见".encode() in said.body
    assert said.json["text"]["content"] == "今晚见\n1. Tonight\n2. Tomorrow"
    assert said.json.get("agentid") == {"wechat": None, "wecom": 7}[name]


@pytest.mark.parametrize("name", ["wechat", "wecom", "feishu"])
def test_a_refused_token_is_fetched_anew(name):
    address = {"to": "ada", "chat": "oc_1"}
    tokens = []

    def answers(called):
        if "oken" in called.path:
            tokens.append(f"T{len(tokens)}")
            return 200, {
                "code": 0,
                "errcode": 0,
                "access_token": tokens[-1],
                "tenant_access_token": tokens[-1],
                "expires_in": 7200,
                "expire": 7200,
            }
        used = called.query.get("access_token") or called.headers["authorization"].removeprefix("Bearer ")
        refused = {"feishu": {"code": 99991663}}.get(name, {"errcode": 42001})
        return 200, refused if used == "T0" else {"code": 0, "errcode": 0}

    async def run(url):
        async with httpx.AsyncClient() as client:
            channel_ = channel(name, api_base=url)
            with pytest.raises(SendError) as problem:
                await channel_.send(Reply(text="hi"), address, client)
            assert problem.value.retry_after is not None
            for _ in range(3):
                await channel_.send(Reply(text="hi"), address, client)

    with FakePlatform(answers) as platform:
        asyncio.run(run(platform.url))
    assert tokens == ["T0", "T1"]


def test_dingtalk_answers_at_the_address_of_the_message():
    def address(url, until=2e12):
        return {"url": f"{url}/robot/sendBySession?session=x", "until": until}

    async def run(url, until, hosts):
        async with httpx.AsyncClient() as client:
            await channel("dingtalk", hosts=hosts).send(ASKED, address(url, until), client)

    with FakePlatform(lambda _: (200, {"errcode": 0})) as platform:
        asyncio.run(run(platform.url, 9e15, (platform.url,)))
        (called,) = platform.calls
        assert called.json["msgtype"] == "markdown"
        assert called.json["markdown"]["text"] == f"{ASKED.text}  \n1. Tonight  \n2. Tomorrow"
        for until, hosts, what in ((0, (platform.url,), "time"), (9e15, ("oapi.dingtalk.com",), "do not go to")):
            with pytest.raises(SendError, match=what) as problem:
                asyncio.run(run(platform.url, until, hosts))
            assert problem.value.retry_after is None
        assert len(platform.calls) == 1


def test_teams_answers_where_the_message_came_from():
    address = {
        "conversation": "a:1/2;x=3",
        "message": "m1",
        "user": {"id": "29:ada", "name": "Ada"},
        "bot": {"id": "28:bot", "name": "Nova"},
    }

    async def run(url):
        async with httpx.AsyncClient() as client:
            teams = channel("teams", hosts=(url,), login_url=url)
            await teams.send(ASKED, {**address, "service": f"{url}/emea"}, client)
            with pytest.raises(SendError, match="do not go to"):
                await teams.send(ASKED, {**address, "service": SERVICE}, client)

    with FakePlatform(kind) as platform:
        asyncio.run(run(platform.url))
        token, said = platform.calls
    assert token.path == "/botframework.com/oauth2/v2.0/token"
    assert dict(httpx.QueryParams(token.body.decode()))["scope"] == "https://api.botframework.com/.default"
    assert said.path == "/emea/v3/conversations/a%3A1%2F2%3Bx%3D3/activities/m1"
    assert said.headers["authorization"] == "Bearer AT"
    assert (said.json["recipient"]["id"], said.json["replyToId"]) == ("29:ada", "m1")
    (card,) = said.json["attachments"]
    assert [button["text"] for button in card["content"]["buttons"]] == [button.payload for button in CHOICES]


def test_teams_is_ready_once_it_has_the_keys():
    assert ready_teams()._keys.keys() == {"key-1"}


# --- telling the platform ---------------------------------------------------------------------------------------------


def registered(make):
    async def run(url):
        async with httpx.AsyncClient() as client:
            await make(url).register(client)

    with FakePlatform(kind) as platform:
        asyncio.run(run(platform.url))
        (called,) = platform.calls
        return called


def test_telegram_is_told_its_webhook():
    called = registered(lambda url: channel("telegram", api_base=url))
    assert called.path == "/bot1:T/setWebhook"
    assert called.json == {
        "url": "https://bot.example.org/webhooks/telegram/webhook",
        "secret_token": "s3cret",
        "allowed_updates": ["message", "callback_query"],
    }


def test_without_a_secret_telegram_gets_one_made_of_the_token():
    called = registered(lambda url: channel("telegram", api_base=url, secret=None))
    assert len(called.json["secret_token"]) == 64
    other = registered(lambda url: channel("telegram", api_base=url, secret=None, token="2:T"))
    assert called.json["secret_token"] != other.json["secret_token"]


def test_discord_gets_its_command():
    called = registered(lambda url: channel("discord", api_base=url))
    assert (called.path, called.headers["authorization"]) == ("/applications/99/commands", "Bot BT")
    assert (called.json["name"], called.json["options"][0]["required"]) == ("ask", True)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_a_pause_is_within_reason():
    assert pause(None, None) == 5.0
    assert pause("7") == 7.0
    assert pause("soon", 3) == 3.0
    assert pause("Wed, 21 Oct 2026 07:28:00 GMT") == 5.0
    assert pause("1e9") == 3600.0
    assert (pause("nan"), pause("-4"), pause("inf")) == (5.0, 5.0, 5.0)


def test_telegram_says_in_its_answer_how_long_to_wait():
    with pytest.raises(SendError) as problem:
        sent(
            lambda url: channel("telegram", api_base=url),
            Reply(text="hi"),
            {"chat": 1},
            lambda _: (429, {"ok": False, "parameters": {"retry_after": 13}}),
        )
    assert problem.value.retry_after == 13.0


def test_a_token_is_fetched_once_for_many_and_again_before_it_ends(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("dialogue.channels.calls.time.monotonic", lambda: now[0])
    fetched = []

    async def fetch(client):
        await asyncio.sleep(0)
        fetched.append(now[0])
        return f"T{len(fetched)}", 7200.0

    async def run():
        token = Token(fetch)
        assert set(await asyncio.gather(*(token.get(None) for _ in range(20)))) == {"T1"}
        now[0] = 6899.0
        assert await token.get(None) == "T1"
        now[0] = 6901.0
        assert await token.get(None) == "T2"
        token.forget()
        assert await token.get(None) == "T3"

    asyncio.run(run())
    assert fetched == [0.0, 6901.0, 6901.0]


def test_no_error_shows_a_token():
    with pytest.raises(SendError) as problem:
        asyncio.run(_unreachable())
    assert "1:T" not in str(problem.value)
    assert problem.value.retry_after is not None


async def _unreachable():
    async with httpx.AsyncClient() as client:
        await channel("telegram", api_base="http://127.0.0.1:1").send(Reply(text="hi"), {"chat": 1}, client)
