"""A web site that embeds the widget: of another origin than the bot, its Content-Security-Policy strict."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from typing_extensions import Self

PICTURES = {
    "saturn": '<circle cx="118" cy="66" r="30" fill="#e3c78d"/><ellipse cx="118" cy="66" rx="58" ry="13" fill="none" '
    'stroke="#f3e2b8" stroke-width="5" transform="rotate(-14 118 66)"/>',
    "jupiter": '<circle cx="118" cy="66" r="44" fill="#d8a679"/><path d="M76 54h84M74 70h88M80 84h76" stroke="#a8683f" '
    'stroke-width="7"/><circle cx="138" cy="76" r="7" fill="#c2502f"/>',
    "mars": '<circle cx="118" cy="66" r="36" fill="#c4532d"/><path d="M96 46q20 8 40-6" stroke="#e9a27d" '
    'stroke-width="6" fill="none"/>',
}
SKY = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 236 132"><rect width="236" height="132" fill="#14123a"/>'
    '<g fill="#fff"><circle cx="30" cy="28" r="1.3"/><circle cx="200" cy="22" r="1.6"/><circle cx="52" cy="104" r="1"/>'
    '<circle cx="214" cy="98" r="1.2"/><circle cx="20" cy="72" r=".8"/></g>{}</svg>'
)
PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/shop.css">
<script src="{bot}/widget.js" {options} defer></script></head>
<body><main><h1>{name}</h1><p>The host page.</p><a href="/">home</a> <a href="/other">other</a>
<button id="host">A button of the host</button></main></body></html>"""
# Rules as a page may have them, which must not reach into the widget.
STYLE = """body { font: 18px serif; min-block-size: 130vh; margin: 24px; }
button, p, textarea { color: red; font-size: 40px; } * { letter-spacing: .02em; }
.own { --starfold-accent: #0b6b43; }"""


class Site:
    """The site. `options` are the script tag's attributes on every page; `lang` and `dir` may be asked for by query."""

    def __init__(self) -> None:
        self.bot = ""
        self.options: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def policy(self) -> str:
        socket = self.bot.replace("http", "ws", 1)
        return (
            f"default-src 'none'; script-src {self.bot}; connect-src {self.bot} {socket} {self.url}; "
            f"style-src 'self'; img-src {self.url} {self.bot}; require-trusted-types-for 'script'"
        )


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.rpartition("/")[2].removesuffix(".svg")
        if parts.path.endswith(".svg"):
            self._answer("image/svg+xml", SKY.format(PICTURES.get(name, "")))
        elif parts.path == "/shop.css":
            self._answer("text/css", STYLE)
        elif parts.path == "/favicon.ico":
            self._answer("image/svg+xml", SKY.format(""))
        else:
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            options = " ".join(f'data-{key}="{value}"' for key, value in self.site.options.items())
            shown = {"lang": query.get("lang", "en"), "dir": query.get("dir", "ltr"), "name": name or "Shop"}
            self._answer("text/html; charset=utf-8", PAGE.format(bot=self.site.bot, options=options, **shown))

    def do_POST(self) -> None:
        """A place for files."""
        self.rfile.read(int(self.headers["Content-Length"]))
        assert "Authorization" not in self.headers
        self._answer("application/json", f'{{"url": "{self.site.url}/saturn.svg"}}')

    def _answer(self, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Access-Control-Allow-Origin", "*")
        if kind.startswith("text/html"):
            self.send_header("Content-Security-Policy", self.site.policy())
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
