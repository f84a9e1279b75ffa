"""Test cases end to end: real conversations with the trained bot, its actions executed.

The format is that of Rasa's end-to-end tests: `fixtures:` name slots to begin with, `test_cases:` hold steps `user`,
`bot` (a text), `utter` (a response), `slot_was_set` and `slot_was_not_set`. After each message the replies must be
those that the steps name, in that order and no others; where a turn has no `bot` or `utter` step they do not matter.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue.assembly import actions
from dialogue.bot import Bot
from dialogue.config_file import load_config
from dialogue.domain import Domain
from dialogue.errors import ModelError, ProjectError, Where, error, suggestion
from dialogue.events import ActionExecuted, SessionStarted, SlotSet
from dialogue.message import Message, Reply
from dialogue.project import Progress, read, train
from dialogue.store.base import TrackerStore
from dialogue.training.data import YAML_SUFFIXES
from dialogue.training.folder import current_version
from dialogue.training.nodes import Node, Report, Table, plain, read_entries, read_fields, read_items, read_text
from dialogue.training.written import scalar
from dialogue.training.yaml import read_yaml
from dialogue.turn import TurnResult
from policies.history import slot_matches
from policies.types import FILLED

RESULTS = "e2e_results.yml"
STEPS = ("user", "bot", "utter", "slot_was_set", "slot_was_not_set")
Slots = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `text` of user, bot or response, or `slots` with what is said of them; `FILLED` for a bare name."""

    kind: str
    text: str = ""
    slots: Slots = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestCase:
    """A conversation and the slots it begins with."""

    name: str
    where: Where
    slots: Slots
    steps: tuple[Step, ...]

    __test__ = False  # pytest takes every class of this name for a test


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A test case and what came otherwise: a unified difference, empty when it passed."""

    case: TestCase
    difference: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.difference


# --- read -------------------------------------------------------------------------------------------------------------


def read_cases(project: Path, paths: Sequence[str] = ()) -> tuple[TestCase, ...]:
    """The test cases of files and folders, by default of the project's `tests/`; `file::name` takes one of a file.

    Raises:
        ProjectError: with every problem found, or if there is no such test case.
    """
    report, cases = Report(), list[TestCase]()
    for path in paths or [str(project / "tests")]:
        place, _, name = path.partition("::")
        found = [case for file in _files(Path(place)) for case in _read_file(file, report)]
        chosen = [case for case in found if name in ("", case.name)]
        if name and not chosen:
            report.error(Where(place), f"no test case {name!r}{suggestion(name, [case.name for case in found])}")
        cases += chosen
    report.raise_errors()
    if not cases:
        places = ", ".join(paths) or str(project / "tests")
        raise ProjectError([error(Where(str(project)), f"no test cases; looked for `test_cases:` in {places}")])
    return tuple(cases)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if path.exists() or path.suffix:
            yield path
        return
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(YAML_SUFFIXES) and not name.startswith(".") and name != RESULTS:
                yield Path(parent, name)


def _read_file(file: Path, report: Report) -> Iterator[TestCase]:
    try:
        content = read_yaml(file, report)
    except ProjectError as unreadable:
        report.extend(unreadable.problems)
        return
    if "test_cases" not in content.entries:
        return
    fixtures = dict(_fixtures(content, report))
    for item in read_items(content.entries["test_cases"].value, "test_cases", report):
        fields = read_fields(item, "a test case", ("test_case", "fixtures", "steps", "metadata"), report)
        name = read_text(fields["test_case"], "test_case", report) if "test_case" in fields else None
        if name is None or "steps" not in fields:
            report.error(item.where, "a test case: expected the keys test_case and steps")
            continue
        slots: dict[str, Any] = {}
        for node in read_items(fields["fixtures"], "fixtures", report) if "fixtures" in fields else ():
            fixture = read_text(node, "fixtures", report)
            if fixture is not None and fixture not in fixtures:
                report.error(node.where, f"there is no fixture {fixture!r}{suggestion(fixture, fixtures)}")
            slots |= fixtures.get(fixture or "", {})
        steps = [step for node in read_items(fields["steps"], "steps", report) for step in _read_step(node, report)]
        yield TestCase(name, item.where, slots, tuple(steps))


def _fixtures(content: Table, report: Report) -> Iterator[tuple[str, Slots]]:
    listed = content.entries.get("fixtures")
    for item in read_items(listed.value, "fixtures", report) if listed is not None else ():
        for name, entry in read_entries(item, "a fixture", report).items():
            yield name, _slots(entry.value, report)


def _read_step(node: Node, report: Report) -> Iterator[Step]:
    fields = read_fields(node, "a step", (*STEPS, "metadata"), report)
    kinds = [kind for kind in STEPS if kind in fields]
    if len(kinds) != 1:
        report.error(node.where, f"a step: expected one of {', '.join(STEPS)}")
        return
    (kind,) = kinds
    if kind.startswith("slot"):
        yield Step(kind, slots=_slots(fields[kind], report))
    elif (text := read_text(fields[kind], kind, report)) is not None:
        yield Step(kind, text)


def _slots(node: Node, report: Report) -> Slots:
    found: dict[str, Any] = {}
    for item in [node] if isinstance(node, Table) else read_items(node, "slots", report):
        if isinstance(item, Table):
            found |= {name: plain(entry.value) for name, entry in item.entries.items()}
        elif (name := read_text(item, "a slot", report)) is not None:
            found[name] = FILLED
    return found


# --- run --------------------------------------------------------------------------------------------------------------


def open_test_bot(
    project: Path, *, progress: Progress = lambda stage, done, total: None
) -> tuple[Bot, TrackerStore, Domain]:
    """The project's bot, trained first when it must be, with a store in memory that is gone afterwards."""
    from dialogue.store.sql import SqlTrackerStore

    train(project, progress=progress)
    config = load_config(project)
    version = current_version(config.model_path)
    if version is None:
        raise ModelError(f"there is no model in {config.model_path}; `starfold train` makes one")
    model, policies, domain = read(config, version)
    store = SqlTrackerStore("sqlite://")
    bot = Bot(model, domain, policies, actions(config, domain)[0], store, name=config.name, language=config.language)
    return bot, store, domain


