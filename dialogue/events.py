"""What happened in a conversation: the only state there is, append-only.

The wire form of an event is that of rasa-sdk and of Rasa's tracker, so action servers and exported conversations read
and write the same JSON. `timestamp` is in seconds since 1970 (UTC); `metadata` is free.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from typing_extensions import Self

from dialogue.errors import suggestion
from dialogue.message import EMPTY

EXTERNAL = "is_external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events share. Mappings in an event are read-only by convention: a tracker may share them."""

    wire: ClassVar[str]

    timestamp: float = field(default_factory=time.time)
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    def as_dict(self) -> dict[str, Any]:
        """The wire form, ready for JSON."""
        shown = {"event": self.wire, "timestamp": self.timestamp, "metadata": dict(self.metadata)}
        return shown | {name: _plain(getattr(self, name)) for name in own_fields(self.wire)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read one event of any type (on a subclass: of that type). Unknown keys are ignored: newer servers add some.

        Raises:
            ValueError: for an unknown type, a missing field or a value of the wrong type.
        """
        wire, data = _modern(data)
        found = EVENTS.get(wire)
        if found is None:
            raise ValueError(f"unknown event {wire!r}{suggestion(wire, EVENTS)}")
        if not issubclass(found, cls):
            raise ValueError(f"expected an event of type {cls.wire!r}, got {wire!r}")
        values: dict[str, Any] = {"metadata": _checked(found, "metadata", data.get("metadata") or EMPTY)}
        if data.get("timestamp") is not None:
            values["timestamp"] = float(_checked(found, "timestamp", data["timestamp"]))
        for name, required in own_fields(wire).items():
            if name in data:
                values[name] = _checked(found, name, data[name])
            elif required:
                raise ValueError(f"event {wire!r}: {name!r} is missing")
        return found(**values)


@dataclass(frozen=True, slots=True)
class UserUttered(Event):
    """The user said something. `parse_data` has the parse shape of Rasa, with the belief's own fields beside it.

    Its `doubt` is why a gate let no intent through; `is_external` in the metadata tells what no person said.

    Raises:
        ValueError: if `intent` in the parse is no mapping or `entities` no list of mappings.
    """

    wire: ClassVar[str] = "user"
    text: str | None = None
    parse_data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    input_channel: str | None = None
    message_id: str | None = None

    def __post_init__(self) -> None:
        intent, entities = self.parse_data.get("intent"), self.parse_data.get("entities")
        if intent is not None and not isinstance(intent, Mapping):
            raise ValueError(f"event 'user': expected 'parse_data.intent' to be a mapping, got {_short(intent)}")
        if entities is not None and not _all_mappings(entities):
            raise ValueError(
                f"event 'user': expected 'parse_data.entities' to be a list of mappings, got {_short(entities)}"
            )

    @property
    def intent(self) -> str | None:
        """Name of the intent the message was taken for."""
        name = (self.parse_data.get("intent") or {}).get("name")
        return None if name is None else str(name)

    @property
    def understood(self) -> bool:
        """Whether no gate doubted what the message means; a doubt stands under `doubt` in the parse."""
        return not self.parse_data.get("doubt")

    @property
    def external(self) -> bool:
        """Whether no person said it: a reminder that came due, or another program."""
        return bool(self.metadata.get(EXTERNAL))

    @property
    def entities(self) -> list[Mapping[str, Any]]:
        """The entities as they stand in the parse."""
        return list(self.parse_data.get("entities") or [])


@dataclass(frozen=True, slots=True)
class BotUttered(Event):
    """The bot said something. `data` holds `elements, quick_replies, buttons, attachment, image, custom`."""

    wire: ClassVar[str] = "bot"
    text: str | None = None
    data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class ActionExecuted(Event):
    """An action was run; `action_listen` ends a turn.

    `confidence` is a probability, or None where nobody decided. `metadata` may hold the decision's `kind` and `reason`.

    Raises:
        ValueError: with neither a `name` nor, for an action predicted as text, an `action_text`.
    """

    wire: ClassVar[str] = "action"
    name: str | None = None
    policy: str | None = None
    confidence: float | None = None
    action_text: str | None = None
    hide_rule_turn: bool = False

    def __post_init__(self) -> None:
        if not self.name and not self.action_text:
            raise ValueError("event 'action': expected a 'name' or an 'action_text'")

    @property
    def kind(self) -> str | None:
        """Value of the decision's `Kind`, if a policy decided."""
        return self.metadata.get("kind")

    @property
    def reason(self) -> str | None:
        """Why the policy decided so, one sentence."""
        return self.metadata.get("reason")


@dataclass(frozen=True, slots=True)
class SlotSet(Event):
    """A slot has a new value; None empties it."""

    wire: ClassVar[str] = "slot"
    name: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class EntitiesAdded(Event):
    """A policy found further entities in the last message."""

    wire: ClassVar[str] = "entities"
    entities: list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DefinePrevUserUtteredFeaturization(Event):
    """Whether stories see the last message by its text instead of its intent."""

    wire: ClassVar[str] = "user_featurization"
    use_text_for_featurization: bool | None = None


@dataclass(frozen=True, slots=True)
class ReminderScheduled(Event):
    """At `date_time` the intent comes in as if the user had said it."""

    wire: ClassVar[str] = "reminder"
    intent: str
    date_time: datetime
    entities: Any = None
    name: str | None = None
    kill_on_user_msg: bool = True


@dataclass(frozen=True, slots=True)
class ReminderCancelled(Event):
    """Reminders matching all that is given are dropped; all reminders, when nothing is."""

    wire: ClassVar[str] = "cancel_reminder"
    name: str | None = None
    intent: str | None = None
    entities: Any = None


@dataclass(frozen=True, slots=True)
class UserUtteranceReverted(Event):
    """Everything since the last user message, and the listening before it, did not happen."""

    wire: ClassVar[str] = "rewind"


@dataclass(frozen=True, slots=True)
class ActionReverted(Event):
    """The last action and what came of it did not happen."""

    wire: ClassVar[str] = "undo"


@dataclass(frozen=True, slots=True)
class Restarted(Event):
    """The conversation begins anew, slots at their initial values."""

    wire: ClassVar[str] = "restart"


@dataclass(frozen=True, slots=True)
class AllSlotsReset(Event):
    """Slots are back at their initial values."""

    wire: ClassVar[str] = "reset_slots"


@dataclass(frozen=True, slots=True)
class ConversationPaused(Event):
    """The bot is silent until resumed, for instance while a person answers."""

    wire: ClassVar[str] = "pause"


@dataclass(frozen=True, slots=True)
class ConversationResumed(Event):
    """The bot answers again."""

    wire: ClassVar[str] = "resume"


@dataclass(frozen=True, slots=True)
class FollowupAction(Event):
    """The next action is `name`, whatever the policies say."""

    wire: ClassVar[str] = "followup"
    name: str


@dataclass(frozen=True, slots=True)
class StoryExported(Event):
    """The conversation was exported as a story. Changes nothing."""

    wire: ClassVar[str] = "export"


@dataclass(frozen=True, slots=True)
class AgentUttered(Event):
    """A person answered in the bot's place."""

    wire: ClassVar[str] = "agent"
    text: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class ActiveLoop(Event):
    """A form is in charge from here; None: no form."""

    wire: ClassVar[str] = "active_loop"
    name: str | None


@dataclass(frozen=True, slots=True)
class LoopInterrupted(Event):
    """Whether the active form was left for another action, so that it does not validate once."""

    wire: ClassVar[str] = "loop_interrupted"
    is_interrupted: bool


@dataclass(frozen=True, slots=True)
class ActionExecutionRejected(Event):
    """The action refused to run, so another one must be found."""

    wire: ClassVar[str] = "action_execution_rejected"
    name: str
    policy: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A new session: the past is no longer seen by the policies."""

    wire: ClassVar[str] = "session_started"


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The session is over; the next message opens another."""

    wire: ClassVar[str] = "session_ended"


_KINDS: tuple[type[Event], ...] = (
    UserUttered,
    BotUttered,
    ActionExecuted,
    SlotSet,
    EntitiesAdded,
    DefinePrevUserUtteredFeaturization,
    ReminderScheduled,
    ReminderCancelled,
    UserUtteranceReverted,
    ActionReverted,
    Restarted,
    AllSlotsReset,
    ConversationPaused,
    ConversationResumed,
    FollowupAction,
    StoryExported,
    AgentUttered,
    ActiveLoop,
    LoopInterrupted,
    ActionExecutionRejected,
    SessionStarted,
    SessionEnded,
)
EVENTS: Mapping[str, type[Event]] = {kind.wire: kind for kind in _KINDS}

_SHARED = frozenset(("timestamp", "metadata"))


@cache
def own_fields(wire: str) -> Mapping[str, bool]:
    """Names of the fields beyond those of every event, and whether each is required."""
    return {
        item.name: item.default is MISSING and item.default_factory is MISSING
        for item in fields(EVENTS[wire])
        if item.name not in _SHARED
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, float)):  # most are
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else value


