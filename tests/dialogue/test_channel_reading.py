"""What comes in, platform by platform, with the verifiers of the platforms' own packages as oracles."""

import asyncio
import base64
import contextlib
import json
import time
from dataclasses import replace

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.channels import dingtalk, feishu, telegram, twilio, wechat_crypto
from dialogue.channels.base import Delivery, RefusedError, SendError
from dialogue.channels.discord import Discord
from dialogue.channels.hosts import check_address
from dialogue.channels.testing import SAID
from tests.dialogue import platforms as signers
from tests.dialogue.platforms import AES_KEY, FORM, JSON, SERVICE, URL, channel, delivery, dumps

NOW = time.time()


def texts(found):
    return [one.message.text for one in found.heard]


def get(name, **query):
    return Delivery("GET", URL.format(name), {}, {key.replace("_", ".", 1): value for key, value in query.items()}, b"")


# --- Telegram ---------------------------------------------------------------------------------------------------------


def telegram_update(**update):
    return channel("telegram").receive(signers.telegram_sign(dumps({"update_id": 5, **update}), time.time()))


def test_telegram_buttons_are_answered_in_the_answer_of_the_webhook():
    message = {"message_id": 1, "chat": {"id": -7}, "from": {"id": 1, "is_bot": True}}
    pressed = {"id": "cb1", "data": "/greet", "from": {"id": 42}, "message": message}
    found = telegram_update(callback_query=pressed)
    (one,) = found.heard
    assert (one.message.text, one.message.sender, one.message.id) == ("/greet", "telegram:-7", "5")
    assert one.address == {"chat": -7, "thread": None}
    assert json.loads(found.response.body) == {"method": "answerCallbackQuery", "callback_query_id": "cb1"}
    assert found.response.content_type == "application/json"


def test_telegram_reads_captions_and_commands_to_this_bot():
    chat = {"id": 3}
    assert texts(telegram_update(message={"chat": chat, "caption": "my dog", "message_thread_id": 9})) == ["my dog"]
    assert texts(telegram_update(message={"chat": chat, "text": "/greet@nova_bot now"})) == ["/greet now"]
    assert texts(telegram_update(message={"chat": chat, "text": "ada@example.org"})) == ["ada@example.org"]
    assert texts(telegram_update(message={"chat": chat, "text": "hi", "from": {"is_bot": True}})) == []
    assert texts(telegram_update(edited_message={"chat": chat, "text": "hi"})) == []


def polled(answers, until):
    """What a polling bot hears and asks, until it has heard so many messages."""
    heard, asked = [], []

    async def take(incoming):
        heard.extend(incoming.heard)
        if len(heard) >= until:
            raise asyncio.CancelledError

    def answer(request):
        asked.append((request.url.path.rpartition("/")[2], json.loads(request.content)))
        if asked[-1][0] == "getUpdates":
            return answers.pop(0)
        return httpx.Response(200, json={"ok": True})

    async def run():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await telegram.telegram(token="1:T").listen(take, client)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run())
    return heard, asked


def updates(*numbers, text="hi"):
    result = [{"update_id": number, "message": {"chat": {"id": 1}, "text": text}} for number in numbers]
    return httpx.Response(200, json={"ok": True, "result": result})


