"""Times, numbers, amounts and the like from a Duckling server (https://github.com/facebook/duckling).

Its protocol: a form is posted to `/parse` with `text`, `locale`, `tz`, `dims` (a JSON list) and `reftime` (milliseconds
since 1970); the answer is a JSON list of `{"body", "start", "end", "dim", "latent", "value": {"type", "value", ...}}`.
Entities have the values Rasa's DucklingEntityExtractor gives them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from dialogue.actions.base import ActionError
from dialogue.actions.http import Answer, Endpoint, JsonServer
from dialogue.understanding import Understanding
from policies.types import Belief, Entity

logger = logging.getLogger(__name__)

EXTRACTOR = "DucklingEntityExtractor"
STAGE = "duckling"
AT_ONCE = 16  # texts that a server is asked for


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for.

    Attributes:
        dimensions: such as `time` or `amount-of-money`; none for all that Duckling knows.
        locale: such as `en_GB`, or a language alone.
        timezone: such as `Europe/Oslo`; None for the server's own.
    """

    locale: str
    dimensions: Sequence[str] = ()
    timezone: str | None = None


class DucklingUnderstanding:
    """An understanding with the entities that a Duckling server finds added to its own.

    A server that cannot be reached, is slow or answers something else adds none: the message is understood without
    it, and a warning tells of it, once until the server answers again. Several threads may use it.

    Args:
        inner: reads the message.
        endpoint: of the server, without the path.
        asked: what to look for.
        clock: gives the time in seconds since 1970, to which "tomorrow" is relative.

    Raises:
        ActionError: if the endpoint's certificates cannot be read or its URL is none.
    """

    def __init__(
        self, inner: Understanding, endpoint: Endpoint, asked: Asked, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._inner = inner
        self._server = JsonServer(replace(endpoint, url=parse_url(endpoint.url)), "Duckling")
        self._asked = asked
        self._clock = clock
        self._silent = False
        self._telling = threading.Lock()
        self._last = threading.local()
        self._asking = ThreadPoolExecutor(AT_ONCE, "duckling")

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds per stage of this thread's last call: those of the inner one, and `duckling`."""
        return MappingProxyType({**self._inner.timings, STAGE: getattr(self._last, "milliseconds", 0.0)})

    def parse_many(self, texts: Sequence[str]) -> list[Belief]:
        """What each text means. The server is asked for all of them at the same time."""
        beliefs = self._inner.parse_many(texts)
        begun = time.perf_counter()
        found = self._asking.map(self._find, texts)
        beliefs = [replace(one, entities=(*one.entities, *more)) for one, more in zip(beliefs, found, strict=True)]
        self._last.milliseconds = 1000 * (time.perf_counter() - begun)
        return beliefs

    def _find(self, text: str) -> tuple[Entity, ...]:
        if not text.strip():
            return ()
        try:
            entities = read_answer(self._server.post_form(self._form(text)), text)
        except ActionError as problem:
            return self._without(str(problem))
        except ValueError as problem:
            return self._without(f"{self._server.name}: {problem}")
        self._silent = False
        return entities

    def _without(self, problem: str) -> tuple[Entity, ...]:
        with self._telling:
            if not self._silent:
                logger.warning("%s; messages are understood without it", problem)
            self._silent = True
        return ()

    def _form(self, text: str) -> dict[str, str]:
        form = {"text": text, "locale": self._asked.locale, "reftime": str(int(1000 * self._clock()))}
        if self._asked.timezone is not None:
            form["tz"] = self._asked.timezone
        if self._asked.dimensions:
            form["dims"] = json.dumps(list(self._asked.dimensions))
        return form


def parse_url(url: str) -> str:
    """Where a server at `url` parses; the path may be written or not."""
    return url if url.rstrip("/").endswith("/parse") else f"{url.rstrip('/')}/parse"


def read_answer(answer: Answer, text: str) -> tuple[Entity, ...]:
    """The entities of an answer to `text`. Raises `ValueError` if it is none of Duckling's."""
    if answer.status != 200:
        raise ValueError(f"expected status 200, got {answer.status}")
    try:
        matches = answer.json()
    except ValueError as problem:
        raise ValueError(f"the answer is no JSON: {problem}") from problem
    if not isinstance(matches, list):
        raise ValueError(f"expected a list of matches, got {matches!r:.80}")
    return tuple(_entities(matches, text))


def _entities(matches: Sequence[Any], text: str) -> Iterator[Entity]:
    for match in matches:
        value = match.get("value") if isinstance(match, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(match.get("dim"), str):
            raise ValueError(f"expected a match with dim and value, got {match!r:.80}")
        start, end = match.get("start"), match.get("end")
        if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(text):
            raise ValueError(f"expected a stretch of the text, got {start!r} to {end!r} in {match['dim']}")
        yield Entity(match["dim"], start, end, _value(value), EXTRACTOR, info=value)


def _value(value: Mapping[str, Any]) -> Any:
    """The value itself; of an interval, which may be open at either end, the values of both."""
    if value.get("type") != "interval":
        return value.get("value")
    ends = {end: value.get(end) for end in ("from", "to")}
    return {end: inner.get("value") if isinstance(inner, Mapping) else None for end, inner in ends.items()}
