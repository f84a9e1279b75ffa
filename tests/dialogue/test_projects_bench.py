"""The generated projects of the measurements are projects: the same each time, and nothing is wrong with them."""

from dialogue.config import default_encoders
from dialogue.config_file import load_config
from dialogue.training.data import read_data
from dialogue.training.validate import validate_project
from tests.bench.projects import Size, write_project


def test_a_generated_project_is_right_and_of_its_size(tmp_path):
    write_project(tmp_path / "a")
    write_project(tmp_path / "b")
    assert validate_project(tmp_path / "a") == ()
    data = read_data([tmp_path / "a" / "data"])
    rules = [story for story in data.stories if story.is_rule]
    assert (len(data.examples), len(data.stories) - len(rules), len(rules), len(data.domain.forms)) == (600, 50, 30, 20)
    for file in (tmp_path / "a" / "data").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "data" / file.name).read_bytes()


def test_it_grows_as_it_is_told(tmp_path):
    write_project(tmp_path, Size().times(2))
    data = read_data([tmp_path / "data"])
    assert (len(data.examples), len(data.stories)) == (1200, 160)


def test_a_whole_one_has_the_encoders_of_a_bot_that_names_none(tmp_path):
    whole = load_config(write_project(tmp_path / "whole", whole=True))
    assert list(whole.encoders) == list(default_encoders("en"))
    assert list(load_config(write_project(tmp_path / "cheap")).encoders) == ["words"]
