"""One request to a server of the project's own, and its answer: action servers, response servers, Duckling.

A request is sent at most once. Only when no connection came about, so that nothing can have happened at the other end,
is it tried again. Connections are not kept: a server may close an idle one just as a request goes out, and nobody could
tell whether it was read.
"""

from __future__ import annotations

import json
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import httpx

import dialogue
from dialogue.actions.base import ActionError
from dialogue.message import EMPTY

PAUSES = (0.1, 0.4)  # seconds before a refused connection is tried again
JSON: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"})
FORM: Mapping[str, str] = MappingProxyType({"Content-Type": "application/x-www-form-urlencoded"})
LARGEST = 16 * 2**20  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how to talk to it.

    Attributes:
        params: of the query, added to those of the URL.
        token: sent as the query's `token_name`.
        basic_auth: user name and password.
        cafile: certificates to trust instead of the usual ones.
        timeout: seconds the whole answer may take once connected.
        connect_timeout: seconds until there is a connection.
        compress: send deflated bodies.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    token: str | None = None
    token_name: str = "token"  # noqa: S105  # a name, no token
    basic_auth: tuple[str, str] | None = None
    cafile: Path | None = None
    timeout: float = 30.0
    connect_timeout: float = 5.0
    compress: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it is none."""
        try:
            return json.loads(self.body, parse_constant=_refuse)
        except RecursionError as problem:
            raise ValueError("nested too deeply") from problem


class JsonServer:
    """Posts, and is answered in JSON. Several threads may use it.

    Args:
        endpoint: where.
        what: how messages call the server, such as "action server".

    Raises:
        ActionError: if the endpoint's certificates cannot be read or its URL is none.
    """

    def __init__(self, endpoint: Endpoint, what: str) -> None:
        try:
            url = httpx.URL(endpoint.url)
            trusted = ssl.create_default_context(cafile=endpoint.cafile)
        except (httpx.InvalidURL, OSError) as problem:
            raise ActionError(f"{what} {endpoint.url}: {problem}") from problem
        token = {} if endpoint.token is None else {endpoint.token_name: endpoint.token}
        self._endpoint = endpoint
        self._url = url.copy_merge_params({**endpoint.params, **token})
        # Neither secrets nor proxies of the environment: a request goes where bot.yml says, a message tells no more.
        self.name = f"{what} {url.copy_with(userinfo=b'', query=None)}"
        self._client = httpx.Client(
            auth=endpoint.basic_auth,
            headers={"User-Agent": f"starfold/{dialogue.__version__}", **endpoint.headers},
            timeout=httpx.Timeout(endpoint.timeout, connect=endpoint.connect_timeout),
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=trusted,
            trust_env=False,
        )

    def post(self, payload: Mapping[str, Any]) -> Answer:
        """The answer to a payload, whatever its status.

        Raises:
            ActionError: if the payload is no JSON, or no whole answer came in time.
        """
        try:
            body = json.dumps(payload, allow_nan=False).encode()
        except (TypeError, ValueError) as problem:
            raise ActionError(f"{self.name}: the conversation cannot be sent as JSON: {problem}") from problem
        headers = JSON
        if self._endpoint.compress:
            body, headers = zlib.compress(body), {**headers, "Content-Encoding": "deflate"}
        for pause in PAUSES:
            try:
                return self._send(body, headers)
            except httpx.ConnectError:
                time.sleep(pause)
        try:
            return self._send(body, headers)
        except httpx.ConnectError as problem:
            raise ActionError(f"{self.name} cannot be reached: {problem}") from problem

    def post_form(self, fields: Mapping[str, str]) -> Answer:
        """The answer to the fields of a form, whatever its status. Tried once: a bot can go on without it.

        Raises:
            ActionError: if no whole answer came in time.
        """
        try:
            return self._send(urlencode(fields, errors="replace").encode(), FORM)
        except httpx.ConnectError as problem:
            raise ActionError(f"{self.name} cannot be reached: {problem}") from problem

    def get(self, beside: str = "") -> Answer:
        """The answer to a GET, whatever its status: of the URL, or of a page `beside` it. Tried once.

        Raises:
            ActionError: if no whole answer came in time.
        """
        url = self._url.join(beside).copy_merge_params(self._url.params) if beside else self._url
        try:
            return self._send(b"", {}, "GET", url)
        except httpx.ConnectError as problem:
            raise ActionError(f"{self.name} cannot be reached: {problem}") from problem

    def _send(
        self, body: bytes, headers: Mapping[str, str], method: str = "POST", url: httpx.URL | None = None
    ) -> Answer:
        """One try. Raises `httpx.ConnectError` if nothing was sent, `ActionError` for all else."""
        limit = self._endpoint.timeout
        deadline = time.monotonic() + self._endpoint.connect_timeout + limit
        received = bytearray()
        try:
            with self._client.stream(method, url or self._url, content=body, headers=headers) as response:
                for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > LARGEST:
                        raise ActionError(f"{self.name} answered more than {LARGEST >> 20} MiB")
                    if time.monotonic() > deadline:
                        raise ActionError(f"{self.name} did not finish its answer within {limit:g} seconds")
                return Answer(response.status_code, bytes(received))
        except httpx.ConnectError:
            raise
        except httpx.ConnectTimeout as problem:
            within = f"within {self._endpoint.connect_timeout:g} seconds"
            raise ActionError(f"{self.name} took no connection {within}") from problem
        except httpx.TimeoutException as problem:
            raise ActionError(f"{self.name} did not answer within {limit:g} seconds") from problem
        except httpx.HTTPError as problem:
            reason = str(problem) or type(problem).__name__
            raise ActionError(f"{self.name} broke off: {reason}") from problem


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
