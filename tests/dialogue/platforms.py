"""The platforms of the built-in channels, as the conformance kit takes them: what they send, and how they sign it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dialogue.catalog import build
from dialogue.channels import dingtalk, twilio, wechat_crypto
from dialogue.channels.base import Delivery
from dialogue.channels.testing import Platform

URL = "https://bot.example.org/webhooks/{}/webhook"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
SERVICE = "https://smba.trafficmanager.net/emea/"
OPTIONS: Mapping[str, dict[str, Any]] = {
    "telegram": {"token": "1:T", "webhook_url": URL.format("telegram"), "secret": "s3cret"},
    "slack": {"token": "xoxb-1", "signing_secret": "shhh"},
    "messenger": {"page_token": "PT", "app_secret": "AS", "verify_token": "VT"},
    "whatsapp": {"token": "WT", "phone_number_id": "4711", "app_secret": "AS", "verify_token": "VT"},
    "twilio": {"account_sid": "AC1", "auth_token": "TT", "number": "+15550001"},
    "line": {"token": "LT", "channel_secret": "LS"},
    "teams": {"app_id": "app-1", "app_password": "PW"},
    "discord": {"application_id": "99", "public_key": "", "token": "BT"},
    "feishu": {"app_id": "cli_1", "app_secret": "FS", "encrypt_key": "FK", "verification_token": "FV"},
    "dingtalk": {"app_secret": "DS"},
    "wechat": {"app_id": "wx1", "app_secret": "WS", "token": "TK", "aes_key": AES_KEY},
    "wecom": {"corp_id": "ww1", "secret": "WS", "agent_id": 7, "token": "TK", "aes_key": AES_KEY},
    "chatwoot": {"token": "CT", "secret": "CS"},
}


def channel(name: str, **options: Any) -> Any:
    """A built-in channel with options that the signers here know."""
    known = OPTIONS[name]
    if name == "discord":
        raw = discord_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        known = {**known, "public_key": raw.hex()}
    return build(name, name, {**known, **options})


def delivery(name: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> Delivery:
    return Delivery("POST", URL.format(name), dict(headers), dict(query or {}), body)


def digest(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- Telegram, Slack, Meta, Twilio ------------------------------------------------------------------------------------


def telegram_body(text: str, number: str) -> bytes:
    message = {
        "message_id": int(number),
        "from": {"id": 42, "is_bot": False, "username": "ada"},
        "chat": {"id": 42, "type": "private"},
        "text": text,
    }
    return dumps({"update_id": int(number), "message": message})


def telegram_sign(body: bytes, at: float) -> Delivery:
    return delivery("telegram", body, {**JSON, "x-telegram-bot-api-secret-token": "s3cret"})


def slack_body(text: str, number: str) -> bytes:
    written = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    event = {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1", "text": written, "ts": "1.2"}
    return dumps({"type": "event_callback", "event_id": f"Ev{number}", "event": event})


def slack_button(text: str, number: str) -> bytes:
    pressed = {
        "type": "block_actions",
        "trigger_id": number,
        "user": {"id": "U1"},
        "channel": {"id": "D1"},
        "actions": [{"value": text}],
    }
    return urlencode({"payload": json.dumps(pressed)}).encode()


def slack_sign(body: bytes, at: float, kind: Mapping[str, str] = JSON) -> Delivery:
    stamp = str(int(at))
    proof = "v0=" + digest("shhh", f"v0:{stamp}:".encode() + body)
    return delivery("slack", body, {**kind, "x-slack-request-timestamp": stamp, "x-slack-signature": proof})


def slack_sign_form(body: bytes, at: float) -> Delivery:
    return slack_sign(body, at, FORM)


def messenger_body(text: str, number: str) -> bytes:
    event = {"sender": {"id": "42"}, "recipient": {"id": "1"}, "message": {"mid": f"m{number}", "text": text}}
    return dumps({"object": "page", "entry": [{"id": "1", "messaging": [event]}]})


def whatsapp_body(text: str, number: str) -> bytes:
    message = {"from": "4915550001", "id": f"wamid.{number}", "type": "text", "text": {"body": text}}
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "4711"}, "messages": [message]}
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return dumps({"object": "whatsapp_business_account", "entry": [entry]})


def meta_sign(body: bytes, at: float) -> Delivery:
    return delivery("meta", body, {**JSON, "x-hub-signature-256": "sha256=" + digest("AS", body)})


def twilio_body(text: str, number: str) -> bytes:
    return urlencode({"MessageSid": f"SM{number}", "From": "+15550002", "To": "+15550001", "Body": text}).encode()


def twilio_sign(body: bytes, at: float) -> Delivery:
    from dialogue.channels.base import RefusedError
    from dialogue.channels.payload import read_form

    try:
        fields = read_form(body)
    except RefusedError:
        fields = {}
    proof = twilio.signature(URL.format("twilio"), fields, "TT")
    return delivery("twilio", body, {**FORM, "x-twilio-signature": proof})


def line_body(text: str, number: str) -> bytes:
    event = {
        "type": "message",
        "webhookEventId": f"w{number}",
        "source": {"type": "user", "userId": "U1"},
        "message": {"id": number, "type": "text", "text": text},
    }
    return dumps({"destination": "U0", "events": [event]})


def line_sign(body: bytes, at: float) -> Delivery:
    proof = base64.b64encode(hmac.new(b"LS", body, hashlib.sha256).digest()).decode()
    return delivery("line", body, {**JSON, "x-line-signature": proof})


# --- Teams, Discord ---------------------------------------------------------------------------------------------------


@cache
def teams_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def teams_keys(key: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """The signing keys as Microsoft publishes them."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk((key or teams_key()).public_key(), as_dict=True)
    return {"keys": [{**public, "kid": "key-1", "use": "sig"}, {"kty": "EC", "kid": "other"}]}


