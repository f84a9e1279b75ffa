"""Stories as a graph: common beginnings merged, each step a box in a column of its own, branches below each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from unicodedata import east_asian_width

from policies.types import FILLED, Story, StoryStep

Kind = Literal["start", "user", "bot", "state"]

ANY_TIME = "any time"
LONGEST = 34  # characters of a label
NARROW, WIDE = 6.9, 12.5  # pixels of a character
PADDING = 22.0
GAP = 34.0  # between columns
ROW = 40.0


@dataclass(slots=True)
class Node:
    """A step that one or more stories share with all that comes before it.

    Attributes:
        label: what the box says; `full` is the same uncut.
        places: where the step stands, as file:line.
        stories: names of the stories that pass here.
        x: left edge, in pixels.
        y: middle, in pixels.
    """

    kind: Kind
    full: str
    places: list[str] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)
    children: dict[tuple[Kind, str], Node] = field(default_factory=dict)
    x: float = 0.0
    y: float = 0.0

    @property
    def label(self) -> str:
        """What the box says."""
        return self.full if len(self.full) <= LONGEST else self.full[: LONGEST - 1] + "…"

    @property
    def width(self) -> float:
        """Of the box, in pixels."""
        wide = sum(east_asian_width(character) in "WF" for character in self.label)
        return PADDING + wide * WIDE + (len(self.label) - wide) * NARROW


@dataclass(frozen=True, slots=True)
class Graph:
    """Placed nodes; `width` and `height` in pixels hold them all."""

    roots: tuple[Node, ...]
    width: float
    height: float

    def nodes(self) -> Iterator[tuple[Node | None, Node]]:
        """Every node with the one before it, which is None for a root."""
        stack: list[tuple[Node | None, Node]] = [(None, root) for root in reversed(self.roots)]
        while stack:
            parent, node = stack.pop()
            yield parent, node
            stack += [(node, child) for child in reversed(node.children.values())]


def build_graph(stories: Iterable[Story]) -> Graph:
    """Merge stories, or rules, at their common beginnings and place them."""
    roots: dict[str, Node] = {}
    for story in stories:
        name = _beginning(story)
        node = roots.setdefault(name, Node("start", name))
        node.stories.append(story.name)
        steps = [*((step, True) for step in story.condition), *((step, False) for step in story.steps)]
        for step, is_condition in steps:
            kind, full = _said(step, is_condition)
            node = node.children.setdefault((kind, full), Node(kind, full))
            node.stories.append(story.name)
            place = (step.where or story.where).rpartition(":")[0]
            if place and place not in node.places:
                node.places.append(place)
    return _placed(roots.values())


def apart(graph: Graph, most: int) -> list[Graph]:
    """The graph without a root for any time, as several of about `most` rows, short ones first: for rules."""
    heads = [node for root in graph.roots for node in (root.children.values() if root.full == ANY_TIME else [root])]
    shares: list[list[Node]] = [[]]
    rows = deep = 0
    for node in sorted(heads, key=_depth):
        size = sum(not below.children for _, below in Graph((node,), 0, 0).nodes())
        before, deep = deep, _depth(node)
        if rows and (rows + size > most or before <= 2 < deep):  # a question and its answer, then all that is longer
            shares.append([])
            rows = 0
        shares[-1].append(node)
        rows += size
    return [_placed(share) for share in shares]


def _depth(node: Node) -> int:
    """Steps of the longest way from a node on."""
    level, deep = [node], 0
    while level:
        level, deep = [child for one in level for child in one.children.values()], deep + 1
    return deep


def _placed(roots: Iterable[Node]) -> Graph:
    graph = Graph(tuple(roots), 0.0, 0.0)
    return Graph(graph.roots, _place_columns(graph), _place_rows(graph))


def _beginning(story: Story) -> str:
    if not story.is_rule:
        return "start"
    return "a conversation begins" if story.conversation_start else ANY_TIME


def _said(step: StoryStep, is_condition: bool) -> tuple[Kind, str]:
    """What a step is and says."""
    if step.intent is not None or step.text is not None:
        entities = ", ".join(dict.fromkeys(entity.entity for entity in step.entities))
        said = step.intent if step.intent is not None else f"“{step.text}”"
        return "user", f"{said} ({entities})" if entities else str(said)
    if step.action is not None or step.bot_text is not None:
        return "bot", step.action if step.action is not None else f"“{step.bot_text}”"
    if step.sets_form:
        told = "no form is active" if step.active_form is None else f"{step.active_form} is active"
    else:
        told = ", ".join(_slot(name, value) for name, value in step.slots.items())
    return "state", f"if {told}" if is_condition else told


def _slot(name: str, value: Any) -> str:
    if value is FILLED:
        return f"{name} is filled"
    return f"{name} is empty" if value is None else f"{name} = {value}"


def _place_columns(graph: Graph) -> float:
    """Set every x: as many columns as the longest story has steps, each as wide as its widest box."""
    depth: dict[int, int] = {}
    columns: dict[int, float] = {}
    for parent, node in graph.nodes():
        depth[id(node)] = 0 if parent is None else depth[id(parent)] + 1
        columns[depth[id(node)]] = max(columns.get(depth[id(node)], 0.0), node.width)
    lefts, left = {}, GAP / 2
    for column in sorted(columns):
        lefts[column] = left
        left += columns[column] + GAP
    for _, node in graph.nodes():
        node.x = lefts[depth[id(node)]]
    return left


def _place_rows(graph: Graph) -> float:
    """Set every y: a row for each end, and what leads to several in the middle of them."""
    row = 0
    order = [node for _, node in graph.nodes()]
    for node in order:
        if not node.children:
            node.y = ROW * (row + 0.5)
            row += 1
    for node in reversed(order):  # children come before their parents
        if node.children:
            below = list(node.children.values())
            node.y = (below[0].y + below[-1].y) / 2
    return ROW * max(row, 1)
