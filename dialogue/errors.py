"""Everything starfold raises on purpose.

```
StarfoldError               exit 1   the root; never raised itself
├── ProjectError            exit 3   bot.yml or the training data is wrong; carries every problem with its place
├── TrainingError           exit 4   the data can be read but nothing can be learned from it
├── ModelError              exit 5   the model folder is missing, damaged, foreign or of another format version
├── StoreError              exit 6   the conversation store cannot be reached or does not fit
├── ActionError             exit 7   a custom action or the action server failed
└── MissingExtraError       exit 8   an optional package is not installed; the message has the pip line
```

Exit code 2 is left to the command line's own usage errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class StarfoldError(Exception):
    """Root of the tree: something a person can mend, said in a sentence."""

    exit_code: ClassVar[int] = 1


class TrainingError(StarfoldError):
    """The data can be read but nothing can be learned from it."""

    exit_code = 4


class ModelError(StarfoldError):
    """The model folder is missing, damaged, foreign or of another format version."""

    exit_code = 5


class StoreError(StarfoldError):
    """The conversation store cannot be reached or does not fit."""

    exit_code = 6


class ActionError(StarfoldError):
    """A custom action or the action server failed."""

    exit_code = 7


class MissingExtraError(StarfoldError):
    """An optional package is not installed.

    Args:
        what: the thing that needs it, as a person calls it ("a PostgreSQL store").
        extra: the extra of the distribution that brings it.
    """

    exit_code = 8

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs a package that is not installed: pip install "starfold[{extra}]"')


class Severity(str, Enum):
    """An error stops training; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in a file. Lines and columns count from 1, columns in characters."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a project, and where."""

    severity: Severity
    where: Where
    message: str

    @property
    def is_error(self) -> bool:
        """Whether it stops training."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        label = "" if self.is_error else "warning: "
        return f"{self.where}: {label}{self.message}"


def error(where: Where, message: str) -> Problem:
    """A problem that stops training."""
    return Problem(Severity.ERROR, where, message)


def warning(where: Where, message: str) -> Problem:
    """A problem that does not."""
    return Problem(Severity.WARNING, where, message)


class ProjectError(StarfoldError):
    """bot.yml or the training data is wrong. Its text has every problem, one a line, as `file:line:column: message`."""

    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems sorted by place, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.where, problem.message)))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is near."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def suggestion(name: str, known: Iterable[str], *, at_most: int = 12) -> str:
    """The end of a sentence about an unknown name: the nearest valid one, or what there is to choose from.

    Returns:
        `"; did you mean 'x'?"`, `"; expected one of a, b, c"`, or nothing when there is nothing (or too much) to list.
    """
    names: Sequence[str] = sorted(set(known))
    close = nearest(name, names)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; expected one of {', '.join(names)}" if 0 < len(names) <= at_most else ""
