"""credentials.yml: the channels Rasa knows, as `channels:` of bot.yml would name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dialogue.errors import suggestion
from dialogue.rasa.found import Row, named, scalar, sentence, table
from dialogue.training.nodes import Entry, Node, Report, Table, is_empty, plain, read_entries
from dialogue.training.places import substitute


@dataclass(frozen=True, slots=True)
class Known:
    """A channel of Rasa: our type, our names of its options, and what is different."""

    type: str
    options: Mapping[str, str]
    dropped: Mapping[str, str] = field(default_factory=dict)


_SOCKETIO = (
    *("user_message_evt", "bot_message_evt", "namespace", "session_persistence", "socketio_path", "jwt_key"),
    *("jwt_method", "metadata_key"),
)
CHANNELS: Mapping[str, Known] = MappingProxyType(
    {
        "rest": Known("rest", {}),
        "callback": Known("callback", {"url": "url"}),
        "socketio": Known("socketio", {name: name for name in _SOCKETIO}),
        "telegram": Known(
            "telegram",
            {"access_token": "token", "webhook_url": "webhook_url"},
            {"verify": "Telegram proves itself by a secret token instead"},
        ),
        "slack": Known(
            "slack", {"slack_token": "token", "slack_signing_secret": "signing_secret", "use_threads": "threads"}
        ),
        "facebook": Known(
            "messenger", {"page-access-token": "page_token", "secret": "app_secret", "verify": "verify_token"}
        ),
        "twilio": Known(
            "twilio", {"account_sid": "account_sid", "auth_token": "auth_token", "twilio_number": "number"}
        ),
        "botframework": Known("teams", {"app_id": "app_id", "app_password": "app_password"}),
    }
)
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "cmdline": "the terminal: `starfold chat`",
        "rasa": "Rasa X is not served",
        "twilio_voice": "there are no calls, only messages",
        **dict.fromkeys(("mattermost", "rocketchat", "webexteams", "hangouts"), "there is no such channel yet"),
    }
)


@dataclass(slots=True)
class Credentials:
    """What credentials.yml comes to: the value of `channels:`, and a row for each channel."""

    rows: list[Row] = field(default_factory=list)
    channels: dict[str, Node] = field(default_factory=dict)


def read_credentials(file: Table, *, fill: bool = True) -> Credentials:
    """Read every channel of the file. What is wrong with one costs that channel alone.

    Args:
        file: the file.
        fill: whether `${NAME}` is replaced by the environment's value.
    """
    found = Credentials()
    for name, entry in file.entries.items():
        if name in CHANNELS:
            found.rows.append(_read(name, entry, found, fill))
        elif name != "version":
            found.rows.append(Row(entry.where, name, "", _reason(name), name != "cmdline"))
    return found


def _read(name: str, entry: Entry, found: Credentials, fill: bool) -> Row:
    from dialogue.catalog import ChannelError, check

    known, report = CHANNELS[name], Report()
    written = {} if is_empty(entry.value) else read_entries(entry.value, name, report)
    mine = Table(entry.where, {key: one for key, one in written.items() if not is_empty(one.value)})
    filled = substitute(mine, report)
    options = {known.options[key]: one.value for key, one in filled.entries.items() if key in known.options}
    try:
        if not report.problems:
            check(known.type, {key: plain(node) for key, node in options.items()})
    except ChannelError as wrong:
        report.error(entry.where, str(wrong))
    if report.problems:
        return Row(entry.where, name, "", report.problems[0].message, True)
    if not fill:
        options = {known.options[key]: one.value for key, one in mine.entries.items() if key in known.options}
    found.channels[name] = table(entry.where, {"type": scalar(entry.where, known.type), **options})
    told = [f"{key}: {known.dropped[key]}" for key in written if key in known.dropped]
    left = [key for key in written if key not in known.options and key not in known.dropped]
    return Row(entry.where, name, f"channels ({known.type})", sentence(*told, named(left, "no such options here")))


def _reason(name: str) -> str:
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    if "." in name:
        return "a channel of your own is passed over: its class is Rasa's, not ours"
    return f"unknown channel, passed over{suggestion(name, CHANNELS, at_most=0)}"
