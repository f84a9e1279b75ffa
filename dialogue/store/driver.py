"""Statements straight to the driver, for what every turn runs: SQLAlchemy's own part takes longer than the database's.

They are written in SQLAlchemy all the same and put together once for each dialect; pool and engine are SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

Values = Mapping[str, Any]


class Prepared:
    """A statement whose values come later, by name. It may not expand a list of them."""

    def __init__(self, statement: sa.ClauseElement) -> None:
        self._statement = statement
        self._told: dict[str, tuple[str, Sequence[str] | None]] = {}

    def told(self, dialect: sa.Dialect) -> tuple[str, Sequence[str] | None]:
        """The SQL, and the names of its values where the driver takes them by place."""
        found = self._told.get(dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=dialect)
            found = self._told[dialect.name] = str(compiled), getattr(compiled, "positiontup", None)
        return found


class Straight:
    """Runs prepared statements on a connection of the driver. What it raises are the driver's own errors.

    Attributes:
        refused: what the driver raises where a constraint forbids a row.
    """

    def __init__(self, dialect: sa.Dialect, cursor: Any) -> None:
        self._dialect = dialect
        self._cursor = cursor
        self.refused: type[Exception] = dialect.loaded_dbapi.IntegrityError

    def rows(self, statement: Prepared, values: Values) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        self.run(statement, values)
        found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def run(self, statement: Prepared, values: Values) -> None:
        """Run one that finds nothing."""
        sql, names = statement.told(self._dialect)
        self._cursor.execute(sql, values if names is None else [values[name] for name in names])

    def run_each(self, statement: Prepared, several: Sequence[Values]) -> None:
        """Run it with each of several values."""
        sql, names = statement.told(self._dialect)
        given = several if names is None else [[values[name] for name in names] for values in several]
        self._cursor.executemany(sql, given)
