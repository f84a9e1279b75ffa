"""`channels:` of bot.yml, credentials.yml of a Rasa project, and the command that lists channels."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue import catalog
from dialogue.assembly import build_channels, channel_states
from dialogue.catalog import BUILT_IN, ChannelError, build, check, from_environment, missing
from dialogue.channels.base import Channel, Listener, Prepares, Registers
from dialogue.channels.degrade import LOOKS
from dialogue.channels.rasa import Rest, SocketIO
from dialogue.cli import app
from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.plugins import check_parts
from dialogue.training.validate import validate_project
from tests.dialogue.platforms import OPTIONS, channel

BOT = "name: nova\ndata: [data]\n"


def write(folder: Path, text: str, name: str = "bot.yml") -> Path:
    (folder / "data").mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def complaints(folder: Path, text: str) -> list[str]:
    write(folder, BOT + text)
    try:
        problems = check_parts(load_config(folder))
    except ProjectError as wrong:
        problems = wrong.problems
    return [str(problem).removeprefix(f"{folder}/") for problem in problems]


# --- the catalog ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_channel_is_made_and_named(name):
    known = {
        **OPTIONS,
        "mail": {"address": "a@b.c", "password": "x", "imap_host": "h", "smtp_host": "h"},
        "callback": {"url": "http://x"},
    }
    made = channel(name) if name in OPTIONS else build("other", name, known.get(name, {}))
    assert made.name == (name if name in OPTIONS else "other")
    if name not in ("rest", "callback", "socketio"):
        assert isinstance(made, Channel | Listener)
        assert made.look is LOOKS[name]
    needed = missing(name, {})
    assert set(needed) <= set(known.get(name, {}))
    for key in needed:
        with pytest.raises(ChannelError, match=f"needs the option '{key}'"):
            check(name, {option: value for option, value in known[name].items() if option != key})


def test_a_telegram_bot_polls_unless_it_has_a_webhook():
    polling = build("telegram", "telegram", {"token": "1:T"})
    assert isinstance(polling, Listener)
    assert not isinstance(polling, Channel)
    called = channel("telegram")
    assert isinstance(called, Channel)
    assert isinstance(called, Registers)
    assert not isinstance(called, Listener)
    assert isinstance(channel("teams"), Prepares)


def test_options_are_checked_without_showing_them():
    with pytest.raises(ChannelError, match="has no option 'tokn'; did you mean 'token'") as wrong:
        check("telegram", {"tokn": "s3cret"})
    assert (wrong.value.key, "s3cret" in str(wrong.value)) == ("tokn", False)
    with pytest.raises(ChannelError, match="option 'token'") as wrong:
        check("telegram", {"token": ["s3cret"]})
    assert (wrong.value.key, "s3cret" in str(wrong.value)) == ("token", False)
    with pytest.raises(ChannelError, match="aes_key: expected the 43 letters"):
        build("wechat", "wechat", {**OPTIONS["wechat"], "aes_key": "s3cret"})


def test_numbers_and_texts_are_taken_for_one_another():
    assert check("whatsapp", {**OPTIONS["whatsapp"], "phone_number_id": 4711})["phone_number_id"] == "4711"
    assert check("wecom", {**OPTIONS["wecom"], "agent_id": "7"})["agent_id"] == 7
    assert check("dingtalk", {"app_secret": "x", "hosts": ["a.b"]})["hosts"] == ("a.b",)
    assert check("slack", {"token": "x", "signing_secret": "y", "threads": "true"})["threads"] is True
    with pytest.raises(ChannelError):
        check("slack", {"token": True, "signing_secret": "y"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("telegramm", "there is no channel 'telegramm'; did you mean 'telegram'"),
        ("no.such:Thing", "cannot be imported"),
        ("json:loads", "not a channel, a class whose constructor takes a name"),
        ("dialogue.errors:nearest", ""),
    ],
)
def test_what_is_no_channel(name, said):
    with pytest.raises(ChannelError, match=said or "channel"):
        build("x", name, {})


def test_a_channel_of_the_environment():
    found = from_environment("telegram", {"TELEGRAM_TOKEN": "1:T", "TELEGRAM_SECRET": "", "TOKEN": "no"})
    assert found == {"token": "1:T"}
    assert from_environment("nothing", {"NOTHING_TOKEN": "x"}) == {}
    assert build_channels(Config(), ["telegram"], environment={"TELEGRAM_TOKEN": "1:T"})["telegram"].name == "telegram"
    with pytest.raises(ProjectError, match="needs the option 'token'"):
        build_channels(Config(), ["telegram"], environment={})
    with pytest.raises(ProjectError, match="there is no channel 'carrier_pigeon'"):
        build_channels(Config(), ["carrier_pigeon"], environment={})


def test_an_installed_channel_is_found(monkeypatch):
    class Point:
        name, value = "postcard", "tests.dialogue.postcards:Postcards"

    monkeypatch.setattr(catalog, "entry_points", lambda group: [Point] if group == "starfold.channels" else [])
    assert "postcard" in catalog.known()
    Point.name = "slack"
    with pytest.raises(ChannelError, match="'slack' is defined twice"):
        catalog.known()


# --- bot.yml ----------------------------------------------------------------------------------------------------------


def test_channels_of_bot_yml(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", "1:T")
    text = (
        "channels:\n  telegram: {token: '${TELEGRAM_TOKEN}'}\n  rest:\n  socketio: {session_persistence: true}\n"
        "  zweiter: {type: telegram, token: 2:T, webhook_url: https://b.org/webhooks/zweiter/webhook}\n"
    )
    assert complaints(tmp_path, text) == []
    config = load_config(tmp_path)
    made = build_channels(config)
    assert list(made) == ["telegram", "rest", "socketio", "zweiter"]
    assert made["zweiter"].name == "zweiter"
    assert made["rest"] == Rest(name="rest")
    assert made["socketio"] == SocketIO(session_persistence=True)
    assert list(build_channels(config, ["zweiter"], environment={})) == ["zweiter"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels:\n  telegram: {tokn: x}\n", "bot.yml:4:14: channel 'telegram' has no option 'tokn'"),
        ("channels:\n  telegram:\n", "bot.yml:4:3: channel 'telegram' needs the option 'token'"),
        ("channels:\n  slak: {token: x}\n", "bot.yml:4:3: there is no channel 'slak'; did you mean 'slack'"),
        ("channels:\n  a b: {type: rest}\n", "expected a name of letters, digits"),
        ("channels:\n  x: {type: 'json:loads'}\n", "bot.yml:4:3: channel 'json:loads'"),
        ("channels: [telegram]\n", "channels: "),
        ("channels:\n  telegram: {token: '${NO_SUCH_VARIABLE}'}\n", "environment variable NO_SUCH_VARIABLE is not set"),
    ],
)
def test_what_is_wrong_with_channels_is_said_with_its_place(tmp_path, text, said):
    found = complaints(tmp_path, text)
    assert len(found) == 1
    assert said in found[0]


def test_a_channel_of_the_projects_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pigeon.py").write_text(
        "class Pigeon:\n"
        "    def __init__(self, *, colour: str = 'grey', name: str):\n"
        "        self.name, self.colour = name, colour\n"
        "    def receive(self, delivery): ...\n"
        "    async def send(self, reply, address, client): ...\n"
        "class Stone:\n"
        "    def __init__(self, *, name: str): self.name = name\n"
    )
    assert complaints(tmp_path, "channels:\n  coop: {type: 'pigeon:Pigeon', colour: white}\n") == []
    made = build_channels(load_config(tmp_path))["coop"]
    assert (made.name, made.colour) == ("coop", "white")
    write(tmp_path, BOT + "channels:\n  stone: {type: 'pigeon:Stone'}\n")
    with pytest.raises(ProjectError, match="'stone' is Stone, not a channel: expected send, and receive or listen"):
        build_channels(load_config(tmp_path))
    del sys.modules["pigeon"]


# --- credentials.yml --------------------------------------------------------------------------------------------------

CREDENTIALS = """\
rest:
socketio: {user_message_evt: user_uttered, session_persistence: true}
callback: {url: http://localhost:5034/bot}
telegram: {access_token: '1:T', verify: nova_bot, webhook_url: https://b.org/webhooks/telegram/webhook}
slack: {slack_token: xoxb-1, slack_signing_secret: s, use_threads: true, slack_channel: general}
facebook: {verify: v, secret: s, page-access-token: p}
twilio: {account_sid: AC1, auth_token: t, twilio_number: whatsapp:+1555}
botframework: {app_id: a, app_password: p}
mattermost: {url: x, token: y}
my.own.Connector: {a: 1}
facebok: {secret: s}
cmdline:
"""


def rasa(folder: Path, credentials: str) -> Config:
    write(folder, "language: en\n", "config.yml")
    (folder / "data" / "nlu.yml").write_text('version: "3.1"\nnlu:\n- {intent: greet, examples: [hi, hello]}\n')
    (folder / "domain.yml").write_text('version: "3.1"\nintents: [greet]\n')
    (folder / "credentials.yml").write_text(credentials)
    return load_config(folder)


def test_rasas_channels_are_ours(tmp_path):
    config = rasa(tmp_path, CREDENTIALS)
    made = build_channels(config, environment={})
    assert {name: config.channels[name].type for name in made} == {
        "rest": "rest",
        "socketio": "socketio",
        "callback": "callback",
        "telegram": "telegram",
        "slack": "slack",
        "facebook": "messenger",
        "twilio": "twilio",
        "botframework": "teams",
    }
    assert made["facebook"].name == "facebook"
    assert config.channels["slack"].options == {"token": "xoxb-1", "signing_secret": "s", "threads": True}
    remarks = {row.name: (row.remark, row.lost) for row in config.rows}
    assert remarks["telegram"] == ("verify: Telegram proves itself by a secret token instead", False)
    assert remarks["slack"] == ("slack_channel: no such options here", False)
    assert remarks["mattermost"][1] or "mattermost" in made
    assert remarks["my.own.Connector"][1]
    assert remarks["facebok"] == ("unknown channel, passed over; did you mean 'facebook'?", True)
    assert not remarks["cmdline"][1]


@pytest.mark.parametrize(
    ("credentials", "remark"),
    [
        ("slack: {slack_token: x}\n", "channel 'slack' needs the option 'signing_secret'"),
        ("telegram: {access_token: '${NO_SUCH_VARIABLE}'}\n", "environment variable NO_SUCH_VARIABLE is not set"),
        ("twilio: [1]\n", "expected a mapping"),
        ("callback:\n", "channel 'callback' needs the option 'url'"),
        ("slack: {slack_token: [s3cret], slack_signing_secret: y}\n", "option 'token'"),
    ],
)
def test_a_channel_that_is_wrong_costs_itself_alone(tmp_path, credentials, remark):
    config = rasa(tmp_path, credentials + "rest:\n")
    assert list(config.channels) == ["rest"]
    (row,) = [row for row in config.rows if row.lost]
    assert remark in row.remark
    assert "s3cret" not in row.remark
    assert any(remark in str(problem) for problem in validate_project(tmp_path) if not problem.is_error)


def test_init_from_rasa_writes_the_channels_and_leaves_secrets_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("BOT_TOKEN", "1:s3cret")
    rasa(tmp_path, "rest:\ntelegram: {access_token: '${BOT_TOKEN}', verify: x}\nslack: {slack_token: x}\n")
    done = CliRunner().invoke(app, ["init", "--from-rasa", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "bot.yml").read_text()
    assert "s3cret" not in text
    config = load_config(tmp_path)
    assert {name: part.options for name, part in config.channels.items()} == {
        "rest": {},
        "telegram": {"token": "1:s3cret"},
    }


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_lists_channels_with_their_state(tmp_path, monkeypatch):
    monkeypatch.setenv("DINGTALK_APP_SECRET", "s3cret")
    write(tmp_path, BOT + "channels:\n  telegram: {token: 1:T}\n  slack: {token: x, signing_secret: y}\n")
    done = CliRunner().invoke(app, ["channels", "--project", str(tmp_path)])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.output.splitlines()}
    assert lines["telegram"] == "configured fetches its messages"
    assert lines["slack"] == "configured /webhooks/slack/webhook"
    assert lines["dingtalk"] == "ready /webhooks/dingtalk/webhook"
    assert lines["messenger"] == "- needs page_token, app_secret, verify_token"
    assert lines["rest"] == "ready part of the server"
    assert lines.keys() - {"channel"} == BUILT_IN.keys()


def test_the_command_says_what_is_wrong(tmp_path):
    write(tmp_path, BOT + "channels:\n  slack: {token: x}\n")
    done = CliRunner().invoke(app, ["channels", "--project", str(tmp_path)])
    assert done.exit_code == 3
    assert "needs the option 'signing_secret'" in " ".join(done.output.split())
    assert CliRunner().invoke(app, ["channels", "--project", str(tmp_path / "data")]).exit_code == 0


def test_states_without_a_project():
    states = channel_states(None, {})
    assert {state.word for state in states} == {"-", "ready"}
    assert [state.name for state in states] == sorted(BUILT_IN)
