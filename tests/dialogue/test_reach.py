"""The doctor's look at servers and platforms: real ones, absent ones, and ones that answer something else."""

from __future__ import annotations

import asyncio
import time

import pytest

from dialogue import reach
from dialogue.actions.base import ActionError
from dialogue.actions.http import Endpoint, JsonServer
from dialogue.channels.base import Introduces, SendError
from dialogue.channels.calls import introduced
from dialogue.checks import State
from dialogue.config_file import load_config
from tests.dialogue.platforms import OPTIONS, channel
from tests.dialogue.servers import FakePlatform, action_server
from tests.dialogue.test_mail import Imap, Smtp, mailbox, serving
from tests.server.event_brokers import URLS, broker

NOWHERE = "http://127.0.0.1:9"
MATCH = {"body": "tomorrow at 8", "start": 0, "end": 13, "dim": "time", "value": {"type": "value", "value": "x"}}
WHO = {
    "ok": True,
    "code": 0,
    "errcode": 0,
    "result": {"username": "nova"},
    "user": "nova",
    "team": "T",
    "displayName": "nova",
    "name": "nova",
    "display_phone_number": "nova",
    "friendly_name": "nova",
    "username": "nova",
    "access_token": "AT",
    "tenant_access_token": "AT",
    "expires_in": 7200,
    "expire": 7200,
}


@pytest.fixture
def checks(tmp_path):
    """What is found of a bot.yml with such lines."""

    def look(lines):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "bot.yml").write_text(lines)
        return {check.name: check for check in reach.servers(load_config(tmp_path))}

    return look


def test_a_bot_that_needs_no_server_has_nothing_to_check(checks):
    assert checks("name: Nova\n") == {}


def test_nobody_there_is_told_of_each_and_all_within_seconds(checks):
    begun = time.monotonic()
    found = checks(
        f"actions: {NOWHERE}/webhook\nnlg: {NOWHERE}/nlg\nduckling: {NOWHERE}\n"
        "channels:\n"
        f"  telegram: {{token: '1:T', api_base: '{NOWHERE}'}}\n"
        f"  slack: {{token: xoxb-1, signing_secret: shhh, api_base: '{NOWHERE}'}}\n"
        "  line: {token: LT}\n"
        "  dingtalk: {app_secret: DS}\n"
        f"server: {{redis: 'redis://127.0.0.1:9/0', public_url: {NOWHERE},\n"
        "  events: {url: 'amqp://me:hush@127.0.0.1:9/'}}\n"
    )
    assert time.monotonic() - begun < 2 * reach.SECONDS
    states = {name: check.state for name, check in found.items()}
    assert states == {
        "action server": State.FAILED,
        "response server": State.FAILED,
        "Duckling": State.FAILED,
        "Redis": State.FAILED,
        "event broker": State.FAILED,
        "channel telegram": State.FAILED,
        "channel slack": State.FAILED,
        "channel line": State.FAILED,
        "channel dingtalk": State.OK,
        "public address": State.NOTE,
    }
    assert found["action server"].detail.startswith("http://127.0.0.1:9/webhook cannot be reached")
    assert "Slack cannot be reached" in found["channel slack"].detail
    assert "channel_secret" in found["channel line"].detail
    assert "starfold run" in found["public address"].detail
    assert all(secret not in str(found) for secret in ("1:T", "xoxb-1", "shhh", "hush"))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.server(n)) for n in ("rabbitmq", "nats", "redis")])
def test_a_real_event_broker_takes_events(name, checks):
    with broker(name) as there:
        found = checks(f"server: {{events: {{url: '{URLS[name]}', topic: {there.topic}}}}}\n")
        assert found["event broker"].detail == f"takes events under {there.topic!r}"


def test_a_real_action_server_is_well(tmp_path, checks):
    (tmp_path / "mine.py").write_text("")
    with action_server("mine", tmp_path) as (url, _):
        found = checks(f"actions: {url}\n")
    assert found["action server"].state is State.OK


