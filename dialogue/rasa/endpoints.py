"""endpoints.yml and credentials.yml: the action server and the conversation store are ours, the rest is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from dialogue.rasa.found import Row, named, scalar, sentence, table
from dialogue.training.nodes import Entry, Node, Report, Table, is_empty, plain, read_entries, read_text

SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "models": "models are not fetched from a server; starfold trains its own",
        "nlu": "messages are understood here, not by another server",
        "lock_store": "turns are locked by the conversation store; a store of locks comes with the server",
        "event_broker": "events are kept in the conversation store alone; a broker comes with the server",
        "tracing": "nothing is traced",
        "model_storage": "models are kept in `model:` alone",
    }
)
DIALECTS = ("postgresql", "postgres")
CONNECTION = ("type", "dialect", "url", "port", "db", "username", "password", "login_db", "query")
ACTION_PARTS = ("url", "token", "token_name", "params", "type")


@dataclass(slots=True)
class Endpoints:
    """What endpoints.yml comes to: values of `actions:` and `store:`, and a row for each endpoint."""

    rows: list[Row] = field(default_factory=list)
    actions: Node | None = None
    store: Node | None = None


def read_endpoints(file: Table, report: Report) -> Endpoints:
    """Read every endpoint of the file."""
    found = Endpoints()
    for name, entry in file.entries.items():
        if is_empty(entry.value) or name == "version":
            continue
        if name in READERS:
            fields = {key: inner.value for key, inner in read_entries(entry.value, name, report).items()}
            found.rows.append(READERS[name](fields, entry, found, report))
        elif name in SERVERS:
            found.rows.append(Row(entry.where, name, "", SERVERS[name], True))
        else:
            found.rows.append(Row(entry.where, name, "", "unknown endpoint, passed over", True))
    return found


def read_credentials(file: Table) -> list[Row]:
    """A row for every channel."""
    waiting = "channels come with the server; now there are the terminal and the pipe"
    return [Row(entry.where, name, "", waiting) for name, entry in file.entries.items() if name != "version"]


def _read_actions(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    """The URL of the action server, with `params` and `token` as its query, where Rasa puts them."""
    name = "action_endpoint"
    url = read_text(fields["url"], "url of action_endpoint", report) if "url" in fields else None
    if url is None:
        return Row(entry.where, name, "", "there is no url, so no custom action runs", True)
    query = {str(key): str(value) for key, value in _mapping(fields, "params", report).items()}
    if "token" in fields and not is_empty(fields["token"]):
        token_name = str(plain(fields["token_name"])) if "token_name" in fields else "token"
        query[token_name] = str(plain(fields["token"]))
    joined = f"{url}{'&' if '?' in url else '?'}{_query(query)}" if query else url
    found.actions = scalar(fields["url"].where, joined)
    left = [key for key in fields if key not in ACTION_PARTS]
    return Row(entry.where, name, "actions", named(left, "not sent to the action server"), bool(left))


def _read_nlg(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    kind = str(plain(fields["type"])) if "type" in fields else "callback"
    if kind == "response":
        return Row(entry.where, "nlg", "responses", "the responses of the domain")
    return Row(entry.where, "nlg", "responses", f"{kind}: no server is asked, the domain's responses are said", True)


def _read_store(fields: Mapping[str, Node], entry: Entry, found: Endpoints, report: Report) -> Row:
    """PostgreSQL is taken over, an SQLite file is made anew: that of Rasa has other tables."""
    name, own = "tracker_store", "conversations are kept in a SQLite file of starfold's own"
    kind = str(plain(fields["type"])) if "type" in fields else "in memory"
    if kind.casefold() != "sql":
        return Row(entry.where, name, "store", f"{kind}: {own}", kind != "in memory")
    texts = {key: str(plain(node)) for key, node in fields.items() if not is_empty(node)}
    dialect = texts.get("dialect", "sqlite")
    if dialect.partition("+")[0] not in DIALECTS:
        return Row(entry.where, name, "store", f"{dialect}: {own}", dialect != "sqlite")
    url = _database_url(texts, _mapping(fields, "query", report))
    found.store = table(entry.where, {"url": scalar(entry.where, url)})
    left = named([key for key in fields if key not in CONNECTION], "no such options here")
    tables = "tables of its own: name another database while Rasa's are in this one"
    return Row(entry.where, name, "store", sentence(tables, left))


def _database_url(texts: Mapping[str, str], query: Mapping[str, object]) -> str:
    """The SQLAlchemy URL of Rasa's separate keys. `url` is a host, perhaps with its port, or a whole URL."""
    host = texts.get("url", "localhost")
    if "://" in host:
        return host
    port = f":{texts['port']}" if "port" in texts and ":" not in host else ""
    user = _quoted(texts["username"]) if "username" in texts else ""
    password = f":{_quoted(texts['password'])}" if "password" in texts else ""
    at = "@" if user else ""
    options = f"?{_query(query)}" if query else ""
    database = texts.get("login_db") or texts.get("db", "rasa.db")
    return f"postgresql://{user}{password}{at}{host}{port}/{_quoted(database)}{options}"


def _query(values: Mapping[str, object]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(str(value))}" for name, value in values.items())


def _quoted(text: str) -> str:
    """As in a URL; `${NAME}` stays, for a bot.yml that names an environment variable."""
    return quote(text, safe="${}")


def _mapping(fields: Mapping[str, Node], key: str, report: Report) -> dict[str, object]:
    """A mapping of single values; null ones are left out."""
    written = read_entries(fields[key], key, report) if key in fields else {}
    return {name: plain(entry.value) for name, entry in written.items() if not is_empty(entry.value)}


Reader = Callable[[Mapping[str, Node], Entry, Endpoints, Report], Row]
READERS: Mapping[str, Reader] = MappingProxyType(
    {"action_endpoint": _read_actions, "nlg": _read_nlg, "tracker_store": _read_store}
)
