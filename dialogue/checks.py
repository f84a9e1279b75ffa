"""What a check of the installation or of a server found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """How a check went. Only `FAILED` keeps a bot from running."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what, how it is, and for a failure what to do."""

    name: str
    state: State
    detail: str
