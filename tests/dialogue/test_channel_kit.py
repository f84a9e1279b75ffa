"""The conformance kit itself: it finds what is wrong with a channel."""

import dataclasses
import json
import time

import pytest

from dialogue.channels import testing
from dialogue.channels.base import Heard, Incoming, RefusedError, Response, SendError
from dialogue.channels.calls import call
from dialogue.channels.payload import fresh, heard, read_json, same, text_at
from dialogue.channels.testing import ConformanceError, Platform, check_channel
from dialogue.message import Message
from tests.dialogue.platforms import JSON, delivery, digest

WINDOW = 60


class Postcard:
    """A channel that keeps the contract; each test breaks one thing."""

    name = "postcard"

    def receive(self, delivery):
        stamp = delivery.headers.get("x-time", "")
        if not same(delivery.headers.get("x-proof", ""), digest("key", f"{stamp}.".encode() + delivery.body)):
            raise RefusedError("forged")
        if not fresh(stamp, time.time(), WINDOW):
            raise RefusedError("old")
        return Incoming(self.read(read_json(delivery.body)))

    def read(self, card):
        return heard(self.name, text_at(card, "from"), text_at(card, "id"), text_at(card, "text"), {"to": "ada"})

    async def send(self, reply, address, client):
        for text in filter(None, (reply.text, reply.image)):
            await call(client, "Post", "POST", "https://post.example.org", json={"to": address["to"], "text": text})


def body(text, number):
    return json.dumps({"from": "ada", "id": number, "text": text}).encode()


def sign(body, at):
    stamp = str(int(at))
    proof = digest("key", f"{stamp}.".encode() + body)
    return delivery("postcard", body, {**JSON, "x-time": stamp, "x-proof": proof})


def check(channel, **changes):
    check_channel(Platform(channel, **{"body": body, "sign": sign, "window": WINDOW, **changes}), fuzzed=60)


def test_a_good_channel_passes():
    check(Postcard())


class Gullible(Postcard):
    def receive(self, delivery):
        return Incoming(self.read(read_json(delivery.body)))


class HalfGullible(Postcard):
    def receive(self, delivery):
        if "x-proof" not in delivery.headers:
            raise RefusedError("forged")
        return Incoming(self.read(read_json(delivery.body)))


class Trusting(Postcard):
    """Compares only the start of the proof."""

    def receive(self, delivery):
        whole = digest("key", f"{delivery.headers.get('x-time')}.".encode() + delivery.body)
        if not delivery.headers.get("x-proof", "").startswith(whole):
            raise RefusedError("forged")
        return Incoming(self.read(read_json(delivery.body)))


class Timeless(Postcard):
    def receive(self, delivery):
        stamp = delivery.headers.get("x-time", "")
        if not same(delivery.headers.get("x-proof", ""), digest("key", f"{stamp}.".encode() + delivery.body)):
            raise RefusedError("forged")
        return Incoming(self.read(read_json(delivery.body)))


class Brittle(Postcard):
    def read(self, card):
        return heard(self.name, card["from"], card["id"], card["text"], {})


class Forgetful(Postcard):
    def read(self, card):
        return tuple(
            Heard(Message(one.message.text, sender=one.message.sender, channel=self.name), one.address)
            for one in super().read(card)
        )


class Anonymous(Postcard):
    def read(self, card):
        return heard(self.name, text_at(card, "id"), text_at(card, "id"), text_at(card, "text"), {})


class Nameless(Postcard):
    def read(self, card):
        return tuple(
            Heard(Message(text_at(card, "text"), sender="ada", channel=self.name, id=text_at(card, "id")), {})
            for _ in range(bool(text_at(card, "text").strip()))
        )


class Chatty(Postcard):
    def read(self, card):
        return heard(self.name, "ada", text_at(card, "id"), text_at(card, "text") or "?", {})


class Shouting(Postcard):
    def read(self, card):
        return heard(self.name, "ada", text_at(card, "id"), text_at(card, "text").upper(), {})


class Unkept(Postcard):
    def read(self, card):
        return heard(self.name, "ada", text_at(card, "id"), text_at(card, "text"), {"to": {1, 2}})


class Long(Postcard):
    def read(self, card):
        return tuple(
            dataclasses.replace(one, message=dataclasses.replace(one.message, id="x" * 300))
            for one in super().read(card)
        )


class Failing(Postcard):
    def receive(self, delivery):
        return dataclasses.replace(super().receive(delivery), response=Response(500))


class Silent(Postcard):
    async def send(self, reply, address, client):
        return


class Careless(Postcard):
    async def send(self, reply, address, client):
        if reply.text or reply.image:
            await client.post("https://post.example.org", json={"text": reply.text or reply.image})


class Stubborn(Postcard):
    async def send(self, reply, address, client):
        try:
            await super().send(reply, address, client)
        except SendError as problem:
            raise SendError(str(problem), 1.0) from problem


@pytest.mark.parametrize(
    ("channel", "rule"),
    [
        (Gullible, "without its headers and query must be refused"),
        (HalfGullible, "must be refused"),
        (Trusting, "with the header x-proof"),
        (Timeless, "signed long ago must be refused"),
        (Brittle, "raised"),
        (Forgetful, "must have the same id"),
        (Anonymous, "must be of one conversation"),
        (Nameless, "the sender must begin with 'postcard:'"),
        (Chatty, "nothing may be heard"),
        (Shouting, "said 'may I come tonight"),
        (Unkept, "plain JSON"),
        (Long, "the id has 300 characters"),
        (Failing, "not an answer"),
        (Silent, "nothing was sent"),
        (Careless, "send raised"),
        (Stubborn, "Retry-After was 7"),
    ],
)
def test_what_is_wrong_is_found(channel, rule):
    with pytest.raises(ConformanceError, match=rule):
        check(channel())


def test_fuzzed_deliveries_are_the_same_for_a_seed():
    platform = Platform(Postcard(), body, sign)
    first, again = ([one.body for one in testing.malformed(platform, 50, 3)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 30
