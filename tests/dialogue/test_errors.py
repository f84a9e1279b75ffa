"""Errors know where, what and how they end a command."""

from __future__ import annotations

import inspect

import pytest

from dialogue import errors
from dialogue.errors import MissingExtraError, Problem, ProjectError, StarfoldError, Where, error, nearest, suggestion


def classes() -> list[type[StarfoldError]]:
    found = (value for value in vars(errors).values() if inspect.isclass(value))
    return [value for value in found if issubclass(value, StarfoldError)]


def test_every_error_is_in_the_tree_with_its_own_exit_code() -> None:
    codes = {found.__name__: found.exit_code for found in classes()}
    assert len(set(codes.values())) == len(codes)
    assert not {0, 2} & set(codes.values())
    for name, code in codes.items():
        line = next(line for line in str(errors.__doc__).splitlines() if name in line)
        assert f"exit {code} " in line


def test_project_error_lists_problems_in_order_and_once() -> None:
    late, soon = error(Where("b.yml", 3, 1), "late"), error(Where("a.yml", 10, 4), "soon")
    hint = errors.warning(Where("a.yml", 9, 1), "only a hint")
    raised = ProjectError([late, soon, hint, late])
    assert str(raised).splitlines() == ["a.yml:9:1: warning: only a hint", "a.yml:10:4: soon", "b.yml:3:1: late"]
    assert [problem.is_error for problem in raised.problems] == [False, True, True]
    assert all(isinstance(problem, Problem) for problem in raised.problems)


def test_missing_extra_has_the_pip_line() -> None:
    assert 'pip install "starfold[postgres]"' in str(MissingExtraError("PostgreSQL", "postgres"))


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("treshold", ["threshold", "type"], "threshold"),
        ("Greet", ["greet", "goodbye"], "greet"),
        ("xyz", ["greet", "goodbye"], None),
        ("x", [], None),
    ],
)
def test_nearest(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


def test_suggestion_is_the_nearest_or_the_choice_or_nothing() -> None:
    assert suggestion("greeet", ["greet", "bye"]) == "; did you mean 'greet'?"
    assert suggestion("xyz", ["greet", "bye"]) == "; expected one of bye, greet"
    assert suggestion("xyz", [f"intent_{number}" for number in range(100)]) == ""
    assert suggestion("xyz", []) == ""
