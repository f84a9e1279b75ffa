"""Sections of bot.yml that name a server of the project's own."""

from __future__ import annotations

import re
from typing import Any

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
