"""A plot as SVG: scales, axes and marks, in classes that a style sheet colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 372.0
FONT = 12.0  # units; a plot is shown at about its own size
GLYPH = 0.56  # mean width of a character, in units of the font's size
CJK = 0x2E80  # from here on a character is as wide as the font is high


@dataclass(frozen=True, slots=True)
class Scale:
    """From numbers `low`..`high` to places `start`..`end`; numbers beyond are put at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a number."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


class Plot:
    """A drawing under construction. Marks are added in the order they are painted."""

    def __init__(self, title: str, told: str, height: float, width: float = WIDTH) -> None:
        self.title = title
        self.told = told
        self.height = height
        self.width = width
        self._parts: list[str] = []

    def rect(self, kind: str, x: float, y: float, width: float, height: float, tip: str = "") -> None:
        """A bar or a cell."""
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self._add("rect", kind, shape, tip)

    def dot(self, kind: str, x: float, y: float, radius: float, tip: str = "") -> None:
        """A point."""
        self._add("circle", kind, f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"', tip)

    def line(self, kind: str, points: Iterable[tuple[float, float]]) -> None:
        """A line through points."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._add("path", f"line {kind}", f'd="M{path}"')

    def area(self, kind: str, upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]) -> None:
        """What lies between two lines."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (*upper, *reversed(lower)))
        self._add("path", f"area {kind}", f'd="M{path}Z"')

    def text(self, kind: str, x: float, y: float, words: str, anchor: str = "start") -> None:
        """Words on a line; `y` is their middle."""
        place = f'x="{x:.1f}" y="{y + FONT * 0.35:.1f}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{kind}" {place}>{escape(words)}</text>')

    def x_axis(self, scale: Scale, y: float, ticks: Sequence[tuple[float, str]], name: str, top: float) -> None:
        """Ticks with grid lines up to `top`, and what is shown."""
        for value, label in ticks:
            self.line("grid", [(scale(value), top), (scale(value), y)])
            self.text("tick", scale(value), y + 12, label, "middle")
        self.line("axis", [(scale.start, y), (scale.end, y)])
        self.text("name", (scale.start + scale.end) / 2, y + 30, name, "middle")

    def y_axis(self, scale: Scale, x: float, ticks: Sequence[tuple[float, str]], name: str, right: float) -> None:
        """Ticks with grid lines to `right`, and over them what is shown."""
        for value, label in ticks:
            self.line("grid", [(x, scale(value)), (right, scale(value))])
            self.text("tick", x - 6, scale(value), label, "end")
        self.text("name", 0, scale.end - 16, name)

    def _add(self, tag: str, kind: str, attributes: str, tip: str = "") -> None:
        inner = f"><title>{escape(tip)}</title></{tag}>" if tip else "/>"
        self._parts.append(f'<{tag} class="{kind}" {attributes}{inner}')

    def __str__(self) -> str:
        size = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}" height="{self.height:.0f}"'
        told = escape(f"{self.title}. {self.told}", quote=True)
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" {size} role="img" aria-label="{told}">'
        return "\n".join([opening, *self._parts, "</svg>"])


def ticks_of(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many steps apart: 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if rough <= factor * power * (1 + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def shorten(words: str, width: float) -> str:
    """As much of the words as stands in so many units, with an ellipsis where something is missing."""
    if width_of(words) <= width:
        return words
    while words and width_of(words) + FONT * GLYPH * 1.5 > width:
        words = words[:-1]
    return f"{words.rstrip()}…"


def width_of(words: str) -> float:
    """About how wide a line of words is, in units."""
    return sum(FONT if ord(letter) >= CJK else FONT * GLYPH for letter in words)