def teams_body(text: str, number: str) -> bytes:
    activity = {
        "type": "message",
        "id": number,
        "serviceUrl": SERVICE,
        "channelId": "msteams",
        "from": {"id": "29:ada", "name": "Ada"},
        "conversation": {"id": "a:1/2;x=3"},
        "recipient": {"id": "28:bot", "name": "Nova"},
        "text": text,
    }
    return dumps(activity)


def teams_token(**changes: Any) -> str:
    now = time.time()
    claims = {
        "iss": "https://api.botframework.com",
        "aud": "app-1",
        "exp": now + 3600,
        "nbf": now - 60,
        "serviceurl": SERVICE,
        **changes,
    }
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        teams_key(),
        algorithm="RS256",
        headers={"kid": "key-1"},
    )


def teams_sign(body: bytes, at: float) -> Delivery:
    token = teams_token(exp=at + 3600, nbf=at - 60)
    return delivery("teams", body, {**JSON, "authorization": f"Bearer {token}"})


def ready_teams(**options: Any) -> Any:
    """The channel with the signing keys fetched."""
    import asyncio

    async def prepared() -> Any:
        found = channel("teams", **options)
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await found.prepare(teams_sign(b"{}", time.time()), client)
        return found

    return asyncio.run(prepared())


@cache
def discord_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def discord_body(text: str, number: str) -> bytes:
    command = {
        "type": 2,
        "id": number,
        "token": "itoken",
        "channel_id": "C1",
        "member": {"user": {"id": "42"}},
        "data": {"name": "ask", "options": [{"type": 3, "name": "message", "value": text}]},
    }
    return dumps(command)


def discord_sign(body: bytes, at: float) -> Delivery:
    stamp = str(int(at))
    proof = discord_key().sign(stamp.encode() + body).hex()
    return delivery("discord", body, {**JSON, "x-signature-timestamp": stamp, "x-signature-ed25519": proof})


# --- Feishu, DingTalk, WeChat, WeCom, Chatwoot ------------------------------------------------------------------------


def feishu_body(text: str, number: str) -> bytes:
    event = {
        "sender": {"sender_type": "user", "sender_id": {"open_id": "ou_1"}},
        "message": {
            "message_id": f"om_{number}",
            "chat_id": "oc_1",
            "chat_type": "p2p",
            "message_type": "text",
            "content": json.dumps({"text": text}),
        },
    }
    header = {"event_id": f"e{number}", "event_type": "im.message.receive_v1", "token": "FV"}
    return dumps({"schema": "2.0", "header": header, "event": event})


def feishu_encrypt(body: bytes, key: str = "FK") -> str:
    first = b"0123456789abcdef"
    padding = 16 - len(body) % 16
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(first)).encryptor()
    sealed = cipher.update(body + bytes([padding]) * padding) + cipher.finalize()
    return base64.b64encode(first + sealed).decode()


def feishu_sign(body: bytes, at: float) -> Delivery:
    sealed = dumps({"encrypt": feishu_encrypt(body)})
    stamp, nonce = str(int(at)), "n0nce"
    proof = hashlib.sha256(f"{stamp}{nonce}FK".encode() + sealed).hexdigest()
    headers = {"x-lark-request-timestamp": stamp, "x-lark-request-nonce": nonce, "x-lark-signature": proof}
    return delivery("feishu", sealed, {**JSON, **headers})


def dingtalk_body(text: str, number: str) -> bytes:
    message = {
        "msgtype": "text",
        "text": {"content": text},
        "msgId": f"msg{number}",
        "conversationId": "cid1",
        "senderStaffId": "ada",
        "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=x",
        "sessionWebhookExpiredTime": int((time.time() + 5400) * 1000),
    }
    return dumps(message)


