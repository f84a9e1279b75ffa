"""What a server does in place of `rasa run`: its HTTP API and its own channels, put into the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from fastapi import FastAPI

from dialogue.channels.base import Channel, Listener
from dialogue.channels.rasa import Callback, Rest, SocketIO
from dialogue.message import Reply
from dialogue.server.callback import CallbackChannel
from dialogue.server.courier import Courier
from dialogue.server.parts import Parts
from dialogue.server.rasa_api import greetings, rasa_api
from dialogue.server.rest import healthy, rest

if TYPE_CHECKING:
    from dialogue.server.socketio import SocketChannel

Output: TypeAlias = Callable[[str, str, Sequence[Reply]], Awaitable[bool]]
"""Brings replies to a conversation's user on a channel of that name; False when it is not this one's."""


@dataclass(frozen=True)
class RasaOptions:
    """What of Rasa's server is served. The callback channel is one like any other.

    Attributes:
        api: the HTTP API, as with `--enable-api`.
        rest: the REST channel.
        socketio: the Socket.IO channel's options; None: it is not served.
    """

    api: bool = False
    rest: bool = False
    socketio: SocketIO | None = None


NOTHING = RasaOptions()


def sorted_out(configured: Iterable[object], *, api: bool) -> tuple[list[Channel | Listener], RasaOptions]:
    """The channels a courier works for, and what is served beside them; REST where nothing is configured, as in Rasa.

    Args:
        configured: channels, and `Rest`, `Callback` and `SocketIO` for Rasa's own.
        api: as in `RasaOptions`.

    Raises:
        StarfoldError: if an option of the callback channel is wrong.
    """
    found, options = list[Channel | Listener](), RasaOptions(api=api)
    for one in configured:
        if isinstance(one, Rest):
            options = replace(options, rest=True)
        elif isinstance(one, SocketIO):
            options = replace(options, socketio=one)
        elif isinstance(one, Callback):
            found.append(CallbackChannel(one))
        elif isinstance(one, (Channel, Listener)):
            found.append(one)
    return found, options if found or options.socketio is not None else replace(options, rest=True)


def mount(
    app: FastAPI, parts: Parts, courier: Courier, channels: Sequence[str], options: RasaOptions
) -> SocketChannel | None:
    """Add it to an app, before whatever takes the rest of the paths.

    Args:
        app: gets routes, and `state.outputs`: who brings replies that nobody waits for.
        parts: service and rules of the server.
        courier: sends on the channels.
        channels: names of the messaging channels.
        options: what is wanted.

    Returns:
        The Socket.IO channel, to be closed with the app.

    Raises:
        StarfoldError: if an option of the Socket.IO channel is wrong.
    """
    outputs: list[Output] = [courier.bring]
    socket = None
    app.include_router(greetings())
    if options.rest:
        app.include_router(rest())
    if options.socketio is not None:
        from dialogue.server.socketio import SocketChannel

        socket = SocketChannel(parts, options.socketio)
        app.mount(socket.path, socket.app)
        channels = (*channels, socket.name)
        outputs.insert(0, _to(socket))
    for name in channels:
        app.add_api_route(f"/webhooks/{name}/", healthy, methods=["GET"], include_in_schema=False)
    if options.api:
        app.include_router(rasa_api())
    app.state.outputs = outputs
    return socket


def _to(socket: SocketChannel) -> Output:
    async def bring(channel: str, conversation: str, replies: Sequence[Reply]) -> bool:
        if channel != socket.name:
            return False
        for reply in replies:
            await socket.say(conversation, reply)
        return True

    return bring
