"""endpoints.yml: servers of actions and responses and the store are ours, the rest is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from dialogue.rasa.found import Row, named, scalar, sentence, table
from dialogue.training.nodes import Entry, Node, Report, Scalar, ScalarValue, Table, is_empty, plain, read_entries
from dialogue.training.places import substitute

SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "models": "models are not fetched from a server; `starfold train` makes them",
        "nlu": "messages are understood here, not by another server",
        "lock_store": "not needed: the conversation store locks turns, for several servers too if it is PostgreSQL",
        "tracing": "traces go where the environment variables OTEL_* of OpenTelemetry say",
        "model_storage": "models are kept in `model:` alone",
    }
)
DIALECTS = ("postgresql", "postgres")
CONNECTION = ("type", "dialect", "url", "port", "db", "username", "password", "login_db", "query")
SERVER = ("url", "params", "headers", "token", "token_name", "basic_auth", "cafile", "type")
TIMEOUT = 300.0  # seconds, Rasa's own
TOPIC = "rasa_core_events"
PIKA = ("type", "url", "port", "username", "password", "queues", "exchange_name")
KAFKA = ("type", "url", "topic", "security_protocol", "sasl_username", "sasl_password", "sasl_mechanism")
# What these are for is so in any case: an event waits until it is taken, and a conversation keeps to one partition.
UNNEEDED = (
    *("should_keep_unpublished_messages", "raise_on_failure", "connection_attempts", "retry_delay_in_seconds"),
    *("partition_by_sender", "client_id", "loglevel"),
)
NO_OPTIONS = "no such options here"


@dataclass(slots=True)
class Endpoints:
    """What endpoints.yml comes to: values of `actions:`, `nlg:`, `store:` and `server: events:`, and a row for each."""

    rows: list[Row] = field(default_factory=list)
    actions: Node | None = None
    nlg: Node | None = None
    store: Node | None = None
    events: Node | None = None


def read_endpoints(file: Table, report: Report, *, fill: bool = True) -> Endpoints:
    """Read every endpoint of the file.

    Args:
        file: the file.
        report: gets what is wrong with it.
        fill: whether `${NAME}` is replaced by the environment's value. One that nothing here needs may be unset.
    """
    found = Endpoints()
    for name, entry in file.entries.items():
        if is_empty(entry.value) or name == "version":
            continue
        if name in READERS:
            unset = Report()
            filled = substitute(Table(entry.where, {name: entry}), unset).entries[name] if fill else entry
            fields = {key: inner.value for key, inner in read_entries(filled.value, name, report).items()}
            row = READERS[name](fields, filled, found, report)
            found.rows.append(row)
            report.extend([] if row.lost else unset.problems)
        elif name in SERVERS:
            found.rows.append(Row(entry.where, name, "", SERVERS[name], name != "lock_store"))
        else:
            found.rows.append(Row(entry.where, name, "", "unknown endpoint, passed over", True))
    return found


def _read_actions(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    server = _server(fields, entry, report)
    if server is None and "actions_module" in fields and not is_empty(fields["actions_module"]):
        return _read_module(fields["actions_module"], entry, found)
    if server is None:
        return Row(entry.where, "action_endpoint", "", "there is no url, so no custom action runs", True)
    if "enable_selective_domain" in fields:
        server["selective_domain"] = fields["enable_selective_domain"]
    found.actions = table(entry.where, server)
    left = named([key for key in fields if key not in (*SERVER, "enable_selective_domain")], NO_OPTIONS)
    return Row(entry.where, "action_endpoint", "actions", left)


def _read_module(node: Node, entry: Entry, found: Endpoints) -> Row:
    """Actions that run in the bot's own process: the file of the module, or actions.py in the folder of a package."""
    module = str(plain(node)).replace(".", "/")
    files = (f"{module}.py", f"{module}/actions.py", f"{module}/__init__.py")
    project = Path(node.where.file).parent
    file = next((file for file in files if (project / file).is_file()), None)
    if file is None:
        remark = f"actions_module {plain(node)}: there is neither {files[0]} nor {files[1]}, so no custom action runs"
        return Row(entry.where, "action_endpoint", "", remark, True)
    found.actions = table(entry.where, {"file": scalar(node.where, file)})
    return Row(
        entry.where, "action_endpoint", "actions", f"the actions that {file} defines run in the bot's own process"
    )