def _modern(data: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Type and fields, with the form events of old trackers read as what replaced them."""
    if not isinstance(data, Mapping) or not isinstance(data.get("event"), str):
        raise ValueError(f"expected an event, a mapping with a string under 'event', got {_short(data)}")
    wire: str = data["event"]
    if wire == "form":
        return ActiveLoop.wire, data
    if wire == "form_validation":
        return LoopInterrupted.wire, {**data, "is_interrupted": not data.get("validate", True)}
    return wire, data


def _date(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        # Python 3.10 does not read the suffix Z.
        return datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _all_mappings(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, Mapping) for item in value)


def _instance(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "str": (_instance(str), "a string"),
    "bool": (_instance(bool), "true or false"),
    "float": (_number, "a finite number"),
    "datetime": (_date, "an ISO 8601 date and time"),
    "Mapping[str, Any]": (_instance(Mapping), "a mapping"),
    "list[Mapping[str, Any]]": (lambda value: value if _all_mappings(value) else None, "a list of mappings"),
}


@cache
def _annotation(wire: str, name: str) -> str:
    return str(next(item.type for item in fields(EVENTS[wire]) if item.name == name))


def _checked(kind: type[Event], name: str, value: Any) -> Any:
    """`value` as its field wants it. The annotation is the schema."""
    annotation = _annotation(kind.wire, name)
    if annotation == "Any":
        return value
    if value is None:
        if annotation.endswith(" | None"):
            return None
        if annotation == "Mapping[str, Any]":
            return EMPTY
    read, expected = _READERS[annotation.removesuffix(" | None")]
    if (result := read(value)) is None:
        raise ValueError(f"event {kind.wire!r}: expected {name!r} to be {expected}, got {_short(value)}")
    return result


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
