"""What one event does to the state of a conversation: `step`, a pure function.

Rewinding, which needs the past, is the tracker's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from dialogue import events as ev
from policies.types import Entity, Kind, Turn

logger = logging.getLogger(__name__)

LISTEN = "action_listen"
SESSION_START = "action_session_start"
REQUESTED_SLOT = "requested_slot"

_AUTOMATIC_SLOTS = frozenset((REQUESTED_SLOT, "session_started_metadata"))
_NOT_IN_TURNS = frozenset((LISTEN, SESSION_START))
_NOT_UNDERSTOOD = frozenset((Kind.CLARIFY, Kind.REPHRASE, Kind.FALL_BACK))
_FALLBACKS = frozenset(
    (
        "action_default_fallback",
        "action_default_ask_rephrase",
        "action_default_ask_affirmation",
        "action_two_stage_fallback",
    )
)


@dataclass(frozen=True, slots=True)
class Loop:
    """The form in charge.

    Attributes:
        is_interrupted: another action was run in between, so the form does not validate once.
        rejected: the form refused the last message.
        trigger_message: the parse of the message that activated it.
    """

    name: str
    is_interrupted: bool = False
    rejected: bool = False
    trigger_message: Mapping[str, Any] | None = None


class Moment(NamedTuple):
    """The state of a conversation between two events.

    Attributes:
        initial: slot values to return to; None when any slot may be set.
        entities: those of `message` and what was added to them.
        turns: at most `history` of them, oldest first.
        opening: actions before the first of them, if that is the session's first.
        rejected: actions that refused to run since a message came or an action was run.
        answered: whether a user message of this session has been answered.
        ended: whether the session is over.
    """

    initial: Mapping[str, Any] | None
    slots: Mapping[str, Any]
    history: int
    turns: tuple[Turn, ...] = ()
    opening: tuple[str, ...] = ()
    message: ev.UserUttered | None = None
    entities: tuple[Mapping[str, Any], ...] = ()
    action: ev.ActionExecuted | None = None
    followup: str | None = LISTEN
    loop: Loop | None = None
    rejected: frozenset[str] = frozenset()
    paused: bool = False
    answered: bool = False
    ended: bool = False

    @property
    def action_name(self) -> str | None:
        """The last action; the text of one that was predicted as text."""
        return None if self.action is None else self.action.name or self.action.action_text

    def reset(self) -> Moment:
        """As at the very start."""
        return start(self.initial, self.history)


def start(initial: Mapping[str, Any] | None, history: int) -> Moment:
    """The moment before the first event."""
    return Moment(initial, MappingProxyType(dict(initial or {})), history)


def step(moment: Moment, event: ev.Event) -> Moment:
    """The moment after `event`. Events that only speak of the past or of the world leave it as it is."""
    change = _STEPS.get(type(event))
    return moment if change is None else change(moment, event)


def failed(action: ev.ActionExecuted) -> bool:
    """Whether the action is a fallback of any kind: the turn ended without an answer of the bot's own."""
    return action.name in _FALLBACKS or action.kind in _NOT_UNDERSTOOD or action.kind == Kind.HAND_OVER


def _user(moment: Moment, event: ev.UserUttered) -> Moment:
    entities = tuple(event.entities)
    intent = event.intent if event.understood else None
    turn = Turn(intent, tuple(_entity(entity) for entity in entities), (), event.text)
    turns = (*moment.turns, turn)[-moment.history :]
    opening = moment.opening if len(turns) > len(moment.turns) else ()
    return moment._replace(
        message=event,
        entities=entities,
        turns=turns,
        opening=opening,
        followup=None,
        rejected=frozenset(),
    )


def _action(moment: Moment, event: ev.ActionExecuted) -> Moment:
    name = event.name or event.action_text or ""
    loop = moment.loop
    if loop is not None:
        loop = replace(loop, is_interrupted=False, rejected=loop.rejected and loop.name != event.name)
    acted = moment if name in _NOT_IN_TURNS else _acted(moment, name, event)
    answered = moment.answered or (name == LISTEN and moment.message is not None)
    return acted._replace(action=event, followup=None, loop=loop, rejected=frozenset(), answered=answered)


