"""The charts: what was measured in, a plot out. Shares of all messages stand beside their intervals at 95 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dialogue.report.contributions import Contribution
from dialogue.report.intervals import wilson
from dialogue.report.learning import Point
from dialogue.report.measures import MEASURES, Difference
from dialogue.report.outcomes import Bools, Floats, Ints, Outcomes
from dialogue.report.svg import WIDTH, Plot, Scale, shorten, ticks_of, width_of

BINS = 10
COLUMNS = 20
LEFT, RIGHT, TOP = 46.0, WIDTH - 20.0, 34.0
FEWEST = 20  # messages answered from which the error among them is drawn
STEPS = 150


def percent(share: float, digits: int = 0) -> str:
    """`95 %`, not to be broken."""
    return f"{share * 100:.{digits}f}\u00a0%"


def share_of(hits: int, of: int) -> tuple[str, str]:
    """A share and its interval: `95.0 %`, `[91.9 %, 97.0 %]`."""
    low, high = wilson(hits, of)
    return percent(hits / of, 1), f"[{percent(float(low), 1)}, {percent(float(high), 1)}]"


def shares_of(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks from one share to another."""
    ticks = ticks_of(low, high)
    whole = all(round(tick * 100, 6).is_integer() for tick in ticks)
    return [(tick, percent(tick, 0 if whole else 1)) for tick in ticks]


def bins_of(confidence: Floats, right: Bools) -> list[tuple[float, int, int]]:
    """Mean confidence, how many are right, and how many there are, for each of ten equal bins that is not empty."""
    place = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    inside = [place == b for b in range(BINS)]
    return [(float(confidence[rows].mean()), int(right[rows].sum()), int(rows.sum())) for rows in inside if rows.any()]


def reliability(title: str, confidence: Floats, right: Bools) -> Plot:
    """The reliability diagram: what share is right of the messages the bot was so sure about."""
    found = bins_of(confidence, right)
    plot = Plot(title, f"{len(right)} messages by confidence; on the diagonal it is as often right as it says.", 372)
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, 318, TOP)
    fifths = [(v / 5, percent(v / 5)) for v in range(6)]
    plot.y_axis(y, LEFT, fifths, "right", RIGHT)
    plot.x_axis(x, 318, fifths, "how sure it was", TOP)
    plot.line("ideal", [(x(0), y(0)), (x(1), y(1))])
    largest = max(n for _, _, n in found)
    for sure, hits, n in found:
        low, high = (float(bound) for bound in wilson(hits, n))
        plot.line("whisker", [(x(sure), y(low)), (x(sure), y(high))])
        tip = f"{hits} of {n} right [{percent(low)}, {percent(high)}], {percent(sure)} sure"
        plot.dot("right dotted", x(sure), y(hits / n), 3 + 6 * (n / largest) ** 0.5, tip)
    return plot


def groups(outcomes: Outcomes) -> list[tuple[str, str, Bools]]:
    """Class, name and rows of the messages that are right, wrong, and out of scope; those groups that have any."""
    found = [
        ("right", "right", outcomes.known & outcomes.right),
        ("wrong", "wrong", outcomes.known & ~outcomes.right),
        ("outside", "out of scope, taken for an intent", ~outcomes.known & ~outcomes.right),
    ]
    return [one for one in found if one[2].any()]


def histograms(outcomes: Outcomes) -> Plot:
    """How sure it was of the messages it got right, of those it got wrong, and of those out of scope."""
    shown = [(kind, name, outcomes.confidence[rows]) for kind, name, rows in groups(outcomes)]
    panel = 96.0
    height = TOP + panel * len(shown)
    told = "; ".join(f"{len(values)} {name}, median {percent(float(np.median(values)))}" for _, name, values in shown)
    plot = Plot("How sure it was", f"{told}.", height + 42)
    x = Scale(0, 1, LEFT, RIGHT)
    plot.x_axis(x, height, [(v / 5, percent(v / 5)) for v in range(6)], "how sure it was", TOP - 20)
    for number, (kind, name, values) in enumerate(shown):
        base = TOP + panel * (number + 1)
        counts, edges = np.histogram(np.clip(values, 0, 1), COLUMNS, (0, 1))
        y = Scale(0, counts.max(), base, base - panel + 30)
        for count, start, end in zip(counts, edges, edges[1:], strict=False):
            tip = f"{count} {name}, {percent(start)} to {percent(end)} sure"
            if count:
                plot.rect(f"{kind} column", x(start) + 0.8, y(count), x(end) - x(start) - 1.6, base - y(count), tip)
        plot.line("axis", [(LEFT, base), (RIGHT, base)])
        plot.text("tick", LEFT - 6, y(counts.max()), str(counts.max()), "end")
        plot.text("label", LEFT + 3, base - panel + 14, f"{name}: {len(values)}")
    return plot


