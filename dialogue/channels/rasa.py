"""Options of Rasa's own protocols, REST, callback and Socket.IO, which the server speaks itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Rasa's REST channel: the answer of a request has the replies."""

    name: str = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Rasa's callback channel: each reply is posted to `url`."""

    url: str
    name: str = "callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketIO:
    """Rasa's Socket.IO channel.

    Attributes:
        user_message_evt: event by which the client sends a message.
        bot_message_evt: event by which it gets a reply.
        namespace: of the socket.
        session_persistence: whether the client's session id, not its connection, names the conversation.
        socketio_path: where the socket is.
        jwt_key: key of the tokens that clients have to show.
        jwt_method: algorithm of these tokens.
        metadata_key: of a message, what has its metadata.
    """

    user_message_evt: str = "user_uttered"
    bot_message_evt: str = "bot_uttered"
    namespace: str | None = None
    session_persistence: bool = False
    socketio_path: str = "/socket.io"
    jwt_key: str | None = None
    jwt_method: str = "HS256"
    metadata_key: str = "metadata"
    name: str = "socketio"
