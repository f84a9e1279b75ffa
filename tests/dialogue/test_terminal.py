import io
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from dialogue.channels import explain, terminal
from dialogue.channels.slash import ChatCompleter
from dialogue.channels.terminal import TerminalChat, line_editor
from dialogue.errors import StoreError
from dialogue.events import ActionExecuted, BotUttered, SlotSet, UserUttered
from dialogue.message import Message, Reply
from policies.types import Belief, Candidate
from tests.dialogue.chatting import FakeBot


def screen(width=100):
    return Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)


def drawn(renderable, width=100):
    console = screen(width)
    console.print(renderable)
    return console.file.getvalue()


@contextmanager
def chatting(tmp_path, bot=None, **options):
    """A chat and a function that types into it and gives back what the screen shows."""
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        options = {"teach": lambda text, intent: bot, "intents": FakeBot.intents, "name": "Nova", **options}
        chat = TerminalChat(
            bot or FakeBot(),
            session=line_editor(tmp_path / ".starfold" / "history"),
            console=screen(),
            sender="ada",
            **options,
        )

        def typed(keys):
            start = len(chat.console.file.getvalue())
            keyboard.send_bytes(keys) if isinstance(keys, bytes) else keyboard.send_text(keys)
            chat.run()
            return chat.console.file.getvalue()[start:]

        yield chat, typed


QUIT = "/quit\r"


