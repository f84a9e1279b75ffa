"""Twilio: SMS and WhatsApp by its webhooks and its Messages resource.

Sources: https://www.twilio.com/docs/usage/security, https://www.twilio.com/docs/messaging/api/message-resource.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from dialogue.channels.base import Address, Delivery, Incoming, RefusedError, Response
from dialogue.channels.calls import call
from dialogue.channels.degrade import LOOKS, pieces
from dialogue.channels.payload import heard, read_form, same, text_at
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

NOTHING = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
LONGEST_SHORT_CODE = 8
PORTS = {"http": 80, "https": 443}


class Twilio:
    """A Twilio number.

    Args:
        account_sid: of the account.
        auth_token: of the account; proves that Twilio is calling, and lets the bot send.
        number: what replies come from, `+15550001` or `whatsapp:+15550001`; by default the number written to.
        webhook_url: the webhook as typed into Twilio's console, when a proxy hides it from the server.
        name: of the channel.
        api_base: where the API is.
    """

    look = LOOKS["twilio"]

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        number: str | None = None,
        webhook_url: str | None = None,
        name: str = "twilio",
        api_base: str = "https://api.twilio.com",
    ) -> None:
        self.name = name
        # A phone number that was written without quotes has lost its plus; a short code never had one.
        plus = "+" if number is not None and number.isdecimal() and len(number) > LONGEST_SHORT_CODE else ""
        self._number = None if number is None else plus + number
        self._token, self._webhook_url = auth_token, webhook_url
        self._auth = (account_sid, auth_token)
        self._url = f"{api_base.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel.receive`. Replies go out by the API, so the answer is an empty TwiML."""
        fields = read_form(delivery.body)
        self._verify(delivery, fields)
        user, mine = fields.get("From", ""), fields.get("To", "")
        found = heard(
            self.name,
            user,
            fields.get("MessageSid", ""),
            fields.get("ButtonPayload", "") or fields.get("Body", ""),
            {"to": user, "from": self._number or mine},
            {"user_id": user, "to": mine},
        )
        return Incoming(found, Response(body=NOTHING, content_type="text/xml"))

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`."""
        where = {"To": address["to"], "From": address["from"]}
        for piece in pieces(reply, self.look):
            said = {"Body": piece.text} if piece.image is None else {"MediaUrl": piece.image}
            await call(client, "Twilio", "POST", self._url, data={**where, **said}, auth=self._auth)

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        account = self._url.removesuffix("/Messages.json") + ".json"
        return text_at(await call(client, "Twilio", "GET", account, auth=self._auth), "friendly_name")

    def _verify(self, delivery: Delivery, fields: Mapping[str, str]) -> None:
        given = delivery.headers.get("x-twilio-signature", "")
        urls = _spellings(self._webhook_url or delivery.url)
        if not any(same(given, signature(url, fields, self._token)) for url in urls):
            raise RefusedError("Twilio: the signature is missing or wrong; is the webhook's address the public one?")


def signature(url: str, fields: Mapping[str, str], token: str) -> str:
    """What Twilio signs: the URL and the form's fields in order of their names, by HMAC-SHA1."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _spellings(url: str) -> tuple[str, ...]:
    """The URL without and with the port it has anyway: Twilio signs the one or the other."""
    try:
        parts = urlsplit(url)
        usual = PORTS.get(parts.scheme)
        if parts.hostname is None or parts.port not in (None, usual):
            return (url,)
    except ValueError:
        return (url,)
    host = parts.netloc.removesuffix(f":{usual}")
    return (url, *(urlunsplit(parts._replace(netloc=netloc)) for netloc in (host, f"{host}:{usual}")))
