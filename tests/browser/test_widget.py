"""What the widget does for a visitor, in a real browser against the real server."""

from __future__ import annotations

import json
import time

import pytest

from tests.browser.project import IDENTITY
from tests.browser.visit import PHONE, Visit

HELLO = "Hello! I am Nova, at the visitor desk. What would you like to know?"


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


def test_the_host_page_loads_the_launcher_alone_before_the_first_click(visit, expect):
    visit.go(greeting="Hi!")
    expect(visit.page.locator(".launcher")).to_be_visible()
    visit.page.wait_for_timeout(500)
    assert visit.paths(visit.bot.url) == ["/widget.js"]
    visit.open()
    assert "/widget.js" in visit.paths(visit.bot.url)
    assert any(path.endswith("/chat.js") for path in visit.paths(visit.bot.url))


def test_a_message_is_answered_and_markdown_shown(visit, expect):
    visit.go()
    visit.open()
    expect(visit.page.locator(".state")).to_have_text("Online")
    visit.say("hello")
    visit.hears(HELLO)
    assert visit.said() == ["hello"]
    assert visit.page.locator(".bubble strong").inner_text() == "Nova"
    visit.say("opening hours")
    expect(visit.page.locator(".bubble ul li")).to_have_count(2)
    link = visit.page.locator(".bubble a")
    assert link.get_attribute("href") == "https://observatory.example/visit"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"


def test_a_greeting_appears_counts_as_unread_and_can_be_dismissed(visit, expect):
    visit.go(greeting="Need help?", **{"greeting-delay": "0.1"})
    bubble = visit.page.locator(".greeting")
    expect(bubble).to_contain_text("Need help?")
    expect(visit.page.locator(".badge")).to_have_text("1")
    expect(visit.page.locator(".launcher")).to_have_attribute("aria-label", "Open the chat (1 unread)")
    visit.page.get_by_label("Dismiss").click()
    expect(bubble).to_have_count(0)
    expect(visit.page.locator(".badge")).to_be_hidden()
    visit.page.reload()
    visit.page.wait_for_timeout(400)
    expect(bubble).to_have_count(0)
    visit.open()
    visit.hears("Need help?")


def test_a_greeting_opens_the_chat(visit, expect):
    visit.go(greeting="Need help?", **{"greeting-delay": "0"})
    visit.page.locator(".greeting .say").click()
    expect(visit.page.locator(".panel")).to_be_visible()
    expect(visit.page.locator(".greeting")).to_have_count(0)


def test_the_bot_may_begin(visit):
    visit.go(start="/greet")
    visit.open()
    visit.hears(HELLO)
    assert visit.said() == []
    visit.page.reload()
    visit.hears(HELLO)  # open as before, and not begun again
    visit.page.wait_for_timeout(500)
    assert visit.replies() == [HELLO]


def test_buttons_answer_once_and_show_their_title(visit, expect):
    visit.go()
    visit.open()
    visit.say("book a tour")
    visit.page.get_by_role("button", name="Friday").click()
    visit.hears("Friday it is.")
    assert visit.said() == ["book a tour", "Friday"]
    for title in ("Friday", "Saturday", "Another day"):
        expect(visit.page.get_by_role("button", name=title)).to_be_disabled()


def test_quick_replies_stand_above_the_line_and_go(visit, expect):
    visit.go()
    visit.open()
    visit.say("tell me more")
    chip = visit.page.locator(".quick .choice", has_text="When are you open?")
    chip.click()
    expect(visit.page.locator(".quick")).to_be_hidden()
    expect(visit.page.locator(".bubble ul li")).to_have_count(2)
    assert visit.said() == ["tell me more", "When are you open?"]


