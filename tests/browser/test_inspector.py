"""The Inspector: for developers alone, every turn with what the bot believed; taught, the belief moves."""

from __future__ import annotations

import re

import pytest

from tests.browser.project import TOKEN
from tests.browser.test_safety import HOSTILE
from tests.browser.test_widget import HELLO


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


@pytest.fixture
def inside(visit, expect):
    """A conversation held, and the Inspector open on it."""
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.say("open telescope on friday")
    expect(visit.page.locator(".row.bot")).to_have_count(2)
    enter(visit)
    return visit


def enter(visit) -> None:
    visit.page = visit.tab()
    visit.page.goto(visit.bot.url + "/inspect")
    visit.page.fill("#token", TOKEN)
    visit.page.keyboard.press("Enter")
    visit.page.locator(".turn").first.wait_for()


def test_it_opens_for_a_token_alone(visit, expect):
    visit.page.goto(visit.bot.url + "/inspect")
    visit.page.fill("#token", "guessed")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("#refused")).to_have_text(re.compile("token"))
    expect(visit.page.locator("#inside")).to_be_hidden()
    visit.page.fill("#token", TOKEN)
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("#inside")).to_be_visible()
    visit.page.reload()
    expect(visit.page.locator("#inside")).to_be_visible()
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.page.locator("#sign-in")).to_be_visible()
    assert visit.page.evaluate("Object.keys(sessionStorage).concat(Object.keys(localStorage))") == []
    assert [one for one in visit.complaints if "401" not in one] == []
    visit.complaints.clear()


def test_a_turn_shows_what_was_believed_and_decided(inside, expect):
    page = inside.page
    expect(page.locator(".turn")).to_have_count(2)
    page.locator(".turn").first.click()
    expect(page.locator(".heard .said")).to_have_text("hello")
    rows = page.locator(".bar")
    assert rows.first.get_attribute("data-name") == "greet"
    assert rows.last.get_attribute("data-name") == "unknown"
    total = page.evaluate("""[...document.querySelectorAll('.bar')].reduce((sum, row) =>
        sum + Number(row.style.getPropertyValue('--mean')), 0)""")
    assert total == pytest.approx(1, abs=0.01)
    lower, mean, upper = page.evaluate("""['--lower', '--mean', '--upper'].map(name =>
        Number(document.querySelector('.bar').style.getPropertyValue(name)))""")
    assert 0 < lower <= mean <= upper <= 1
    width = page.evaluate("""() => { const t = document.querySelector('.bar .track');
        return t.querySelector('.mean').offsetWidth / t.offsetWidth; }""")
    assert width == pytest.approx(mean, abs=0.02)
    expect(page.locator(".encoders .legend li")).to_have_count(3)
    expect(page.locator(".decision")).to_contain_text("utter_greet")
    expect(page.locator(".decision")).to_contain_text("rules")
    expect(page.locator("ol.events")).to_contain_text("utter_greet")
    expect(page.locator(".time .legend")).to_contain_text("decide")


def test_teaching_moves_the_belief(inside, expect):
    page = inside.page
    page.locator(".turn").nth(1).click()
    expect(page.locator(".heard .said")).to_have_text("open telescope on friday")
    mean = "Number(document.querySelector('[data-name=opening_hours]').style.getPropertyValue('--mean'))"
    before, drawn = page.evaluate(mean), page.locator("[data-name=opening_hours]").first.get_attribute("style")
    version = page.locator("#model").inner_text()
    page.get_by_label("It means").select_option("opening_hours")
    page.get_by_role("button", name="Teach").click()
    expect(page.locator(".told")).to_contain_text("Learned. opening_hours:", timeout=30_000)
    expect(page.locator(".before").first).to_be_attached()
    expect(page.locator("[data-name=opening_hours]").first).not_to_have_attribute("style", drawn)  # bars move late
    assert page.evaluate(mean) > before
    assert page.locator("#model").inner_text() != version
    page.get_by_label("Read a sentence").fill("open telescope on friday")
    page.keyboard.press("Enter")
    expect(page.locator(".bar").first).to_have_attribute("data-name", "opening_hours")


def test_turns_come_in_while_one_looks(inside, expect):
    developer, visitor = inside.page, inside.context.pages[0]
    inside.page = visitor
    inside.say("bye")
    inside.hears("Clear skies!")
    inside.page = developer
    expect(developer.locator(".turn")).to_have_count(3)
    expect(developer.locator(".heard .said")).to_have_text("bye")
    developer.locator(".turn").first.click()
    expect(developer.locator(".turn").first).to_have_attribute("aria-current", "true")
    developer.keyboard.press("ArrowDown")
    expect(developer.locator(".turn").nth(1)).to_have_attribute("aria-current", "true")
    assert "&t=" in developer.url
    developer.reload()
    expect(developer.locator(".heard .said")).to_have_text("open telescope on friday")


def test_hostile_words_stay_words_here_too(visit, expect):
    visit.go()
    visit.open()
    for number, text in enumerate(HOSTILE, start=1):
        visit.page.evaluate("text => starfold.send(text)", text)
        expect(visit.page.locator(".row.user:not(.waiting)")).to_have_count(number)
    visit.show(text="<img src=x onerror=alert(1)>", button={"title": "<b>", "payload": "<script>alert(1)</script>"})
    visit.page.locator(".view .choice").wait_for()
    enter(visit)
    for turn in visit.page.locator(".turn").all():
        turn.click()
    visit.page.locator("summary").last.click()
    tags = visit.page.evaluate("[...document.querySelectorAll('main *')].map(one => one.localName)")
    assert {"script", "img", "iframe", "style", "template"} & set(tags) == set()
    assert visit.page.evaluate("[...document.querySelectorAll('main a')].every(a => a.getAttribute('href')[0] === '#')")
