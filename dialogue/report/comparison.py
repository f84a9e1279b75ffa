"""The page about two measurements of the same messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dialogue.errors import ProjectError, Where, error
from dialogue.report import charts, page
from dialogue.report.measures import MEASURES, Difference, differences
from dialogue.report.outcomes import Bools, Outcomes
from dialogue.report.svg import Plot

LISTED = 16
PLACES = ("first", "second")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models by the names people gave, what each made of the messages, and how they differ."""

    names: tuple[str, str]
    first: Outcomes
    second: Outcomes
    differences: Mapping[str, Difference]

    @property
    def gained(self) -> Bools:
        """Messages only the second gets right: [N]."""
        return self.second.right & ~self.first.right

    @property
    def lost(self) -> Bools:
        """Messages only the first gets right: [N]."""
        return self.first.right & ~self.second.right

    def numbers(self) -> dict[str, Any]:
        """Plain numbers by name."""
        measures = {
            name: {
                "first": one.first,
                "second": one.second,
                "difference": one.difference.value,
                "lower": one.difference.lower,
                "upper": one.difference.upper,
            }
            for name, one in self.differences.items()
        }
        right = {"only_first_right": int(self.lost.sum()), "only_second_right": int(self.gained.sum())}
        count = {"messages": len(self.first.texts)}
        return {"first": self.names[0], "second": self.names[1], **count, **right, "measures": measures}


def compare(names: tuple[str, str], first: Outcomes, second: Outcomes) -> Comparison:
    """Compare.

    Raises:
        ProjectError: if the two are not about the same messages.
    """
    where = Where(names[1])
    asked = [list(zip(one.texts, one.truth, strict=True)) for one in (first, second)]
    for number, (ours, theirs) in enumerate(zip(*asked, strict=False), start=1):
        if ours != theirs:
            a, b = (f"{text!r} ({intent or 'out of scope'})" for text, intent in (ours, theirs))
            raise ProjectError([error(where, f"message {number} is {b}, but {a} in {names[0]}")])
    if len(first.texts) != len(second.texts):
        raise ProjectError([error(where, f"{len(second.texts)} messages, but {len(first.texts)} in {names[0]}")])
    return Comparison(names, first, second, differences(first, second))


def plots_of_both(found: Comparison) -> dict[str, Plot]:
    """All charts of the page by name."""
    both = dict(zip(PLACES, (found.first, found.second), strict=True))
    plots = {"differences": charts.forest(found.differences), "risk-coverage": charts.risk_coverage(both)}
    for place, one in both.items():
        title = f"Reliability of the {place}, in scope"
        plots[f"reliability-{place}"] = charts.reliability(title, one.sure[one.known], one.right[one.known])
    return plots


def comparison_page(found: Comparison, plots: dict[str, Plot]) -> str:
    """The page. `plots` are those of `plots_of_both`."""
    inside = int(found.first.known.sum())
    told = f"First: {found.names[0]}. Second: {found.names[1]}. Both asked the same {inside:,} messages in scope"
    outside = len(found.first.texts) - inside
    told += f" and {outside:,} out of scope." if outside else "."
    sections = (differing(found, plots), risky(found, plots), *believed(found, plots), *changed(found))
    return page.document("Two configurations compared", told, tiles(found), sections)


def tiles(found: Comparison) -> list[str]:
    """Each measure of both."""
    return [
        page.tile(MEASURES[name].title, f"{one.first:.3f} → {one.second:.3f}", verdict(name, one))
        for name, one in found.differences.items()
    ]


def verdict(name: str, one: Difference) -> str:
    """What the interval of the difference lets one say."""
    ends = sorted(
        (1 if MEASURES[name].rising else -1) * bound for bound in (one.difference.lower, one.difference.upper)
    )
    if ends[0] > 0:
        return "the second is better"
    return "the first is better" if ends[1] < 0 else "no difference to be seen"


def differing(found: Comparison, plots: dict[str, Plot]) -> str:
    """The differences with their intervals."""
    rows = [
        [
            *(MEASURES[name].title, f"{one.first:.4f}", f"{one.second:.4f}", f"{one.difference.value:+.4f}"),
            *(f"[{one.difference.lower:+.4f}, {one.difference.upper:+.4f}]", verdict(name, one)),
        ]
        for name, one in found.differences.items()
    ]
    caption = (
        "Second less first, each measure on its own scale, turned so that better is to the right. Intervals at 95 % by "
        "1,000 bootstrap resamples of the messages, both models on the same ones. That another training of the same "
        "configuration would give another model is not in them."
    )
    heads = ["measure", "first", "second", "difference", "interval", "verdict"]
    shown = page.figure(plots["differences"], caption, heads, rows)
    told = "Where a bar does not touch the line in the middle, the one on its side is better."
    return page.section("What differs", told, shown, half=True)


def risky(found: Comparison, plots: dict[str, Plot]) -> str:
    """Both risk-coverage curves."""
    curves = [charts.risks(outcomes) for outcomes in (found.first, found.second)]
    rows = []
    for share in np.arange(1, 11) / 10:
        at = [min(int(np.searchsorted(n, n[-1] * share)), len(n) - 1) for n, _ in curves]
        risks = [charts.percent(errors[i] / n[i], 1) for i, (n, errors) in zip(at, curves, strict=True)]
        rows.append([charts.percent(share), *risks])
    heads = ["answered", "first", "second"]
    shown = page.figure(plots["risk-coverage"], "The surest messages come first.", heads, rows)
    told = "If only the surest messages were answered: how many of the answers would be wrong."
    return page.section("What asking back saves", told, shown, half=True)


def believed(found: Comparison, plots: dict[str, Plot]) -> Iterator[str]:
    """Reliability of each."""
    for place, name, outcomes in zip(PLACES, found.names, (found.first, found.second), strict=True):
        inside = outcomes.known
        bins = charts.bins_of(outcomes.sure[inside], outcomes.right[inside])
        rows = [[charts.percent(sure, 1), str(hits), str(n), *charts.share_of(hits, n)] for sure, hits, n in bins]
        heads = ["how sure", "right", "of", "share", "interval"]
        caption = "In scope, given that it is one of the intents."
        shown = page.figure(plots[f"reliability-{place}"], caption, heads, rows)
        yield page.section(f"Are the numbers of the {place} true?", name, shown, half=True)


def changed(found: Comparison) -> Iterator[str]:
    """The messages only one of them gets right."""
    for place, chosen in zip(PLACES, (found.lost, found.gained), strict=True):
        items = []
        for row in np.flatnonzero(chosen):
            meant = found.first.truth[row] or "out of scope"
            both = (f"{one.guess[row]} {one.confidence[row]:.2f}" for one in (found.first, found.second))
            items.append((found.first.texts[row], f"{meant}: first {next(both)}, second {next(both)}", ""))
        yield page.section(f"Only the {place} gets right: {len(items)}", "", page.listed(items, LISTED), half=True)
