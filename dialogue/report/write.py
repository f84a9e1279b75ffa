"""A report as files: `report.html`, which needs nothing else, and a PNG of each chart."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from dialogue.report.style import light, plot_style
from dialogue.report.svg import Plot

PAGE = "report.html"
ZOOM = 2.0


def can_draw() -> bool:
    """Whether the package that turns SVG into PNG is installed."""
    return importlib.util.find_spec("resvg_py") is not None


def write_report(folder: Path, page: str, plots: Mapping[str, Plot]) -> Path:
    """Write the page, and the PNGs where `can_draw`; returns the page's file. What else is in the folder stays."""
    folder.mkdir(parents=True, exist_ok=True)
    if can_draw():
        for name, plot in plots.items():
            (folder / f"{name}.png").write_bytes(png(plot))
    file = folder / PAGE
    file.write_text(page, "utf-8")
    return file


def png(plot: Plot) -> bytes:
    """A plot as it is on the light page, with the fonts of the system."""
    from resvg_py import svg_to_bytes

    colours = light()
    drawn: bytes = svg_to_bytes(
        svg_string=str(plot), style_sheet=plot_style(colours), background=colours["card"], zoom=ZOOM
    )
    return drawn
