"""All training data of a bot, read from files and folders however it is split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dialogue.domain import Domain
from dialogue.errors import Problem, ProjectError, suggestion
from dialogue.training import domain as domain_sections
from dialogue.training.checkpoints import join_blocks
from dialogue.training.nlu import read_nlu
from dialogue.training.nodes import Node, Report, Table, describe, plain
from dialogue.training.old import MIGRATE, old_files
from dialogue.training.places import substitute
from dialogue.training.seen import as_policies_see, check_ranges
from dialogue.training.stories import read_rules, read_stories
from dialogue.training.types import Draft, Example, Reference, Regex
from dialogue.training.yaml import NoMappingError, read_yaml
from policies.types import Story

SECTIONS: Mapping[str, Callable[[Node, Draft], None]] = MappingProxyType(
    {**domain_sections.SECTIONS, "nlu": read_nlu, "stories": read_stories, "rules": read_rules}
)
FORMAT = "3"
YAML_SUFFIXES = (".yml", ".yaml")
OLDER = ("1", "2")
_ITEM = "it belongs into an item of the list `nlu`"
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "flows": "flows of Rasa Pro are not run; write stories and rules",
        **dict.fromkeys(("fixtures", "test_cases"), "end-to-end tests are what `starfold test e2e` runs"),
        **dict.fromkeys(("intent", "examples", "synonym", "regex", "lookup"), _ITEM),
        "templates": "they are called `responses` since Rasa 2",
    }
)
CONFIGURATION = ("config", "endpoints", "credentials")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a bot learns from.

    Attributes:
        examples: sentences, in the order of the files.
        synonyms: from what is said to what it stands for; to be compared without case.
        lookups: for each name its entries.
        stories: stories and rules, flat.
        references: every place that names something of the domain.
    """

    examples: tuple[Example, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    regexes: tuple[Regex, ...] = ()
    lookups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    stories: tuple[Story, ...] = ()
    domain: Domain = field(default_factory=Domain)
    references: tuple[Reference, ...] = ()


def read_data(paths: Sequence[Path]) -> TrainingData:
    """Read files and folders.

    Raises:
        ProjectError: with every problem found, when one of them is an error.
    """
    data, problems = collect_data(paths)
    if any(problem.is_error for problem in problems):
        raise ProjectError(problems)
    return data


def collect_data(paths: Sequence[Path]) -> tuple[TrainingData, list[Problem]]:
    """As `read_data`, but gives what could be read together with the problems."""
    draft = Draft()
    for path in training_files(paths):
        try:
            _read_sections(substitute(read_yaml(path, draft.report), draft.report, quoted=False), draft)
        except NoMappingError as other:
            note = draft.report.error if path in paths else draft.report.warning
            for problem in other.problems:
                note(problem.where, problem.message + ("" if path in paths else "; passed over"))
        except ProjectError as unreadable:
            draft.report.extend(unreadable.problems)
    draft.report.extend(old_files(paths))
    domain = domain_sections.build_domain(draft)
    stories = (*join_blocks(draft.blocks, draft.report), *draft.rules)
    check_ranges(stories, domain, draft.report)
    data = TrainingData(
        examples=tuple(draft.examples),
        synonyms=MappingProxyType({text: value for text, (value, _) in draft.synonyms.items()}),
        regexes=tuple(draft.regexes),
        lookups=MappingProxyType({name: tuple(found) for name, found in draft.lookups.items()}),
        stories=tuple(as_policies_see(story, domain) for story in stories),
        domain=domain,
        references=tuple(draft.references),
    )
    return data, draft.report.problems


def training_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The YAML files under `paths`, each once, folders in alphabetical order.

    In folders hidden files, test stories (`test_*`) and bot.yml are passed over; what else a file holds is told by its
    keys. What is no folder is always taken, so that a missing file is told when it is read.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(_walk(path)))
        else:
            found[path] = None
    return tuple(found)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            skipped = name.startswith((".", "test_")) or name == "bot.yml"
            if name.endswith(YAML_SUFFIXES) and not skipped:
                yield Path(parent, name)


def _read_sections(file: Table, draft: Draft) -> None:
    """Give each section of a file to its reader. A file without any is none of ours."""
    if Path(file.where.file).stem in CONFIGURATION and not SECTIONS.keys() & file.entries.keys():
        return
    refused = _check_version(file, draft)
    for key, entry in file.entries.items():
        if key in refused:
            _declare_quietly(key, entry.value, draft)
        elif key in SECTIONS:
            SECTIONS[key](entry.value, draft)
        elif key in ELSEWHERE:
            draft.report.warning(entry.where, f"section {key!r} is passed over: {ELSEWHERE[key]}")
        elif key != "version":
            near = suggestion(key, (*SECTIONS, "version"), at_most=len(SECTIONS) + 1)
            draft.report.warning(entry.where, f"unknown section {key!r}, passed over{near}")


def _check_version(file: Table, draft: Draft) -> tuple[str, ...]:
    """The sections that cannot be read as of this format: slots and forms of Rasa 2, which other things fill.

    Rasa 3 reads a file whatever its version says, so what the slots look like counts: those of Rasa 3 have mappings.
    """
    if "version" not in file.entries:
        return ()
    node = file.entries["version"].value
    major = str(plain(node)).split(".")[0]
    if major in OLDER and (changed := _of_rasa_2(file)):
        message = f"version {plain(node)}: {' and '.join(changed)} of Rasa 2 mean something else; {MIGRATE}"
        draft.report.error(node.where, message)
        return changed
    if major != FORMAT:
        draft.report.warning(node.where, f'version: expected "3.1", got {describe(node)}; read as 3.1')
    return ()


def _of_rasa_2(file: Table) -> tuple[str, ...]:
    slots = file.entries["slots"].value if "slots" in file.entries else None
    written = [entry.value for entry in slots.entries.values()] if isinstance(slots, Table) else []
    if not written or any(isinstance(slot, Table) and "mappings" in slot.entries for slot in written):
        return ()
    return tuple(key for key in ("slots", "forms") if key in file.entries)


def _declare_quietly(key: str, section: Node, draft: Draft) -> None:
    """Read what was refused as a whole, so that its names are known; what else is wrong with it says nothing new."""
    told, draft.report = draft.report, Report()
    SECTIONS[key](section, draft)
    draft.report = told
