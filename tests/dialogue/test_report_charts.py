"""Charts: the numbers in them, where marks stand, and that each is a drawing with a name."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from dialogue.report.charts import bins_of, histograms, reliability, risk_coverage, risks, shade, share_of, shares_of
from dialogue.report.comparison import compare, plots_of_both
from dialogue.report.single import plots_of
from dialogue.report.style import light, page_style, plot_style, read
from dialogue.report.svg import WIDTH, Plot, Scale, shorten, ticks_of, width_of
from dialogue.report.write import png
from tests.dialogue.reports import findings, made

UNSTYLED = {"area", "axis", "bar", "count", "label", "off", "shade6"}  # the name of a kind of mark, or as its kind is
SVG = "{http://www.w3.org/2000/svg}"


def every_plot():
    both = compare(("a.json", "b.json"), made(100, 20), made(100, 20, skill=2.0))
    return {**plots_of(findings()), **{f"both-{name}": plot for name, plot in plots_of_both(both).items()}}


PLOTS = every_plot()


@pytest.mark.parametrize("name", PLOTS)
def test_every_chart_is_a_drawing_with_a_name_inside_its_frame(name):
    drawn = ET.fromstring(str(PLOTS[name]))
    assert drawn.get("role") == "img"
    assert len(drawn.get("aria-label")) > 20
    width, height = (float(x) for x in drawn.get("viewBox").split()[2:])
    assert width == WIDTH
    for mark in drawn.iter():
        assert "nan" not in " ".join(mark.attrib.values()).lower().replace("nance", "")
        if mark.tag == f"{SVG}rect":
            x, y, w, h = (float(mark.get(key)) for key in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width + 0.1
            assert 0 <= y <= y + h <= height + 0.1
        if mark.tag == f"{SVG}circle":
            assert 0 <= float(mark.get("cx")) <= width
            assert 0 <= float(mark.get("cy")) <= height
        if mark.tag == f"{SVG}text":
            start = {"start": 0, "middle": 0.5, "end": 1}[mark.get("text-anchor")] * width_of(mark.text)
            assert float(mark.get("x")) - start >= -4, mark.text
            assert float(mark.get("x")) - start + width_of(mark.text) <= width + 4, mark.text


@pytest.mark.parametrize("name", PLOTS)
def test_words_do_not_run_into_each_other(name):
    boxes = []
    for word in ET.fromstring(str(PLOTS[name])).iter(f"{SVG}text"):
        start = float(word.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[word.get("text-anchor")] * width_of(
            word.text
        )
        boxes.append((start, start + width_of(word.text), float(word.get("y")), word.text))
    for one, other in combinations(boxes, 2):
        beside = one[1] <= other[0] or other[1] <= one[0]
        assert beside or abs(one[2] - other[2]) >= 11, (one, other)


@pytest.mark.parametrize("name", PLOTS)
def test_every_class_in_a_chart_has_a_colour_that_is_known(name):
    used = set(re.findall(r'class="([^"]+)"', str(PLOTS[name])))
    styled = set(re.findall(r"[.](\w+)", read("plot.css")))
    assert {kind for kinds in used for kind in kinds.split()} - styled <= UNSTYLED
    assert "var(" not in plot_style(light())


def test_a_chart_becomes_a_png_with_its_words_and_colours():
    plain = png(Plot("empty", "nothing in it", 40))
    full = png(PLOTS["reliability"])
    assert plain[:8] == full[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(full[16:20], "big") == 2 * WIDTH
    assert len(full) > 5 * len(plain)


def test_bins_hold_every_message_once():
    found = bins_of(np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([False, True, False, True, True]))
    assert found == [(0.025, 1, 2), (0.1, 0, 1), (0.975, 2, 2)]


def test_a_point_of_the_reliability_diagram_stands_where_its_numbers_say():
    confidence = np.full(8, 0.75)
    drawn = ET.fromstring(str(reliability("r", confidence, np.arange(8) < 6)))
    (point,) = drawn.iter(f"{SVG}circle")
    x, y = Scale(0, 1, 46, WIDTH - 20), Scale(0, 1, 318, 34)
    assert (float(point.get("cx")), float(point.get("cy"))) == pytest.approx((x(0.75), y(0.75)), abs=0.06)
    assert point.find(f"{SVG}title").text.startswith("6 of 8 right [")


def test_columns_of_the_histogram_hold_all_messages():
    outcomes = made(150, 30)
    drawn = ET.fromstring(str(histograms(outcomes)))
    counts = {}
    for column in drawn.iter(f"{SVG}rect"):
        kind = column.get("class").split()[0]
        counts[kind] = counts.get(kind, 0) + int(column.find(f"{SVG}title").text.split()[0])
    assert counts == {"right": outcomes.right.sum(), "wrong": (~outcomes.right[:150]).sum(), "outside": 30}


def test_risks_are_those_of_every_threshold():
    outcomes = made(60)
    outcomes = replace(outcomes, confidence=np.round(outcomes.confidence, 1))  # many ties
    n, errors = risks(outcomes)
    for answered, wrong in zip(n, errors, strict=True):
        threshold = np.sort(outcomes.confidence)[::-1][answered - 1]
        chosen = outcomes.confidence >= threshold
        assert (chosen.sum(), (~outcomes.right[chosen]).sum()) == (answered, wrong)
    assert n[-1] == 60
    assert n[0] >= 20
    few, wrong = risks(made(3))
    assert few.tolist() == [3]
    assert len(wrong) == 1


def test_the_threshold_is_marked_where_it_answers():
    outcomes = made(100)
    marked = str(risk_coverage({"": outcomes}, 0.8))
    share = (outcomes.confidence >= 0.8).mean()
    assert f"{100 * share:.0f}\u00a0%" in re.search(r'class="mark".*?<title>(.*?)<', marked)[1]
    assert 'class="mark"' not in str(risk_coverage({"": outcomes}, 1.5))


@pytest.mark.parametrize(
    ("low", "high", "ticks"), [(0, 1, [0, 0.5, 1]), (0, 0.17, [0, 0.05, 0.1, 0.15]), (0.61, 1, [0.7, 0.8, 0.9, 1.0])]
)
def test_ticks_are_round_numbers(low, high, ticks):
    assert ticks_of(low, high) == ticks


def test_ticks_of_shares_are_told_apart():
    assert (
        " ".join(label for _, label in shares_of(0, 0.02)) == "0.0\u00a0% 0.5\u00a0% 1.0\u00a0% 1.5\u00a0% 2.0\u00a0%"
    )
    assert " ".join(label for _, label in shares_of(0.75, 1)) == "80\u00a0% 90\u00a0% 100\u00a0%"


def test_words_that_do_not_fit_are_shortened():
    assert shorten("short", 100) == "short"
    cut = shorten("book_a_guided_tour_of_the_telescope", 100)
    assert cut.endswith("…")
    assert width_of(cut) <= 100
    assert width_of("问路") == 24


def test_small_shares_are_seen_and_large_ones_darkest():
    assert [shade(share) for share in (0, 0.001, 0.5, 1)] == [0, 1, 5, 6]
    assert share_of(8, 10) == ("80.0\u00a0%", "[49.0\u00a0%, 94.3\u00a0%]")


def test_light_and_dark_name_the_same_colours():
    light_part, dark_part = page_style().split("prefers-color-scheme")[:2]
    names = [set(re.findall(r"--(\w+):", one.split("} }")[0])) for one in (light_part, dark_part)]
    assert names[0] == names[1] == light().keys()
