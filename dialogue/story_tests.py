"""Test stories of a project: found, read, replayed, and those that failed written down again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.domain import Domain
from dialogue.errors import ProjectError, Where, error
from dialogue.project import fingerprint as fingerprint_of
from dialogue.project import read, train, usable
from dialogue.replay import Replayed, Understand, parser, replay
from dialogue.training.checkpoints import join_blocks
from dialogue.training.data import YAML_SUFFIXES, read_data
from dialogue.training.folder import current_version
from dialogue.training.nodes import Table
from dialogue.training.stories import read_stories
from dialogue.training.types import Draft
from dialogue.training.written import story_lines
from dialogue.training.yaml import read_yaml
from policies.chain import Chain
from policies.types import Story

FAILED = "failed_test_stories.yml"
FOLDERS = ("tests",)


@dataclass(frozen=True, slots=True)
class StoryResults:
    """What came of all test stories. `seconds` is wall-clock time, reading and fitting included."""

    replayed: tuple[Replayed, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Replayed, ...]:
        """The stories in which something came otherwise."""
        return tuple(one for one in self.replayed if not one.passed)

    def numbers(self) -> dict[str, Any]:
        """As written by `--json`."""
        actions = [check for one in self.replayed for check in one.actions]
        heard = [check for one in self.replayed for check in one.checks if check.what != "action"]
        counted: dict[str, Any] = {
            "stories": len(self.replayed),
            "passed": len(self.replayed) - len(self.failed),
            "failed": len(self.failed),
            "actions_right": sum(check.right for check in actions),
            "actions": len(actions),
            "seconds": round(self.seconds, 3),
        }
        for what, plural in (("intent", "intents"), ("entities", "entities")) if heard else ():
            of_kind = [check.right for check in heard if check.what == what]
            counted |= {f"{plural}_right": sum(of_kind), plural: len(of_kind)}
        return counted


def run_test_stories(project: Path, *, files: Sequence[Path] = (), e2e: bool = False) -> StoryResults:
    """Replay a project's test stories.

    The policies are those of a fresh model; without one they are fitted here, which needs no model of the language.

    Args:
        project: the bot's folder.
        files: files and folders to read instead of the project's own `test_*.yml`.
        e2e: have the project's model read the texts, trained first when it must be.

    Raises:
        ProjectError: if bot.yml, the data or the test stories are wrong, or there are no test stories.
        TrainingError: with `e2e`, if nothing can be learned from the data.
        ModelError: with `e2e`, if the model cannot be read.
    """
    start = time.perf_counter()
    config = load_config(project)
    stories = read_test_stories(story_files(config, files), config)
    domain, policies, understand = _readers(project, config) if e2e else _fitted(config)
    replayed = tuple(replay(story, domain, policies, understand) for story in stories)
    return StoryResults(replayed, time.perf_counter() - start)


def story_files(config: Config, given: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The files of test stories: those given, or `test_*.yml` under or beside the project's data and under `tests/`."""
    folders = given or (*config.data_paths, *(config.project / name for name in FOLDERS))
    found: dict[Path, None] = {}
    for path in folders:
        walked = _walk(path, whole=bool(given)) if path.is_dir() else [path] if given else _beside(path)
        found.update(dict.fromkeys(walked))
    return tuple(found)


def _walk(folder: Path, *, whole: bool) -> Iterator[Path]:
    """The YAML files of a folder in alphabetical order; only test stories by their name, unless `whole`."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(YAML_SUFFIXES) and not name.startswith(".") and (whole or name.startswith("test_")):
                yield Path(parent, name)


def _beside(file: Path) -> list[Path]:
    """The test stories in the folder of a single file of data."""
    return sorted(one for one in file.parent.glob("test_*") if one.suffix in YAML_SUFFIXES)


def read_test_stories(files: Sequence[Path], config: Config) -> tuple[Story, ...]:
    """The stories of some files; slots hold values as written.

    Raises:
        ProjectError: with every problem found, or if there is no story in them.
    """
    draft = Draft()
    for file in files:
        try:
            _read_section(read_yaml(file, draft.report), draft)
        except ProjectError as unreadable:
            draft.report.extend(unreadable.problems)
    stories = join_blocks(draft.blocks, draft.report)
    draft.report.raise_errors()
    if not stories:
        places = ", ".join(map(str, files)) or "test_*.yml under data and tests/"
        raise ProjectError([error(Where(str(config.project)), f"no test stories; looked for `stories:` in {places}")])
    return stories


def _read_section(file: Table, draft: Draft) -> None:
    """Stories of a file; one without any (end-to-end test cases, NLU examples) is passed over."""
    if "stories" in file.entries:
        read_stories(file.entries["stories"].value, draft)


def write_failed(results: StoryResults, file: Path) -> None:
    """Write the failed stories as test stories, with what came instead as a comment beside each step."""
    lines = ['version: "3.1"', "stories:"]
    for one in results.failed:
        lines += ["", *story_lines(one.story, notes(one))]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", "utf-8")


def notes(replayed: Replayed) -> Mapping[int, Sequence[str]]:
    """What came otherwise than expected, by step."""
    found: dict[int, list[str]] = {}
    for check in replayed.checks:
        if not check.right:
            what = "predicted" if check.what == "action" else f"predicted {check.what}"
            by = f" ({check.decision.policy} {check.decision.confidence:.2f})" if check.decision else ""
            if check.expected == "action_listen":
                found.setdefault(max(check.step - 1, 0), []).append(f"then predicted: {check.predicted}{by}")
            else:
                found.setdefault(check.step, []).append(f"{what}: {check.predicted}{by}")
    return found


def _fitted(config: Config) -> tuple[Domain, Chain, Understand | None]:
    """Domain and policies, from a fresh model or the stories themselves."""
    from dialogue.plugins import build_policies

    data = read_data(config.data_paths)
    policies = Chain(build_policies(config))
    version = current_version(config.model_path)
    if version is not None and usable(version) == fingerprint_of(config):
        return data.domain, policies.load(version / "policies"), None
    return data.domain, policies.fit(data.stories, seed=config.seed), None


def _readers(project: Path, config: Config) -> tuple[Domain, Chain, Understand | None]:
    """Domain, policies and the model that reads texts."""
    train(project)
    version = current_version(config.model_path)
    assert version is not None
    model, policies, domain = read(config, version)
    return domain, policies, parser(model, domain)