def risk_coverage(several: Mapping[str, Outcomes], threshold: float | None = None) -> Plot:
    """How many answers would be wrong if only the surest share of the messages were answered."""
    curves = {name: risks(outcomes) for name, outcomes in several.items()}
    top = max(0.02, max(float(errors[-1] / n[-1]) for n, errors in curves.values()) * 1.25)
    plot = Plot("Wrong among the answered", "; ".join(_told(name, *curve) for name, curve in curves.items()), 340)
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, top, 286, TOP)
    plot.y_axis(y, LEFT, shares_of(0, top), "wrong answers", RIGHT)
    plot.x_axis(x, 286, [(v / 5, percent(v / 5)) for v in range(6)], "answered, the surest first", TOP)
    for kind, (name, (n, errors)) in zip(("first", "second"), curves.items(), strict=False):
        low, high = wilson(errors, n)
        share = n / n[-1]
        if len(curves) == 1:
            upper = [(x(s), y(v)) for s, v in zip(share, high, strict=True)]
            plot.area("band", upper, [(x(s), y(v)) for s, v in zip(share, low, strict=True)])
        plot.line(f"curve {kind}", [(x(s), y(e)) for s, e in zip(share, errors / n, strict=True)])
        if len(curves) > 1:
            plot.text(f"label {kind}", LEFT + 10, TOP + (8 if kind == "first" else 26), name)
    if threshold is not None:
        (outcomes,) = several.values()
        answered = outcomes.confidence >= threshold
        if answered.any():
            share, wrong = float(answered.mean()), float((~outcomes.right[answered]).mean())
            tip = f"at {threshold:.2f}: {percent(share)} answered, {percent(wrong, 1)} wrong"
            plot.dot("mark", x(share), y(wrong), 5, tip)
            side, anchor = (-9, "end") if share > 0.5 else (9, "start")
            plot.text("label", x(share) + side, y(wrong) - 12, f"from {percent(threshold)} on", anchor)
    return plot


def risks(outcomes: Outcomes) -> tuple[Ints, Ints]:
    """How many are answered and how many of those answers are wrong, at some thresholds: [T] each, rising.

    Messages of one confidence are answered together or not at all.
    """
    order = np.argsort(-outcomes.confidence, kind="stable")
    score = outcomes.confidence[order]
    ends = np.flatnonzero(np.append(score[1:] < score[:-1], True))
    kept = ends[ends + 1 >= min(FEWEST, len(score))]
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, STEPS).round().astype(int))]
    return kept + 1, np.cumsum(~outcomes.right[order])[kept]


def _told(name: str, n: Ints, errors: Ints) -> str:
    half = int(np.searchsorted(n, n[-1] / 2))
    whole, surest = (percent(errors[i] / n[i], 1) for i in (-1, half))
    return f"{name + ': ' if name else ''}{whole} wrong if all are answered, {surest} of the surest half."


def learning(points: Sequence[Point]) -> Plot:
    """Accuracy by the number of examples, each size about twice the one before."""
    told = ", ".join(f"{percent(one.right / one.of, 1)} with {one.examples}" for one in points)
    plot = Plot("Right by number of examples", f"{told} examples.", 320)
    bounds = [tuple(float(bound) for bound in wilson(one.right, one.of)) for one in points]
    floor = max(0.0, min(low for low, _ in bounds) - 0.03)
    x, y = Scale(-0.4, len(points) - 0.6, LEFT, RIGHT), Scale(floor, 1, 266, TOP)
    plot.y_axis(y, LEFT, shares_of(floor, 1), "right, in scope", RIGHT)
    plot.x_axis(x, 266, [(i, f"{one.examples:,}") for i, one in enumerate(points)], "examples", TOP)
    plot.line("curve first", [(x(i), y(one.right / one.of)) for i, one in enumerate(points)])
    for i, (one, (low, high)) in enumerate(zip(points, bounds, strict=True)):
        plot.line("whisker", [(x(i), y(low)), (x(i), y(high))])
        tip = f"{one.examples} examples: {percent(one.right / one.of, 1)} [{percent(low, 1)}, {percent(high, 1)}]"
        plot.dot("right dotted", x(i), y(one.right / one.of), 5, tip)
    return plot


