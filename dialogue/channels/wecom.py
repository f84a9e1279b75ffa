"""WeCom (WeChat Work): an application of a company.

Source: https://developer.work.weixin.qq.com/document/path/90238. The envelope is the one of official accounts, with the
company's id as the receiver; replies are messages of the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialogue.channels.base import Address, Delivery, Incoming, Response
from dialogue.channels.calls import Token, call
from dialogue.channels.degrade import LOOKS, pieces
from dialogue.channels.payload import heard
from dialogue.channels.wechat import judge, post_message, rendered, token_of
from dialogue.channels.wechat_crypto import Envelope
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx


class WeCom:
    """An application.

    Args:
        corp_id: of the company.
        secret: of the application; gets access tokens.
        agent_id: of the application.
        token: of the console's page for receiving messages.
        aes_key: EncodingAESKey of that page.
        name: of the channel.
        api_base: where the API is.

    Raises:
        ValueError: if the key is none.
    """

    look = LOOKS["wecom"]

    def __init__(
        self,
        *,
        corp_id: str,
        secret: str,
        agent_id: int,
        token: str,
        aes_key: str,
        name: str = "wecom",
        api_base: str = "https://qyapi.weixin.qq.com",
    ) -> None:
        self.name = name
        self._id, self._secret, self._agent = corp_id, secret, agent_id
        self._base = api_base.rstrip("/")
        self._envelope = Envelope(token, aes_key, corp_id)
        self._access = Token(self._fetch)

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`."""
        if delivery.method == "GET":
            return Incoming(response=Response(body=self._envelope.echo(delivery)))
        message = self._envelope.open(delivery)
        user = message.get("FromUserName", "")
        clicked = message.get("MsgType") == "event" and message.get("Event", "").lower() == "click"
        text = message.get("EventKey" if clicked else "Content", "")
        number = message.get("MsgId") or f"{user}-{message.get('CreateTime', '')}"
        return Incoming(heard(self.name, user, number, text, {"to": user}, {"user_id": user}))

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        await self._access.get(client)
        return self._id

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        url = f"{self._base}/cgi-bin/message/send"
        for piece in pieces(reply, self.look):
            fields = {"touser": address["to"], "agentid": self._agent, **rendered(piece)}
            await post_message(client, "WeCom", url, self._access, fields)

    async def _fetch(self, client: httpx.AsyncClient) -> tuple[str, float]:
        wanted = {"corpid": self._id, "corpsecret": self._secret}
        return token_of(
            await call(client, "WeCom", "GET", f"{self._base}/cgi-bin/gettoken", params=wanted, judge=judge)
        )
