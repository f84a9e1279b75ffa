"""Stories drawn: what is merged, where boxes stand, and a page that asks nobody for anything."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path

from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.graph import ROW, Graph, apart, build_graph
from dialogue.graph_page import graph_page
from dialogue.training.data import read_data
from policies.types import FILLED, StoryStep
from tests.dialogue.small import write_small
from tests.policies.worlds import action, form, rule, slot, story, user

ROOT = Path(__file__).parents[2]
ASKED = (user("a"), action("utter_a"))
STORIES = (
    story("yes", *ASKED, user("yes"), action("utter_yes")),
    story("no", *ASKED, user("no", "city"), action("utter_no")),
    story("other", user("b"), action("utter_b")),
)


def labels(graph: Graph) -> list[str]:
    return [node.full for _, node in graph.nodes()]


def test_common_beginnings_are_merged_and_later_steps_are_not():
    graph = build_graph([*STORIES, story("again", user("b"), action("utter_a"), user("yes"))])
    assert labels(graph) == [
        *("start", "a", "utter_a", "yes", "utter_yes", "no (city)", "utter_no"),
        *("b", "utter_b", "utter_a", "yes"),
    ]
    (root,) = graph.roots
    assert root.stories == ["yes", "no", "other", "again"]
    assert root.children["user", "a"].stories == ["yes", "no"]


def test_boxes_do_not_overlap_and_stand_within_the_drawing():
    data = read_data([ROOT / "data" / "en"])
    graph = build_graph([told for told in data.stories if not told.is_rule])
    nodes = [node for _, node in graph.nodes()]
    for one, other in combinations(nodes, 2):
        apart_in_x = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart_in_x or abs(one.y - other.y) >= ROW * 0.99, (one.full, other.full)
    assert all(node.x >= 0 and node.x + node.width <= graph.width and 0 < node.y < graph.height for node in nodes)
    assert all(parent is None or parent.x + parent.width < node.x for parent, node in graph.nodes())


def test_what_is_so_is_told_and_what_must_be_so_as_well():
    steps = (form("trip"), slot("city", FILLED), slot("city", None), slot("open", True), form(None))
    told = labels(build_graph([story("s", user("x"), *steps, StoryStep(bot_text="Hi"), StoryStep(text="hello"))]))
    assert told[2:7] == ["trip is active", "city is filled", "city is empty", "open = True", "no form is active"]
    assert told[7:] == ["“Hi”", "“hello”"]
    rules = [
        rule("in", user("x"), action("y"), condition=[form("trip")]),
        rule("first", user("x"), action("y"), conversation_start=True),
    ]
    assert labels(build_graph(rules)) == ["any time", "if trip is active", "x", "y", "a conversation begins", "x", "y"]


def test_rules_stand_apart_in_columns_of_so_many_rows():
    rules = [rule(f"r{number}", user(f"i{number}"), action(f"a{number}")) for number in range(30)]
    rules += [rule("long", user("x"), action("y"), action("z")), rule("start", user("s"), conversation_start=True)]
    parts = apart(build_graph(rules), 14)
    assert [part.height / ROW for part in parts] == [14, 14, 3, 1]
    assert sorted(label for part in parts for label in labels(part) if label.startswith("i")) == sorted(
        f"i{number}" for number in range(30)
    )
    assert labels(parts[-1])[-3:] == ["x", "y", "z"]


def test_long_labels_are_cut_and_deep_stories_are_no_trouble():
    graph = build_graph([story("deep", *(step for n in range(1500) for step in (user(f"i{n}" * 20), action("a"))))])
    assert len(labels(graph)) == 3001
    assert max(len(node.label) for _, node in graph.nodes()) == 34


def page(tmp_path: Path) -> str:
    told = [story("<b>&", StoryStep(intent="<i>", where=f"{tmp_path}/data/s.yml:7:5"), action("utter_x"))]
    return graph_page("no <va>", [*told, rule("r", user("r"), action("utter_r"))], tmp_path)


def test_the_page_asks_nobody_for_anything_and_takes_nothing_for_markup(tmp_path):
    text = page(tmp_path)
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"(src|href)=|@import|url\(", text)
    assert "<va>" not in text
    drawings = [ET.fromstring(part) for part in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(drawings) == 2
    titles = [title.text for title in drawings[0].iter("{http://www.w3.org/2000/svg}title")]
    assert "<i>\ndata/s.yml:7\nin: <b>&" in titles
    assert "prefers-color-scheme: dark" in text


def test_edges_lead_from_box_to_box(tmp_path):
    drawing = ET.fromstring(re.findall(r"<svg.*?</svg>", page(tmp_path), re.DOTALL)[0])
    rows = [float(box.get("y") or 0) for box in drawing.iter("{http://www.w3.org/2000/svg}rect")]
    assert all(one == other for one, other in pairwise(rows))
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) == len(rows) - 1


def test_the_command_writes_the_page(tmp_path):
    project = write_small(tmp_path / "small")
    out = tmp_path / "graph.html"
    result = CliRunner().invoke(app, ["visualize", "-p", str(project), "--out", str(out)])
    assert (result.exit_code, result.stdout) == (0, f"wrote {out}\n")
    text = out.read_text("utf-8")
    assert "0 stories, 4 rules" in text
    assert "data/all.yml:8" in text
    nowhere = CliRunner().invoke(app, ["visualize", "-p", str(project), "--out", str(tmp_path / "no" / "graph.html")])
    assert nowhere.exit_code == 2
