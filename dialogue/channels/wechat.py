"""A WeChat official account in safe mode.

Source: https://developers.weixin.qq.com/doc/offiaccount. WeChat waits five seconds for an answer and tries three times,
so it is told `success` at once, and replies go out by the customer service API, which is open for 48 hours.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Delivery, Incoming, RefusedError, Response, SendError
from dialogue.channels.calls import Token, call
from dialogue.channels.degrade import LOOKS, Piece, pieces
from dialogue.channels.payload import at, heard, same, text_at
from dialogue.channels.wechat_crypto import NO_TOKEN, PASSING, Envelope, signature
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx


class WeChat:
    """An official account.

    Args:
        app_id: of the account.
        app_secret: of the account; gets access tokens.
        token: any text, typed into WeChat's console as well.
        aes_key: EncodingAESKey of the console; the mode there must be the safe one.
        name: of the channel.
        api_base: where the API is.

    Raises:
        ValueError: if the key is none.
    """

    look = LOOKS["wechat"]

    def __init__(
        self,
        *,
        app_id: str,
        app_secret: str,
        token: str,
        aes_key: str,
        name: str = "wechat",
        api_base: str = "https://api.weixin.qq.com",
    ) -> None:
        self.name = name
        self._id, self._secret, self._base = app_id, app_secret, api_base.rstrip("/")
        self._signing = token
        self._envelope = Envelope(token, aes_key, app_id)
        self._access = Token(self._fetch)

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        if delivery.method == "GET":
            parts = (self._signing, delivery.query.get("timestamp", ""), delivery.query.get("nonce", ""))
            if not same(delivery.query.get("signature", ""), signature(*parts)):
                raise RefusedError("WeChat: the signature is missing or wrong")
            return Incoming(response=Response(body=delivery.query.get("echostr", "").encode("utf-8", "replace")))
        message = self._envelope.open(delivery)
        user, kind = message.get("FromUserName", ""), message.get("MsgType", "")
        clicked = kind == "event" and message.get("Event") == "CLICK"
        text = (
            message.get("EventKey", "") if clicked else message.get({"voice": "Recognition"}.get(kind, "Content"), "")
        )
        # An event has no id of its own: writer and time tell it from others.
        number = message.get("MsgId") or f"{user}-{message.get('CreateTime', '')}"
        found = heard(self.name, user, number, text, {"to": user}, {"user_id": user})
        return Incoming(found, Response(body=b"success"))

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        await self._access.get(client)
        return self._id

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        for piece in pieces(reply, self.look):
            await self._post(client, {"touser": address["to"], **rendered(piece)})

    async def _post(self, client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
        url = f"{self._base}/cgi-bin/message/custom/send"
        await post_message(client, "WeChat", url, self._access, fields)

    async def _fetch(self, client: httpx.AsyncClient) -> tuple[str, float]:
        """The stable token: the same on every server, until it ends."""
        wanted = {"grant_type": "client_credential", "appid": self._id, "secret": self._secret}
        url = f"{self._base}/cgi-bin/stable_token"
        return token_of(await call(client, "WeChat", "POST", url, json=wanted, judge=judge))


def rendered(piece: Piece) -> dict[str, Any]:
    """A message of the API. A custom reply is one already, such as `{"msgtype": "news", ...}`."""
    if piece.custom is not None:
        return dict(piece.custom)
    return {"msgtype": "text", "text": {"content": piece.text}}


async def post_message(
    client: httpx.AsyncClient, platform: str, url: str, access: Token, fields: dict[str, Any]
) -> None:
    """Send a message with an access token; one that is refused is fetched anew next time.

    Raises:
        SendError: if it is not taken.
    """

    def check(said: Any) -> bool | None:
        if at(said, "errcode") in NO_TOKEN:
            access.forget()
            return True
        return judge(said)

    # Escaped letters would be shown as they are.
    body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
    token, headers = await access.get(client), {"Content-Type": "application/json"}
    await call(
        client, platform, "POST", url, params={"access_token": token}, content=body, headers=headers, judge=check
    )


def token_of(said: Any) -> tuple[str, float]:
    """Token and lifetime in the platform's answer.

    Raises:
        SendError: if there is none.
    """
    token, lasts = text_at(said, "access_token"), at(said, "expires_in")
    if not token or not isinstance(lasts, int):
        raise SendError("WeChat gave no access token", None)
    return token, float(lasts)


def judge(said: Any) -> bool | None:
    """Whether an answer is an error, and one that goes by."""
    code = at(said, "errcode")
    return None if code in (None, 0) else code in PASSING
