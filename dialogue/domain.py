"""What a bot knows of its world: intents, entities, slots, responses, forms, actions.

Plain data: frozen dataclasses without behaviour, read from the Rasa 3.1 domain format by `dialogue.training.domain`.
`Domain.as_dict` gives the same format back; it is what an action server is sent and what a model folder keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from dialogue.errors import Where

EMPTY: Mapping[str, Any] = MappingProxyType({})
NOWHERE = Where("")

ACTION_LISTEN = "action_listen"
ACTION_EXTRACT_SLOTS = "action_extract_slots"
ACTION_VALIDATE_SLOT_MAPPINGS = "action_validate_slot_mappings"
ACTION_TWO_STAGE_FALLBACK = "action_two_stage_fallback"
DEFAULT_ACTIONS = (
    ACTION_LISTEN,
    "action_restart",
    "action_session_start",
    "action_default_fallback",
    "action_deactivate_loop",
    "action_revert_fallback_events",
    "action_default_ask_affirmation",
    "action_default_ask_rephrase",
    ACTION_TWO_STAGE_FALLBACK,
    "action_unlikely_intent",
    "action_back",
    ACTION_EXTRACT_SLOTS,
    ACTION_VALIDATE_SLOT_MAPPINGS,
    "action_clarify",
    "action_rephrase",
    "action_hand_over",
)
DEFAULT_INTENTS = ("restart", "back", "out_of_scope", "session_start", "nlu_fallback")
REQUESTED_SLOT = "requested_slot"
AUTOMATIC_SLOTS = (
    REQUESTED_SLOT,
    "session_started_metadata",
    "knowledge_base_objects",
    "knowledge_base_last_object",
    "knowledge_base_last_object_type",
    "knowledge_base_listed_objects",
    "knowledge_base_object_type",
)

SLOT_TYPES = ("text", "bool", "categorical", "float", "list", "any")
MAPPING_TYPES = ("from_entity", "from_text", "from_intent", "from_trigger_intent", "custom")


@dataclass(frozen=True, slots=True)
class IntentSpec:
    """An intent. `description` says in words what it means (a prior for few or no examples).

    `use_entities` None means all; `ignore_entities` are taken away from those.
    """

    name: str
    description: str | None = None
    use_entities: tuple[str, ...] | None = None
    ignore_entities: tuple[str, ...] = ()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class EntitySpec:
    """A kind of entity and the roles and groups it may play."""

    name: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    influence_conversation: bool = True
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class MappingCondition:
    """When a slot mapping applies: that form (None: no form at all) is active and, if given, asks for that slot."""

    active_loop: str | None
    requested_slot: str | None = None


@dataclass(frozen=True, slots=True)
class SlotMapping:
    """How a slot is filled from a user message; applies when any condition holds, or always when there is none.

    `type` is one of `MAPPING_TYPES`. Empty `intents` means any intent; `not_intents` are excluded.
    """

    type: str
    entity: str | None = None
    role: str | None = None
    group: str | None = None
    value: Any = None
    intents: tuple[str, ...] = ()
    not_intents: tuple[str, ...] = ()
    action: str | None = None
    conditions: tuple[MappingCondition, ...] = ()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing the bot remembers. `type` is one of `SLOT_TYPES` or the dotted path of a class.

    `values` belong to categorical slots, `min_value` and `max_value` to float slots.
    """

    name: str
    type: str
    initial_value: Any = None
    influence_conversation: bool = True
    values: tuple[Any, ...] = ()
    min_value: float = 0.0
    max_value: float = 1.0
    mappings: tuple[SlotMapping, ...] = ()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class ResponseCondition:
    """A variation is only for conversations where slot `name` has `value`."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class ResponseVariation:
    """One way to word a response. Mappings and tuples are as written in the file, `{slot}` not yet filled in."""

    text: str | None = None
    image: str | None = None
    custom: Any = None
    buttons: tuple[Mapping[str, Any], ...] = ()
    button_type: str | None = None
    quick_replies: tuple[Any, ...] = ()
    attachment: Any = None
    elements: tuple[Any, ...] = ()
    channel: str | None = None
    condition: tuple[ResponseCondition, ...] = ()
    metadata: Any = None
    id: str | None = None
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """A custom action. `send_domain` asks for the domain with every call to the action server."""

    name: str
    send_domain: bool = False
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Form:
    """Asks for its slots one after the other until all are filled."""

    name: str
    required_slots: tuple[str, ...] = ()
    ignored_intents: tuple[str, ...] = ()
    where: Where = NOWHERE


def _empty() -> Mapping[str, Any]:
    return EMPTY


@dataclass(frozen=True, slots=True)
class Domain:
    """All of it. Mappings keep the order of the files.

    Attributes:
        retrieval: for each retrieval intent its answers' keys, sorted: `faq` → `("pets", "wifi")` for the responses
            `utter_faq/pets`, `utter_faq/wifi` and the examples of `faq/pets`, `faq/wifi`.
        session_expiration_minutes: a new session starts after that long a silence; 0 means never.
        e2e_actions: texts of the bot in end-to-end stories that may be said as they are.
    """

    intents: Mapping[str, IntentSpec] = field(default_factory=_empty)
    entities: Mapping[str, EntitySpec] = field(default_factory=_empty)
    slots: Mapping[str, Slot] = field(default_factory=_empty)
    responses: Mapping[str, tuple[ResponseVariation, ...]] = field(default_factory=_empty)
    actions: Mapping[str, ActionSpec] = field(default_factory=_empty)
    forms: Mapping[str, Form] = field(default_factory=_empty)
    retrieval: Mapping[str, tuple[str, ...]] = field(default_factory=_empty)
    session_expiration_minutes: float = 60.0
    carry_over_slots: bool = True
    store_entities_as_slots: bool = True
    e2e_actions: tuple[str, ...] = ()

    def knows_action(self, name: str) -> bool:
        """Whether a story may name `name` as an action: custom, form, response, or one every bot has."""
        return (
            name in self.actions
            or name in self.forms
            or name in self.responses
            or name in DEFAULT_ACTIONS
            or self.answers(name) is not None
        )

    def says(self, name: str) -> bool:
        """Whether an action only says something: a response, worded or not, or the answers of a retrieval intent."""
        return name in self.responses or self.answers(name) is not None or self.lacks_response(name)

    def answers(self, name: str) -> str | None:
        """The retrieval intent that an action answers: `faq` for `utter_faq`."""
        intent = name.removeprefix("utter_")
        return intent if intent != name and intent in self.retrieval else None

    def lacks_response(self, name: str) -> bool:
        """Whether `actions` names a response that is nowhere worded: an action whose name begins with `utter_`."""
        worded = name in self.responses or self.answers(name) is not None
        return name.startswith("utter_") and name in self.actions and not worded

    def as_dict(self) -> dict[str, Any]:
        """The domain in the Rasa 3.1 format, ready for JSON; reading it back gives the same domain, places apart."""
        return {
            "version": "3.1",
            "intents": [self._intent(spec) for spec in self.intents.values()],
            "entities": [_listed(spec) for spec in self.entities.values()],
            "slots": {name: _slot_options(slot) for name, slot in self.slots.items()},
            "responses": {name: [_variation(one) for one in found] for name, found in self.responses.items()},
            "actions": [_listed(spec) for spec in self.actions.values()],
            "forms": {name: _options(form) for name, form in self.forms.items()},
            "e2e_actions": list(self.e2e_actions),
            "config": {"store_entities_as_slots": self.store_entities_as_slots},
            "session_config": {
                "session_expiration_time": _whole(self.session_expiration_minutes),
                "carry_over_slots_to_new_session": self.carry_over_slots,
            },
        }

    def _intent(self, spec: IntentSpec) -> str | dict[str, Any]:
        if spec.name not in self.retrieval:
            return _listed(spec)
        return {spec.name: {**_written(spec), "is_retrieval_intent": True}}


def _whole(minutes: float) -> float:
    return int(minutes) if minutes == int(minutes) else minutes


def _listed(spec: Any) -> str | dict[str, Any]:
    """An item of a list as a person writes it: its name, with options only where they say something."""
    options = _written(spec)
    return {spec.name: options} if options else str(spec.name)


def _written(spec: Any) -> dict[str, Any]:
    """The options that are not the default."""
    defaults = {one.name: one.default for one in fields(spec)}
    return {key: value for key, value in _options(spec).items() if getattr(spec, key) != defaults[key]}


def _options(spec: Any) -> dict[str, Any]:
    """Every field but the name and the place, without those that say nothing."""
    found = {one.name: getattr(spec, one.name) for one in fields(spec) if one.name not in ("name", "where")}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value is not None
    }


def _slot_options(slot: Slot) -> dict[str, Any]:
    options = _options(slot) | {"mappings": [_mapping_options(mapping) for mapping in slot.mappings]}
    if not slot.mappings:  # unlike an empty list, none leaves the slot to the entity of its name
        del options["mappings"]
    irrelevant = {"categorical": ("min_value", "max_value"), "float": ("values",)}.get(slot.type)
    for key in irrelevant or ("values", "min_value", "max_value") if slot.type in SLOT_TYPES else ():
        del options[key]
    return options


def _mapping_options(mapping: SlotMapping) -> dict[str, Any]:
    options = _options(mapping)
    options["intent"], options["not_intent"] = options.pop("intents"), options.pop("not_intents")
    if mapping.type in ("from_intent", "from_trigger_intent"):
        options["value"] = mapping.value
    options["conditions"] = [
        {"active_loop": one.active_loop} | ({"requested_slot": one.requested_slot} if one.requested_slot else {})
        for one in mapping.conditions
    ]
    return options


def _variation(variation: ResponseVariation) -> dict[str, Any]:
    options = {key: value for key, value in _options(variation).items() if value != []}
    if variation.buttons:
        options["buttons"] = [dict(button) for button in variation.buttons]
    if variation.condition:
        options["condition"] = [{"type": "slot", "name": one.name, "value": one.value} for one in variation.condition]
    return options
