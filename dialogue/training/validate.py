"""Everything that is wrong with a project, all at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path

from dialogue.config import Config
from dialogue.config_file import read_config
from dialogue.domain import AUTOMATIC_SLOTS, DEFAULT_ACTIONS, DEFAULT_INTENTS, Domain
from dialogue.errors import Problem, ProjectError, Where, error, in_order, suggestion, warning
from dialogue.plugins import check_parts
from dialogue.rasa.files import DOMAINS
from dialogue.training.conflicts import check_stories
from dialogue.training.consistency import check_examples, check_retrieval
from dialogue.training.data import TrainingData, collect_data
from dialogue.training.types import ReferenceKind

LOOPS = ("action_two_stage_fallback",)
SAID_BY_ITSELF = ("utter_default", "utter_ask_rephrase", "utter_ask_affirmation")
CALLED_BY_ITSELF = re.compile(r"validate_|action_ask_|action_validate_slot_mappings$")
SHORTCUT = re.compile(r"/([^\s@{]+)")
PLACEHOLDER = re.compile(r"(?<!\{)\{([^\W\d][\w.-]*)\}(?!\})")


def validate_project(project: Path) -> tuple[Problem, ...]:
    """Read a project's configuration and data and check them. Nothing is raised for what is wrong with them."""
    try:
        config, problems = read_config(project)
    except ProjectError as unreadable:
        return unreadable.problems
    # By half of a configuration much of the data would seem wrong.
    data = () if any(problem.is_error for problem in problems) else check(config)[1]
    return in_order([*problems, *data, *check_parts(config)])


def check(config: Config) -> tuple[TrainingData, tuple[Problem, ...]]:
    """A bot's data as far as they can be read, and what is wrong with them or lost of a Rasa project."""
    data, problems = collect_data(config.data_paths)
    lost = [row.warning() for row in config.rows if row.lost]
    return data, in_order([*lost, *problems, *validate(config, data)])


def validate(config: Config, data: TrainingData) -> list[Problem]:
    """What is wrong with training data that could be read, in order of place."""
    checks = chain(
        _unknown_names(data),
        _intents(config, data),
        _forms(data.domain),
        _responses(data.domain),
        _actions(config, data.domain),
        _unused(data),
        _too_few_for_a_fusion(config, data),
        check_examples(data.examples),
        check_retrieval(data),
        check_stories(config, data),
    )
    return list(in_order(checks))


def _too_few_for_a_fusion(config: Config, data: TrainingData) -> Iterator[Problem]:
    """A posterior of a fusion that no example is left over to judge."""
    if config.posterior.of != "fusion":
        return
    from dialogue.training.members import FEWEST

    texts = len(data.examples) + len({example.intent for example in data.examples})
    if texts < FEWEST:
        told = f"there are {texts} examples and names of intents; below {FEWEST} no fusion is trained"
        yield warning(config.where("posterior", "of"), f"posterior.of: {told}, and the posterior is conjugate")


def _unknown_names(data: TrainingData) -> Iterator[Problem]:
    """Names that the domain does not declare. What nothing runs, or nothing fills, would break the bot."""
    domain = data.domain
    actions = {*domain.actions, *domain.forms, *domain.responses, *DEFAULT_ACTIONS}
    actions |= {f"utter_{intent}" for intent in domain.retrieval}
    known: Mapping[ReferenceKind, Collection[str]] = {
        "intent": {*domain.intents, *DEFAULT_INTENTS},
        "entity": domain.entities,
        "slot": {*domain.slots, *AUTOMATIC_SLOTS},
        "form": {*domain.forms, *LOOPS},
        "action": actions,
    }
    named = {**known, "slot": domain.slots, "form": domain.forms}  # what a person wrote, to choose from
    asked = {slot for form in domain.forms.values() for slot in form.required_slots}
    unknown: dict[tuple[ReferenceKind, str], list[Where]] = {}
    for reference in data.references:
        name = reference.name.partition("/")[0] if reference.kind == "intent" else reference.name
        if name not in known[reference.kind]:
            unknown.setdefault((reference.kind, name), []).append(reference.where)
    for (kind, name), places in unknown.items():
        more = f" (and in {len(places) - 1} more places)" if len(places) > 1 else ""
        near = suggestion(name, named[kind], at_most=8)
        note = error if kind == "action" or (kind == "slot" and name in asked) else warning
        yield note(places[0], f"{kind} {name!r} is not in the domain{more}{near}")


def _intents(config: Config, data: TrainingData) -> Iterator[Problem]:
    if not data.domain.intents:
        lost = config.rows and not any(path.name in DOMAINS for path in config.data_paths)
        why = f": there is no {' nor '.join(DOMAINS)} beside config.yml, nor a file with intents" if lost else ""
        yield error(config.where("data"), f"the training data declares no intents{why}")
    taught = {example.intent.partition("/")[0] for example in data.examples} | set(DEFAULT_INTENTS)
    for name, intent in data.domain.intents.items():
        if name not in taught and intent.description is None:
            yield warning(
                intent.where, f"intent {name!r} has neither examples nor a description; it cannot be understood"
            )


