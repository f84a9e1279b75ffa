"""What a visitor sees of a server that dies, a line that breaks, and a WebSocket that does not get through."""

from __future__ import annotations

import pytest

from tests.browser.test_widget import HELLO


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


@pytest.fixture
def running(bot):
    """The server, up again afterwards whatever happened."""
    yield bot
    if not bot.runs:
        bot.start()


def test_a_server_killed_in_mid_conversation_costs_nothing(visit, running, expect):
    visit.away = True
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    running.kill()
    expect(visit.page.locator(".state")).not_to_have_text("Online")
    visit.say("bye")
    visit.say("opening hours")
    expect(visit.page.locator(".waiting")).to_have_count(2)
    expect(visit.page.locator(".notice")).to_contain_text("No connection", timeout=20_000)
    running.start()
    expect(visit.page.locator(".state")).to_have_text("Online", timeout=40_000)
    expect(visit.page.locator(".bubble ul")).to_be_visible(timeout=20_000)
    assert visit.said() == ["hello", "bye", "opening hours"]
    assert len(visit.replies()) == 3


def test_a_server_killed_while_it_answers_answers_once(visit, running, expect):
    visit.away = True
    visit.go()
    visit.open()
    expect(visit.page.locator(".state")).to_have_text("Online")
    visit.show(text="once", seconds=2)
    expect(visit.page.locator(".typing")).to_be_visible()
    running.kill()
    running.start()
    visit.hears("once")
    expect(visit.page.locator(".waiting")).to_have_count(0)
    visit.page.reload()
    visit.hears("once")
    assert visit.said() == ["show me"]


def test_what_was_written_without_a_server_outlives_the_page(visit, running, expect):
    visit.away = True
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    running.kill()
    visit.say("bye")
    expect(visit.page.locator(".waiting")).to_have_count(1)
    visit.page.close()
    running.start()
    visit.page = visit.tab()
    visit.go()  # nobody opens the chat: it is loaded because something waits
    visit.open()
    visit.hears("Clear skies!")
    assert visit.said() == ["hello", "bye"]


def test_a_line_that_breaks_is_taken_up_again(visit, expect):
    visit.away = True
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.context.set_offline(True)
    visit.say("bye")
    expect(visit.page.locator(".waiting")).to_have_count(1)
    visit.context.set_offline(False)
    visit.hears("Clear skies!")
    visit.hears(HELLO)
    assert visit.said() == ["hello", "bye"]


def test_without_a_websocket_plain_requests_do(visit, expect):
    visit.away = True
    visit.page.add_init_script("""
        const Real = WebSocket;
        window.WebSocket = class extends Real {
            constructor(url) { super(url.toString().replace("/api/ws", "/nowhere")); }
        };
    """)
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.say("bye")
    visit.hears("Clear skies!")
    assert visit.said() == ["hello", "bye"]
    assert any(path.endswith("/messages") for path in visit.paths(visit.bot.url))


def test_a_message_that_is_refused_says_so_and_can_be_tried_again(visit, expect):
    visit.away = True
    visit.go()
    visit.open()
    expect(visit.page.locator(".state")).to_have_text("Online")
    visit.page.evaluate("starfold.send('x'.repeat(4001))")
    fate = visit.page.locator(".fate.failed")
    expect(fate).to_contain_text("Not sent. the message is too long: at most 4000 characters")
    visit.say("hello")  # those behind it are not held up
    visit.hears(HELLO)
    fate.get_by_role("button", name="Try again").click()
    expect(visit.page.locator(".fate.failed")).to_contain_text("too long")


def test_a_token_that_is_no_longer_good_is_renewed(visit, expect):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.page.evaluate("""() => {
        const key = Object.keys(localStorage).find(name => name.endsWith('session'));
        localStorage[key] = JSON.stringify({...JSON.parse(localStorage[key]), token: 'forged', expires: 9e9});
    }""")
    visit.away = True
    visit.page.reload()
    visit.say("bye")
    visit.hears("Clear skies!")  # in a conversation of its own: a forged token opens nobody's


def test_without_storage_the_page_remembers_as_long_as_it_stands(visit):
    visit.page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) "
        "Object.defineProperty(window, name, {get() { throw new DOMException('no', 'SecurityError'); }});"
    )
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.page.keyboard.press("Escape")
    visit.open()
    assert visit.said() == ["hello"]
