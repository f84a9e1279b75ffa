"""Spans of requests and turns for OpenTelemetry.

They are made only after `start`. Until then nothing is imported, and a span is one shared object that does nothing.
No attribute holds what a user or the bot said.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from dialogue.errors import MissingExtraError, StarfoldError, suggestion

Attribute: TypeAlias = "str | bool | int | float"
WANTED = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_tracer: Any = None


class _Nothing:
    """A span while nobody traces."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_attributes(self, _: Mapping[str, Attribute]) -> None:
        pass

    def end(self) -> None:
        pass


NOTHING = _Nothing()
"""The span while nobody traces."""


def wanted() -> bool:
    """Whether the environment names where traces go to: by one of the variables of OpenTelemetry in `WANTED`."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get(WANTED[0]) == "none"
    return not off and any(os.environ.get(name) for name in WANTED)


def start(service: str) -> Callable[[], None]:
    """Trace from now on, as the standard variables `OTEL_*` say; the service is called so unless they name it.

    Returns:
        What sends the spans that are left, and ends it.

    Raises:
        MissingExtraError: without OpenTelemetry's SDK.
        StarfoldError: if there is no such exporter.
    """
    global _tracer
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError("tracing", "otel") from error
    resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    _tracer = provider.get_tracer("starfold")

    def stop() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return stop


def on() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def span(name: str, attributes: Mapping[str, Attribute] | None = None) -> AbstractContextManager[Any]:
    """A span for the length of a block, within the one that is open; it notes the type of what the block raises."""
    return NOTHING if _tracer is None else _open(name, attributes=attributes)


def begin(name: str) -> Any:
    """A span that ends with its `end()`, in whatever thread."""
    return NOTHING if _tracer is None else _tracer.start_span(name)


def request(method: str, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Any]:
    """The span of an HTTP request, within the caller's if its headers tell of one (W3C `traceparent`)."""
    if _tracer is None:
        return NOTHING
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return _open(method, context=extract(told), kind=SpanKind.SERVER, attributes={"http.request.method": method})


def past(milliseconds: Mapping[str, float]) -> None:
    """Spans of stages that were measured elsewhere, one after the other, the last of which has just ended."""
    if _tracer is None:
        return
    at = time.time_ns() - int(sum(milliseconds.values()) * 1e6)
    for name, spent in milliseconds.items():
        stage = _tracer.start_span(name, start_time=at)
        at += int(spent * 1e6)
        stage.end(at)


def ended(name: str, milliseconds: Mapping[str, float], attributes: Mapping[str, Attribute]) -> None:
    """A span that has just ended, and those of the stages it was made of, one after the other."""
    if _tracer is not None:
        begun = time.time_ns() - int(sum(milliseconds.values()) * 1e6)
        with _open(name, start_time=begun, attributes=attributes):
            past(milliseconds)


@contextmanager
def _open(name: str, **options: Any) -> Iterator[Any]:
    from opentelemetry.trace import StatusCode

    # Not as OpenTelemetry notes it: the text of an exception may hold what a user said.
    quiet = {"record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, **quiet, **options) as found:
        try:
            yield found
        except BaseException as error:
            found.set_attribute("error.type", type(error).__name__)
            found.set_status(StatusCode.ERROR)
            raise


def _exporter() -> Any:
    """The exporter of `OTEL_TRACES_EXPORTER` (default otlp), which reads the rest of its variables itself."""
    from importlib.metadata import entry_points

    name = os.environ.get(WANTED[0]) or "otlp"
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    known = {one.name: one for one in entry_points(group="opentelemetry_traces_exporter")}
    if name not in known:
        raise StarfoldError(f"OTEL_TRACES_EXPORTER: there is no exporter {name!r}{suggestion(name, known)}")
    return known[name].load()()
