"""Rasa's callback channel: messages come as for REST, and each of the bot's is posted to a URL."""

from __future__ import annotations

import httpx

from dialogue.channels.base import Address, Delivery, Heard, Incoming, RefusedError, Response, SendError
from dialogue.channels.rasa import Callback
from dialogue.errors import StarfoldError
from dialogue.message import Reply
from dialogue.server.rest import rasa_messages, read_message

RETRY_SECONDS = 5.0
MOST_CHARACTERS = 20_000


class CallbackChannel:
    """The channel. A delivery is answered `success` once the message is safe, not when it is answered as in Rasa.

    Raises:
        StarfoldError: if the URL is none of HTTP.
    """

    def __init__(self, options: Callback) -> None:
        if not options.url.startswith(("http://", "https://")):
            raise StarfoldError(f"callback: expected a url that begins with http:// or https://, got {options.url!r}")
        self.name = options.name
        self._url = options.url

    def receive(self, delivery: Delivery) -> Incoming:
        """See `Channel`. With a `message_id` in it, the same delivery counts once."""
        if delivery.method != "POST":
            raise RefusedError("expected POST", 404)
        done = Response(200, b"success")
        message = read_message(delivery.body, self.name, MOST_CHARACTERS)
        if message is None:
            return Incoming((), done)
        return Incoming((Heard(message, {"recipient_id": message.sender}),), done)

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel`. Each message is a request of its own."""
        for one in rasa_messages(reply, str(address["recipient_id"])):
            answer = await client.post(self._url, json=one)
            if answer.status_code >= 500 or answer.status_code in (408, 429):
                raise SendError(f"the callback answered {answer.status_code}", RETRY_SECONDS)
            if answer.is_error or answer.is_redirect:
                raise SendError(f"the callback answered {answer.status_code}", None)
