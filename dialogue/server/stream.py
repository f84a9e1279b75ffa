"""The WebSocket of the widget: what was said since a number, messages in, replies out as they come.

Frames are JSON objects with a `type`. The client begins with `hello` (`token`, `after`); everything said after that
number is sent again, then whatever is added, by any channel. A message that is sent again with its `id` is answered
once: its replies stand in the conversation already.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from dialogue.channels.base import RefusedError
from dialogue.channels.jsonl import dumps
from dialogue.errors import StarfoldError, StoreError
from dialogue.message import Message
from dialogue.server.conversations_api import heard, rated
from dialogue.server.feed import POLL
from dialogue.server.parts import Parts
from dialogue.server.replies import told
from dialogue.server.shapes import FeedbackRequest, Name, Text

logger = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
IDLE_SECONDS = 120.0  # without a frame, not even a ping, the client is gone
REFUSED, TOO_LARGE, LATER = 4401, 1009, 1013
router = APIRouter()


class Hello(BaseModel):
    """The first frame. A developer names the `conversation`; a visitor's token does."""

    type: str = Field(pattern="^hello$")
    token: str
    after: int = Field(default=0, ge=0, le=2**31 - 1)
    conversation: Name | None = None


class Said(BaseModel):
    """A message of the user."""

    id: Name
    text: Text
    metadata: dict[str, Any] = {}


@router.websocket("/api/ws")
async def converse(socket: WebSocket) -> None:
    """One connection of one conversation."""
    here: Parts = socket.app.state.parts
    if not here.origins.permits(socket.headers.get("origin"), socket.headers.get("host")):
        await socket.close(1008, "this origin may not talk to this bot")
        return
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the latter: it closed while something was sent
        try:
            hello = TypeAdapter(Hello).validate_json(await asyncio.wait_for(socket.receive_text(), HELLO_SECONDS))
            caller = here.authority.caller(hello.token)
            conversation = caller.conversation or hello.conversation
            if conversation is None:
                raise RefusedError("expected a conversation in hello")
        except (RefusedError, ValidationError, asyncio.TimeoutError, KeyError) as error:
            sentence = str(error) if isinstance(error, RefusedError) else 'expected {"type": "hello", "token": ...}'
            await socket.send_text(dumps({"type": "error", "message": sentence, "retry": False}))
            await socket.close(REFUSED, sentence[:100])
            return
        connection = _Connection(socket, here, conversation, hello.after)
        try:
            await connection.run()
        except StarfoldError as error:
            await connection.tell(error)
            await socket.close(LATER, "try again")


class _Connection:
    """A client that said hello.

    Args:
        position: number of the last event the client has seen.
    """

    def __init__(self, socket: WebSocket, here: Parts, conversation: str, position: int) -> None:
        self._socket = socket
        self._here = here
        self._conversation = conversation
        self._position = position
        self._pumping = asyncio.Lock()
        self._turns: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until either side ends it."""
        last = (await self._here.service.call(self._here.service.records.last, [self._conversation])).get(
            self._conversation, 0
        )
        await self._send(type="ready", conversation=self._conversation, last=last)
        watching = asyncio.ensure_future(self._watch())
        try:
            while not watching.done():
                frame = await asyncio.wait_for(self._socket.receive_text(), IDLE_SECONDS)
                await self._receive(frame)
        except asyncio.TimeoutError:
            await self._socket.close(1001, "idle")
        finally:
            watching.cancel()

    async def _receive(self, frame: str) -> None:
        if len(frame) > self._here.serving.body_kb * 1024:
            await self._socket.close(TOO_LARGE, "the frame is too large")
            return
        try:
            data = json.loads(frame)
            kind = data["type"]
            if kind == "ping":
                await self._send(type="pong")
            elif kind == "message":
                await self._begin(Said.model_validate(data))
            elif kind == "feedback":
                del data["type"]
                await rated(self._here, self._conversation, FeedbackRequest.model_validate(data))
            else:
                raise ValueError("expected a frame of type message, feedback or ping")
        except (ValueError, KeyError, TypeError) as error:
            sentence = "not a frame that was expected" if isinstance(error, ValidationError) else str(error)
            await self._send(type="error", message=sentence, retry=False, **_id_of(frame))
        except StarfoldError as error:
            await self.tell(error)

    async def _begin(self, said: Said) -> None:
        """Take a message: messages get into their conversation's queue in the order of their frames."""
        try:
            message = await heard(self._here, self._conversation, said.text, said.id, dict(said.metadata))
        except StarfoldError as error:
            await self.tell(error, message_id=said.id)
            return
        await self._send(type="typing", message_id=said.id)
        task = asyncio.ensure_future(self._turn(message))
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)

    async def _turn(self, message: Message) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            try:
                await self._here.service.handle(message, patience=self._here.serving.patience)
            except Exception as error:  # whatever it is, the client is told that there will be no answer
                await self.tell(error, message_id=message.id)
                return
            try:
                await self._pump()
            except StoreError as error:
                await self.tell(error, message_id=message.id)
                return
            await self._send(type="done", message_id=message.id, last=self._position)

    async def tell(self, error: Exception, **more: str) -> None:
        """Send what went wrong; `more` says which message it is about."""
        status, sentence, retry_after = told(error)
        if status == 500:
            logger.error("a message could not be answered", exc_info=error)
        await self._send(type="error", message=sentence, retry=retry_after is not None, **more)

    async def _watch(self) -> None:
        """Send what anybody adds to the conversation; a store that is gone for a while is waited for."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            async for _ in self._here.service.feed.watch(self._conversation):
                while not await self._pumped():
                    await asyncio.sleep(POLL)

    async def _pumped(self) -> bool:
        try:
            await self._pump()
        except StoreError:
            return False
        return True

    async def _pump(self) -> None:
        """Send every item the client has not seen, in order, each once."""
        async with self._pumping:
            found, last = await self._here.service.feed.items(self._conversation, self._position)
            for item in found:
                await self._socket.send_text(dumps(item))
            self._position = last

    async def _send(self, **frame: Any) -> None:
        await self._socket.send_text(dumps(frame))


def _id_of(frame: str) -> dict[str, str]:
    """The id of a message that was refused, if it can be made out."""
    with contextlib.suppress(ValueError, AttributeError):
        found = json.loads(frame).get("id")
        return {"message_id": found} if isinstance(found, str) else {}
    return {}
