"""Rasa's Socket.IO channel, as its JavaScript clients and web widgets speak it.

A client asks for a session (`session_request` → `session_confirm`), says something (`user_uttered`) and hears the bot
(`bot_uttered`). With `session_persistence` a session is a room: every socket that asked for it hears the answers, and a
client that lost its socket goes on where it was. Protocol: https://rasa.com/docs/rasa/connectors/your-own-website
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import jwt
import socketio
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from dialogue.actions.texts import text_for
from dialogue.channels.rasa import SocketIO
from dialogue.errors import StarfoldError
from dialogue.message import Message, Reply
from dialogue.server.origins import Origins
from dialogue.server.parts import Parts
from dialogue.server.replies import told
from dialogue.server.rest import own_metadata, paragraphs

logger = logging.getLogger(__name__)

SESSION_REQUEST, SESSION_CONFIRM = "session_request", "session_confirm"


class SocketChannel:
    """The channel. `app` is to be mounted at `path`.

    Args:
        parts: service and rules of the server.
        options: see there.

    Raises:
        StarfoldError: if the path is none or an event has no name.
    """

    def __init__(self, parts: Parts, options: SocketIO) -> None:
        if not options.socketio_path.strip("/"):
            raise StarfoldError(f"socketio: expected a socketio_path like /socket.io, got {options.socketio_path!r}")
        if not options.user_message_evt or not options.bot_message_evt:
            raise StarfoldError("socketio: user_message_evt and bot_message_evt must be names")
        if (several := parts.serving.processes > 1) and parts.serving.redis is None:
            raise StarfoldError(
                "socketio: several processes need `redis` in the section `server`, to reach every socket"
            )
        self.name = options.name
        self.path = f"/{options.socketio_path.strip('/')}"
        self._parts = parts
        self._options = options
        self._space = f"/{(options.namespace or '').lstrip('/')}"
        self._others = None if parts.serving.redis is None else _Others(parts.serving.redis)
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            client_manager=self._others,
            transports=["websocket"] if several else None,  # polls of one client would come to different processes
            cors_allowed_origins=_permits(parts.origins),
            max_http_buffer_size=parts.serving.body_kb * 1024,
            namespaces=[self._space],
        )
        # Answers of one session go out one after the other, as its messages came.
        self._speaking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        for event, handler in (
            ("connect", self._connect),
            (SESSION_REQUEST, self._begin),
            (options.user_message_evt, self._hear),
        ):
            self._server.on(event, handler, namespace=self._space)
        self.app = _lowered(socketio.ASGIApp(self._server, socketio_path=self.path))

    async def say(self, conversation: str, reply: Reply) -> None:
        """Bring a reply to every socket of a conversation."""
        for payload in payloads(reply):
            await self._server.emit(self._options.bot_message_evt, payload, to=conversation, namespace=self._space)

    async def close(self) -> None:
        """End all connections."""
        await self._server.shutdown()
        if self._others is not None:
            await self._others.close()

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        if self._options.jwt_key is None:
            return
        shown = auth.get("token") if isinstance(auth, dict) else None
        try:
            jwt.decode(
                str(shown or "").removeprefix("Bearer "),
                self._options.jwt_key,
                algorithms=[self._options.jwt_method],
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError as error:
            raise socketio.exceptions.ConnectionRefusedError("unauthorized") from error

    async def _begin(self, sid: str, data: Any = None) -> None:
        wanted = data.get("session_id") if isinstance(data, dict) else None
        session = str(wanted) if wanted else uuid.uuid4().hex
        if self._options.session_persistence:
            await self._server.enter_room(sid, session, namespace=self._space)
        await self._server.emit(SESSION_CONFIRM, session, to=sid, namespace=self._space)

    async def _hear(self, sid: str, data: Any = None) -> dict[str, str] | None:
        """Answer a message. What is returned goes to a client that asked for an acknowledgement: None or the error."""
        try:
            message = self._message(sid, data)
        except ValueError as error:
            logger.warning("a message of socket %s is ignored: %s", sid, error)
            return {"error": str(error)}
        if self._options.session_persistence:  # a client that reconnects may speak before it asks for its session
            await self._server.enter_room(sid, message.sender, namespace=self._space)
        lock = self._speaking.setdefault(message.sender, asyncio.Lock())
        async with lock:
            return await self._answer(message)

    async def _answer(self, message: Message) -> dict[str, str] | None:
        try:
            await self._parts.limiter.hit("sender", message.sender)
            turn = await self._parts.service.handle(message, patience=self._parts.serving.patience)
        except Exception as error:  # whatever it is, the client is told that there will be no answer
            status, sentence, _ = told(error)
            if status == 500:
                logger.exception("a message could not be answered")
            if status >= 500:  # web widgets ask for no acknowledgement, so their users would wait in vain
                language = self._parts.service.bot.language
                await self.say(message.sender, Reply(text_for("utter_error", message.text, language)))
            return {"error": sentence}
        for reply in turn.replies:
            await self.say(message.sender, reply)
        return None

    def _message(self, sid: str, data: Any) -> Message:
        """What a client said. Raises `ValueError` if it is nothing that can be answered."""
        if not isinstance(data, dict) or not isinstance(data.get("message"), str):
            raise ValueError("expected {message, session_id}")
        most = self._parts.serving.message_characters
        if len(data["message"]) > most:
            raise ValueError(f"the message is too long: at most {most} characters")
        sender: Any = sid
        number = data.get("message_id") or uuid.uuid4().hex
        if self._options.session_persistence:
            sender = data.get("session_id")
            if not sender:
                raise ValueError("expected a session_id: session_persistence is on; ask for one with session_request")
        for key, name in (("session_id", sender), ("message_id", number)):
            if not isinstance(name, str) or len(name) > 255 or "\x00" in name:
                raise ValueError(f"{key}: expected a string of at most 255 characters")
        metadata = own_metadata(_metadata(data.get(self._options.metadata_key)))
        return Message(data["message"], sender, self.name, id=number, metadata=metadata)


class _Others(socketio.AsyncRedisManager):  # type: ignore[misc]  # the library is untyped
    """The sockets of other processes, reached by Redis.

    The library makes a client anew whenever Redis was away and closes none. One client is enough: it connects by
    itself to a Redis that came back, and subscribes again.
    """

    thread: asyncio.Task[None] | None = None

    def _redis_connect(self) -> None:
        if self.redis is None:
            super()._redis_connect()
        self.connected = True

    async def close(self) -> None:
        if self.thread is not None:
            self.thread.cancel()
            await asyncio.wait([self.thread])
        if self.redis is not None:
            await self.pubsub.aclose()
            await self.redis.aclose()


def payloads(reply: Reply) -> Iterator[Any]:
    """A reply as what `bot_uttered` carries: each paragraph by itself, buttons with the last one.

    Of a `custom` what is under its key `data`, which Rasa takes for an argument of the emission, where it has one.
    """
    if reply.text is not None or reply.buttons:
        *first, last = paragraphs(reply.text or "")
        yield from ({"text": text} for text in first)
        quick = [{"content_type": "text", "title": one.title, "payload": one.payload} for one in reply.buttons]
        yield {"text": last, "quick_replies": quick} if quick else {"text": last}
    if reply.custom is not None:
        yield reply.custom["data"] if "data" in reply.custom else dict(reply.custom)
    if reply.image is not None:
        yield {"attachment": {"type": "image", "payload": {"src": reply.image}}}
    if reply.attachment is not None:
        yield {"attachment": reply.attachment}


def _lowered(app: ASGIApp) -> ASGIApp:
    """An app with its headers' names in lower case, as ASGI has them: else CORS headers would be there twice."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def lowered(message: ASGIMessage) -> None:
            if "headers" in message:
                headers = [(name.lower(), value) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, lowered)

    return run


def _permits(origins: Origins) -> Callable[[str | None, Mapping[str, Any]], bool]:
    return lambda origin, environ: origins.permits(origin, environ.get("HTTP_HOST"))


def _metadata(given: Any) -> Mapping[str, Any]:
    """Metadata as an object, or as the JSON of one. Raises `ValueError` for anything else."""
    if isinstance(given, str):
        given = json.loads(given) if given else {}
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValueError("metadata: expected an object")
    return given