def test_servers_that_answer(checks):
    answers = {"/health/live": (200, {}), "/parse": (200, [MATCH]), "/nlg": (405, {})}
    with FakePlatform(lambda called: answers.get(called.path, (404, {}))) as server:
        found = checks(
            f"actions: {server.url}/webhook\nnlg: {server.url}/nlg\nduckling: {server.url}\n"
            f"server: {{public_url: {server.url}}}\n"
        )
        assert {name: check.state for name, check in found.items()} == {
            "action server": State.NOTE,
            "response server": State.OK,
            "Duckling": State.OK,
            "public address": State.OK,
        }
        assert found["Duckling"].detail == f"{server.url} finds time in 'tomorrow at 8'"
        assert "404 at /health" in found["action server"].detail
        answers["/parse"] = (500, {})
        answers["/health/live"] = (502, {})
        found = checks(f"duckling: {server.url}\nserver: {{public_url: {server.url}}}\n")
        assert "expected status 200, got 500" in found["Duckling"].detail
        assert "answers 502" in found["public address"].detail


def test_a_slow_server_is_not_waited_for(checks, monkeypatch):
    monkeypatch.setattr(reach, "SECONDS", 0.3)

    def dawdle(called):
        time.sleep(1)
        return 200, WHO

    with FakePlatform(dawdle) as server:
        found = checks(f"nlg: {server.url}\nchannels: {{telegram: {{token: '1:T', api_base: '{server.url}'}}}}\n")
    assert "did not answer within 0.3 seconds" in found["response server"].detail
    assert found["channel telegram"].state is State.FAILED


def test_a_page_beside_keeps_the_query():
    with FakePlatform(lambda called: (200, {})) as server:
        JsonServer(Endpoint(f"{server.url}/actions/webhook?a=1", token="t"), "server").get("health")
    (called,) = server.calls
    assert (called.method, called.path, called.query) == ("GET", "/actions/health", {"a": "1", "token": "t"})
    with pytest.raises(ActionError, match="cannot be reached"):
        JsonServer(Endpoint(NOWHERE), "server").get()


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"dingtalk", "chatwoot"}))
def test_a_platform_says_who_the_bot_is_or_refuses_it(name):
    place = "login_url" if name == "teams" else "api_base"
    known = {"teams": "app-1", "feishu": "cli_1", "wecom": "ww1", "wechat": "wx1", "slack": "nova in T"}
    with FakePlatform(lambda called: (200, WHO)) as server:
        bot = channel(name, **{place: server.url})
        assert isinstance(bot, Introduces)
        assert asyncio.run(introduced(bot, 3)) == known.get(name, "nova")
        assert len(server.calls) == 1
        server.answer = lambda called: (401, {"error": {"code": 190}, "errcode": 40001, "code": 99})
        with pytest.raises(SendError) as refused:
            asyncio.run(introduced(channel(name, **{place: server.url}), 3))
        assert refused.value.retry_after is None
        assert not any(secret in str(refused.value) for secret in map(str, OPTIONS[name].values()) if len(secret) > 4)


def test_a_mailbox_is_opened_and_nothing_read():
    with serving(Imap, box={}, login=("bot@example.org", "pw"), commands=[]) as imap:
        with serving(Smtp, letters=[], answers=[]) as smtp:
            box = mailbox(imap=imap.server_address[1], smtp=smtp.server_address[1])
            assert asyncio.run(introduced(box, 3)) == "bot@example.org"
            assert smtp.letters == []
            with pytest.raises(SendError, match="does not answer"):
                asyncio.run(introduced(mailbox(imap=imap.server_address[1]), 3))
        imap.login = ("somebody", "else")
        with pytest.raises(SendError, match="cannot be opened"):
            asyncio.run(introduced(mailbox(imap=imap.server_address[1]), 3))