def test_a_polling_bot_confirms_what_is_safe_and_waits_trouble_out(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(telegram.asyncio, "sleep", sleep)
    busy = httpx.Response(429, json={"ok": False, "parameters": {"retry_after": 3}})
    heard, asked = polled([updates(7, 8), busy, httpx.Response(502), updates(), updates(9)], until=3)
    assert [one.message.id for one in heard] == ["7", "8", "9"]
    assert asked[0][0] == "deleteWebhook"
    assert [body["offset"] for method, body in asked if method == "getUpdates"] == [0, 9, 9, 9, 9]
    assert pauses == [3.0, 5.0]


def test_a_polling_bot_does_not_confirm_what_was_not_taken():
    _, asked = polled([updates(7), updates(7)], until=1)
    assert [body["offset"] for method, body in asked if method == "getUpdates"] == [0]


def test_a_polling_bot_with_a_wrong_token_ends():
    with pytest.raises(SendError, match="401"):
        polled([httpx.Response(401, json={"ok": False, "description": "Unauthorized"})], until=1)


# --- Slack ------------------------------------------------------------------------------------------------------------


def slack(event, **options):
    body = dumps({"type": "event_callback", "event_id": "Ev1", "event": event})
    return channel("slack", **options).receive(signers.slack_sign(body, time.time()))


def test_slack_signs_as_its_own_package_does():
    from slack_sdk.signature import SignatureVerifier

    good = signers.slack_sign(b'{"a": "\xc3\xa9"}', time.time())
    verifier = SignatureVerifier("shhh")
    assert verifier.is_valid_request(good.body, dict(good.headers))
    assert not verifier.is_valid_request(b"{}", dict(good.headers))


def test_slack_is_answered_its_challenge_only_when_it_signs():
    challenge = dumps({"type": "url_verification", "challenge": "c1"})
    assert channel("slack").receive(signers.slack_sign(challenge, time.time())).response.body == b"c1"
    with pytest.raises(RefusedError):
        channel("slack").receive(delivery("slack", challenge, JSON))


def test_slack_hears_direct_messages_and_mentions_of_people():
    direct = {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1", "text": "hi"}
    mention = {
        "type": "app_mention",
        "channel": "C1",
        "user": "U1",
        "ts": "1.5",
        "text": "<@UBOT> what's <http://a.b|this> &amp; that?",
    }
    assert texts(slack(direct)) == ["hi"]
    assert texts(slack(mention)) == ["what's this & that?"]
    for other in ({"bot_id": "B1"}, {"subtype": "message_changed"}, {"channel_type": "channel"}, {"user": None}):
        assert texts(slack({**direct, **other})) == []


def test_slack_keeps_conversations_apart_by_person_or_by_thread():
    first = {"type": "app_mention", "channel": "C1", "user": "U1", "ts": "1.5", "text": "hi"}
    (alone,) = slack(first).heard
    assert (alone.message.sender, alone.address) == ("slack:C1/U1", {"channel": "C1", "thread": ""})
    (threaded,) = slack(first, threads=True).heard
    (later,) = slack({**first, "user": "U2", "ts": "1.7", "thread_ts": "1.5"}, threads=True).heard
    assert threaded.message.sender == later.message.sender == "slack:C1/1.5"
    assert threaded.address == later.address == {"channel": "C1", "thread": "1.5"}


# --- Meta -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whatsapp", "messenger"])
def test_meta_sets_its_webhook_up(name):
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}
    wanted = Delivery("GET", URL.format(name), {}, {**query, "hub.verify_token": "VT"}, b"")
    assert channel(name).receive(wanted).response.body == b"1158201444"
    for token in ("", "vt", "VT "):
        with pytest.raises(RefusedError) as refused:
            channel(name).receive(replace(wanted, query={**query, "hub.verify_token": token}))
        assert refused.value.status == 403


def test_meta_signs_as_pywa_does():
    from pywa.utils import webhook_updates_validator

    good = signers.meta_sign(signers.whatsapp_body("grüß dich", "1"), time.time())
    proof = good.headers["x-hub-signature-256"]
    assert webhook_updates_validator("AS", good.body, proof)
    assert not webhook_updates_validator("other", good.body, proof)


def whatsapp(*messages, number="4711"):
    value = {"metadata": {"phone_number_id": number}, "messages": list(messages)}
    return channel("whatsapp").receive(
        signers.meta_sign(dumps({"entry": [{"changes": [{"value": value}]}]}), time.time())
    )


def test_whatsapp_reads_texts_and_choices_in_order():
    reply = {"type": "button_reply", "button_reply": {"id": "/yes", "title": "Yes"}}
    row = {"type": "list_reply", "list_reply": {"id": "day3", "title": "Day 3"}}
    said = [
        {"from": "49", "id": "1", "type": "text", "text": {"body": "hi"}},
        {"from": "49", "id": "2", "type": "interactive", "interactive": reply},
        {"from": "49", "id": "3", "type": "interactive", "interactive": row},
        {"from": "49", "id": "4", "type": "button", "button": {"payload": "/stop", "text": "Stop"}},
        {"from": "49", "id": "5", "type": "reaction", "reaction": {"emoji": "👍"}},
    ]
    assert texts(whatsapp(*said)) == ["hi", "/yes", "day3", "/stop"]
    assert texts(whatsapp(*said, number="other")) == []


def messenger(event):
    body = dumps({"entry": [{"messaging": [{"sender": {"id": "42"}, "timestamp": 99, **event}]}]})
    return channel("messenger").receive(signers.meta_sign(body, time.time()))


def test_messenger_reads_quick_replies_and_postbacks_but_not_itself():
    assert texts(messenger({"message": {"mid": "m", "text": "Yes", "quick_reply": {"payload": "/yes"}}})) == ["/yes"]
    (one,) = messenger({"postback": {"title": "Start", "payload": "/start"}}).heard
    assert (one.message.text, one.message.id) == ("/start", "99")
    assert texts(messenger({"message": {"mid": "m", "text": "hi", "is_echo": True}})) == []
    assert texts(messenger({"delivery": {"watermark": 1}})) == []


# --- Twilio -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10), max_size=5))
def test_twilio_signs_as_its_own_package_does(fields):
    from twilio.request_validator import RequestValidator

    url = "https://bot.example.org/webhooks/twilio/webhook?a=1"
    fields = {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in fields.items()
    }
    assert RequestValidator("TT").compute_signature(url, fields) == twilio.signature(url, fields, "TT")


def test_twilio_may_sign_the_address_with_its_port():
    body = signers.twilio_body("hi", "1")
    good = signers.twilio_sign(body, time.time())
    from dialogue.channels.payload import read_form

    for url in ("https://bot.example.org:443/webhooks/twilio/webhook", URL.format("twilio")):
        proof = twilio.signature(url, read_form(body), "TT")
        for seen in ("https://bot.example.org:443/webhooks/twilio/webhook", URL.format("twilio")):
            signed = replace(good, url=seen, headers={**FORM, "x-twilio-signature": proof})
            assert texts(channel("twilio").receive(signed)) == ["hi"]
    behind = replace(good, url="http://10.0.0.3:5005/webhooks/twilio/webhook")
    with pytest.raises(RefusedError, match="public"):
        channel("twilio").receive(behind)
    assert texts(channel("twilio", webhook_url=URL.format("twilio")).receive(behind)) == ["hi"]


def test_twilio_is_answered_twiml_and_replies_come_from_the_number():
    found = channel("twilio").receive(signers.twilio_sign(signers.twilio_body("hi", "1"), time.time()))
    assert found.response.body.endswith(b"<Response/>")
    assert found.heard[0].address == {"to": "+15550002", "from": "+15550001"}
    assert channel("twilio", number=4915550001)._number == "+4915550001"
    assert channel("twilio", number="whatsapp:+1555")._number == "whatsapp:+1555"
    assert channel("twilio", number=12345)._number == "12345"


# --- LINE -------------------------------------------------------------------------------------------------------------


def line(event):
    return channel("line").receive(signers.line_sign(dumps({"events": [event]}), time.time()))


def test_line_signs_as_its_own_package_does():
    from linebot.v3.webhook import SignatureValidator

    good = signers.line_sign(signers.line_body("今晚", "1"), time.time())
    proof = good.headers["x-line-signature"]
    assert SignatureValidator("LS").validate(good.body.decode(), proof)
    assert not SignatureValidator("other").validate(good.body.decode(), proof)


def test_line_reads_buttons_and_keeps_people_of_a_group_apart():
    source = {"type": "group", "groupId": "G1", "userId": "U1"}
    pressed = {"type": "postback", "webhookEventId": "w9", "source": source, "postback": {"data": "/yes"}}
    (one,) = line(pressed).heard
    assert (one.message.text, one.message.id, one.message.sender) == ("/yes", "w9", "line:G1/U1")
    assert one.address == {"to": "G1"}
    assert texts(line({"type": "follow", "webhookEventId": "w1", "source": source})) == []


# --- Teams ------------------------------------------------------------------------------------------------------------


def teams(token, teams_channel=None, body=None):
    found = teams_channel or signers.ready_teams()
    return found.receive(
        delivery("teams", body or signers.teams_body("hi", "1"), {**JSON, "authorization": f"Bearer {token}"})
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-app"},
        {"iss": "https://evil.example.org"},
        {"exp": NOW - 4000},
        {"exp": None},
        {"aud": None},
        {"nbf": NOW + 90_000, "exp": NOW + 99_000},
        {"serviceurl": "https://smba.trafficmanager.net/other/"},
        {"serviceurl": None},
    ],
)
def test_teams_refuses_a_token_for_something_else(claims):
    assert texts(teams(signers.teams_token())) == ["hi"]
    with pytest.raises(RefusedError):
        teams(signers.teams_token(**claims))


