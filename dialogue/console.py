"""What the command shows besides its answers: progress, numbers, warnings. Every text is taken as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from dialogue.assembly import ChannelState
    from dialogue.rasa.found import Row

Report: TypeAlias = Callable[[str, int, int], None]


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error. Obeys `NO_COLOR`."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


@contextmanager
def progress() -> Iterator[Report]:
    """A bar for each stage, on standard error, gone at the end; nothing at all when that is no terminal.

    Yields:
        `report(stage, done, total)`; a total of 0 means that nobody knows it.
    """
    target = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report


def log(*, traces: bool) -> None:
    """Show warnings on standard error; where an exception came from only with `traces`."""
    handler = logging.StreamHandler()
    handler.setFormatter((logging.Formatter if traces else _Untraced)("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _Untraced(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802
        return f"{ei[0].__name__}: {ei[1]}"


def metrics(numbers: Mapping[str, Any]) -> Table:
    """Names and values in two columns; what was not measured is a dash."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in numbers.items():
        table.add_row(name, _number(value))
    return table


def comparison(measures: Mapping[str, Mapping[str, float]]) -> Table:
    """Measures of two models, of their difference, and its interval."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("first", "second", "difference", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in measures.items():
        interval = f"[{one['lower']:+.4f}, {one['upper']:+.4f}]"
        table.add_row(name, _number(one["first"]), _number(one["second"]), f"{one['difference']:+.4f}", interval)
    return table


def translation(rows: Iterable[Row]) -> Table:
    """What became of each part of a Rasa project: its name and place there, what it is here, a remark."""
    table = Table(box=None, pad_edge=False)
    table.add_column("Rasa", no_wrap=True)
    table.add_column("starfold")
    table.add_column("remark")
    for row in rows:
        table.add_row(Text(row.name), Text(row.here or "-"), Text(row.remark))
    return table


def channels(states: Iterable[ChannelState]) -> Table:
    """Messaging channels, a line each."""
    table = Table(box=None, pad_edge=False)
    for heading in ("channel", "state", "where"):
        table.add_column(heading, no_wrap=heading == "channel")
    for state in states:
        table.add_row(Text(state.name), Text(state.word), Text(state.detail))
    return table


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
