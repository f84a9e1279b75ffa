"""The model folder: versions beside each other, and a file that names the current one.

```
model/current            the name of the version in use, replaced in one step
model/<version>/         manifest.json, nlu/, policies/, domain.json
```

A version is written under another name and renamed when it is whole, so that a crash leaves the version before it.
The manifest lists every file with its SHA-256. Nothing in it is executable: safetensors, JSON and the encoders' own
formats.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dialogue
from dialogue.errors import ModelError

FORMAT = 8
MANIFEST, CURRENT = "manifest.json", "current"
KEPT = 2
VERSION = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
ABANDONED = 3600.0  # seconds without a change, after which a draft is one of a training that was killed


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version says of itself: the `fingerprint` of what it was trained from, and `facts` for people."""

    fingerprint: str
    facts: Mapping[str, Any]


def write_version(root: Path, manifest: Manifest, write: Callable[[Path], None]) -> Path:
    """Write a new version by `write(folder)` and make it the current one. Older ones but the last are removed.

    Raises:
        ModelError: if it cannot be written: the disk is full, the folder may not be written to.
    """
    from safetensors import SafetensorError

    draft = root / f".draft-{uuid.uuid4().hex}"
    try:
        draft.mkdir(parents=True)
        write(draft)
        seal(draft, manifest)
        version = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        draft.rename(version)
        pointer = root / f".{CURRENT}-{uuid.uuid4().hex}"
        pointer.write_text(version.name, "utf-8")
        os.replace(pointer, root / CURRENT)
    except (OSError, SafetensorError) as cause:
        raise ModelError(f"the model cannot be written into {root}: {cause}") from cause
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    forget_old(root, version.name)
    return version


def seal(draft: Path, manifest: Manifest) -> None:
    """Write the manifest, and let whoever may read it read the rest: some libraries write for their user alone."""
    written = sorted(files(draft))
    content = {
        "format": FORMAT,
        "starfold": dialogue.__version__,
        "fingerprint": manifest.fingerprint,
        "facts": dict(manifest.facts),
        "files": {name: digest(draft / name) for name in written},
    }
    sealed = draft / MANIFEST
    sealed.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")
    for name in written:
        (draft / name).chmod(sealed.stat().st_mode)


def forget_old(root: Path, current: str) -> None:
    """Remove all versions but the current one and the newest before it, and what killed trainings left behind."""
    others = sorted(p for p in root.iterdir() if VERSION.fullmatch(p.name) and p.name != current)
    drafts = [p for p in root.glob(".draft-*") if abandoned(p)]
    for old in (*others[: 1 - KEPT], *drafts):
        shutil.rmtree(old, ignore_errors=True)


def abandoned(draft: Path) -> bool:
    """Whether nobody writes this draft any more; one that is gone by now is finished."""
    try:
        return time.time() - draft.stat().st_mtime > ABANDONED
    except FileNotFoundError:
        return False


def current_version(root: Path) -> Path | None:
    """The folder of the current version, or None when nothing was trained yet.

    Raises:
        ModelError: if something else than a trained model is in the way.
    """
    try:
        name = (root / CURRENT).read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as cause:
        raise ModelError(f"{root / CURRENT} cannot be read ({cause}); `model:` in bot.yml names the folder") from cause
    if not VERSION.fullmatch(name):
        raise ModelError(f"{root} is not a starfold model: {CURRENT} names no version; see `model:` in bot.yml")
    return root / name


def read_manifest(version: Path) -> Manifest:
    """The manifest, its files checked.

    Raises:
        ModelError: if the version is damaged, foreign or of another format.
    """
    file = version / MANIFEST
    try:
        content = json.loads(file.read_text("utf-8"))
        known, listed = content["format"], dict(content["files"])
        manifest = Manifest(str(content["fingerprint"]), dict(content["facts"]))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ModelError(f"{version} is not a starfold model ({cause}); `starfold train` makes one") from cause
    if known != FORMAT:
        raise ModelError(f"{version} has model format {known}, this starfold reads {FORMAT}; train again")
    for name, expected in listed.items():
        if not (version / name).is_file() or digest(version / name) != expected:
            raise ModelError(f"{version / name} is missing or damaged; `starfold train --force` makes the model anew")
    return manifest


def files(folder: Path) -> Iterator[str]:
    """Relative paths of all files below a folder, with forward slashes."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(stream)


def _digest(stream: Any) -> str:
    found = hashlib.sha256()  # Python 3.10 has no file_digest
    while block := stream.read(1 << 20):
        found.update(block)
    return found.hexdigest()