def test_teams_refuses_other_algorithms_and_keys():
    claims = {"iss": "https://api.botframework.com", "aud": "app-1", "exp": NOW + 90_000, "serviceurl": SERVICE}
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tokens = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": "key-1"}),
        jwt.encode(claims, "k" * 32, algorithm="HS256", headers={"kid": "key-1"}),
        jwt.encode(claims, other, algorithm="RS256", headers={"kid": "key-1"}),
        jwt.encode(claims, signers.teams_key(), algorithm="RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, signers.teams_key(), algorithm="RS256"),
    ]
    for token in [*tokens, "", "a.b.c", "é"]:
        with pytest.raises(RefusedError):
            teams(token)


def test_teams_answers_only_to_hosts_of_microsoft():
    for service in (
        "https://evil.example.org/",
        "http://smba.trafficmanager.net/",
        "https://smba.trafficmanager.net.evil.org/",
    ):
        body = json.loads(signers.teams_body("hi", "1")) | {"serviceUrl": service}
        with pytest.raises(RefusedError):
            teams(signers.teams_token(serviceurl=service), body=dumps(body))


def test_teams_fetches_keys_when_one_is_unknown_but_not_all_the_time(monkeypatch):
    now, fetched = [0.0], []
    monkeypatch.setattr("dialogue.channels.teams.time.monotonic", lambda: now[0])

    def answer(request):
        fetched.append(request.url.path)
        return signers.answer(request)

    async def run():
        found = channel("teams")
        good = signers.teams_sign(signers.teams_body("hi", "1"), time.time())
        unknown = delivery(
            "teams", b"{}", {"authorization": "Bearer " + jwt.encode({}, "k" * 32, headers={"kid": "new"})}
        )
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            for moment, one, wanted in (
                (0, good, 2),
                (1, good, 2),
                (2, unknown, 2),
                (400, unknown, 4),
                (500, unknown, 4),
                (900, good, 4),
                (100_000, good, 6),
            ):
                now[0] = moment
                await found.prepare(one, client)
                assert len(fetched) == wanted, moment

    asyncio.run(run())