def dingtalk_sign(body: bytes, at: float) -> Delivery:
    stamp = str(int(at * 1000))
    return delivery("dingtalk", body, {**JSON, "timestamp": stamp, "sign": dingtalk.sign(stamp, "DS")})


def wechat_body(text: str, number: str) -> bytes:
    safe = escape(text)
    return (
        f"<xml><ToUserName>gh</ToUserName><FromUserName>ada</FromUserName><CreateTime>1</CreateTime>"
        f"<MsgType>text</MsgType><Content>{safe}</Content><MsgId>{number}</MsgId></xml>"
    ).encode()


def wechat_sign_for(receiver: str, name: str) -> Callable[[bytes, float], Delivery]:
    def sign(body: bytes, at: float) -> Delivery:
        sealed = wechat_crypto.Envelope("TK", AES_KEY, receiver).seal(body)
        stamp, nonce = str(int(at)), "n0nce"
        proof = wechat_crypto.signature("TK", stamp, nonce, sealed)
        query = {"timestamp": stamp, "nonce": nonce, "msg_signature": proof}
        return delivery(name, f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode(), {}, query)

    return sign


def chatwoot_body(text: str, number: str) -> bytes:
    message = {
        "event": "message_created",
        "id": int(number),
        "content": text,
        "message_type": "incoming",
        "private": False,
        "account": {"id": 3},
        "conversation": {"id": 13, "status": "pending"},
        "inbox": {"id": 5},
        "sender": {"id": 8},
    }
    return dumps(message)


def chatwoot_sign(body: bytes, at: float) -> Delivery:
    stamp = str(int(at))
    proof = "sha256=" + digest("CS", f"{stamp}.".encode() + body)
    return delivery("chatwoot", body, {**JSON, "x-chatwoot-timestamp": stamp, "x-chatwoot-signature": proof})


def chatwoot_secret(body: bytes, at: float) -> Delivery:
    return delivery("chatwoot", body, JSON, {"secret": "CS"})


# --- all of them ------------------------------------------------------------------------------------------------------


def answer(request: httpx.Request) -> httpx.Response:
    """What a platform answers when all is well."""
    path = request.url.path
    if "openidconfiguration" in path:
        return httpx.Response(200, json={"jwks_uri": "https://login.botframework.com/v1/.well-known/keys"})
    if path.endswith("/keys"):
        return httpx.Response(200, json=teams_keys())
    said: dict[str, Any] = {"ok": True, "code": 0, "errcode": 0}
    if any(word in path for word in ("oauth2", "stable_token", "gettoken", "tenant_access_token")):
        said |= {"access_token": "AT", "tenant_access_token": "AT", "expires_in": 7200, "expire": 7200}
    return httpx.Response(200, json=said)


def platforms() -> dict[str, Platform]:
    """Every built-in channel that has a webhook, in each way its platform calls it."""
    return {
        "telegram": Platform(channel("telegram"), telegram_body, telegram_sign, signs_body=False, answer=answer),
        "slack": Platform(channel("slack"), slack_body, slack_sign, window=300, answer=answer),
        "slack buttons": Platform(channel("slack"), slack_button, slack_sign_form, window=300, answer=answer),
        "messenger": Platform(channel("messenger"), messenger_body, meta_sign, answer=answer),
        "whatsapp": Platform(channel("whatsapp"), whatsapp_body, meta_sign, answer=answer),
        "twilio": Platform(channel("twilio"), twilio_body, twilio_sign, answer=answer),
        "line": Platform(channel("line"), line_body, line_sign, answer=answer),
        "teams": Platform(ready_teams(), teams_body, teams_sign, signs_body=False, window=4000, answer=answer),
        "discord": Platform(channel("discord"), discord_body, discord_sign, window=300, answer=answer),
        "feishu": Platform(channel("feishu"), feishu_body, feishu_sign, answer=answer),
        "dingtalk": Platform(
            channel("dingtalk"), dingtalk_body, dingtalk_sign, signs_body=False, window=3600, answer=answer
        ),
        "wechat": Platform(channel("wechat"), wechat_body, wechat_sign_for("wx1", "wechat"), window=600, answer=answer),
        "wecom": Platform(channel("wecom"), wechat_body, wechat_sign_for("ww1", "wecom"), window=600, answer=answer),
        "chatwoot": Platform(channel("chatwoot"), chatwoot_body, chatwoot_sign, window=300, answer=answer),
        "chatwoot by secret": Platform(
            channel("chatwoot"), chatwoot_body, chatwoot_secret, signs_body=False, answer=answer
        ),
    }
