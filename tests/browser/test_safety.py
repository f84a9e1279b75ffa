"""Nothing that a user or the bot says becomes markup or code, and nothing goes to anybody else."""

from __future__ import annotations

import pytest

from tests.browser.test_widget import HELLO

# Each would open a dialog, which fails the test, if any of it ran.
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>press</a>",
    '"><script>alert(1)</script>',
    "<details open ontoggle=alert(1)>x</details>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<template><img src=x onerror=alert(1)></template>",
    "<body onload=alert(1)>",
    "<style>@import 'javascript:alert(1)';</style>",
    "{{constructor.constructor('alert(1)')()}}",
    "[press](javascript:alert(1))",
    "[press](JaVaScRiPt:alert(1))",
    "[press]( javascript:alert(1))",
    "[press](\tjavascript:alert(1))",
    "[press](java\nscript:alert(1))",
    "[press](data:text/html,<script>alert(1)</script>)",
    "[press](vbscript:alert(1))",
    "[press](//evil.example/x)",
    "[press](blob:https://evil.example/1)",
    "[press](file:///etc/passwd)",
    "[<img src=x onerror=alert(1)>](https://observatory.example/)",
    "[press](https://observatory.example/'onmouseover=alert(1)//)",
    '[press](https://observatory.example/"onmouseover="alert(1))',
    "![x](javascript:alert(1))",
    '![x](x"onerror="alert(1))',
    "**<img src=x onerror=alert(1)>**",
    "`<img src=x onerror=alert(1)>`",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "- <img src=x onerror=alert(1)>\n- [x](javascript:alert(1))",
    "<https://observatory.example/><script>alert(1)</script>",
    "https://observatory.example/<script>alert(1)</script>",
    "javascript:alert(1)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202e<script>alert(1)</script>",
    "\x00<script>alert(1)</script>".replace("\x00", ""),
)
MARKDOWN = {
    "**a** _b_ *c* `d`": "<p><strong>a</strong> <em>b</em> <em>c</em> <code>d</code></p>",
    "snake_case_name 2*3*4": "<p>snake_case_name 2<em>3</em>4</p>",
    "a\nb\n\nc": "<p>a<br />b</p><p>c</p>",
    "- a\n- **b**": "<ul><li>a</li><li><strong>b</strong></li></ul>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "```py\n<b>\n```": "<pre><code>&lt;b&gt;</code></pre>",
    "\\*a\\*": "<p>*a*</p>",
    "see https://a.example/b_c_d.": '<p>see <a href="https://a.example/b_c_d">https://a.example/b_c_d</a>.</p>',
    "[x](mailto:a@b.example) [y](tel:+1)": '<p><a href="mailto:a@b.example">x</a> <a href="tel:+1">y</a></p>',
    "# Title": "<p>Title</p>",
    "**a _b_**": "<p><strong>a <em>b</em></strong></p>",
}
SCHEMES = ("http:", "https:", "mailto:", "tel:")


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


def elements(visit) -> dict[str, list[str]]:
    """Tags in the conversation, and where its links and pictures lead."""
    found: dict[str, list[str]] = visit.page.evaluate("""() => {
        const view = document.querySelector('starfold-chat').shadowRoot.querySelector('.panel');
        const all = [...view.querySelectorAll('*')];
        return {
            tags: [...new Set(all.map(one => one.tagName.toLowerCase()))],
            attributes: [...new Set(all.flatMap(one => one.getAttributeNames()))],
            links: all.filter(one => one.href && one.tagName === 'A').map(one => one.href),
            sources: all.filter(one => one.src).map(one => one.src),
        };
    }""")
    return found


def assert_harmless(visit) -> None:
    found = elements(visit)
    assert {"script", "iframe", "style", "object", "embed", "template", "math", "details"} & set(found["tags"]) == set()
    assert [name for name in found["attributes"] if name.startswith("on")] == []
    assert [link for link in found["links"] if not link.startswith(SCHEMES)] == []
    assert [source for source in found["sources"] if not source.startswith(("http:", "https:"))] == []
    assert [link for link in found["links"] if "evil" in link] == []
    for link in visit.page.locator(".view a").all():
        assert "alert" not in (link.get_attribute("href") or "").partition("//")[0]