def test_teams_reads_buttons_and_leaves_the_mention_out():
    body = json.loads(signers.teams_body("<at>Nova</at> hi there", "1"))
    assert texts(teams(signers.teams_token(), body=dumps(body))) == ["hi there"]
    assert texts(teams(signers.teams_token(), body=dumps({**body, "text": None, "value": "/yes"}))) == ["/yes"]
    assert texts(teams(signers.teams_token(), body=dumps({**body, "type": "conversationUpdate"}))) == []


# --- Discord ----------------------------------------------------------------------------------------------------------


def discord(body):
    return channel("discord").receive(signers.discord_sign(dumps(body), time.time()))


def test_discord_is_answered_its_ping_and_the_rest_is_deferred():
    assert json.loads(discord({"type": 1}).response.body) == {"type": 1}
    said = json.loads(signers.discord_body("hi", "1"))
    assert json.loads(discord(said).response.body) == {"type": 5}
    pressed = discord({**said, "type": 3, "data": {"custom_id": "/yes"}, "member": None, "user": {"id": "42"}})
    (one,) = pressed.heard
    assert (one.message.text, one.message.sender, one.address) == ("/yes", "discord:C1/42", {"token": "itoken"})
    assert json.loads(discord({**said, "data": {}}).response.body)["type"] == 4
    with pytest.raises(RefusedError):
        discord({**said, "type": 4})


def test_a_key_that_is_none_is_refused():
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Discord(application_id="1", public_key="zz")


# --- Feishu, DingTalk -------------------------------------------------------------------------------------------------


def test_feishu_decrypts_the_example_of_its_documentation():
    assert feishu.decrypt("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=", "test key") == b"hello world"


def test_feishu_is_answered_its_challenge():
    challenge = dumps({"type": "url_verification", "token": "FV", "challenge": "c1"})
    good = signers.feishu_sign(challenge, time.time())
    for one in (good, replace(good, headers=JSON)):
        assert json.loads(channel("feishu").receive(one).response.body) == {"challenge": "c1"}
    wrong = signers.feishu_sign(dumps({"type": "url_verification", "token": "no", "challenge": "c1"}), time.time())
    for one in (wrong, replace(wrong, headers=JSON), replace(good, body=challenge)):
        with pytest.raises(RefusedError):
            channel("feishu").receive(one)


