"""The report in a browser: light and dark, on a desk and on a phone, for eyes and for screen readers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialogue.report.comparison import compare, comparison_page, plots_of_both
from dialogue.report.single import plots_of, single_page
from dialogue.report.write import write_report
from tests.browser.test_accessibility import violations
from tests.browser.visit import PHONE
from tests.dialogue.reports import findings, made

DESK = {"width": 1280, "height": 900}
CONTRAST = 4.5  # WCAG 2.2, level AA


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Both kinds of page as files."""
    found, both = findings(), compare(("first.json", "second.json"), made(200, 40), made(200, 40, skill=2.5))
    written = {"single": (single_page, found, plots_of(found)), "both": (comparison_page, both, plots_of_both(both))}
    place = tmp_path_factory.mktemp("report")
    return {name: write_report(place / name, page(x, plots), plots) for name, (page, x, plots) in written.items()}


@pytest.fixture(params=["single", "both"])
def file(request, pages):
    return pages[request.param]


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(request, browser, file, scheme):
    """The page, open; afterwards: it asked nobody for anything and broke no policy."""
    context = browser.new_context(color_scheme=scheme, viewport=request.param, reduced_motion="reduce", bypass_csp=True)
    opened = context.new_page()
    asked, complaints = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert asked == [file.as_uri()]
    assert complaints == []


def test_it_fits_and_axe_finds_nothing_with_everything_open(page, axe):
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page, axe, "html") == []


def test_words_in_charts_can_be_read(page):
    found = page.evaluate(
        """() => [...document.querySelectorAll('.plot text:not(.on):not(.off)')].map(word => [
            word.textContent, getComputedStyle(word).fill,
            getComputedStyle(word.closest('section')).backgroundColor, word.getBoundingClientRect().height])"""
    )
    assert len(found) > 40
    for words, ink, paper, height in found:
        assert contrast(rgb(ink), rgb(paper)) >= CONTRAST, (words, ink, paper)
        assert height >= 10, words


def test_counts_in_cells_can_be_read(page):
    found = page.evaluate(
        """() => [...document.querySelectorAll('.plot text.on, .plot text.off')].map(word => {
            const cell = getComputedStyle(word.previousElementSibling);
            const paper = getComputedStyle(word.closest('section')).backgroundColor;
            return [word.textContent, getComputedStyle(word).fill, cell.fill, Number(cell.fillOpacity), paper];
        })"""
    )
    for words, ink, fill, opacity, paper in found:
        mixed = [opacity * a + (1 - opacity) * b for a, b in zip(rgb(fill), rgb(paper), strict=True)]
        assert contrast(rgb(ink), mixed) >= CONTRAST, (words, ink, mixed)


def test_light_is_light_and_dark_is_dark(page, scheme):
    paper = rgb(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (luminance(paper) > 0.5) is (scheme == "light")


def test_charts_have_names_and_pairs_open_by_keyboard(browser, pages):
    opened = browser.new_page()
    opened.goto(pages["single"].as_uri())
    charts = opened.get_by_role("img").all()
    assert len(charts) == 9
    assert all(len(chart.get_attribute("aria-label")) > 20 for chart in charts)
    second = opened.locator(".pairs details").nth(1)
    assert second.get_attribute("open") is None
    second.locator("summary").focus()
    opened.keyboard.press("Enter")
    assert second.locator("li").first.is_visible()
    opened.close()


def test_a_hundred_intents_with_long_names_fit_on_a_phone(browser, tmp_path):
    found = findings(outside=0, curve=False)
    names = [f"an_intent_whose_name_says_everything_about_it_number_{i}" for i in range(100)]
    truth = tuple(names[i % 100] for i in range(300))
    guess = tuple(names[(i + i % 3) % 100] for i in range(300))
    found = replace(found, outcomes=replace(found.outcomes, truth=truth, guess=guess))
    plots = plots_of(found)
    opened = browser.new_page(viewport=PHONE)
    opened.goto(write_report(tmp_path, single_page(found, plots), plots).as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.close()


def rgb(colour: str) -> list[float]:
    return [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]


def luminance(colour: list[float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """Contrast ratio (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
