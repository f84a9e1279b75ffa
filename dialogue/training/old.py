"""Training data of Rasa 1 and 2: not read, but recognised, so that nobody wonders where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from dialogue.errors import Problem, Where, warning

MIGRATE = "migrate them with `rasa data migrate` of Rasa 3 (slots get their mappings, required_slots becomes a list)"
HEAD = 65_536  # bytes of a file that are looked at
SIGNS: Mapping[str, tuple[re.Pattern[bytes], str]] = MappingProxyType(
    {
        ".md": (
            re.compile(rb"^##\s*(intent|synonym|regex|lookup)\s*:|^##? .*\n(\s*\n)*\* ", re.MULTILINE),
            "training data in Markdown, as Rasa 1 had it, is not read; convert it with `rasa data convert` of Rasa 2",
        ),
        ".json": (
            re.compile(rb'"(rasa_nlu_data|luis_schema_version|utterances|userSays)"\s*:'),
            "training data in JSON is not read; convert it with `rasa data convert nlu -f yaml`",
        ),
    }
)


def old_files(paths: Sequence[Path]) -> Iterator[Problem]:
    """A warning for each file of an old format in the folders among `paths`, hidden ones left out."""
    for folder in (path for path in paths if path.is_dir()):
        for file in sorted(path for suffix in SIGNS for path in folder.rglob(f"*{suffix}")):
            sign, message = SIGNS[file.suffix]
            hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            if not hidden and file.is_file() and sign.search(_head(file)):
                yield warning(Where(str(file)), message)


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(HEAD).replace(b"\r\n", b"\n")
