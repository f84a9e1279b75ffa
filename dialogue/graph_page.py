"""The graph of a bot's stories and rules as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dialogue.graph import Graph, Node, apart, build_graph
from policies.types import Story

BOX = 26.0  # height
RULE_ROWS = 14  # rules below each other
CORNERS = {"start": 13, "user": 13, "bot": 4, "state": 4}

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfd; --ink: #1d1d24; --dim: #6b6b76; --line: #b9b9c6; --panel: #fff;
  --user: #dcebff; --user-edge: #2f6fc4; --bot: #e6f4e2; --bot-edge: #3d8b40; --state: #fff; --state-edge: #9a9aa6;
  --start: #1d1d24; --start-ink: #fff; --lit: #d9480f; }
@media (prefers-color-scheme: dark) { :root { --page: #16161b; --ink: #ececf1; --dim: #9c9caa; --line: #4b4b58;
  --panel: #1d1d24; --user: #1c3556; --user-edge: #78aef2; --bot: #1f3d22; --bot-edge: #79c97d; --state: #1d1d24;
  --state-edge: #7d7d8c; --start: #ececf1; --start-ink: #16161b; --lit: #ff922b; } }
body { margin: 0 auto; padding: 24px 28px 48px; background: var(--page); color: var(--ink);
  font: 14px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 22px; margin: 0 0 2px; } h2 { font-size: 16px; margin: 28px 0 8px; } p { margin: 0; color: var(--dim); }
.legend { display: flex; gap: 18px; flex-wrap: wrap; margin-top: 10px; color: var(--dim); font-size: 13px; }
.legend i { display: inline-block; width: 26px; height: 14px; margin-right: 6px; vertical-align: -2px;
  border: 1.3px solid; }
.panel { display: flex; flex-wrap: wrap; gap: 0 12px; overflow-x: auto;
  background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
svg { flex: none; font-size: 12px; } text { fill: var(--ink); dominant-baseline: central; pointer-events: none; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.4; }
rect { stroke-width: 1.3; } .user rect, i.user { fill: var(--user); background: var(--user); stroke: var(--user-edge);
  border-color: var(--user-edge); }
.bot rect, i.bot { fill: var(--bot); background: var(--bot); stroke: var(--bot-edge);
  border-color: var(--bot-edge); }
.state rect, i.state { fill: var(--state); background: var(--state);
  stroke: var(--state-edge); border-color: var(--state-edge); stroke-dasharray: 4 3; border-style: dashed; }
.state text { fill: var(--dim); font-style: italic; } .start rect { fill: var(--start); stroke: var(--start); }
.start text { fill: var(--start-ink); font-weight: 600; } .lit rect { stroke: var(--lit); stroke-width: 2.2; }
.edge.lit { stroke: var(--lit); stroke-width: 2; }
"""
SCRIPT = """
for (const svg of document.querySelectorAll("svg")) {
  const parts = [...svg.querySelectorAll("[data-of]")].map(e => [e, new Set(JSON.parse(e.dataset.of))]);
  for (const [box, through] of parts) if (box.tagName === "g") {
    box.addEventListener("mouseenter", () => parts.forEach(([e, of]) =>
      e.classList.toggle("lit", [...of].some(story => through.has(story)))));
    box.addEventListener("mouseleave", () => parts.forEach(([e]) => e.classList.remove("lit")));
  }
}
"""


def graph_page(name: str, stories: Sequence[Story], project: Path) -> str:
    """The page.

    Args:
        name: of the bot.
        stories: stories and rules.
        project: places of steps are shown relative to it.
    """
    told = [story for story in stories if not story.is_rule]
    rules = [story for story in stories if story.is_rule]
    sections = _section("Stories", [build_graph(told)], project) if told else ""
    sections += _section("Rules", apart(build_graph(rules), RULE_ROWS), project) if rules else ""
    count = f"{_count(len(told), 'story', 'stories')}, {_count(len(rules), 'rule', 'rules')}"
    hint = "common beginnings are drawn once; point at a box to see where it stands and which stories pass it"
    legend = "".join(
        f'<span><i class="{kind}" style="border-radius: {CORNERS[kind]}px"></i>{text}</span>'
        for kind, text in (("user", "the user says"), ("bot", "the bot does"), ("state", "is so: a form, a slot"))
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(name)}: stories and rules</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(name)}</h1>\n<p>{count}; {hint}</p>\n"
        f'<div class="legend">{legend}</div>\n{sections}<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def _section(title: str, graphs: Sequence[Graph], project: Path) -> str:
    drawings = "".join(_drawing(graph, project, title) for graph in graphs)
    return f'<h2>{title}</h2>\n<div class="panel">\n{drawings}</div>\n'


def _drawing(graph: Graph, project: Path, title: str) -> str:
    numbers: dict[str, int] = {}
    edges, boxes = [], []
    for parent, node in graph.nodes():
        of = sorted({numbers.setdefault(story, len(numbers)) for story in node.stories})
        if parent is not None:
            edges.append(_edge(parent, node, of))
        boxes.append(_box(node, of, project))
    size = f'width="{graph.width:.0f}" height="{graph.height + 16:.0f}"'
    view = f'viewBox="0 -8 {graph.width:.0f} {graph.height + 16:.0f}"'
    drawn = "\n".join([*edges, *boxes])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img" aria-label="{title}">\n{drawn}\n</svg>\n'


def _edge(parent: Node, node: Node, of: Sequence[int]) -> str:
    start, end = parent.x + parent.width, node.x
    bend = max(end - 26.0, (start + end) / 2)  # straight on first, so that lines do not run through other boxes
    middle = (bend + end) / 2
    curve = f"C{middle:.1f} {parent.y:.1f} {middle:.1f} {node.y:.1f} {end:.1f} {node.y:.1f}"
    path = f"M{start:.1f} {parent.y:.1f}H{bend:.1f}{curve}"
    return f'<path class="edge" data-of="{json.dumps(of, separators=(",", ":"))}" d="{path}"/>'


def _box(node: Node, of: Sequence[int], project: Path) -> str:
    places = [_relative(place, project) for place in node.places]
    shown = [node.full, *_some(places), *(f"in: {story}" for story in _some(list(dict.fromkeys(node.stories))))]
    hover = escape("\n".join(shown))
    shape = f'x="{node.x:.1f}" y="{node.y - BOX / 2:.1f}" width="{node.width:.1f}" height="{BOX:.0f}"'
    text = f'<text x="{node.x + node.width / 2:.1f}" y="{node.y:.1f}" text-anchor="middle">{escape(node.label)}</text>'
    return (
        f'<g class="{node.kind}" data-of="{json.dumps(of, separators=(",", ":"))}"><title>{hover}</title>'
        f'<rect {shape} rx="{CORNERS[node.kind]}"/>{text}</g>'
    )


def _some(lines: Sequence[str], most: int = 8) -> list[str]:
    """The lines, or the first of them and how many more there are."""
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]


def _relative(place: str, project: Path) -> str:
    file, _, line = place.rpartition(":")
    try:
        return f"{Path(file).resolve().relative_to(project.resolve()).as_posix()}:{line}"
    except ValueError:
        return place


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
