"""What WhatsApp and Messenger have in common: Meta's webhooks and the errors of its Graph API.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Delivery, Incoming, RefusedError, Response
from dialogue.channels.calls import call
from dialogue.channels.payload import at, same

if TYPE_CHECKING:
    import httpx

GRAPH = "https://graph.facebook.com/v23.0"
# Too many calls of the app, the page, the number, or to one person; and what Meta itself calls transient.
BUSY = (1, 2, 4, 32, 341, 613, 80006, 80007, 130429, 131000, 131016, 131056)


def subscription(delivery: Delivery, verify_token: str) -> Incoming:
    """The answer to the request that sets a webhook up.

    Raises:
        RefusedError: if it does not show the token that was typed into the console.
    """
    if not same(delivery.query.get("hub.verify_token", ""), verify_token):
        raise RefusedError("Meta: the verify token is missing or wrong", 403)
    return Incoming(response=Response(body=delivery.query.get("hub.challenge", "").encode("utf-8", "replace")))


def verify(delivery: Delivery, app_secret: str) -> None:
    """Check the signature of a delivery.

    Raises:
        RefusedError: if it is missing or wrong.
    """
    expected = "sha256=" + hmac.new(app_secret.encode(), delivery.body, hashlib.sha256).hexdigest()
    if not same(delivery.headers.get("x-hub-signature-256", ""), expected):
        raise RefusedError("Meta: the signature is missing or wrong")


async def get(client: httpx.AsyncClient, platform: str, url: str, token: str) -> Any:
    """What the Graph API says of something. Raises `SendError` if it says nothing."""
    return await call(client, platform, "GET", url, headers={"Authorization": f"Bearer {token}"}, judge=_judge)


async def post(client: httpx.AsyncClient, platform: str, url: str, token: str, fields: dict[str, Any]) -> None:
    """Send something by the Graph API.

    Raises:
        SendError: if it is not taken.
    """
    headers = {"Authorization": f"Bearer {token}"}
    await call(client, platform, "POST", url, json=fields, headers=headers, judge=_judge)


def _judge(said: Any) -> bool | None:
    error = at(said, "error")
    return None if error is None else at(error, "is_transient") is True or at(error, "code") in BUSY