def _forms(domain: Domain) -> Iterator[Problem]:
    said = {*domain.responses, *domain.actions}
    for form in domain.forms.values():
        for slot in form.required_slots:
            questions = (f"utter_ask_{form.name}_{slot}", f"utter_ask_{slot}")
            asks = {*questions, *(name.replace("utter_", "action_", 1) for name in questions)}
            if not asks & said:
                yield warning(
                    form.where, f"form {form.name!r} cannot ask for {slot!r}; expected a response {questions[1]!r}"
                )
            if slot in domain.slots and not domain.slots[slot].mappings:
                yield warning(
                    domain.slots[slot].where, f"form {form.name!r} needs slot {slot!r}, but no mapping fills it"
                )
    for slot_spec in domain.slots.values():
        for mapping in slot_spec.mappings:
            for condition in mapping.conditions:
                asked, loop = condition.requested_slot, domain.forms.get(condition.active_loop or "")
                if asked and loop and asked not in loop.required_slots:
                    near = suggestion(asked, loop.required_slots)
                    yield warning(mapping.where, f"form {loop.name!r} never asks for {asked!r}{near}")


def _responses(domain: Domain) -> Iterator[Problem]:
    slots = {*domain.slots, *AUTOMATIC_SLOTS}
    intents = {*domain.intents, *DEFAULT_INTENTS}
    for name, variations in domain.responses.items():
        if not name.startswith("utter_"):
            yield warning(variations[0].where, f"response {name!r}: the names of responses begin with utter_")
        for variation in variations:
            for slot in PLACEHOLDER.findall(variation.text or ""):
                if slot not in slots and not domain.actions:
                    yield warning(
                        variation.where, f"response {name!r}: no slot fills {{{slot}}}{suggestion(slot, domain.slots)}"
                    )
            for button in variation.buttons:
                shortcut = SHORTCUT.match(str(button.get("payload", "")))
                intent = shortcut.group(1).partition("/")[0] if shortcut else None
                if intent is not None and intent not in intents:
                    near = suggestion(intent, intents, at_most=8)
                    message = f"response {name!r}: a button means intent {intent!r}, unknown{near}"
                    yield warning(variation.where, message)


def _actions(config: Config, domain: Domain) -> Iterator[Problem]:
    silent = [spec for name, spec in domain.actions.items() if domain.lacks_response(name)]
    if config.nlg is None:
        yield from (warning(spec.where, f"{spec.name!r} says nothing: write it under responses") for spec in silent)
    custom = [spec for name, spec in domain.actions.items() if not domain.says(name) and name not in DEFAULT_ACTIONS]
    if custom and config.actions is None:
        place = "endpoints.yml has no action_endpoint" if config.rows else "bot.yml says nothing under actions"
        yield warning(custom[0].where, f"action {custom[0].name!r} is custom, but {place}")
    for number, part in enumerate(config.policies):
        action = part.options.get("fall_back_action") if part.type == "fallback" else None
        if isinstance(action, str) and not domain.knows_action(action):
            near = suggestion(action, (*domain.actions, *domain.responses))
            yield error(
                config.where("policies", number, "fall_back_action"), f"action {action!r} is not in the domain{near}"
            )
    for slot in domain.slots.values():
        for mapping in slot.mappings:
            if mapping.action is not None and not domain.knows_action(mapping.action):
                message = f"slot {slot.name!r}: action {mapping.action!r} is not in the domain"
                yield warning(mapping.where, f"{message}{suggestion(mapping.action, domain.actions)}")


def _unused(data: TrainingData) -> Iterator[Problem]:
    """Names that are declared but that nothing asks for. What custom actions do cannot be seen from here."""
    domain = data.domain
    referred = Counter((reference.kind, reference.name) for reference in data.references)
    done = {step.action for story in data.stories for step in story.steps if step.action}
    done |= {mapping.action for slot in domain.slots.values() for mapping in slot.mappings if mapping.action}
    expected = {*done, *domain.responses, *DEFAULT_ACTIONS}
    answered = _answered(data)
    for name, intent in domain.intents.items():
        if name not in answered:
            yield warning(intent.where, f"intent {name!r} is never answered: no story, rule or slot mapping has it")
    for name, entity in domain.entities.items():
        if not referred["entity", name]:
            yield warning(entity.where, f"entity {name!r} is never marked or used")
    for name, form in domain.forms.items():
        if name not in done:
            yield warning(form.where, f"form {name!r} is never activated by a story or rule")
    for name, action in domain.actions.items():
        if not (name in expected or referred["action", name] or CALLED_BY_ITSELF.match(name)):
            yield warning(action.where, f"action {name!r} is never run by a story or rule")
    if not domain.actions:
        yield from _unused_slots_and_responses(domain, done, lambda slot: bool(referred["slot", slot]))


def _answered(data: TrainingData) -> set[str]:
    """Intents that something reacts to."""
    steps = chain.from_iterable((*story.steps, *story.condition) for story in data.stories)
    found = {step.intent for step in steps if step.intent} | set(DEFAULT_INTENTS)
    for slot in data.domain.slots.values():
        found.update(chain.from_iterable(mapping.intents for mapping in slot.mappings))
    found.update(chain.from_iterable(form.ignored_intents for form in data.domain.forms.values()))
    return {name.partition("/")[0] for name in found}


def _unused_slots_and_responses(domain: Domain, done: set[str], is_asked: Callable[[str], bool]) -> Iterator[Problem]:
    """Only for a bot without custom actions, since those may read any slot and say any response."""
    shown: set[str] = set()
    for variations in domain.responses.values():
        shown.update(PLACEHOLDER.findall(str(variations)))
    for name, slot in domain.slots.items():
        if not is_asked(name) and name not in shown:
            yield warning(slot.where, f"slot {name!r} is never read")
    for name, variations in domain.responses.items():
        by_itself = name in SAID_BY_ITSELF or name.replace("utter_", "action_", 1) in DEFAULT_ACTIONS
        asks = name.startswith("utter_ask_") and name.endswith(tuple(domain.slots))
        if name not in done and "/" not in name and not by_itself and not asks:
            yield warning(variations[0].where, f"response {name!r} is never said by a story or rule")