def test_feishu_does_not_say_what_is_wrong_with_an_unsigned_ciphertext():
    sealed = base64.b64decode(signers.feishu_encrypt(signers.feishu_body("hi", "1")))
    answers = set()
    for place in (0, 20, -17, -1):
        bent = bytearray(sealed)
        bent[place] ^= 1
        unsigned = delivery("feishu", dumps({"encrypt": base64.b64encode(bent).decode()}), JSON)
        with pytest.raises(RefusedError) as refused:
            channel("feishu").receive(unsigned)
        answers.add((str(refused.value), refused.value.status))
    assert len(answers) == 1


def feishu_event(**changes):
    body = json.loads(signers.feishu_body("hi", "1"))
    return channel("feishu").receive(signers.feishu_sign(dumps({**body, **changes}), time.time()))


def test_feishu_reads_buttons_and_leaves_mentions_out():
    message = {
        "message_id": "om",
        "chat_id": "oc",
        "message_type": "text",
        "content": json.dumps({"text": "@_user_1 hi"}),
    }
    sender = {"sender_type": "user", "sender_id": {"open_id": "ou"}}
    assert texts(feishu_event(event={"sender": sender, "message": message})) == ["hi"]
    assert texts(feishu_event(event={"sender": {**sender, "sender_type": "app"}, "message": message})) == []
    assert texts(feishu_event(event={"sender": sender, "message": {**message, "content": "{"}})) == []
    pressed = {
        "operator": {"open_id": "ou"},
        "action": {"value": {"payload": "/yes"}},
        "context": {"open_chat_id": "oc"},
    }
    header = {"event_id": "e9", "event_type": "card.action.trigger", "token": "FV"}
    (one,) = feishu_event(event=pressed, header=header).heard
    assert (one.message.text, one.message.id, one.message.sender) == ("/yes", "e9", "feishu:oc/ou")


def test_dingtalk_signs_a_time():
    import hashlib
    import hmac

    by_hand = hmac.new(b"DS", b"1700000000000\nDS", hashlib.sha256).digest()
    assert base64.b64decode(dingtalk.sign("1700000000000", "DS")) == by_hand


