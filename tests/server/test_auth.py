"""Who may do what: tokens, JWTs, visitors, origins."""

from __future__ import annotations

import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.websockets import WebSocketDisconnect

from dialogue.channels.base import RefusedError
from dialogue.errors import StarfoldError
from dialogue.server import auth
from dialogue.server.auth import Authority
from dialogue.server.opening import own_secret
from dialogue.server.origins import Origins
from tests.server.web import DEVELOPER, TOKEN, VISITOR_SECRET, visitor, web

SECRET = "the secret of the JWTs, long enough"
IDENTITY = "the secret of the page, long enough"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def token(secret=SECRET, method="HS256", **claims):
    return jwt.encode({"exp": time.time() + 86_400, **claims}, secret, method)


def admin(**more):
    return {"user": {"username": "root", "role": "admin"}, **more}


def user(name="ann"):
    return {"user": {"username": name, "role": "user"}}


def bearer(shown):
    return {"Authorization": f"Bearer {shown}"}


FORGED = {
    "no token": {},
    "a wrong one": bearer("nonsense"),
    "almost the token": bearer(TOKEN[:-1]),
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "another secret": bearer(token("another secret that is long enough", **admin())),
    "no signature": bearer(jwt.encode(admin(), None, "none")),
    "expired": bearer(token(**{**admin(), "exp": time.time() - 60})),
    "the secret of visitors": bearer(token(VISITOR_SECRET, aud=auth.VISITOR, sub="ann", begun=0)),
}
# method, path, body, and whether a visitor may do it in a conversation of their own
ROUTES = [
    ("POST", "/api/conversations/{}/messages", {"text": "greet"}, True),
    ("GET", "/api/conversations/{}/messages", None, True),
    ("GET", "/api/conversations/{}/export", None, True),
    ("POST", "/api/conversations/{}/feedback", {"message_id": "m1", "rating": "up"}, True),
    ("DELETE", "/api/conversations/{}", None, True),
    ("GET", "/api/conversations/{}/events", None, False),
    ("GET", "/api/conversations/{}/turns", None, False),
    ("GET", "/api/conversations", None, False),
    ("POST", "/api/parse", {"text": "greet"}, False),
    ("GET", "/api/model", None, False),
    ("PUT", "/api/model", {}, False),
    ("POST", "/api/model/rollback", None, False),
    ("POST", "/api/teach", {"text": "a", "intent": "greet"}, False),
    ("GET", "/metrics", None, False),
]


@pytest.fixture(scope="module")
def client():
    with web(authority={"jwt_secret": SECRET, "identity_secret": IDENTITY}) as made:
        yield made


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize(("method", "path", "body", "_"), ROUTES, ids=lambda value: str(value))
def test_nobody_gets_in_without_a_valid_token(client, method, path, body, _, forged):
    answer = client.request(method, path.format("ann"), json=body, headers=forged)
    assert (answer.status_code, answer.json()["retry"]) == (401, False)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("shown", [TOKEN, token(**admin())], ids=["token", "jwt"])
@pytest.mark.parametrize(("method", "path", "body", "_"), ROUTES, ids=lambda value: str(value))
def test_developers_may_do_everything(client, method, path, body, _, shown):
    assert client.request(method, path.format("ann"), json=body, headers=bearer(shown)).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES, ids=lambda value: str(value))
def test_visitors_may_do_what_concerns_their_own_conversation(client, method, path, body, allowed):
    mine, headers = visitor(client)
    for conversation, permitted in ((mine, allowed), ("ann", False)):
        answer = client.request(method, path.format(conversation), json=body, headers=headers)
        assert (answer.status_code != 403) is permitted, answer.text


@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES, ids=lambda value: str(value))
def test_a_users_jwt_is_good_for_the_conversation_of_its_name(client, method, path, body, allowed):
    for conversation, permitted in (("ann", allowed), ("bob", False)):
        answer = client.request(method, path.format(conversation), json=body, headers=bearer(token(**user())))
        assert (answer.status_code != 403) is permitted, answer.text


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": auth.VISITOR, "sub": "ann", "begun": 0},
        {"user": "root"},
        {"user": {"role": "king"}},
        {"user": {"role": "user"}},
    ],
)
def test_a_jwt_that_says_nothing_of_its_user_is_refused(client, claims):
    assert client.get("/api/model", headers=bearer(token(**claims))).status_code == 403