def test_says_what_is_typed_and_shows_the_answer_with_its_belief(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        shown = typed("when are you open?\r" + QUIT)
    assert [(m.text, m.sender, m.channel) for m in chat.bot.heard] == [("when are you open?", "ada", "cmdline")]
    assert "Nova › you said when are you open?" in shown
    assert "opening_hours 0.75 [0.50, 0.88] · unknown 0.06 · rules" in shown


def gone(sender):
    raise StoreError("the store is gone")


def test_a_reminder_that_came_due_is_shown_before_the_next_prompt(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        chat.bot.reminders = ["water the plants"]
        shown = typed("hello\r" + QUIT)
        assert shown.index("Nova › you said water the plants") < shown.index("Nova › you said hello")
        assert "you: water" not in chat.transcript()
        chat.done = False
        chat.bot.due = gone
        assert "the store is gone" in typed(QUIT)


def test_a_reminder_speaks_while_the_user_is_typing(tmp_path, monkeypatch):
    """Once, above the line that is being typed, which is neither lost nor sent."""
    monkeypatch.setattr(terminal, "REMINDER_SECONDS", 0.02)
    with chatting(tmp_path) as (chat, _):
        shown = chat.console.file

        def person():
            for text, awaited in (("hel", "water the plants"), ("lo\r", "you said hello"), ("", "feed the cat")):
                keyboard_of(chat).send_text(text)
                chat.bot.reminders = [] if awaited == "you said hello" else [awaited]
                until = time.monotonic() + 10
                while awaited not in shown.getvalue() and time.monotonic() < until:
                    time.sleep(0.01)
            keyboard_of(chat).send_text("\x04")

        typing = threading.Thread(target=person)
        typing.start()
        chat.run()
        typing.join()
        said = [line for line in shown.getvalue().splitlines() if line.startswith("Nova")]
        assert said == [f"Nova › you said {text}" for text in ("water the plants", "hello", "feed the cat")]
        assert chat.turn.message.text == "feed the cat", "/why explains it"
        assert chat.transcript().splitlines()[0] == "Nova: you said water the plants"


def keyboard_of(chat):
    return chat.session.app.input


def test_what_came_due_before_the_line_was_sent_is_said_before_its_answer(tmp_path, monkeypatch):
    """Also when its turn still runs as the line is sent."""
    monkeypatch.setattr(terminal, "REMINDER_SECONDS", 0.02)

    class SlowBot(FakeBot):
        def due(self, *, sender):
            if threading.current_thread() is threading.main_thread():
                return []
            begun.set()
            time.sleep(0.2)
            return super().due(sender=sender)

    begun, bot = threading.Event(), SlowBot()
    bot.reminders = ["water the plants"]
    with chatting(tmp_path, bot) as (chat, typed):

        def person():
            assert begun.wait(10)
            keyboard_of(chat).send_text("hello\r" + QUIT)

        typing = threading.Thread(target=person)
        typing.start()
        shown = typed("")
        typing.join()
    assert shown.index("you said water the plants") < shown.index("you said hello")
    assert [message.text for message in bot.heard] == ["water the plants", "hello"]


def test_control_d_ends_the_chat(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        typed("\x04")
    assert chat.bot.heard == []


def test_control_c_clears_the_line(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        typed("do not send\x03send\r" + QUIT)
    assert [m.text for m in chat.bot.heard] == ["send"]


def test_control_c_in_a_turn_does_not_end_the_chat(tmp_path):
    bot = FakeBot()
    bot.error = KeyboardInterrupt()
    with chatting(tmp_path, bot) as (_, typed):
        shown = typed("one\rtwo\r" + QUIT)
    assert "interrupted" in shown
    assert "you said two" in shown


def test_an_error_of_the_bot_is_a_sentence_and_the_chat_goes_on(tmp_path):
    bot = FakeBot()
    bot.error = StoreError("the store is gone")
    with chatting(tmp_path, bot) as (_, typed):
        shown = typed("one\rtwo\r" + QUIT)
    assert "the store is gone" in shown
    assert "you said two" in shown


def test_blank_lines_are_not_sent(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        typed("\r   \r" + QUIT)
    assert chat.bot.heard == []


@pytest.mark.parametrize(("typed_in", "sent"), [("2", "/help"), ("２", "/help"), ("prices", "/ticket_price")])
def test_a_button_is_pressed_by_number_or_title(tmp_path, typed_in, sent):
    with chatting(tmp_path) as (chat, typed):
        shown = typed(f"choose\r{typed_in}\r" + QUIT)
    assert "[1] Prices" in shown
    assert "[2] 时间" in shown
    assert [m.text for m in chat.bot.heard] == ["choose", sent]


@pytest.mark.parametrize("number", ["0", "3", "99", "²", "٣"])
def test_a_number_that_names_no_button_is_a_message(tmp_path, number):
    with chatting(tmp_path) as (chat, typed):
        typed(f"choose\r{number}\r" + QUIT)
    assert chat.bot.heard[-1].text == number


def test_buttons_are_gone_after_the_next_answer(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        typed("choose\rhello\r1\r" + QUIT)
    assert chat.bot.heard[-1].text == "1"


def test_buttons_of_several_replies_are_numbered_on(tmp_path):
    bot = FakeBot()
    bot.replies = bot._answer("choose") * 2
    with chatting(tmp_path, bot) as (chat, typed):
        shown = typed("x\r3\r" + QUIT)
    assert "[4] 时间" in shown
    assert chat.bot.heard[-1].text == "/ticket_price"


def test_an_intent_shortcut_is_sent_but_a_command_wins(tmp_path):
    shortcuts = ['/greet{"name": "Ada"}', "/ticket_price/child", "/greet@0.5", "/restart"]
    with chatting(tmp_path) as (chat, typed):
        shown = typed("\r".join([*shortcuts, "/help\r"]) + QUIT)
    assert [m.text for m in chat.bot.heard] == shortcuts
    assert "/teach INTENT" in shown


def test_an_unknown_command_names_the_nearest(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        shown = typed("/whi\r" + QUIT)
    assert "unknown command '/whi'; did you mean '/why'?" in shown
    assert chat.bot.heard == []


def test_why_explains_the_last_turn(tmp_path):
    with chatting(tmp_path) as (_, typed):
        shown = typed("/why\rhi\r/why\r" + QUIT)
    assert "nothing to explain yet" in shown
    for part in (
        "████████████▓▓▓▓▓▓░░░···  0.750  [0.500, 0.875]",
        "unknown",
        "0.062",
        "bert",
        "70%",
        "date  tonight  0-7",
        "act    utter_opening_hours 0.750",
        "rule 'say when open'",
        "forms  passed: no form is active",
        "understand 4.2 · decide 0.5",
        "entropy 0.830 nats, 0.210 of them",
    ):
        assert part in shown


def test_debug_explains_every_turn(tmp_path):
    with chatting(tmp_path, debug=True) as (_, typed):
        assert "rule 'say when open'" in typed("hi\r" + QUIT)


def test_slots_and_events_of_the_conversation(tmp_path):
    with chatting(tmp_path) as (_, typed):
        shown = typed("/slots\r/events\rhi\r/slots\r/events\r" + QUIT)
    assert "no slots" in shown
    assert "no events" in shown
    assert "行星  火星" in shown
    assert "2  action  name=utter_echo  policy=rules  confidence=1.0" in shown


def test_reset_forgets_the_conversation(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        shown = typed("choose\r/reset\r/why\r1\r" + QUIT)
    assert "nothing to explain yet" in shown
    assert chat.bot.heard[-1].text == "1"
    assert [event.wire for event in chat.bot.tracker("ada").events] == ["user", "action", "slot", "bot"]


def test_events_leave_out_what_is_empty():
    happened = (
        UserUttered(text="hi", parse_data={"intent": {"name": "greet", "confidence": 0.9}}),
        ActionExecuted(name="utter_greet", policy="rules", confidence=0.98765),
        SlotSet(name="people", value=0),
        BotUttered(text="Hello!", data={"buttons": [{"title": "Yes", "payload": "/affirm"}], "image": None}),
    )
    shown = drawn(explain.events(happened), 200)
    assert "intent=greet 0.900" in shown
    assert "confidence=0.988" in shown
    assert "value=0" in shown
    assert 'data={"buttons": [{"title": "Yes", "payload": "/affirm"}]}' in shown


def test_a_retrieval_intent_is_taught_by_its_answer(tmp_path):
    taught = []
    with chatting(tmp_path, teach=lambda text, intent: taught.append((text, intent)) or FakeBot()) as (chat, typed):
        chat.intents = ("greet", "faq/wifi", "faq/pets")
        shown = typed("is there internet\r/teach faq\r/teach faq/wifi\r" + QUIT)
    assert "name one, such as faq/wifi" in shown
    assert taught == [("is there internet", "faq/wifi")]


def test_teach_takes_the_last_message_and_the_chat_goes_on_with_the_new_bot(tmp_path):
    taught, better = [], FakeBot()

    def teach(text, intent):
        taught.append((text, intent))
        return better

    with chatting(tmp_path, teach=teach) as (chat, typed):
        first = chat.bot
        typed("how much\r/greet\r/teach ticket_price\rnext\r" + QUIT)
    assert taught == [("how much", "ticket_price")]
    assert chat.bot is better
    assert [m.text for m in better.heard] == ["next"]
    assert (first.closed, better.closed) == (True, False)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("hi\r/teach ticket_prise\r", "no intent 'ticket_prise'; did you mean 'ticket_price'?"),
        ("hi\r/teach\r", "/teach needs the name of an intent"),
        ("/teach greet\r", "nothing to learn from yet"),
        ("/save\r", "/save needs the name of a file"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(tmp_path, line, complaint):
    with chatting(tmp_path) as (_, typed):
        assert complaint in typed(line + QUIT)


def test_save_writes_the_transcript_and_spares_other_files(tmp_path):
    other, mine = tmp_path / "other.txt", tmp_path / "mine.txt"
    other.write_text("precious")
    with chatting(tmp_path) as (_, typed):
        shown = typed(f"choose\r1\r/save {other}\r/save {mine}\r你好\r/save {mine}\r/save {tmp_path}/no/no\r" + QUIT)
    assert other.read_text() == "precious"
    assert "exists already" in shown
    assert "No such file" in shown
    assert mine.read_text(encoding="utf-8").splitlines() == [
        "you: choose",
        "Nova: which?",
        "  [1] Prices",
        "  [2] 时间",
        "you: Prices",
        "Nova: you said /ticket_price",
        "you: 你好",
        "Nova: you said 你好",
    ]


def test_history_is_kept_between_chats_and_searched_by_control_r(tmp_path):
    with chatting(tmp_path) as (_, typed):
        typed("望远镜 hours\rother\r" + QUIT)
    with chatting(tmp_path) as (chat, typed):
        typed("\x12hours\r\r" + QUIT)
    assert [m.text for m in chat.bot.heard] == ["望远镜 hours"]


def test_no_writable_history_is_no_obstacle(tmp_path):
    (tmp_path / ".starfold").write_text("a file where the folder should be")
    with chatting(tmp_path) as (_, typed):
        assert "you said hi" in typed("hi\r" + QUIT)


def test_bytes_that_are_not_utf8_are_replaced(tmp_path):
    with chatting(tmp_path) as (chat, typed):
        typed(b"caf\xe9 \r/quit\r")
    assert chat.bot.heard[0].text.startswith("caf")
    chat.bot.heard[0].text.encode()


def test_text_of_the_bot_is_neither_markup_nor_terminal_code(tmp_path):
    bot = FakeBot()
    bot.replies = (Reply(text="[bold]x[/] :smile: [/nope] \x1b[31mred\x07 **a**\nsecond", image="https://x/[i].png"),)
    with chatting(tmp_path, bot) as (_, typed):
        shown = typed("hi\r" + QUIT)
    assert "[bold]x[/] :smile: [/nope] \ufffd[31mred\ufffd **a**" in shown
    assert "       second" in shown
    assert "image: https://x/[i].png" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", ["今晚能看到什么" * 30, "x" * 300, "word " * 60])
def test_long_text_is_folded_and_never_cut(tmp_path, text):
    bot = FakeBot()
    bot.replies = (Reply(text=text),)
    with chatting(tmp_path, bot) as (_, typed):
        shown = typed("hi\r/events\r" + QUIT)
    assert "…" not in shown
    once_in_the_answer_and_once_in_the_events = "".join(shown.split()).count(text.replace(" ", ""))
    assert once_in_the_answer_and_once_in_the_events == 2


def test_attachments_and_custom_payloads_are_shown(tmp_path):
    shown = drawn(explain.reply(Reply(attachment={"type": "video"}, custom={"名": 1})))
    assert '{"type": "video"}' in shown
    assert '{"名": 1}' in shown


def test_bars_stay_whole_on_a_narrow_terminal():
    narrow = drawn(explain.why(FakeBot().handle(Message("x")), 46), width=46)
    assert re.search(r"  opening_h\S*  ████▓▓░·  0.750  \[0.500, 0.875\]\n", narrow)


def test_wide_characters_stay_in_their_columns():
    belief = Belief((Candidate("营业时间", 0.5, 0.25, 0.75), Candidate("hours", 0.25, 0.0, 0.5)), 0.25, 1.0, 0.1)
    _, chinese, english, *_ = drawn(explain._belief(belief)).splitlines()
    assert chinese.index("[") + len("营业时间") == english.index("[")


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted), st.integers(1, 80))
def test_a_bar_is_as_wide_as_asked_and_shows_its_bounds(bounds, width):
    lower, mean, upper = bounds
    shown = explain.bar(Candidate("x", mean, lower, upper), width).plain
    assert len(shown) == width
    assert shown.count("█") == round(lower * width)
    assert len(shown.rstrip("·")) == round(upper * width)


def test_colour_only_where_it_is_wanted(monkeypatch):
    for wanted, setting in ((True, ""), (False, "1")):
        monkeypatch.setenv("NO_COLOR", setting)
        console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
        console.print(explain.bar(Candidate("x", 0.5, 0.5, 0.5)))
        assert ("\x1b[32m" in console.file.getvalue()) is wanted


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/s", ["/slots", "/save"]),
        ("/teach t", ["ticket_price"]),
        ("/teach ", ["opening_hours", "ticket_price", "greet", "help"]),
        ("pr", ["Prices"]),
        ("", ["Prices", "时间"]),
        ("/why ", []),
        ("xyz", []),
    ],
)
def test_completion(typed, offered):
    completer = ChatCompleter(FakeBot.intents)
    completer.titles = ("Prices", "时间")
    found = list(completer.get_completions(Document(typed), CompleteEvent()))
    assert [completion.text for completion in found] == offered
    full = [typed[: len(typed) + c.start_position] + c.text for c in found]
    assert all(whole.casefold().startswith(typed.casefold()) for whole in full)


def test_a_bot_without_intents_is_summed_up():
    turn = FakeBot().handle(Message("x"))
    empty = replace(turn, belief=Belief((), 1.0, 0.0, 0.0))
    assert drawn(explain.summary(empty)).strip() == "no intents · unknown 1.00 · rules"
    assert "unknown" in drawn(explain.why(empty))