def run_cases(
    cases: Sequence[TestCase], bot: Bot, store: TrackerStore, domain: Domain, *, fail_fast: bool = False
) -> Iterator[CaseResult]:
    """Hold each conversation, one after the other; with `fail_fast` up to the first that fails.

    Raises:
        ProjectError: if a case speaks of a slot or response that the bot does not have.
    """
    problems = [error(case.where, unknown) for case in cases for unknown in _unknown(case, domain)]
    if problems:
        raise ProjectError(problems)
    for number, case in enumerate(cases):
        result = _run(case, f"e2e-{number}", bot, store, domain)
        yield result
        if fail_fast and not result.passed:
            return


def _unknown(case: TestCase, domain: Domain) -> Iterator[str]:
    for name in {*case.slots, *(name for step in case.steps for name in step.slots)} - {"requested_slot"}:
        if name not in domain.slots:
            yield f"test case {case.name!r}: there is no slot {name!r}{suggestion(name, domain.slots)}"
    for step in case.steps:
        if step.kind == "utter" and step.text not in domain.responses:
            near = suggestion(step.text, domain.responses)
            yield f"test case {case.name!r}: there is no response {step.text!r}{near}"


def _run(case: TestCase, sender: str, bot: Bot, store: TrackerStore, domain: Domain) -> CaseResult:
    if case.slots:
        slots = [SlotSet(name=name, value=True if value is FILLED else value) for name, value in case.slots.items()]
        listen = ActionExecuted(name="action_listen")
        store.append(sender, 0, [ActionExecuted(name="action_session_start"), SessionStarted(), *slots, listen])
    expected: list[str] = []
    actual: list[str] = []
    for said, following in _turns(case.steps):
        turn = bot.handle(Message(said.text, sender=sender)) if said is not None else None
        now = bot.tracker(sender).slots
        _compare(said, following, turn, now, domain, (expected, actual))
    lines = difflib.unified_diff(expected, actual, "expected", "actual", n=len(expected), lineterm="")
    return CaseResult(case, tuple(lines))


def _turns(steps: Sequence[Step]) -> Iterator[tuple[Step | None, list[Step]]]:
    """Each message with the steps that follow it; the steps before the first message without one."""
    said: Step | None = None
    following: list[Step] = []
    for step in steps:
        if step.kind == "user":
            if said is not None or following:
                yield said, following
            said, following = step, []
        else:
            following.append(step)
    yield said, following


def _compare(
    said: Step | None,
    following: Sequence[Step],
    turn: TurnResult | None,
    slots: Slots,
    domain: Domain,
    lines: tuple[list[str], list[str]],
) -> None:
    """Add a turn as it should be and as it was to the two lists of lines."""
    expected, actual = lines
    if said is not None:
        expected.append(f"user: {said.text}")
        actual.append(f"user: {said.text}")
    replies = list(turn.replies) if turn is not None else []
    matters = any(step.kind in ("bot", "utter") for step in following)
    for step in following:
        line = _line(step)
        expected.append(line)
        if step.kind.startswith("slot"):
            actual.append(line if _slots_right(step, slots) else _slots_now(step, slots))
        elif replies:
            reply = replies.pop(0)
            actual.append(line if _is_reply(step, reply, domain, slots) else f"bot: {_text(reply)}")
    if matters:
        actual.extend(f"bot: {_text(reply)}" for reply in replies)


def _is_reply(step: Step, reply: Reply, domain: Domain, slots: Slots) -> bool:
    if step.kind == "bot":
        return " ".join(step.text.split()) == _text(reply)
    if "utter_action" in reply.metadata:
        return bool(reply.metadata["utter_action"] == step.text)
    from dialogue.responses import render

    return any(render(step.text, one, slots)[:1] == (reply,) for one in domain.responses[step.text])


def _slots_right(step: Step, slots: Slots) -> bool:
    right = [slot_matches(value, slots.get(name)) for name, value in step.slots.items()]
    return all(right) if step.kind == "slot_was_set" else not any(right)


def _slots_now(step: Step, slots: Slots) -> str:
    return f"slots: {', '.join(f'{name}={slots.get(name)!r}' for name in step.slots)}"


def _line(step: Step) -> str:
    if not step.slots:
        return f"{step.kind}: {' '.join(step.text.split())}"
    named = (name if value is FILLED else f"{name}={value!r}" for name, value in step.slots.items())
    return f"{step.kind}: {', '.join(named)}"


def _text(reply: Reply) -> str:
    return " ".join((reply.text or str(reply.as_dict())).split())


# --- write ------------------------------------------------------------------------------------------------------------


def write_results(results: Sequence[CaseResult], file: Path) -> None:
    """Write name, pass_status, expected_steps and difference of every case."""
    lines: list[str] = []
    for result in results:
        lines += [f"- name: {scalar(result.case.name)}", f"  pass_status: {scalar(result.passed)}"]
        lines += _listed("expected_steps", result.case.steps, _line)
        lines += _listed("difference", result.difference, str)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", "utf-8")


def _listed(key: str, items: Sequence[Any], said: Callable[[Any], str]) -> list[str]:
    if not items:
        return [f"  {key}: []"]
    return [f"  {key}:", *(f"  - {scalar(said(item))}" for item in items)]
