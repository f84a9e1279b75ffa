"""Where taught sentences go: a YAML file of their own, so that nobody's comments are disturbed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from dialogue.errors import TrainingError

FILE = "taught.yml"
HEADER = 'version: "3.1"\nnlu:\n'


def append_example(data: Path, text: str, intent: str) -> Path:
    """Add an example to `taught.yml` in a data folder; the file is replaced in one step.

    Raises:
        TrainingError: if `data` is no folder, or the text reads as an entity annotation and would not be kept as said.
    """
    if not data.is_dir():
        raise TrainingError(
            f"{data} is a file; name a folder first in `data:` of bot.yml, where taught.yml may be written"
        )
    if re.search(r"\[[^\]]*\][({]", text):
        raise TrainingError(f"{text!r} reads as an entity annotation; write it into the training data by hand")
    file = data / FILE
    before = file.read_text("utf-8") if file.exists() else HEADER
    entry = f"- intent: {json.dumps(intent)}\n  examples:\n  - text: {json.dumps(text, ensure_ascii=False)}\n"
    draft = file.with_suffix(".tmp")
    draft.write_text(before + entry, "utf-8")
    os.replace(draft, file)
    return file
