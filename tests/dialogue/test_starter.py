import stat
from pathlib import Path

import pytest

from dialogue.errors import ProjectError, StarfoldError
from dialogue.scaffold import PACKAGE, write_starter


def lay(folder, files):
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


STARTER = {"bot.yml": "name: Nova\n", "en/nlu.yml": "nlu: 时间\n", "actions.py": "# code\n"}
LITTER = {"__pycache__/actions.cpython-311.pyc": "x", "en/.draft.yml": "x", "stale.pyc": "x", ".DS_Store": "x"}


@pytest.fixture(params=["wheel", "checkout"])
def package(request, tmp_path):
    """A package folder with its starter where a wheel, or a checkout, has it."""
    package = tmp_path / "lib" / "dialogue"
    package.mkdir(parents=True)
    root, data = (package / "starter", "training") if request.param == "wheel" else (package.parent, "data")
    lay(root, {"bot.yml": STARTER["bot.yml"]})
    lay(root / data, {name: text for name, text in (STARTER | LITTER).items() if name != "bot.yml"})
    return package


def written(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_writes_bot_and_data_without_litter(package, tmp_path):
    target = tmp_path / "new" / "bot"
    files = write_starter(target, package=package)
    expected = {"bot.yml": "name: Nova\n", "data/en/nlu.yml": "nlu: 时间\n", "data/actions.py": "# code\n"}
    assert written(target) == expected
    assert {str(file.relative_to(target)) for file in files} == set(expected)
    assert all(file.stat().st_mode & stat.S_IWUSR for file in files)


def test_overwrites_nothing_and_names_what_is_in_the_way(package, tmp_path):
    target = tmp_path / "mine"
    lay(target, {"bot.yml": "mine", "data/en/nlu.yml": "mine", "notes.txt": "mine"})
    before = written(target)
    with pytest.raises(ProjectError) as caught:
        write_starter(target, package=package)
    assert [problem.where.file for problem in caught.value.problems] == [
        str(target / "bot.yml"),
        str(target / "data/en/nlu.yml"),
    ]
    assert "exists already" in str(caught.value)
    assert written(target) == before


def test_other_files_in_the_folder_are_no_obstacle(package, tmp_path):
    target = tmp_path / "mine"
    lay(target, {"notes.txt": "mine", "data/more.yml": "mine"})
    write_starter(target, package=package)
    assert written(target)["notes.txt"] == "mine"
    assert written(target)["bot.yml"] == "name: Nova\n"


@pytest.mark.parametrize("in_the_way", ["bot", "bot/data", "bot/data/en"])
def test_a_file_where_a_folder_should_be(package, tmp_path, in_the_way):
    lay(tmp_path, {in_the_way: "mine"})
    with pytest.raises(ProjectError, match="expected a folder"):
        write_starter(tmp_path / "bot", package=package)
    assert (tmp_path / in_the_way).read_text() == "mine"
    assert not (tmp_path / "bot" / "bot.yml").exists()


def test_an_installation_without_starter_says_so(tmp_path):
    package = tmp_path / "dialogue"
    package.mkdir()
    with pytest.raises(StarfoldError, match="install starfold again"):
        write_starter(tmp_path / "bot", package=package)


def test_this_installation_has_a_starter(tmp_path):
    files = write_starter(tmp_path, package=PACKAGE)
    names = {str(file.relative_to(tmp_path)) for file in files}
    assert "bot.yml" in names
    assert any(name.startswith("data/") and name.endswith(".yml") for name in names)
    assert all(Path(name).parts[0] in ("bot.yml", "data") for name in names)
