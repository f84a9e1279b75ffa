"""The files as they are served: types, caching, policies, sizes."""

from __future__ import annotations

import gzip
import re

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dialogue.server.static import FOLDER, POLICY, read, static_routes

BEFORE_THE_FIRST_CLICK = 20_000


@pytest.fixture
def client():
    async def other(_):
        return PlainTextResponse("Hello")

    routes = [*static_routes(), Route("/", other)]
    with TestClient(Starlette(routes=routes), headers={"Accept": "text/html, */*"}) as client:
        yield client


def addresses():
    """Every file by the address it is served at."""
    for path in sorted(FOLDER.rglob("*")):
        name = path.relative_to(FOLDER).as_posix()
        if path.is_file() and path.suffix != ".md":
            yield {"index.html": "/", "inspect.html": "/inspect"}.get(name, f"/{name}"), path


@pytest.mark.parametrize(("address", "path"), list(addresses()), ids=lambda value: str(value).rpartition("/")[2])
def test_every_file_is_served_with_its_type_and_for_one_question(client, address, path):
    answer = client.get(address)
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == kinds[path.suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    if path.name != "widget.js":
        assert answer.content == path.read_bytes()
    again = client.get(address, headers={"If-None-Match": f'W/{answer.headers["etag"]}, "other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


def test_the_chat_is_loaded_from_an_address_that_may_be_kept_for_ever(client):
    version, _ = read()
    loader = client.get("/widget.js").text
    assert f'"widget/{version}/chat.js"' in loader
    kept = client.get(f"/widget/{version}/chat.js")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.content == (FOLDER / "widget" / "chat.js").read_bytes()
    # A page that was open while the server was renewed gets what there is now, but not for ever.
    assert client.get("/widget/0000000000000000/chat.js").headers["cache-control"] == "no-cache"


def test_the_version_changes_with_any_file(tmp_path):
    for name in ("index.html", "inspect.html", "widget.js"):
        (tmp_path / name).write_text(name)
    (tmp_path / "widget").mkdir()
    (tmp_path / "widget" / "chat.css").write_text("a {}")
    before, _ = read(tmp_path)
    (tmp_path / "widget" / "chat.css").write_text("b {}")
    assert read(tmp_path)[0] != before
    (tmp_path / "inspect.html").unlink()
    with pytest.raises(FileNotFoundError, match=r"inspect\.html: missing"):
        read(tmp_path)


@pytest.mark.parametrize("address", ["/widget.js", "/widget/chat.js", "/widget/chat.css"])
def test_any_page_may_load_the_widget(client, address):
    headers = client.get(address, headers={"Origin": "https://shop.example"}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("address", ["/", "/inspect"])
def test_pages_carry_a_policy_and_no_inline_code(client, address):
    answer = client.get(address)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "access-control-allow-origin" not in answer.headers
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", answer.text) == []


@pytest.mark.parametrize(
    "address", ["/widget/none.js", "/widget/x/none.js", "/demo/chat.js", "/inspect/..%2Fwidget.js"]
)
def test_what_there_is_not_is_not_found(client, address):
    assert client.get(address).status_code == 404


def test_the_demo_page_is_for_browsers(client):
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/", headers={"Accept": "*/*"}).text == "Hello"


def test_files_go_out_compressed_where_the_client_can(client):
    packed = client.get("/widget/chat.css", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == (FOLDER / "widget" / "chat.css").read_bytes()  # the client unpacks it
    plain = client.get("/widget/chat.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


def test_sizes():
    loader = (FOLDER / "widget.js").read_bytes()
    chat = b"".join(path.read_bytes() for path in sorted((FOLDER / "widget").iterdir()))
    assert len(loader) <= BEFORE_THE_FIRST_CLICK
    assert len(gzip.compress(loader)) <= 6_000
    assert len(chat) <= 80_000


def test_no_file_makes_markup_from_text_or_code_from_strings():
    wrong = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser")
    found = {path.name for path in FOLDER.rglob("*.js") if wrong.search(path.read_text(encoding="utf-8"))}
    assert found == set()


def test_no_file_names_another_server():
    # The namespace of SVG is a name, not an address that is asked for.
    texts = {
        path: path.read_text(encoding="utf-8") for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html")
    }
    found = {
        (p.name, url) for p, text in texts.items() for url in re.findall(r"\b(?:https?:)?//[a-z][\w.-]+\.\w+", text)
    }
    assert {url for _, url in found} <= {"http://www.w3.org"}


def test_the_page_of_the_api_asks_no_other_server_and_tries_a_call(browser, bot):
    page = browser.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{bot.url}/docs")
    page.get_by_role("link", name="/health/live").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
    page.close()
    assert complaints == []
    assert len(asked) > 3
    assert [url for url in asked if not url.startswith(f"{bot.url}/")] == []
