"""The files of the widget, the demo page and the Inspector, as they are in `dialogue/channels/static`.

`widget.js` has the digest of all files in the address it loads the chat from, so that those may be kept for ever;
everything else is asked for again each time and answered with 304 when it is the same. Any page may load the widget's
files. The pages carry a Content-Security-Policy that allows no inline code and nothing of other servers but pictures
and films that the bot shows.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

FOLDER = Path(__file__).resolve().parents[1] / "channels" / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
CHAT = "widget/chat.js"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https:; "
    "media-src https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE: Mapping[str, str] = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# A module or style sheet of another origin is only taken with the first, on isolated pages only with the second.
SHARED: Mapping[str, str] = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
PAGE: Mapping[str, str] = {"Content-Security-Policy": POLICY}


@dataclass(frozen=True, slots=True)
class File:
    """A file's content, as it is and compressed, with its type and entity tag."""

    content: bytes
    packed: bytes
    type: str
    tag: str


def static_routes(folder: Path = FOLDER) -> list[Route]:
    """Routes of `/` (for browsers), `/inspect`, `/widget.js` and what these load.

    Args:
        folder: where the files are; read once.

    Raises:
        FileNotFoundError: if `widget.js` or a page is missing.
    """
    version, files = read(folder)

    def page(name: str) -> Callable[[Request], Response]:
        return lambda request: _answer(request, files[name], ASK_AGAIN, PAGE)

    def versioned(request: Request) -> Response:
        file = _find(files, "widget", request)
        return _answer(request, file, FOR_EVER if request.path_params["version"] == version else ASK_AGAIN, SHARED)

    return [
        _ForBrowsers("/", page("index.html"), name="demo"),
        Route("/inspect", page("inspect.html"), name="inspector"),
        Route("/inspect/", lambda _: RedirectResponse("../inspect")),
        Route("/widget.js", lambda request: _answer(request, files["widget.js"], ASK_AGAIN, SHARED)),
        Route("/widget/{name}", lambda request: _answer(request, _find(files, "widget", request), ASK_AGAIN, SHARED)),
        Route("/widget/{version}/{name}", versioned),
        Route("/demo/{name}", lambda request: _answer(request, _find(files, "demo", request), ASK_AGAIN, {})),
        Route("/inspect/{name}", lambda request: _answer(request, _find(files, "inspect", request), ASK_AGAIN, {})),
    ]


def read(folder: Path = FOLDER) -> tuple[str, dict[str, File]]:
    """The version, which changes with any file, and the files by their path."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix in TYPES}
    contents = {name: path.read_bytes() for name, path in found.items()}
    for name in ("index.html", "inspect.html", "widget.js"):
        if name not in contents:
            raise FileNotFoundError(f"{folder / name}: missing")
    version = _digest(b"".join(name.encode() + b"\0" + content for name, content in contents.items()))
    contents["widget.js"] = contents["widget.js"].replace(CHAT.encode(), f"widget/{version}/chat.js".encode())
    return version, {name: _file(content, found[name].suffix) for name, content in contents.items()}


class _ForBrowsers(Route):
    """A page at an address where others find something else: only who asks for HTML is meant."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route`."""
        accepted = [value for name, value in scope.get("headers", ()) if name == b"accept"]
        if not any(b"text/html" in value for value in accepted):
            return Match.NONE, {}
        return super().matches(scope)


def _file(content: bytes, suffix: str) -> File:
    return File(content, gzip.compress(content, mtime=0), TYPES[suffix], f'"{_digest(content)}"')


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _find(files: Mapping[str, File], folder: str, request: Request) -> File:
    """The file of a folder that a request names. Raises `HTTPException` with status 404 if there is none."""
    found = files.get(f"{folder}/{request.path_params['name']}")
    if found is None:
        raise HTTPException(404, "there is no such file")
    return found


def _answer(request: Request, file: File, keep: str, more: Mapping[str, str]) -> Response:
    headers = {**SAFE, **more, "Cache-Control": keep, "ETag": file.tag, "Vary": "Accept-Encoding"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.tag in known:
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.content, media_type=file.type, headers=headers)
    return Response(file.packed, media_type=file.type, headers={**headers, "Content-Encoding": "gzip"})