def test_dingtalk_refuses_an_address_elsewhere():
    body = json.loads(signers.dingtalk_body("hi", "1"))
    for url in (
        "https://evil.example.org/x",
        "http://oapi.dingtalk.com/x",
        "https://oapi.dingtalk.com@evil.org/",
        "",
        "http://169.254.169.254/",
    ):
        with pytest.raises(RefusedError) as refused:
            channel("dingtalk").receive(signers.dingtalk_sign(dumps({**body, "sessionWebhook": url}), time.time()))
        assert refused.value.status in (400, 403)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://a.example.org/x", True),
        ("https://A.EXAMPLE.ORG:443/x?y", True),
        ("https://deep.below.org/", True),
        ("http://localhost:9000/x", True),
        ("https://below.org/", False),
        ("https://a.example.org:8443/", False),
        ("https://a.example.org.evil.org/", False),
        ("https://evilbelow.org/", False),
        ("https://user@a.example.org/", False),
        ("https://a.example.org\\@evil.org/", False),
        ("http://localhost:9001/x", False),
        ("ftp://a.example.org/", False),
        ("https:///x", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_addresses_that_replies_may_go_to(url, fine):
    hosts = ("a.example.org", ".below.org", "http://localhost:9000")
    if fine:
        assert check_address(url, hosts, "It") == url
    else:
        with pytest.raises(RefusedError):
            check_address(url, hosts, "It")


# --- WeChat, WeCom ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=200))
def test_wechat_seals_and_opens_as_wechatpy_does(text):
    from wechatpy.crypto import WeChatCrypto

    theirs = WeChatCrypto("TK", AES_KEY, "wx1")
    ours = wechat_crypto.Envelope("TK", AES_KEY, "wx1")
    said = text.encode("utf-8", "replace").decode()
    sealed = ours.seal(said.encode())
    assert theirs._decrypt_message is not None
    stamp = str(int(time.time()))
    proof = wechat_crypto.signature("TK", stamp, "n", sealed)
    xml = f"<xml><Encrypt>{sealed}</Encrypt></xml>"
    assert theirs.decrypt_message(xml, proof, stamp, "n") == said
    envelope = theirs.encrypt_message(said, "n", stamp)
    from dialogue.channels.payload import read_xml

    read = read_xml(envelope.encode())
    query = {"timestamp": stamp, "nonce": "n", "msg_signature": read["MsgSignature"]}
    assert ours.unseal(Delivery("POST", "", {}, query, b""), read["Encrypt"]).decode() == said


def test_wechat_sets_its_webhook_up():
    query = {"timestamp": "1", "nonce": "n", "echostr": "hello"}
    proof = wechat_crypto.signature("TK", "1", "n")
    wanted = Delivery("GET", "", {}, {**query, "signature": proof}, b"")
    assert channel("wechat").receive(wanted).response.body == b"hello"
    with pytest.raises(RefusedError):
        channel("wechat").receive(replace(wanted, query=query))


def test_wecom_sets_its_webhook_up():
    sealed = wechat_crypto.Envelope("TK", AES_KEY, "ww1").seal(b"hello")
    stamp = str(int(time.time()))
    query = {"timestamp": stamp, "nonce": "n", "echostr": sealed}
    proof = wechat_crypto.signature("TK", stamp, "n", sealed)
    wanted = Delivery("GET", "", {}, {**query, "msg_signature": proof}, b"")
    assert channel("wecom").receive(wanted).response.body == b"hello"
    with pytest.raises(RefusedError):
        channel("wecom").receive(replace(wanted, query={**query, "msg_signature": proof[::-1]}))


def test_wechat_is_answered_success_and_an_envelope_for_another_is_refused():
    body = signers.wechat_body(SAID, "1")
    found = channel("wechat").receive(signers.wechat_sign_for("wx1", "wechat")(body, time.time()))
    assert (found.response.body, texts(found)) == (b"success", [SAID])
    with pytest.raises(RefusedError, match="another receiver"):
        channel("wechat").receive(signers.wechat_sign_for("wx2", "wechat")(body, time.time()))
    with pytest.raises(ValueError, match="43 letters"):
        wechat_crypto.Envelope("TK", "short", "wx1")


def test_wechat_menus_say_their_key_and_voices_what_was_recognised():
    def heard(inside):
        xml = f"<xml><FromUserName>ada</FromUserName><CreateTime>5</CreateTime>{inside}</xml>"
        return channel("wechat").receive(signers.wechat_sign_for("wx1", "wechat")(xml.encode(), time.time())).heard

    (clicked,) = heard("<MsgType>event</MsgType><Event>CLICK</Event><EventKey>/hours</EventKey>")
    assert (clicked.message.text, clicked.message.id) == ("/hours", "ada-5")
    (spoken,) = heard("<MsgType>voice</MsgType><Recognition>今晚</Recognition><MsgId>8</MsgId>")
    assert spoken.message.text == "今晚"
    assert heard("<MsgType>event</MsgType><Event>subscribe</Event>") == ()


def test_xml_that_declares_entities_is_refused():
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><xml><Encrypt>&a;</Encrypt></xml>'
    with pytest.raises(RefusedError, match="document type"):
        channel("wechat").receive(delivery("wechat", bomb, {}))


# --- Chatwoot ---------------------------------------------------------------------------------------------------------


def chatwoot(**changes):
    body = {**json.loads(signers.chatwoot_body("hi", "1")), **changes}
    return channel("chatwoot").receive(signers.chatwoot_sign(dumps(body), time.time()))


def test_chatwoot_keeps_still_once_people_have_taken_over():
    assert texts(chatwoot()) == ["hi"]
    for status in ("open", "resolved", "snoozed", None):
        assert texts(chatwoot(conversation={"id": 13, "status": status})) == []
    assert texts(chatwoot(message_type="outgoing")) == []
    assert texts(chatwoot(private=True)) == []
    assert texts(chatwoot(account={"id": "3/../4"})) == []


def test_chatwoot_reads_what_was_chosen():
    chosen = {
        "event": "message_updated",
        "message_type": "outgoing",
        "content_attributes": {"submitted_values": [{"title": "Yes", "value": "/yes"}]},
    }
    (one,) = chatwoot(**chosen).heard
    assert (one.message.text, one.message.id, one.message.sender) == ("/yes", "1-chosen", "chatwoot:3/13")