def test_the_token_may_stand_in_the_query_as_with_rasa(client):
    assert client.get(f"/api/model?token={TOKEN}").status_code == 200
    assert client.get("/api/model?token=wrong").status_code == 401


def test_rs256_takes_what_the_key_signed_and_no_hmac_with_the_public_key():
    authority = Authority([], visitor_secret=VISITOR_SECRET, jwt_secret=PUBLIC.decode(), jwt_method="RS256")
    assert authority.caller(token(KEY, "RS256", **admin())).developer
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(RefusedError):
        authority.caller(token(other, "RS256", **admin()))
    with pytest.raises(RefusedError):
        authority.caller(token("x" * 32, "HS256", **admin()))


def test_a_session_is_renewed_until_it_is_over(client, monkeypatch):
    first = client.post("/api/session").json()
    monkeypatch.setattr(auth, "TOKEN_SECONDS", -5)
    expired = client.post("/api/session", json={"token": first["token"]}).json()
    monkeypatch.undo()
    assert client.get("/api/model", headers=bearer(expired["token"])).status_code == 401
    renewed = client.post("/api/session", json={"token": expired["token"]}).json()
    assert renewed["conversation"] == first["conversation"]
    path = f"/api/conversations/{renewed['conversation']}/messages"
    assert client.get(path, headers=bearer(renewed["token"])).status_code == 200
    monkeypatch.setattr(auth, "SESSION_SECONDS", -1)
    assert client.post("/api/session", json={"token": renewed["token"]}).status_code == 401


def test_a_page_vouches_for_its_user(client):
    def begin(shown):
        return client.post("/api/session", json={"token": shown})

    known = [begin(token(IDENTITY, sub="customer 7")).json()["conversation"] for _ in range(2)]
    assert known == ["web:customer 7"] * 2
    assert begin(token(SECRET, sub="customer 7")).status_code == 401
    assert begin(jwt.encode({"sub": "customer 7"}, IDENTITY)).status_code == 401, "for ever is too long"
    assert begin("nonsense").status_code == 401


def test_the_own_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / ".starfold" / "visitor.key"
    first = own_secret(file)
    assert own_secret(file) == first
    assert len(first) >= 32
    assert file.stat().st_mode & 0o077 == 0


# --- origins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "origin", "permitted"),
    [
        ([], None, True),
        ([], "http://testserver", True),
        ([], "https://evil.example", False),
        (["https://shop.example"], "https://shop.example", True),
        (["https://SHOP.example/"], "https://shop.example", True),
        (["https://shop.example"], "http://shop.example", False),
        (["https://shop.example"], "https://shop.example.evil.example", False),
        (["https://shop.example"], "null", False),
        (["*"], "https://any.example", True),
    ],
)
def test_origins_over_http_and_websocket(allowed, origin, permitted):
    headers = {} if origin is None else {"Origin": origin}
    with web(origins=allowed) as client:
        assert client.get("/api/model", headers={**DEVELOPER, **headers}).status_code == (200 if permitted else 403)
        session = client.post("/api/session", headers=headers)
        assert session.status_code == (200 if permitted else 403)
        shared = session.headers.get("access-control-allow-origin")
        assert (shared is not None) is (bool(allowed) and permitted and origin is not None)
        if permitted:
            with client.websocket_connect("/api/ws", headers=headers) as socket:
                socket.send_json({"type": "hello", "token": session.json()["token"]})
                assert socket.receive_json()["type"] == "ready"
        else:
            with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/ws", headers=headers):
                pytest.fail("it was let in")


def test_a_preflight_is_answered_for_pages_that_may():
    with web(origins=["https://shop.example"]) as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-own"}
        path = "/api/conversations/ann/messages"
        good = client.options(path, headers={**asked, "Origin": "https://shop.example"})
        bad = client.options(path, headers={**asked, "Origin": "https://evil.example"})
    assert (good.status_code, good.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert bad.status_code == 400


@pytest.mark.parametrize("wrong", ["shop.example", "https://shop.example/path", "//shop.example"])
def test_what_is_no_origin_is_refused_at_the_start(wrong):
    with pytest.raises(StarfoldError, match="is no origin"):
        Origins([wrong])
