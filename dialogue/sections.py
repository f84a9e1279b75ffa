"""Sections of bot.yml that name servers: those the bot asks, and the one it is."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self


class Section(BaseModel):
    """A mapping of bot.yml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BasicAuth(Section):
    """User name and password."""

    username: str = Field(min_length=1, description="User name.")
    password: str = Field(description="Password; best as ${NAME}.")


class Server(Section):
    """A server and how to talk to it. A bare URL stands for one without options."""

    url: str | None = Field(default=None, pattern=r"^https?://", description="Where it answers.")
    params: dict[str, str] = Field(default={}, description="Added to the query of the URL.")
    headers: dict[str, str] = Field(default={}, description="Sent with every request.")
    token: str | None = Field(default=None, description="Sent in the query as token_name.")
    token_name: str = Field(default="token", min_length=1, description="What the query calls the token.")
    basic_auth: BasicAuth | None = Field(default=None, description="User name and password.")
    cafile: str | None = Field(default=None, description="Certificates to trust, seen from the project's folder.")
    timeout: float = Field(default=30.0, gt=0, description="Seconds an answer may take.")
    connect_timeout: float = Field(default=5.0, gt=0, description="Seconds until there is a connection.")
    compress: bool = Field(default=False, description="Whether requests are deflated.")

    @model_validator(mode="before")
    @classmethod
    def _bare_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.url is None:
            raise ValueError("expected a url")
        return self


class Duckling(Server):
    """A Duckling server, which finds times, numbers, amounts and the like. A bare URL stands for all it can find."""

    timeout: float = Field(default=3.0, gt=0, description="Seconds an answer may take.")
    dimensions: list[str] = Field(default=[], description="What to look for, such as time; empty for everything.")
    locale: str | None = Field(default=None, description="Such as en_GB; null for the bot's language.")
    timezone: str | None = Field(default=None, description="Such as Europe/Oslo; null for the server's own.")


class Actions(Server):
    """Custom actions: a Python file, or an action server."""

    file: str | None = Field(default=None, pattern=r"\.py$", description="A Python file of rasa_sdk Action classes.")
    selective_domain: bool = Field(default=False, description="Send the domain only to actions that ask for it.")

    @model_validator(mode="before")
    @classmethod
    def _bare_url(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if re.match(r"https?://", value):
            return {"url": value}
        if value.endswith(".py"):
            return {"file": value}
        raise ValueError("expected the path of a Python file (.py) or a URL that begins with http:// or https://")

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if (self.url is None) == (self.file is None):
            raise ValueError("expected either a url or a file")
        return self


Rate: TypeAlias = Annotated[str, Field(pattern=r"^[1-9]\d*/(second|minute|hour|day)$")]


class Rates(Section):
    """How much may come in a moving window: `30/minute`; null for any amount."""

    sender: Rate | None = Field(default="60/minute", description="Messages of one conversation.")
    address: Rate | None = Field(default="6000/minute", description="Requests of one IP address.")
    key: Rate | None = Field(default="6000/minute", description="Requests with one token.")


class Events(Section):
    """Where every event of every conversation is published."""

    url: str | None = Field(
        default=None,
        pattern=r"^(amqps?|kafka(\+ssl)?|nats|tls|rediss?)://\S+$",
        description="Of the message broker, best as ${NAME}; null for none.",
    )
    topic: str = Field(
        default="starfold_events", pattern=r"^[^\s*>]{1,200}$", description="The queue, topic, subject or stream there."
    )


class Serving(Section):
    """How `starfold run` serves the bot."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(default=5005, ge=0, le=65535, description="Port to listen on; 0 for any that is free.")
    public_url: str | None = Field(
        default=None, pattern=r"^https?://[^?#]+$", description="How the server is called from outside."
    )
    proxies: list[str] = Field(default=[], description="Addresses of proxies whose X-Forwarded-For is believed.")
    origins: list[str] = Field(default=[], description="Origins of web pages that may talk to the bot; * for all.")
    tokens: list[str] = Field(default=[], description="API tokens of developers, as ${NAME}.")
    jwt_secret: str | None = Field(default=None, min_length=1, description="Secret or public key of JWTs, as ${NAME}.")
    jwt_method: Literal["HS256", "RS256"] = Field(default="HS256", description="How JWTs are signed.")
    visitor_secret: str | None = Field(
        default=None, min_length=32, description="Signs visitors' tokens, as ${NAME}; the same on all replicas."
    )
    identity_secret: str | None = Field(
        default=None, min_length=32, description="Web pages sign with it who their user is, as ${NAME}."
    )
    rates: Rates = Field(default=Rates(), description="How much may come.")
    redis: str | None = Field(
        default=None, pattern=r"^rediss?://", description="Redis that several machines count rates in."
    )
    events: Events = Field(default=Events(), description="Where events are published.")
    body_kb: int = Field(default=256, ge=1, description="Largest body of a request.")
    message_characters: int = Field(default=4000, ge=1, description="Longest message.")
    patience: float = Field(default=30.0, gt=0, description="Seconds a client waits for an answer.")
    processes: int = Field(default=1, ge=1, le=64, description="Processes that share the port, a core for each.")
    workers: int = Field(
        default=16, ge=1, le=40, description="Actions and turns that wait for something, at once in a process."
    )
    queue: int = Field(default=1000, ge=1, description="Turns that may wait in a process; more are refused.")
    retention_days: float | None = Field(
        default=None, gt=0, description="Conversations that rested so long are deleted."
    )
    log: Literal["json", "text"] = Field(default="json", description="Form of the log.")
    mask: bool = Field(default=True, description="Whether the log is without what tells who a person is.")
