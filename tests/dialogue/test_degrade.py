"""Replies cut to what a platform shows, markdown in its dialects, and typed answers that mean a button."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.channels.choices import chosen, offered
from dialogue.channels.degrade import LOOKS, Look, pieces, shorten, split
from dialogue.channels.markdown import Markup, convert
from dialogue.draft import uttered
from dialogue.events import ActionExecuted, UserUttered
from dialogue.message import Button, Reply

BARE = Look(50)
RICH = Look(4096, 3, 20, 64, True, True, Markup.HTML)
YES_NO = (Button("Yes", "/affirm"), Button("No", "/deny"))


def texts(reply, look=BARE):
    return [piece.text for piece in pieces(reply, look)]


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_buttons_that_fit_are_buttons():
    (piece,) = pieces(Reply(text="ok?", buttons=YES_NO), RICH)
    assert (piece.text, piece.buttons) == ("ok?", YES_NO)


@pytest.mark.parametrize(
    "buttons",
    [
        (*YES_NO, Button("Maybe", "m"), Button("Later", "l")),
        (Button("Yes", "/affirm"), Button("Yes", "/deny")),
        (Button("Yes", "/same"), Button("No", "/same")),
        (Button("Yes", "x" * 65), Button("No", "/deny")),
        (Button("Yes", "é" * 33), Button("No", "/deny")),
        (Button("a title longer than that by far", "1"), Button("a title longer than that again", "2")),
        (Button("", "/affirm"), Button("No", "/deny")),
        (Button("Yes", ""), Button("No", "/deny")),
    ],
)
def test_buttons_that_do_not_fit_are_a_list(buttons):
    (piece,) = pieces(Reply(text="ok?", buttons=buttons), RICH)
    lines = "\n".join(f"{number}. {button.title}" for number, button in enumerate(buttons, 1))
    assert (piece.text, piece.buttons) == (f"ok?\n{lines}", ())


def test_a_long_title_is_shortened_where_it_stays_its_own():
    long = Button("a title that is too long for it", "1")
    (piece,) = pieces(Reply(text="ok?", buttons=(long, YES_NO[1])), RICH)
    assert [button.title for button in piece.buttons] == ["a title that is too…", "No"]


def test_buttons_without_a_text_are_a_list():
    assert texts(Reply(buttons=YES_NO), RICH) == ["1. Yes\n2. No"]


def test_links_are_lines_without_a_number():
    link = Button("Map", "https://example.org/map")
    (piece,) = pieces(Reply(text="ok?", buttons=(YES_NO[0], link, YES_NO[1])), RICH)
    assert (piece.text, piece.buttons) == ("ok?\nMap: https://example.org/map", YES_NO)
    assert texts(Reply(text="ok?", buttons=(link, *YES_NO))) == ["ok?\n1. Yes\n2. No\nMap: https://example.org/map"]


def test_images_and_attachments():
    assert [piece.image for piece in pieces(Reply(image="https://x/a.png"), RICH)] == ["https://x/a.png"]
    assert texts(Reply(text="see", image="https://x/a.png")) == ["see\nhttps://x/a.png"]
    attached = {"type": "image", "payload": {"src": "https://x/b.png"}}
    assert [piece.image for piece in pieces(Reply(attachment=attached), RICH)] == ["https://x/b.png"]
    assert texts(Reply(attachment={"type": "video", "payload": {"url": "https://x/c.mp4"}}), RICH) == [
        "https://x/c.mp4"
    ]
    assert texts(Reply(attachment="a leaflet")) == ["a leaflet"]
    assert pieces(Reply(attachment={"type": "video"}), RICH) == ()


def test_a_custom_reply_is_for_those_who_take_it(caplog):
    reply = Reply(custom={"blocks": [1], "handoff": True})
    (piece,) = pieces(reply, RICH)
    assert piece.custom == {"blocks": [1]}
    assert pieces(reply, BARE) == ()
    assert "blocks" in caplog.text
    assert pieces(Reply(custom={"handoff": True}), RICH) == ()


def test_only_the_last_part_of_a_long_text_has_the_buttons():
    found = pieces(Reply(text="word " * 2000, buttons=YES_NO), RICH)
    assert [bool(piece.buttons) for piece in found] == [False, False, True]


@pytest.mark.parametrize("name", LOOKS)
@settings(deadline=None, max_examples=10)
@given(st.text(max_size=300), st.sampled_from(["", "&" * 1500, "**bold** _it_ " * 200, "望远镜👩‍🚀" * 700, "x" * 3000]))
def test_no_part_is_longer_than_a_platform_takes_and_nothing_is_lost(name, start, rest):
    look = LOOKS[name]
    parts = split(start + rest, look)
    assert all(0 < look.size(part) <= look.text for part in parts)
    if look.markup is Markup.MARKDOWN:
        assert "".join("".join(parts).split()) == "".join((start + rest).split())


def test_texts_are_cut_where_they_breathe():
    assert split("one two three\n\nfour five six seven eight nine ten eleven", BARE) == [
        "one two three\n\nfour five six seven eight nine ten",
        "eleven",
    ]
    family = "👩‍👩‍👧‍👦"
    assert all(part.strip(family[0]) and part.count("\u200d") % 3 == 0 for part in split(family * 20, BARE))
    assert split("e\u0301" * 40, BARE) == ["e\u0301" * 25, "e\u0301" * 15]
    assert split("a" + "\u0301" * 120, BARE)[0] == "a" + "\u0301" * 49


def test_shorten():
    assert (shorten(" fits ", 4), shorten("too long", 4), shorten("a b", 2)) == ("fits", "too…", "a…")


# --- markdown ---------------------------------------------------------------------------------------------------------

SOURCE = "**bold** and *it* or _it_, `x<y`, [a & b](https://e.org/a_b_c) <tag> 2*3*4 snake_case_name https://e.org/_x_"
DIALECTS = {
    Markup.PLAIN: "bold and it or it, x<y, a & b: https://e.org/a_b_c <tag> 2*3*4 snake_case_name https://e.org/_x_",
    Markup.MARKDOWN: SOURCE,
    Markup.SLACK: "*bold* and _it_ or _it_, `x&lt;y`, <https://e.org/a_b_c|a &amp; b> &lt;tag&gt; 2*3*4 snake_case_name"
    " https://e.org/_x_",
    Markup.WHATSAPP: "*bold* and _it_ or _it_, ```x<y```, a & b: https://e.org/a_b_c <tag> 2*3*4 snake_case_name"
    " https://e.org/_x_",
    Markup.HTML: '<b>bold</b> and <i>it</i> or <i>it</i>, <code>x&lt;y</code>, <a href="https://e.org/a_b_c">a &amp; b'
    "</a> &lt;tag&gt; 2*3*4 snake_case_name https://e.org/_x_",
}


@pytest.mark.parametrize("markup", Markup)
def test_dialects(markup):
    assert convert(SOURCE, markup) == DIALECTS[markup]


def test_no_text_makes_it_slow():
    start = time.process_time()
    for text in ("*" * 50_000, "_a" * 25_000, "[" * 50_000, "`" * 50_000, "**a" * 20_000, "[a](https://" * 4000):
        convert(text, Markup.HTML)
    assert time.process_time() - start < 5


@settings(deadline=None)
@given(st.text(alphabet='*_`[]()<>&"a: https://x\n', max_size=60))
def test_html_never_comes_from_the_text(text):
    from html.parser import HTMLParser

    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attrs):
            self.found.append(tag)

    reader = Tags()
    reader.feed(convert(text, Markup.HTML))
    assert set(reader.found) <= {"b", "i", "code", "a"}


# --- choices ----------------------------------------------------------------------------------------------------------


def asked(*replies):
    return [UserUttered(timestamp=0, text="hi"), *(uttered(reply, 1.0) for reply in replies), listening()]


def listening():
    return ActionExecuted(timestamp=2, name="action_listen", policy="rules", confidence=1.0)


LIST = Reply(text="ok?", buttons=(*YES_NO, Button("Map", "https://e.org"), Button("Maybe", "m"), Button("Later", "l")))


@pytest.mark.parametrize(
    ("said", "payload"),
    [
        *(("1", "/affirm"), ("2", "/deny"), ("3", "m"), ("4", "l"), ("5", None), ("0", None), ("-1", None)),
        *((" 2. ", "/deny"), ("(2)", "/deny"), ("#2", "/deny"), ("２", "/deny"), ("2 people", None), ("22", None)),
        *(("yes", "/affirm"), ("YES ", "/affirm"), ("later", "l"), ("yes please", None), ("", None), ("²", None)),
    ],
)
def test_a_number_finds_its_button_in_the_list(said, payload):
    assert chosen(said, asked(LIST), RICH) == payload


def test_a_number_is_no_button_where_there_was_no_list():
    assert chosen("1", asked(Reply(text="ok?", buttons=YES_NO)), RICH) is None
    assert chosen("yes", asked(Reply(text="ok?", buttons=YES_NO)), RICH) == "/affirm"
    assert chosen("1", asked(Reply(text="ok?", buttons=YES_NO)), BARE) == "/affirm"
    assert chosen("1", asked(Reply(text="ok?", buttons=YES_NO)), None) == "/affirm"
    assert chosen("1", asked(Reply(text="how many?")), BARE) is None


def test_a_title_goes_before_a_number():
    many = Reply(text="how many?", buttons=tuple(Button(str(number), f"n{number}") for number in (2, 4, 1, 6)))
    assert [chosen(said, asked(many), BARE) for said in "1246"] == ["n1", "n2", "n4", "n6"]


def test_only_what_was_offered_last_counts():
    first, last = Reply(text="a?", buttons=(Button("A", "a"),)), Reply(text="b?", buttons=(Button("B", "b"),))
    assert chosen("1", asked(first, last, Reply(text="well?")), BARE) == "b"
    assert chosen("1", [*asked(first), UserUttered(timestamp=3, text="what?"), listening()], BARE) is None
    assert offered([]) is None


def test_a_shortened_title_is_the_buttons_too():
    long = Button("a title that is too long for it", "1")
    assert chosen("A title that is too…", asked(Reply(text="?", buttons=(long, YES_NO[0]))), RICH) == "1"
