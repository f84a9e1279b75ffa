"""Damaged files, of any kind a project has, give either data or problems with their places, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialogue.config_file import load_config
from dialogue.errors import Problem, ProjectError
from dialogue.plugins import check_parts
from dialogue.training.data import collect_data, read_data
from dialogue.training.validate import check
from tests.dialogue.test_domain import DOMAIN
from tests.dialogue.test_rasa import CONFIG, ENDPOINTS
from tests.dialogue.test_readers import NLU, STORIES

FILES = {
    "config.yml": CONFIG,
    "endpoints.yml": ENDPOINTS,
    "credentials.yml": "rest:\nslack: {slack_token: x}\n",
    "domain.yml": DOMAIN,
    "data/nlu.yml": NLU.replace('  - "from [Rome]{"\n', ""),
    "data/stories.yml": STORIES,
}
TREES = {name: yaml.safe_load(text) for name, text in FILES.items()}
KEYS = sorted(
    {"version", "name", "type", "required_slots", "${", "a.b", "", "null", "<<"}
    | {key for tree in TREES.values() for key in tree}
)
VALUES = st.sampled_from([None, True, 0, -1, 1.5, 10**400, "", " ", "x", "2.0", "${NOT_SET_AT_ALL}", "a/b", "rasa.x.Y"])
VALUES |= st.sampled_from(KEYS) | st.text(max_size=6).filter(str.isprintable)
VALUES = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)
)
CUTS = [b"", b"\t", b"- ", b": ", b"[", b"{", b"&a ", b"*a", b"\xff", b"\n", b"|", b"'", b"~", b"!!x ", b"${", b"<<: "]


def lay(folder: Path) -> None:
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def changed(tree: Any, path: tuple[Any, ...], value: Any, key: str | None) -> Any:
    """The tree with another value at a place or, given a key, with one more entry beside it."""
    if not path:
        return value
    tree = copy.deepcopy(tree)
    parent = tree
    for step in path[:-1]:
        parent = parent[step]
    if isinstance(parent, dict) and key is not None:
        parent[key] = value
    else:
        parent[path[-1]] = value
    return tree


def read(folder: Path) -> list[Problem]:
    """Everything that is said of the project. Where nothing is wrong, a model can keep the domain."""
    try:
        config = load_config(folder)
    except ProjectError as refused:
        return list(refused.problems)
    data, problems = collect_data(config.data_paths)
    if not any(problem.is_error for problem in problems):
        kept = folder / "kept.json"
        kept.write_text(json.dumps(data.domain.as_dict()), encoding="utf-8")
        assert read_data([kept]).domain.as_dict() == data.domain.as_dict()
    return [*problems, *check(config)[1], *check_parts(config)]


def look(folder: Path) -> None:
    for problem in read(folder):
        assert problem.message
        assert problem.where.line >= 1
        assert problem.where.column >= 1
        assert Path(problem.where.file).is_relative_to(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_of_another_kind(tmp_path: Path, data: st.DataObject) -> None:
    lay(tmp_path)
    name = data.draw(st.sampled_from(sorted(TREES)))
    tree = TREES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(tree)))
        tree = changed(tree, path, data.draw(VALUES), data.draw(st.none() | st.sampled_from(KEYS)))
    (tmp_path / name).write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    look(tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes(tmp_path: Path, data: st.DataObject) -> None:
    lay(tmp_path)
    name = data.draw(st.sampled_from(sorted(FILES)))
    raw = bytearray(FILES[name].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 12))] = data.draw(st.sampled_from(CUTS) | st.binary(max_size=4))
    (tmp_path / name).write_bytes(raw)
    look(tmp_path)


def test_the_files_are_sound_before_they_are_damaged(tmp_path: Path) -> None:
    lay(tmp_path)
    _, problems = collect_data(load_config(tmp_path).data_paths)
    assert [str(problem) for problem in problems if problem.is_error] == []
