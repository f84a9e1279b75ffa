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
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dialogue
from dialogue.errors import ModelError

FORMAT = 1
MANIFEST, CURRENT = "manifest.json", "current"
KEPT = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version says of itself: the `fingerprint` of what it was trained from, and `facts` for people."""

    fingerprint: str
    facts: Mapping[str, Any]


def write_version(root: Path, manifest: Manifest, write: Callable[[Path], None]) -> Path:
    """Write a new version by `write(folder)` and make it the current one. Older ones but the last are removed."""
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        write(draft)
        content = {
            "format": FORMAT,
            "starfold": dialogue.__version__,
            "fingerprint": manifest.fingerprint,
            "facts": dict(manifest.facts),
            "files": {name: digest(draft / name) for name in sorted(files(draft))},
        }
        (draft / MANIFEST).write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")
        version = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        draft.rename(version)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    pointer = root / f".{CURRENT}-{uuid.uuid4().hex}"
    pointer.write_text(version.name, "utf-8")
    os.replace(pointer, root / CURRENT)
    forget_old(root, version.name)
    return version


def forget_old(root: Path, current: str) -> None:
    """Remove all versions but the current one and the newest before it."""
    versions = sorted((p for p in root.iterdir() if p.is_dir() and (p / MANIFEST).exists()), key=lambda p: p.name)
    others = [p for p in versions if p.name != current]
    for old in others[: len(others) - (KEPT - 1)]:
        shutil.rmtree(old, ignore_errors=True)


def current_version(root: Path) -> Path | None:
    """The folder of the current version, or None when nothing was trained yet."""
    try:
        return root / (root / CURRENT).read_text("utf-8").strip()
    except OSError:
        return None


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