def _acted(moment: Moment, name: str, event: ev.ActionExecuted) -> Moment:
    """With an action more in the last turn. A turn not understood, or failed, has no intent for a story to see."""
    if not moment.turns:
        return moment._replace(opening=(*moment.opening, name)[-moment.history :])
    last = moment.turns[-1]
    intent = None if event.kind in _NOT_UNDERSTOOD or event.metadata.get("error") else last.intent
    turn = replace(last, intent=intent, actions=(*last.actions, name))
    return moment._replace(turns=(*moment.turns[:-1], turn))


def _entities(moment: Moment, event: ev.EntitiesAdded) -> Moment:
    # They belong to a message that no action has answered yet.
    if moment.message is None or moment.action_name != LISTEN:
        return moment
    new = [entity for entity in event.entities if entity not in moment.entities]
    last = replace(moment.turns[-1], entities=(*moment.turns[-1].entities, *map(_entity, new)))
    return moment._replace(entities=(*moment.entities, *new), turns=(*moment.turns[:-1], last))


def _slot(moment: Moment, event: ev.SlotSet) -> Moment:
    known = moment.initial is None or event.name in moment.initial or event.name in _AUTOMATIC_SLOTS
    if not known:
        logger.info("slot %r is not in the domain: its value is ignored", event.name)
        return moment
    return moment._replace(slots=MappingProxyType({**moment.slots, event.name: event.value}))


def _loop(moment: Moment, event: ev.ActiveLoop) -> Moment:
    trigger = moment.message.parse_data if moment.message is not None else None
    return moment._replace(loop=None if event.name is None else Loop(event.name, trigger_message=trigger))


def _interrupted(moment: Moment, event: ev.LoopInterrupted) -> Moment:
    return (
        moment
        if moment.loop is None
        else moment._replace(loop=replace(moment.loop, is_interrupted=event.is_interrupted))
    )


def _rejected(moment: Moment, event: ev.ActionExecutionRejected) -> Moment:
    loop = moment.loop
    if loop is not None and loop.name == event.name:
        loop = replace(loop, rejected=True)
    return moment._replace(loop=loop, rejected=moment.rejected | {event.name})


def _entity(found: Mapping[str, Any]) -> Entity:
    return Entity(
        entity=str(found.get("entity")),
        start=int(found.get("start") or 0),
        end=int(found.get("end") or 0),
        value=found.get("value"),
        extractor=str(found.get("extractor") or ""),
        confidence=found.get("confidence_entity"),
        role=found.get("role"),
        group=found.get("group"),
        info=found.get("additional_info"),
    )


_Happened = TypeVar("_Happened", bound=ev.Event)


def _on(
    kind: type[_Happened], change: Callable[[Moment, _Happened], Moment]
) -> tuple[type[ev.Event], Callable[..., Moment]]:
    """A row of the table below, its two halves checked to fit."""
    return kind, change


_STEPS: Mapping[type[ev.Event], Callable[..., Moment]] = dict(
    (
        _on(ev.UserUttered, _user),
        _on(ev.ActionExecuted, _action),
        _on(ev.EntitiesAdded, _entities),
        _on(ev.SlotSet, _slot),
        _on(ev.ActiveLoop, _loop),
        _on(ev.LoopInterrupted, _interrupted),
        _on(ev.ActionExecutionRejected, _rejected),
        _on(ev.AllSlotsReset, lambda moment, _: moment._replace(slots=moment.reset().slots)),
        _on(ev.ConversationPaused, lambda moment, _: moment._replace(paused=True)),
        _on(ev.ConversationResumed, lambda moment, _: moment._replace(paused=False)),
        _on(ev.FollowupAction, lambda moment, event: moment._replace(followup=event.name)),
        _on(ev.SessionStarted, lambda moment, _: moment.reset()),
        _on(ev.SessionEnded, lambda moment, _: moment._replace(ended=True)),
        _on(ev.Restarted, lambda moment, _: moment.reset()._replace(followup=SESSION_START)),
    )
)
