"""The style sheets: of a page, light and dark, and of a plot alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files


def page_style() -> str:
    """The style sheet of a page."""
    return read("page.css") + read("plot.css")


def light() -> Mapping[str, str]:
    """The colours of the light page by name."""
    return dict(re.findall(r"--(\w+): (#\w+);", read("page.css").partition("@media")[0]))


def plot_style(colours: Mapping[str, str]) -> str:
    """The style sheet of a plot outside a page, where there are no variables."""
    return re.sub(r"var\(--(\w+)\)", lambda match: colours[match[1]], read("plot.css"))


def read(name: str) -> str:
    """A style sheet of this package."""
    return files("dialogue.report").joinpath(name).read_text("utf-8")
