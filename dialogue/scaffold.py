"""A new project: from the package's own example bot, or for a Rasa project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dialogue.errors import ProjectError, StarfoldError, Where, error
from dialogue.training.nodes import Report

PACKAGE = Path(__file__).resolve().parent
SKIPPED = ("__pycache__", ".*", "*.pyc")


def write_starter(target: Path, *, package: Path = PACKAGE) -> tuple[Path, ...]:
    """Write bot.yml and data/ into `target`, which is made when it is not there.

    Args:
        target: the project's folder.
        package: folder of the package `dialogue`: an installed one carries the starter, in a checkout it stands beside.

    Returns:
        The files written, sorted.

    Raises:
        ProjectError: naming every file that exists already; nothing is written then.
        StarfoldError: if the installation has no starter.
    """
    files = {target / place: source for place, source in _starter(package).items()}
    _refuse_to_overwrite(files, target)
    for place, source in files.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    return tuple(files)


def write_translation(rasa: Path, target: Path, data: Sequence[Path] = (), domain: Sequence[Path] = ()) -> Path:
    """Write a bot.yml into `target` that says what a Rasa project says. The project's data stay where they are.

    Args:
        rasa: folder of the project.
        target: folder of the bot.yml.
        data: files and folders of training data; by default what is found in the project.
        domain: those of the domain, in the same way.

    Raises:
        ProjectError: if `rasa` is no Rasa project or its files are wrong, or `target` has a bot.yml already.
    """
    from dialogue.rasa.files import Named
    from dialogue.rasa.project import CONFIG, is_rasa_project, translate
    from dialogue.rasa.write import bot_yml

    if not (is_rasa_project(rasa) or (data and (rasa / CONFIG).is_file())):
        message = f"no Rasa project: expected {CONFIG}, and with it a domain and YAML files with nlu, stories or rules"
        raise ProjectError([error(Where(str(rasa)), message)])
    file = target / "bot.yml"
    _refuse_to_overwrite({file: rasa}, target)
    report = Report()
    named = Named(_seen_from(rasa, data), _seen_from(rasa, domain))
    translation = translate(rasa, report, fill=False, named=named)
    report.raise_errors()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(bot_yml(translation, way_to(rasa, target)), encoding="utf-8")
    return file


def _seen_from(folder: Path, places: Sequence[Path]) -> tuple[str, ...]:
    return tuple(way_to(place, folder).rstrip("/") or os.curdir for place in places)


def way_to(folder: Path, start: Path) -> str:
    """What leads from one folder to another, to be put before a path; nothing when they are the same."""
    way = Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    return "" if way == os.curdir else f"{way}/"


def _starter(package: Path) -> dict[Path, Path]:
    """Place in the project → file to copy there."""
    for bot, data in (
        (package / "starter" / "bot.yml", package / "starter" / "training"),
        (package.parent / "bot.yml", package.parent / "data"),
    ):
        if bot.is_file() and data.is_dir():
            inside = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
            kept = [path for path in inside if not _is_skipped(path)]
            return {Path("bot.yml"): bot} | {Path("data") / path: data / path for path in kept}
    raise StarfoldError(f"the starter project is missing from {package}; install starfold again")


def _is_skipped(path: Path) -> bool:
    return any(Path(part).match(pattern) for part in path.parts for pattern in SKIPPED)


def _refuse_to_overwrite(files: dict[Path, Path], target: Path) -> None:
    folders = {folder for place in files for folder in (target, *place.parents) if folder.is_relative_to(target)}
    blocked = [error(Where(str(place)), "exists already; init overwrites nothing") for place in files if place.exists()]
    blocked += [
        error(Where(str(folder)), "expected a folder for the new project, found a file")
        for folder in folders
        if folder.exists() and not folder.is_dir()
    ]
    if blocked:
        raise ProjectError(blocked)