def encoders(found: Sequence[Contribution]) -> Plot:
    """Each view's share of the evidence, and what its loss would cost."""
    told = ", ".join(f"{one.name} {percent(one.share)}" for one in found)
    base = TOP + 26.0 * len(found) + 6
    plot = Plot("What each encoder contributes", f"Share of the evidence for the answer: {told}.", base + 42)
    indent = 14 + max(width_of(one.name) for one in found)
    middle = indent + (RIGHT - indent) * 0.45
    shares = Scale(0, max(one.share for one in found) * 1.02, indent, middle - 30)
    bounds = [v for one in found if one.loss for v in (one.loss.lower, one.loss.upper)]
    lost = Scale(min([0.0, *bounds]), max([0.01, *bounds]), middle + 24, RIGHT - 8)
    plot.text("name", indent, TOP - 18, "share of the evidence")
    plot.text("name", middle + 24, TOP - 18, "loss without, nats")
    for value in ticks_of(lost.low, lost.high, 3):
        plot.line("grid", [(lost(value), TOP - 4), (lost(value), base)])
        plot.text("tick", lost(value), base + 12, f"{value:g}", "middle")
    plot.line("axis", [(lost(0), TOP - 4), (lost(0), base)])
    for number, one in enumerate(found):
        y = TOP + 26.0 * number + 12
        plot.text("label", 0, y, one.name)
        plot.rect("view bar", indent, y - 8, shares(one.share) - indent, 16, f"{percent(one.share)} of the evidence")
        plot.text("tick", shares(one.share) + 4, y, percent(one.share))
        if one.loss is not None:
            told = f"{one.loss.value:.3f} [{one.loss.lower:.3f}, {one.loss.upper:.3f}] nats lost without {one.name}"
            plot.line("whisker", [(lost(one.loss.lower), y), (lost(one.loss.upper), y)])
            plot.dot("right dotted", lost(one.loss.value), y, 4.5, told)
    return plot


def costs(title: str, unit: str, stages: Mapping[str, float]) -> Plot:
    """Time by stage, in the order the stages run."""
    whole = sum(stages.values())
    told = ", ".join(f"{name} {value:.1f}" for name, value in stages.items())
    plot = Plot(title, f"By stage: {told} {unit}.", 12 + 24.0 * len(stages))
    indent = 14 + max(width_of(name) for name in stages)
    x = Scale(0, max(max(stages.values()), 1e-9), indent, RIGHT - 100)
    for number, (name, value) in enumerate(stages.items()):
        y = 24.0 * number + 16
        plot.text("label", 0, y, name)
        plot.rect("cost bar", indent, y - 8, x(value) - indent, 16)
        share = percent(value / whole) if whole else "-"
        plot.text("tick", x(value) + 6, y, f"{value:.1f} {unit}, {share}")
    return plot


def matrix(names: Sequence[str], counts: Ints, asked: Ints) -> Plot:
    """The confusion matrix of some intents: a row is what was meant, a column what it was taken for."""
    side = min(28.0, (WIDTH - 190) / len(names))
    left = WIDTH - side * len(names) - 2
    plot = Plot(
        "What is taken for what", "Rows are what was meant, columns what it was taken for.", TOP + side * len(names) + 8
    )
    plot.text("name", left - 8, TOP - 12, "meant ↓  taken for →", "end")
    for i, name in enumerate(names):
        place = TOP + side * i
        plot.text("tick", left + side * (i + 0.5), TOP - 12, str(i + 1), "middle")
        plot.text("label", left - 8, place + side / 2, f"{shorten(name, left - 40)} {i + 1}", "end")
        for j, other in enumerate(names):
            tip = f"{counts[i, j]} of {asked[i]} messages of {name} taken for {other}"
            kind = "right" if i == j else "wrong"
            share = counts[i, j] / max(asked[i], 1)
            plot.rect(f"cell {kind} shade{shade(share)}", left + side * j, place, side - 2, side - 2, tip)
            if counts[i, j]:
                ink = "on" if shade(share) >= 5 else "off"
                plot.text(
                    f"count {ink}", left + side * (j + 0.5) - 1, place + side / 2 - 1, str(counts[i, j]), "middle"
                )
    return plot


def shade(share: float) -> int:
    """How dark a cell is, 0 to 6; whatever is not zero is seen."""
    return 0 if share == 0 else min(6, 1 + int(share**0.5 * 6))


def forest(found: Mapping[str, Difference]) -> Plot:
    """The differences of two models with their intervals, each measure on its own scale; better is to the right."""
    told = "; ".join(f"{MEASURES[name].title} {one.difference.value:+.4f}" for name, one in found.items())
    height = TOP + 34.0 * len(found)
    plot = Plot("Second less first", f"{told}. Better is to the right.", height + 8)
    indent = 14 + max(width_of(MEASURES[name].title) for name in found)
    middle = (indent + RIGHT) / 2
    plot.text("name", indent, TOP - 16, "← first")
    plot.text("name", RIGHT, TOP - 16, "second →", "end")
    plot.line("axis", [(middle, TOP - 4), (middle, height)])
    for number, (name, one) in enumerate(found.items()):
        y, sign = TOP + 34.0 * number + 16, 1 if MEASURES[name].rising else -1
        ends = sorted((sign * one.difference.lower, sign * one.difference.upper))
        reach = max(1e-12, *map(abs, ends)) * 1.1
        x = Scale(-reach, reach, indent, RIGHT)
        kind = "second" if ends[0] > 0 else "first" if ends[1] < 0 else "neither"
        plot.text("label", 0, y, MEASURES[name].title)
        plot.line(f"whisker {kind}", [(x(ends[0]), y), (x(ends[1]), y)])
        plot.dot(f"{kind} dotted", x(sign * one.difference.value), y, 5)
    return plot