def _read_nlg(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    kind = str(plain(fields["type"])) if "type" in fields else "callback"
    if kind == "response":
        return Row(entry.where, "nlg", "responses", "the responses of the domain")
    server = _server(fields, entry, report) if kind == "callback" else None
    if server is None:
        return Row(entry.where, "nlg", "responses", f"{kind}: no server to ask, the domain's responses are said", True)
    found.nlg = table(entry.where, server)
    return Row(entry.where, "nlg", "nlg", named([key for key in fields if key not in SERVER], NO_OPTIONS))


def _server(fields: Mapping[str, Node], entry: Entry, report: Report) -> dict[str, Node | ScalarValue] | None:
    """A server as bot.yml has it, or None without a URL. It may take as long to answer as it may in Rasa."""
    if "url" not in fields or is_empty(fields["url"]):
        return None
    server: dict[str, Node | ScalarValue] = {}
    for key in (key for key in SERVER if key in fields and not is_empty(fields[key])):
        if key in ("params", "headers", "basic_auth"):
            written = {name: _text(inner.value) for name, inner in read_entries(fields[key], key, report).items()}
            server[key] = table(fields[key].where, written)
        elif key != "type":
            server[key] = _text(fields[key])
    return {**server, "timeout": TIMEOUT}


def _text(node: Node) -> Node:
    """A single value as a text, whatever it looks like."""
    return scalar(node.where, node.text) if isinstance(node, Scalar) else node


def _read_store(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    """PostgreSQL is taken over, an SQLite file is made anew: that of Rasa has other tables."""
    name, own = "tracker_store", "conversations are kept in a SQLite file of starfold's own; PostgreSQL is for servers"
    kind = str(plain(fields["type"])) if "type" in fields else "in memory"
    if kind.casefold() != "sql":
        return Row(entry.where, name, "store", f"{kind}: {own}", kind != "in memory")
    texts = {key: str(plain(node)) for key, node in fields.items() if not is_empty(node)}
    dialect = texts.get("dialect", "sqlite")
    if dialect.partition("+")[0] not in DIALECTS:
        return Row(entry.where, name, "store", f"{dialect}: {own}", dialect != "sqlite")
    url = _database_url(texts, _mapping(fields, "query", report))
    found.store = table(entry.where, {"url": scalar(entry.where, url)})
    left = named([key for key in fields if key not in CONNECTION], NO_OPTIONS)
    tables = "tables of its own: name another database while Rasa's are in this one"
    made = named([key for key in ("login_db",) if key in texts], "not needed, but the database must exist")
    return Row(entry.where, name, "store", sentence(tables, made, left))


def _database_url(texts: Mapping[str, str], query: Mapping[str, object]) -> str:
    """The SQLAlchemy URL of Rasa's separate keys. `url` is a host, perhaps with its port, or a whole URL."""
    host = texts.get("url", "localhost")
    if "://" in host:
        return host
    port = f":{texts['port']}" if "port" in texts and ":" not in host else ""
    options = f"?{_query(query)}" if query else ""
    database = texts.get("db", "rasa.db")
    return f"postgresql://{_login(texts, 'username', 'password')}{host}{port}/{_quoted(database)}{options}"


def _query(values: Mapping[str, object]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(str(value))}" for name, value in values.items())


def _quoted(text: str) -> str:
    """As in a URL; `${NAME}` stays, for a bot.yml that names an environment variable."""
    return quote(text, safe="${}")


def _read_broker(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    """RabbitMQ and Kafka are taken over; without a type it is RabbitMQ."""
    name, here = "event_broker", "server.events"
    values = {key: plain(node) for key, node in fields.items() if not is_empty(node)}
    kind = str(values.get("type", "pika"))
    if kind not in ("pika", "kafka") or "url" not in values:
        remark = f"{kind}: events are kept in the conversation store alone; `server: events` of bot.yml names a broker"
        return Row(entry.where, name, "", remark, True)
    texts = {key: str(value) for key, value in values.items() if not isinstance(value, list)}
    if kind == "pika":
        known, queues = PIKA, _list(values.get("queues") or TOPIC)
        url, topic = _amqp_url(texts), queues[0]
        bind = f"bind them to the exchange {topic}"
        told = [named(queues[1:], bind), named([key for key in ("exchange_name",) if key in values], f"it is {topic}")]
    else:
        known, topic, told = KAFKA, texts.get("topic", TOPIC), []
        url = _kafka_url(texts, ",".join(_list(values["url"])))
    told.append(named([key for key in values if key not in (*known, *UNNEEDED)], NO_OPTIONS))
    found.events = table(entry.where, {"url": scalar(entry.where, url), "topic": scalar(entry.where, topic)})
    return Row(entry.where, name, here, sentence(*told), any(told))


def _list(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _amqp_url(texts: Mapping[str, str]) -> str:
    """The URL of separate keys, of which `url` is a host, or a URL without user and path."""
    scheme, _, host = texts["url"].rstrip("/").rpartition("://")
    port = "" if ":" in host else f":{texts.get('port', '5672')}"
    return f"{scheme or 'amqp'}://{_login(texts, 'username', 'password')}{host}{port}/"


def _kafka_url(texts: Mapping[str, str], servers: str) -> str:
    protocol = texts.get("security_protocol", "SASL_PLAINTEXT").upper()
    sasl = protocol.startswith("SASL")
    mechanism = texts.get("sasl_mechanism", "PLAIN") if sasl else "PLAIN"
    login = _login(texts, "sasl_username", "sasl_password") if sasl else ""
    scheme = "kafka+ssl" if protocol.endswith("SSL") else "kafka"
    return f"{scheme}://{login}{servers}" + (f"?mechanism={mechanism}" if mechanism != "PLAIN" else "")


def _login(texts: Mapping[str, str], user: str, password: str) -> str:
    """User and password as a URL begins with them; nothing without a user."""
    if user not in texts:
        return ""
    return _quoted(texts[user]) + (f":{_quoted(texts[password])}" if password in texts else "") + "@"


def _mapping(fields: Mapping[str, Node], key: str, report: Report) -> dict[str, object]:
    """A mapping of single values; null ones are left out."""
    written = read_entries(fields[key], key, report) if key in fields else {}
    return {name: plain(entry.value) for name, entry in written.items() if not is_empty(entry.value)}


Reader = Callable[[Mapping[str, Node], Entry, Endpoints, Report], Row]
READERS: Mapping[str, Reader] = MappingProxyType(
    {"action_endpoint": _read_actions, "nlg": _read_nlg, "tracker_store": _read_store, "event_broker": _read_broker}
)
