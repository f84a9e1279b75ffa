"""For people who do not see it, do not use a mouse, or do not want it to move."""

from __future__ import annotations

import pytest

from tests.browser.project import TOKEN
from tests.browser.test_widget import HELLO
from tests.browser.visit import PHONE, Visit

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


def violations(page, axe: str, where: str) -> list[str]:
    """What axe-core finds wrong. It is brought in by the debugger, past the page's policy."""
    page.evaluate(axe)
    options = {"runOnly": {"type": "tag", "values": RULES}, "rules": {"region": {"enabled": False}}}
    found = page.evaluate("([where, options]) => axe.run(where, options)", [where, options])
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def everything(visit, expect) -> None:
    """A conversation with all there is in it."""
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.say("which planets can we see")
    expect(visit.page.locator(".card")).to_have_count(3)
    visit.show(image=f"{visit.site.url}/mars.svg", text="Mars, `code`, a [link](https://observatory.example)\n\n- one")
    expect(visit.page.locator("img.media")).to_have_count(4)
    visit.say("book a tour")
    visit.hears("Gladly. Which evening suits you?")
    visit.say("tell me more")
    expect(visit.page.locator(".quick .choice")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("language", "size"), [("en", None), ("ar", None), ("en", PHONE)])
def test_axe_finds_nothing_in_the_chat(browser, site, bot, axe, expect, scheme, language, size):
    more = {"viewport": size} if size else {}
    visit = Visit(browser, site, bot, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True, **more)
    visit.go(f"/?lang={language}", greeting="Hello", upload=f"{site.url}/files", **{"greeting-delay": "0"})
    visit.page.locator(".greeting").wait_for()
    assert violations(visit.page, axe, "starfold-chat") == []
    everything(visit, expect)
    assert violations(visit.page, axe, "starfold-chat") == []
    visit.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages(browser, site, bot, axe, scheme):
    visit = Visit(browser, site, bot, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    visit.page.goto(bot.url + "/")
    visit.page.locator(".greeting").wait_for()
    assert violations(visit.page, axe, "html") == []
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.say("blub")
    visit.page.locator(".row.bot").nth(2).wait_for()
    visit.page.goto(bot.url + "/inspect")
    assert violations(visit.page, axe, "html") == []
    visit.page.fill("#token", TOKEN)
    visit.page.keyboard.press("Enter")
    visit.page.locator(".bars").wait_for()
    visit.page.locator("summary").last.click()
    assert violations(visit.page, axe, "html") == []
    visit.leave()


def focused(visit) -> str:
    """The name of what has the focus."""
    name: str = visit.page.evaluate("""() => {
        const one = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
        return one.getAttribute('aria-label') || one.textContent || one.tagName;
    }""")
    return name


def test_a_whole_conversation_by_keyboard(visit, expect):
    visit.go()
    keys = visit.page.keyboard
    visit.page.locator("#host").focus()
    keys.press("Tab")
    assert focused(visit) == "Open the chat"
    keys.press("Enter")
    expect(visit.page.locator("textarea")).to_be_focused()
    keys.type("book a tour")
    keys.press("Enter")
    visit.hears("Gladly. Which evening suits you?")
    keys.press("Shift+Tab")
    assert focused(visit) == "Not helpful"
    keys.press("Shift+Tab")
    keys.press("Space")
    expect(visit.page.get_by_label("Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    keys.press("Shift+Tab")
    keys.press("Shift+Tab")
    assert focused(visit) == "Saturday"
    keys.press("Enter")
    visit.hears("Saturday it is.")
    expect(visit.page.locator("textarea")).to_be_focused()
    keys.press("Escape")
    expect(visit.page.locator(".panel")).to_be_hidden()
    assert focused(visit) == "Open the chat"


def test_the_focus_stays_inside_while_it_is_open(visit):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    names = []
    for _ in range(12):
        visit.page.keyboard.press("Tab")
        names.append(focused(visit))
    assert set(names) == {"Close", "Conversation", "Helpful", "Not helpful", "Write a message"}
    backwards = []
    for _ in range(12):
        visit.page.keyboard.press("Shift+Tab")
        backwards.append(focused(visit))
    assert set(backwards) == set(names)


def test_shift_enter_is_a_new_line_and_enter_while_composing_is_not_sent(visit):
    visit.go()
    visit.open()
    line = visit.page.locator("textarea")
    line.focus()
    visit.page.keyboard.type("one")
    visit.page.keyboard.press("Shift+Enter")
    visit.page.keyboard.type("two")
    assert line.input_value() == "one\ntwo"
    line.evaluate(
        "one => one.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    assert line.input_value() == "one\ntwo"
    assert line.evaluate("one => one.offsetHeight") > 50


def test_nothing_moves_for_who_does_not_want_it(browser, site, bot, expect):
    visit = Visit(browser, site, bot, reduced_motion="reduce")
    visit.go()
    visit.open()
    visit.show(text="Still.", seconds=1)
    expect(visit.page.locator(".typing")).to_be_visible()
    moving = visit.page.evaluate(
        """document.querySelector('starfold-chat').shadowRoot.getAnimations()
            .filter(one => one.playState === 'running').length"""
    )
    assert moving == 0
    visit.leave()


def test_the_dialog_has_a_name_and_its_parts_have_theirs(visit, expect):
    visit.go()
    visit.open()
    expect(visit.page.get_by_role("dialog", name="Nova")).to_be_visible()
    expect(visit.page.get_by_role("textbox", name="Write a message")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Send")).to_be_disabled()
    expect(visit.page.get_by_role("button", name="Close the chat")).to_have_attribute("aria-expanded", "true")