def test_cards_can_be_leafed_through_and_pressed(visit, expect):
    visit.go()
    visit.open()
    visit.say("which planets can we see")
    expect(visit.page.locator(".card")).to_have_count(3)
    for picture in visit.page.locator(".card img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("one => one.naturalWidth") > 0
    cards = visit.page.locator(".cards")
    cards.evaluate("one => one.scrollTo({left: 0, behavior: 'instant'})")
    visit.page.get_by_label("Next card").click()
    visit.page.wait_for_function(
        "() => document.querySelector('starfold-chat').shadowRoot.querySelector('.cards').scrollLeft > 150"
    )
    visit.page.locator(".card button").nth(1).click()
    visit.hears("Gladly. Which evening suits you?")
    expect(visit.page.locator(".card button").first).to_be_enabled()


def test_every_shape_of_a_reply_is_shown(visit, expect):
    visit.go()
    visit.open()
    picture = f"{visit.site.url}/mars.svg"
    template = {
        "template_type": "generic",
        "elements": [
            {
                "title": "Of Rasa",
                "image_url": picture,
                "buttons": [
                    {"title": "Read", "type": "web_url", "url": "https://observatory.example/read"},
                    {"title": "Say", "type": "postback", "payload": '/say{"text": "said"}'},
                ],
            }
        ],
    }
    visit.show(image=picture)
    expect(visit.page.locator("img.media")).to_have_count(1)
    visit.show(attachment={"type": "image", "payload": {"src": picture}})
    expect(visit.page.locator("img.media")).to_have_count(2)
    visit.show(attachment={"type": "template", "payload": template})
    expect(visit.page.locator(".card")).to_contain_text("Of Rasa")
    assert visit.page.locator(".card a").get_attribute("href") == "https://observatory.example/read"
    visit.page.locator(".card button", has_text="Say").click()
    visit.hears("said")
    visit.show(attachment="https://observatory.example/map%20of%20all.pdf")
    expect(visit.page.locator("a.file")).to_have_text("map of all.pdf")


def test_typing_shows_while_the_bot_is_at_it_and_is_not_spoken(visit, expect):
    visit.go()
    visit.open()
    visit.show(text="At last.", seconds=1.5)
    dots = visit.page.locator(".typing")
    expect(dots).to_be_visible()
    assert dots.get_attribute("aria-hidden") == "true"
    visit.hears("At last.")
    expect(dots).to_be_hidden()


def test_each_finished_message_is_spoken_once(visit, expect):
    visit.go()
    visit.open()
    live = visit.page.get_by_role("log")
    assert live.get_attribute("aria-live") == "polite"
    visit.page.evaluate("""() => {
        window.spoken = [];
        const log = document.querySelector('starfold-chat').shadowRoot.querySelector('[role=log]');
        new MutationObserver(found => found.forEach(one => one.addedNodes.forEach(node =>
            window.spoken.push(node.textContent)))).observe(log, {childList: true, subtree: true});
    }""")
    visit.say("book a tour")
    visit.hears("Gladly. Which evening suits you?")
    visit.show(text="twice", times=2)
    visit.hears("twice", 2)
    assert visit.page.evaluate("window.spoken") == [
        "Nova: Gladly. Which evening suits you? Friday, Saturday, Another day",
        "Nova: twice",
        "Nova: twice",
    ]
    visit.page.reload()
    visit.hears("twice", 2)
    assert live.inner_text() == ""  # what was said before is not read out again


def test_the_conversation_is_kept_across_reloads_pages_and_tabs(visit, expect):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.page.reload()
    visit.hears(HELLO)
    assert visit.said() == ["hello"]
    visit.page.goto(visit.site.url + "/other")
    visit.hears(HELLO)
    first = visit.page
    visit.page = visit.tab()
    visit.go()
    visit.open()
    visit.hears(HELLO)
    visit.show(text="in both")
    visit.hears("in both")
    visit.page = first
    visit.hears("in both")


def test_what_comes_in_while_it_is_closed_is_counted(visit, expect):
    visit.go()
    visit.open()
    visit.show(text="later", seconds=1, times=2)
    expect(visit.page.locator(".typing")).to_be_visible()
    visit.page.keyboard.press("Escape")
    expect(visit.page.locator(".badge")).to_have_text("2")
    visit.page.goto(visit.site.url + "/other")
    expect(visit.page.locator(".badge")).to_have_text("2")  # without a click: this visitor talked to the bot before
    visit.open()
    visit.hears("later", 2)
    expect(visit.page.locator(".badge")).to_be_hidden()
    visit.page.keyboard.press("Escape")
    visit.page.reload()
    visit.page.wait_for_timeout(1500)
    expect(visit.page.locator(".badge")).to_be_hidden()


def test_thumbs_are_kept_by_the_server(visit, expect):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.page.get_by_label("Helpful", exact=True).click()
    expect(visit.page.get_by_label("Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    session = json.loads(visit.page.evaluate(f"localStorage.getItem('starfold:{visit.bot.url}/:session')"))
    address = f"{visit.bot.url}/api/conversations/{session['conversation']}/export"
    headers = {"Authorization": f"Bearer {session['token']}"}
    for _ in range(20):
        kept = visit.context.request.get(address, headers=headers).json()["feedback"]
        if kept:
            break
        time.sleep(0.1)
    assert [one["rating"] for one in kept] == ["up"]
    visit.page.reload()
    expect(visit.page.get_by_label("Helpful", exact=True)).to_have_attribute("aria-pressed", "true")


def test_without_thumbs(visit):
    visit.go(feedback="off")
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    assert visit.page.locator(".thumb").count() == 0


def test_the_api_and_the_events(visit, expect):
    visit.go(launcher="off")
    expect(visit.page.locator(".launcher")).to_be_hidden()
    visit.page.evaluate("""() => {
        window.heard = [];
        for (const name of ['open', 'close', 'message', 'reply']) starfold.on(name, detail =>
            heard.push([name, detail.text ?? null]));
        document.addEventListener('starfold:reply', event => window.bubbled = event.detail.text);
        window.off = starfold.on('message', () => heard.push(['never']));
        off();
    }""")
    visit.page.evaluate("starfold.open()")
    expect(visit.page.locator(".panel")).to_be_visible()
    visit.page.evaluate("starfold.send('opening hours')")
    expect(visit.page.locator(".bubble ul")).to_be_visible()
    visit.page.evaluate("starfold.close()")
    expect(visit.page.locator(".panel")).to_be_hidden()
    heard = visit.page.evaluate("heard")
    assert [name for name, _ in heard] == ["open", "message", "reply", "close"]
    assert heard[1][1] == "opening hours"
    assert visit.page.evaluate("bubbled").startswith("We are open")
    assert visit.page.evaluate("Object.keys(window).filter(name => /starfold/i.test(name))") == ["starfold"]


def test_reset_forgets_the_visitor(visit, expect):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    before = visit.page.evaluate("JSON.parse(localStorage[Object.keys(localStorage).find(k => k.endsWith('session'))])")
    visit.page.evaluate("starfold.reset()")
    expect(visit.page.locator(".row")).to_have_count(0)
    visit.say("hi there")
    visit.hears(HELLO)
    after = visit.page.evaluate("JSON.parse(localStorage[Object.keys(localStorage).find(k => k.endsWith('session'))])")
    assert before["conversation"] != after["conversation"]
    assert visit.said() == ["hi there"]


def signed(name: str, secret: str = IDENTITY) -> str:
    import jwt

    return jwt.encode({"sub": name, "exp": int(time.time()) + 600}, secret, "HS256")


def test_a_user_whom_the_page_vouches_for_finds_the_conversation_in_another_browser(visit, browser):
    visit.go(identity=signed("ada"))
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    other = Visit(browser, visit.site, visit.bot)
    other.go()
    other.open()
    other.say("bye")
    other.hears("Clear skies!")
    other.page.evaluate("token => starfold.identify(token)", signed("ada"))
    other.hears(HELLO)
    assert other.said() == ["hello"]
    refused = other.page.evaluate(
        "token => starfold.identify(token).catch(error => error.message)", signed("eve", "f" * 32)
    )
    assert "not valid" in refused
    other.leave()
    visit.complaints.clear()
    assert [one for one in other.complaints if "401" not in one] == []


def test_a_file_goes_where_the_page_says_and_only_if_it_says_so(visit, expect):
    visit.go()
    visit.open()
    assert visit.page.locator("input[type=file]").count() == 0
    visit.go(upload=f"{visit.site.url}/files")
    expect(visit.page.get_by_label("Attach a file")).to_be_visible()
    picked = {"name": "ticket.txt", "mimeType": "text/plain", "buffer": b"one ticket"}
    visit.page.locator("input[type=file]").set_input_files(picked)
    expect(visit.page.locator(".row.user .bubble")).to_have_text("📎 ticket.txt")


@pytest.mark.parametrize(
    ("language", "write", "direction"),
    [
        ("en", "Write a message", "ltr"),
        ("zh-CN", "输入消息", "ltr"),
        ("de", "Nachricht schreiben", "ltr"),
        ("es-MX", "Escriba un mensaje", "ltr"),
        ("ar", "اكتب رسالة", "rtl"),
        ("xx", "Write a message", "ltr"),
    ],
)
def test_it_speaks_the_language_of_the_page(visit, expect, language, write, direction):
    visit.go(f"/?lang={language}")
    visit.open()
    assert visit.page.locator("textarea").get_attribute("placeholder") == write
    assert visit.page.locator(".frame").get_attribute("dir") == direction
    right = visit.page.locator(".launcher").bounding_box()["x"] > 640
    assert right == (direction == "ltr")


def test_every_language_says_everything(visit):
    visit.go()
    visit.open()
    keys = visit.page.evaluate(
        """async (url) => {
        const {LANGUAGES, textsOf} = await import(url);
        return LANGUAGES.map(language => [language, Object.entries(textsOf(language)).filter(([, text]) => text)
            .map(([key]) => key).sort().join()]);
    }""",
        f"{visit.bot.url}/widget/texts.js",
    )
    assert [language for language, _ in keys] == ["en", "zh", "de", "es", "ar"]
    assert len({names for _, names in keys}) == 1


def test_it_fills_a_phone(browser, site, bot, visit, expect):
    phone = Visit(browser, site, bot, viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce")
    phone.go()
    phone.open()
    assert phone.page.locator(".panel").bounding_box() == {"x": 0, "y": 0, **PHONE}
    expect(phone.page.locator(".panel")).to_have_attribute("aria-modal", "true")
    expect(phone.page.locator(".launcher")).to_be_hidden()
    phone.say("which planets can we see")
    expect(phone.page.locator(".card")).to_have_count(3)
    view = phone.page.locator(".view")
    assert view.evaluate("one => one.scrollWidth <= one.clientWidth")
    phone.page.locator(".close").click()
    expect(phone.page.locator(".launcher")).to_be_visible()
    phone.leave()
    assert phone.complaints == []


def test_it_leaves_room_on_a_desktop(visit, expect):
    visit.go()
    visit.open()
    box = visit.page.locator(".panel").bounding_box()
    assert (box["width"], box["height"]) == (392, 660)
    assert box["x"] + box["width"] == 1260
    visit.page.locator("#host").click()  # the page stays in use
    expect(visit.page.locator(".panel")).to_be_visible()


def test_colours_follow_the_system_the_tag_and_the_page(visit):
    def background() -> str:
        return visit.page.locator(".panel").evaluate("one => getComputedStyle(one).backgroundColor")

    visit.page.emulate_media(color_scheme="dark")
    visit.go()
    visit.open()
    assert background() == "rgb(21, 21, 31)"
    visit.page.emulate_media(color_scheme="light")
    assert background() == "rgb(255, 255, 255)"
    visit.go(theme="dark")
    visit.page.locator(".panel").wait_for()
    assert background() == "rgb(21, 21, 31)"
    visit.page.evaluate("document.querySelector('starfold-chat').className = 'own'")  # a rule of the page's style sheet
    send = visit.page.locator(".send")
    visit.page.locator("textarea").fill("x")
    assert send.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(11, 107, 67)"


def test_rules_of_the_page_do_not_reach_in(visit):
    visit.go()
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    style = "one => { const s = getComputedStyle(one); return [s.fontSize, s.letterSpacing, s.color]; }"
    assert visit.page.locator(".row.bot p:not(.head)").first.evaluate(style) == ["15px", "normal", "rgb(26, 26, 39)"]
