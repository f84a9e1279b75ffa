"""What ships: the wheel's content and metadata, and what is said where something is not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import import_module, util
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from dialogue import __version__
from dialogue.doctor import package
from encoders.catalog import BUILT_IN as ENCODERS
from policies.catalog import BUILT_IN as POLICIES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dialogue", "encoders", "policies")
SOURCES = (*PACKAGES, "data", "bot.yml", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore")
LEFT_BEHIND = ("data/zh/.starfold/model/current", "data/__pycache__/a.pyc", "dialogue/__pycache__/b.pyc")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel, built from a copy of the sources in which a bot was trained."""
    if not os.environ.get("CI") and not (util.find_spec("build") and util.find_spec("hatchling")):
        pytest.skip('the wheel is built with packages that are not installed: pip install -e ".[dev]"')
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    for name in LEFT_BEHIND:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("left behind")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (file,) = out.glob("*.whl")
    with ZipFile(file) as archive:
        yield archive


@pytest.fixture(scope="session")
def metadata(wheel: ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"starfold-{__version__}.dist-info/METADATA").decode())


@pytest.fixture
def installed(wheel: ZipFile, tmp_path: Path) -> Path:
    """The wheel's content in a folder outside the repository."""
    wheel.extractall(tmp_path / "site")
    return tmp_path / "site"


def python(code: str, *arguments: object, site: Path) -> subprocess.CompletedProcess[str]:
    """Run code that imports from `site` first."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_wheel_holds_the_three_packages_and_nothing_beside_them(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {*PACKAGES, f"starfold-{__version__}.dist-info"}


def test_the_wheel_holds_every_source_file(wheel):
    sources = {str(file.relative_to(ROOT)) for top in PACKAGES for file in (ROOT / top).rglob("*.py")}
    assert sources - set(wheel.namelist()) == set()


def test_the_wheel_holds_the_files_of_the_web(wheel):
    static = ROOT / "dialogue" / "channels" / "static"
    files = {str(file.relative_to(ROOT)) for file in static.rglob("*") if file.is_file()}
    assert "dialogue/channels/static/widget/chat.js" in files
    assert files - set(wheel.namelist()) == set()


def test_the_wheel_holds_the_starter_and_nothing_a_run_left_behind(wheel):
    found = {name.removeprefix("dialogue/starter/") for name in wheel.namelist() if "/starter/" in name}
    training = {name.removeprefix("training/") for name in found - {"bot.yml"}}
    kept = [file.relative_to(ROOT / "data") for file in (ROOT / "data").rglob("*") if file.is_file()]
    own = {str(file) for file in kept if not any(part.startswith((".", "__")) for part in file.parts)}
    assert "bot.yml" in found
    assert training == own
    assert [name for name in wheel.namelist() if "__pycache__" in name or ".starfold" in name] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_the_packages_are_typed(wheel, name):
    assert f"{name}/py.typed" in wheel.namelist()


def test_the_command_leads_somewhere(wheel):
    lines = wheel.read(f"starfold-{__version__}.dist-info/entry_points.txt").decode().splitlines()
    assert lines == ["[console_scripts]", "starfold = dialogue.cli:main"]
    assert callable(import_module("dialogue.cli").main)


@pytest.mark.parametrize("place", sorted({*ENCODERS.values(), *POLICIES.values()}))
def test_every_built_in_is_where_its_catalogue_says(wheel, place):
    assert f"{place.partition(':')[0].replace('.', '/')}.py" in wheel.namelist()


def test_the_metadata(metadata):
    assert metadata["Name"] == "starfold"
    assert metadata["Version"] == __version__
    supported = SpecifierSet(metadata["Requires-Python"])
    assert [v for v in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14") if v in supported] == [
        *("3.10", "3.11", "3.12", "3.13")
    ]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_wheel_starts_a_project_outside_the_repository(installed, tmp_path):
    code = "import dialogue.cli; print(dialogue.cli.__file__); dialogue.cli.main()"
    done = python(code, "init", tmp_path / "bot", site=installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    assert (tmp_path / "bot" / "bot.yml").read_bytes() == (ROOT / "bot.yml").read_bytes()
    assert (tmp_path / "bot" / "data" / "en" / "domain.yml").is_file()
    check = python("from dialogue.cli import main; main()", "validate", "--project", tmp_path / "bot", site=installed)
    assert check.returncode == 0, check.stderr


def test_every_pip_line_in_the_sources_names_an_extra_there_is(metadata):
    extras = set(metadata.get_all("Provides-Extra"))
    sources = [file.read_text() for top in PACKAGES for file in (ROOT / top).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"starfold\[(\w+)\]", text)}
    named |= {name for text in sources for name in re.findall(r'MissingExtraError\([^)]*"(\w+)"\)', text)}
    assert "postgres" in named
    assert named - extras == set()


def test_a_missing_extra_prints_the_exact_pip_line(installed):
    code = """
import sys
from importlib import util
there = util.find_spec
util.find_spec = lambda name, *more: None if name == "psycopg" else there(name, *more)
from dialogue.errors import StarfoldError
from dialogue.store.sql import SqlTrackerStore
try:
    SqlTrackerStore("postgresql://nobody@127.0.0.1/bot")
except StarfoldError as error:
    print(error)
"""
    done = python(code, site=installed)
    assert done.stdout == 'a PostgreSQL store needs a package that is not installed: pip install "starfold[postgres]"\n'


@pytest.mark.parametrize("wanted", ["numpy>=999", "no-such-package>=1.2,<2"])
def test_a_conflicting_or_missing_package_prints_the_exact_pip_line(wanted):
    detail = package(Requirement(wanted)).detail
    line = re.search(r'pip install "(.*)"$', detail)
    assert line is not None
    assert Requirement(line[1]) == Requirement(wanted)
