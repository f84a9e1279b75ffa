"""Spans as a collector gets them, by OTLP over HTTP; and nothing at all where none is named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dialogue import tracing
from dialogue.errors import StarfoldError
from tests.dialogue.stores import ROOT
from tests.server.web import DEVELOPER, web

SECRET = "weather in my-secret-town"


@contextmanager
def collector():
    """A collector of traces: its URL, and the bodies it was sent."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def attributes(span):
    return {one.key: one.value.string_value or one.value.int_value or one.value.double_value for one in span.attributes}


def test_the_spans_of_a_turn(environment):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with collector() as (url, bodies):
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        assert tracing.wanted()
        stop = tracing.start("nova")
        try:
            with web() as client:
                trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
                path = "/api/conversations/ann@example.org/messages"
                answer = client.post(path, json={"text": SECRET}, headers={**DEVELOPER, **trace})
                assert answer.status_code == 200
                failing = {"traceparent": f"00-{'c' * 32}-{'b' * 16}-01"}
                assert client.post(path, json={"text": "boom"}, headers={**DEVELOPER, **failing}).status_code == 200
                assert client.get("/api/conversations/x/turns").status_code == 401
        finally:
            stop()
    requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    resources = [one.resource for request in requests for one in request.resource_spans]
    assert {attributes(resource)["service.name"] for resource in resources} == {"nova"}
    spans = [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    mine = {span.name: span for span in spans if span.trace_id.hex() == "a" * 32}
    assert {"POST", "wait", "turn", "load", "understand", "decide", "act", "store"} <= mine.keys()
    names = {span.span_id: name for name, span in mine.items()}
    parents = {name: names.get(span.parent_span_id, span.parent_span_id.hex()) for name, span in mine.items()}
    assert parents["POST"] == "b" * 16
    assert parents["wait"] == parents["turn"] == "POST"
    assert {parents[stage] for stage in ("load", "understand", "encode", "decide", "act", "store")} == {"turn"}
    for name, span in mine.items():
        assert span.start_time_unix_nano <= span.end_time_unix_nano, name
    told = attributes(mine["POST"])
    assert told["http.route"] == "/api/conversations/{conversation}/messages"
    assert told["http.response.status_code"] == 200
    decided = attributes(mine["turn"])
    assert (decided["starfold.kind"], decided["starfold.intent"]) == ("act", "weather")
    failed = [attributes(span) for span in spans if span.name == "turn" and span.trace_id.hex() == "c" * 32]
    assert [one["error.type"] for one in failed] == ["ActionError"]
    assert "error.type" not in decided
    refused = [attributes(span) for span in spans if span.name == "GET"]
    assert [one["http.response.status_code"] for one in refused] == [401]
    for body in bodies:
        assert b"secret-town" not in body
        assert b"example.org" not in body


def test_what_a_block_raises_is_noted_by_its_type_alone(environment):
    with collector() as (url, bodies):
        environment.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/v1/traces")
        stop = tracing.start("nova")
        try:
            with pytest.raises(ValueError, match="secret"), tracing.span("stage"):
                raise ValueError(SECRET)
            tracing.past({"words": 1.0, "posterior": 2.0})
        finally:
            stop()
    (body,) = bodies
    assert b"ValueError" in body
    assert b"posterior" in body
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_when_to_trace(environment, variables, expected):
    for name, value in variables.items():
        environment.setenv(name, value)
    assert tracing.wanted() == expected


def test_an_exporter_that_is_not_there_is_named(environment):
    environment.setenv("OTEL_TRACES_EXPORTER", "consul")
    with pytest.raises(StarfoldError, match="'consul'; did you mean 'console'"):
        tracing.start("nova")


def test_without_it_nothing_is_imported():
    code = (
        "import sys; from dialogue import tracing\nwith tracing.span('x'): pass\nprint('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