def test_hostile_words_of_a_user_stay_words(visit, expect):
    visit.go()
    visit.open()
    for number, text in enumerate(HOSTILE, start=1):
        visit.page.evaluate("text => starfold.send(text)", text)
        expect(visit.page.locator(".row.user:not(.waiting)")).to_have_count(number)
        assert visit.page.locator(".row.user .bubble").last.evaluate("one => one.textContent") == text
    assert_harmless(visit)
    visit.page.reload()
    expect(visit.page.locator(".row.user")).to_have_count(len(HOSTILE))
    assert_harmless(visit)


def test_hostile_words_of_the_bot_stay_words(visit, expect):
    visit.go()
    visit.open()
    for text in HOSTILE:
        visit.show(
            text=text,
            button={"title": text, "payload": text},
            custom={
                "quick_replies": [{"title": text, "url": "javascript:alert(1)"}, {"title": text}],
                "cards": [
                    {"title": text, "subtitle": text, "image": "javascript:alert(1)", "url": "javascript:alert(1)"}
                ],
                "image": "data:text/html,<script>alert(1)</script>",
                "video": "javascript:alert(1)",
                "alt": text,
                "html": text,
            },
        )
    expect(visit.page.locator(".card")).to_have_count(len(HOSTILE), timeout=60_000)
    assert_harmless(visit)
    for link in visit.page.locator(".view a").all():
        link.evaluate("one => { one.addEventListener('click', event => event.preventDefault()); one.click(); }")


def test_markdown_is_quick_with_what_was_made_to_be_slow(visit):
    visit.go()
    visit.open()
    spent = visit.page.evaluate(
        """async url => {
        const {markdown} = await import(url);
        const texts = ['*', '_', '**', '`', '[', '[a](', '![', '- ', '1. ', 'https://', '_a', '*a *', '\\\\'].map(
            part => part.repeat(20000 / part.length));
        const begun = performance.now();
        texts.forEach(text => markdown(text));
        return performance.now() - begun;
    }""",
        f"{visit.bot.url}/widget/markdown.js",
    )
    assert spent < 5_000


def test_markdown_means_what_it_should(visit):
    visit.go()
    visit.open()
    for text, wanted in MARKDOWN.items():
        html = visit.page.evaluate(
            """async ([url, text]) => {
                const {markdown} = await import(url);
                const box = document.createElement('div');
                box.append(markdown(text));
                for (const one of box.querySelectorAll('*'))
                    for (const name of ['rel', 'target', 'tabindex']) one.removeAttribute(name);
                return new XMLSerializer().serializeToString(box);
            }""",
            [f"{visit.bot.url}/widget/markdown.js", text],
        )
        assert html == f'<div xmlns="http://www.w3.org/1999/xhtml">{wanted}</div>'


def test_nothing_is_asked_of_anybody_else(visit):
    visit.page.goto(visit.bot.url + "/")
    visit.open()
    visit.say("hello")
    visit.hears(HELLO)
    visit.say("opening hours")
    visit.page.locator(".bubble ul").wait_for()
    assert {url for url in visit.requests if not url.startswith(visit.bot.url)} == set()
    assert visit.context.cookies() == []


def test_the_host_page_asks_nobody_else_either(visit):
    visit.go(greeting="Hi")
    visit.open()
    visit.say("which planets can we see")
    visit.page.locator(".card").first.wait_for()
    own = (visit.bot.url, visit.site.url)
    assert [url for url in visit.requests if not url.startswith(own)] == []


def test_a_page_of_another_origin_is_refused(visit, browser, bot):
    visit.page.goto(bot.url.replace("127.0.0.1", "localhost") + "/")
    status = visit.page.evaluate(
        """async url => { try { return (await fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: '{}'})).status; } catch (error) { return String(error); } }""",
        f"{bot.url}/api/session",
    )
    assert status != 200
    visit.complaints.clear()
