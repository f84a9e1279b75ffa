"""Logs as JSON lines, with the conversation they are of, and without what tells who a person is."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar

conversation_id: ContextVar[str | None] = ContextVar("conversation_id", default=None)
"""The conversation that is worked on; copied into the tasks begun meanwhile."""

_PERSONAL = (
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "<e-mail>"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "<iban>"),
    (re.compile(r"(?<![\w.])\+?\d(?:[ ()/.-]{0,2}\d){8,18}(?![\w:-])"), "<number>"),
)
_SECRET = re.compile(r"(?i)\b(token|secret|password|authorization|bearer)([=: ]+)[^\s&\"',]+")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and where they are known `conversation`, `error`.

    Args:
        mask: replace e-mail addresses, telephone, card and account numbers, tokens and passwords.
    """

    def __init__(self, *, mask: bool = True) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._safe(record.getMessage()),
        }
        if (conversation := conversation_id.get()) is not None:
            line["conversation"] = self._safe(conversation)
        if record.exc_info:
            line["error"] = self._safe(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)

    def _safe(self, text: str) -> str:
        return masked(text) if self._mask else text


def masked(text: str) -> str:
    """The text without what tells who a person is, and without secrets."""
    text = _SECRET.sub(r"\1\2<secret>", text)
    for pattern, instead in _PERSONAL:
        text = pattern.sub(instead, text)
    return text


def log_json(*, mask: bool, level: int = logging.INFO) -> None:
    """Let everything that is logged, also by the web server, go to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(mask=mask))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet()


def quiet() -> None:
    """Let libraries say only what matters; httpx would log addresses, and some hold a token."""
    for name in ("httpx", "alembic", "aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.WARNING)
