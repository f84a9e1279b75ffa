"""Where a Rasa project keeps its training data and its domain: at Rasa's default places, or wherever they are.

`rasa train --data . --domain bot/` leaves no trace in a project, so files elsewhere are told by their top-level keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dialogue.errors import Where
from dialogue.rasa.found import Row

DATA = "data"
DOMAINS = ("domain.yml", "domain.yaml", "domain", "domains")
SUFFIXES = (".yml", ".yaml")
# Files of another kind, and folders in which copies, results and other people's files are.
OTHERS = re.compile(r"\.|test_|(bot|config|endpoints|credentials)\.ya?ml$")
FOLDERS = re.compile(r"\.|(tests?|models|results|node_modules|site-packages|__pycache__|build|dist)$")
VIRTUAL = "pyvenv.cfg"  # what every virtual environment has
TRAINING = re.compile(rb"^(nlu|stories)\s*:|^rules\s*:[\s\S]*?\brule\s*:", re.MULTILINE)
# Other programs have such keys, too, so some count only by what stands under them.
INTENTS = re.compile(rb"^intents\s*:", re.MULTILINE)
DOMAIN = re.compile(
    rb"^(intents|entities|session_config|e2e_actions)\s*:|^actions\s*:\s*-|^responses\s*:[\s\S]*?\butter_"
    rb"|^slots\s*:[\s\S]*?\bmappings\s*:|^forms\s*:[\s\S]*?\brequired_slots\s*:",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Named:
    """Files and folders that somebody named, seen from the project; of what nobody did, those found there count."""

    data: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()


NOTHING = Named()


def data_places(project: Path, named: Named = NOTHING) -> list[str]:
    """Files and folders of training data and domain, as `data:` of bot.yml names them.

    The data come first: taught examples are written there.
    """
    data = list(named.data) or _training_data(project)
    default = [name for name in DOMAINS if (project / name).exists()][:1]
    return [*data, *(named.domain or default or _domain(project, data))]


def rows_of_files(project: Path, places: list[str], named: Named) -> Iterator[Row]:
    """A row for each file that was found elsewhere than at Rasa's default places."""
    for place in places:
        if place not in (DATA, *DOMAINS, *named.data, *named.domain):
            yield Row(Where(str(project / place)), place, "data", "found by its keys")


def _training_data(project: Path) -> list[str]:
    """The folder `data` if there are any in it, else what is found; the folder again if there is nothing else."""
    folder = [DATA] if (project / DATA).exists() else []
    if folder and next(_found(project / DATA, TRAINING), None) is not None:
        return folder
    return _names(project, TRAINING) or folder


def _domain(project: Path, data: list[str]) -> list[str]:
    """The files of a domain at no default place, but for those that are read as data, as a domain among them is."""
    if DATA in data and next(_found(project / DATA, INTENTS), None) is not None:
        return []
    return [name for name in _names(project, DOMAIN) if name not in data and name.partition("/")[0] not in data]


def _names(project: Path, sign: re.Pattern[bytes]) -> list[str]:
    """The files that show a sign, as seen from the project's folder, in alphabetical order."""
    return sorted(file.relative_to(project).as_posix() for file in _found(project, sign))


def _found(folder: Path, sign: re.Pattern[bytes]) -> Iterator[Path]:
    """The YAML files in and under a folder that show a sign."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not FOLDERS.match(one) and not Path(parent, one, VIRTUAL).exists()]
        for file in (Path(parent, name) for name in files if name.endswith(SUFFIXES) and not OTHERS.match(name)):
            if sign.search(_text(file)):
                yield file


def _text(file: Path) -> bytes:
    """What a file holds, without a byte order mark; nothing if it cannot be read."""
    try:
        return file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return b""
