"""endpoints.yml and credentials.yml of a Rasa project: servers, stores and brokers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.training.validate import validate_project
from tests.dialogue.rasa_project import complaints, load, row, warnings, write


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("dialect: sqlite, db: rasa.db", None),
        ("dialect: mysql, url: host", None),
        ("dialect: postgresql, db: bot", "postgresql://localhost/bot"),
        ("dialect: postgresql, url: 'host:99', port: 5, db: bot", "postgresql://host:99/bot"),
        ("dialect: postgresql, url: 'postgresql://a:b@c/d'", "postgresql://a:b@c/d"),
        (
            "dialect: postgresql, username: ann, db: b, query: {sslmode: require}",
            "postgresql://ann@localhost/b?sslmode=require",
        ),
        ("dialect: postgresql+psycopg2, url: h, db: a, login_db: b", "postgresql://h/a"),
    ],
)
def test_tracker_stores_of_sql(tmp_path: Path, text: str, url: str | None) -> None:
    config = load(tmp_path, endpoints=f"tracker_store: {{type: SQL, {text}}}\n")
    assert config.store.url == (url or Config().store.url)
    assert row(config, "tracker_store").lost == ("mysql" in text)


@pytest.mark.parametrize(
    ("text", "url", "topic"),
    [
        ("url: localhost, queues: []", "amqp://localhost:5672/", "rasa_core_events"),
        (
            "type: pika, url: rabbit, port: 99, username: a, password: 'b/c', queues: [one, two]",
            "amqp://a:b%2Fc@rabbit:99/",
            "one",
        ),
        ("type: pika, url: 'amqps://rabbit', username: a, password: b, queues: q", "amqps://a:b@rabbit:5672/", "q"),
        ("type: pika, url: 'rabbit:7'", "amqp://rabbit:7/", "rasa_core_events"),
        ("type: kafka, url: 'h:1'", "kafka://h:1", "rasa_core_events"),
        ("type: kafka, url: ['h:1', 'i:2'], topic: t, security_protocol: PLAINTEXT", "kafka://h:1,i:2", "t"),
        (
            "type: kafka, url: h, security_protocol: SASL_SSL, sasl_username: a, sasl_password: b, "
            "sasl_mechanism: SCRAM-SHA-512",
            "kafka+ssl://a:b@h?mechanism=SCRAM-SHA-512",
            "rasa_core_events",
        ),
        ("type: kafka, url: h, security_protocol: SSL", "kafka+ssl://h", "rasa_core_events"),
        ("type: sql, url: h", None, "starfold_events"),
    ],
)
def test_event_brokers(tmp_path: Path, text: str, url: str | None, topic: str) -> None:
    events = load(tmp_path, endpoints=f"event_broker: {{{text}}}\n").server.events
    assert (events.url, events.topic) == (url, topic)


@pytest.mark.parametrize(
    ("text", "name", "lost"),
    [
        ("tracker_store: {type: redis, url: localhost}", "tracker_store", True),
        ("tracker_store: {url: localhost}", "tracker_store", False),
        ("lock_store: {type: redis}", "lock_store", False),
        ("event_broker: {type: pika}", "event_broker", True),
        ("event_broker: {url: localhost, queues: [a]}", "event_broker", False),
        ("event_broker: {type: pika, url: localhost, queues: [a, b]}", "event_broker", True),
        ("event_broker: {type: pika, url: localhost, exchange_name: x}", "event_broker", True),
        ("event_broker: {type: kafka, url: 'h:1', partition_by_sender: true}", "event_broker", False),
        ("event_broker: {type: kafka, url: 'h:1', ssl_cafile: ca.pem}", "event_broker", True),
        ("event_broker: {type: sql, dialect: sqlite, db: events.db}", "event_broker", True),
        ("event_broker: {type: file, path: events.log}", "event_broker", True),
        ("event_broker: {type: my.own.Broker, url: h}", "event_broker", True),
        ("models: {url: 'http://x'}", "models", True),
        ("nlg: {url: 'http://x'}", "nlg", False),
        ("nlg: {type: my.own.Generator}", "nlg", True),
        ("nlg: {type: response}", "nlg", False),
        ("action_endpoint: {url: 'http://x', headers: {a: b}, actions_module: c}", "action_endpoint", False),
        ("action_endpoint: {}", "action_endpoint", True),
        ("surprise: {a: 1}", "surprise", True),
    ],
)
def test_endpoints(tmp_path: Path, text: str, name: str, lost: bool) -> None:
    write(tmp_path, endpoints=f'version: "3.1"\n{text}\n')
    found = row(load_config(tmp_path), name)
    assert found.lost == lost
    assert any(line.startswith(f"endpoints.yml:2:1: warning: {name}: ") for line in warnings(tmp_path)) == lost


@pytest.mark.parametrize("file", ["actions.py", "actions/actions.py", "actions/__init__.py"])
def test_a_module_of_actions_runs_in_the_bots_own_process(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    config = load(tmp_path, endpoints="action_endpoint: {actions_module: actions}\n")
    assert config.actions is not None
    assert (config.actions.file, row(config, "action_endpoint").lost) == (file, False)


def test_a_module_of_actions_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, endpoints="action_endpoint:\n  actions_module: my.actions\n")
    expected = (
        "endpoints.yml:1:1: warning: action_endpoint: actions_module my.actions: there is neither my/actions.py nor"
    )
    assert any(line.startswith(expected) for line in warnings(tmp_path)), warnings(tmp_path)


def test_a_variable_may_be_unset_where_nothing_needs_it(tmp_path: Path) -> None:
    unused = "tracker_store: {type: redis, url: '${NO_REDIS}'}\nmodels: {url: '${NO_MODELS}'}\n"
    assert not any("NO_" in line for line in warnings(write(tmp_path, endpoints=unused)))
    (told,) = complaints(tmp_path, endpoints=f"{unused}action_endpoint:\n  url: ${{NO_ACTIONS}}\n")
    assert told.startswith("endpoints.yml:4:8: environment variable NO_ACTIONS is not set")
    (told,) = complaints(tmp_path, endpoints="action_endpoint: {url: 'localhost:5055'}\n")
    assert "actions.url: expected a URL that begins with http:// or https://, got the text 'localhost:5055'" in told


def test_credentials_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    write(tmp_path, credentials="slack: [\n")
    assert any(
        line.startswith("credentials.yml:2:1: warning: credentials.yml: not valid YAML") for line in warnings(tmp_path)
    )
    assert not any(problem.is_error for problem in validate_project(tmp_path))


def test_servers_with_all_options(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    server = """
  url: https://x/y
  headers: {X-Count: 3}
  token: 12
  token_name: key
  basic_auth: {username: me, password: 007}
  cafile: ca.pem
"""
    config = load(
        tmp_path, endpoints=f"action_endpoint:{server}  enable_selective_domain: true\nnlg:{server}  type: callback\n"
    )
    assert config.nlg is not None
    assert config.actions is not None
    shared = config.nlg.model_dump(exclude_defaults=True)
    assert shared == {
        "url": "https://x/y",
        "headers": {"X-Count": "3"},
        "token": "12",
        "token_name": "key",
        "basic_auth": {"username": "me", "password": "007"},
        "cafile": "ca.pem",
        "timeout": 300.0,
    }
    assert config.actions.model_dump(exclude_defaults=True) == {**shared, "selective_domain": True}


@pytest.mark.parametrize(
    "text",
    [
        "action_endpoint: 3",
        "tracker_store: [a]",
        "action_endpoint: {url: [a]}",
        "action_endpoint: {url: ftp://a}",
        "- a",
    ],
)
def test_mistakes_in_endpoints_have_their_place(tmp_path: Path, text: str) -> None:
    assert all(line.startswith("endpoints.yml:1:") for line in complaints(tmp_path, endpoints=text))
