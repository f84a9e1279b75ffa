import datetime
import io
import json

import pytest

from dialogue.channels import jsonl
from dialogue.message import Reply
from tests.dialogue.chatting import BELIEF, FakeBot


def answers(raw, bot=None):
    out = io.BytesIO()
    jsonl.converse(bot or FakeBot(), io.BytesIO(raw), out, sender="ada")
    return [json.loads(line) for line in out.getvalue().decode("utf-8").splitlines()]


def test_a_pipe_answers_line_by_line_with_exactly_the_promised_keys():
    (answer,) = answers("什么时候开门".encode())
    assert list(answer) == ["text", "replies", "decision", "belief"]
    assert answer["text"] == "什么时候开门"
    assert answer["replies"] == [{"text": "you said 什么时候开门"}]
    assert answer["decision"] == {
        "kind": "act",
        "action": "utter_opening_hours",
        "confidence": 0.75,
        "policy": "rules",
        "reason": "rule 'say when open'",
    }
    assert list(answer["belief"]) == ["intents", "unknown", "entropy", "mutual_information"]
    assert answer["belief"]["intents"][0] == {"name": "opening_hours", "mean": 0.75, "lower": 0.5, "upper": 0.875}
    assert len(answer["belief"]["intents"]) == len(BELIEF.intents)


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"", []),
        (b"\n", [""]),
        ("a\u2028b\x0cc\n".encode(), ["a\u2028b\x0cc"]),
        (b"/quit\n1\n", ["/quit", "1"]),
    ],
)
def test_a_line_is_a_message(raw, texts):
    bot, out = FakeBot(), io.BytesIO()
    jsonl.converse(bot, io.BytesIO(raw), out, sender="ada")
    assert [message.text for message in bot.heard] == texts
    assert out.getvalue().count(b"\n") == len(texts)


def test_a_line_that_is_not_utf8_is_an_error_object_and_the_next_is_answered():
    first, bad, last = answers(b"a\nb\xff\nc\n")
    assert (first["text"], last["text"]) == ("a", "c")
    assert bad == {"text": "b\ufffd", "error": "line 2: not UTF-8, byte 2 is 0xff"}


def test_every_answer_is_flushed_before_the_next_line_is_read():
    class Pipe(io.BytesIO):
        flushed = 0

        def flush(self):
            self.flushed = self.getvalue().count(b"\n")

    out, seen = Pipe(), []

    class Lines(io.BytesIO):
        def readline(self, *_):
            seen.append(out.flushed)
            return super().readline()

    jsonl.converse(FakeBot(), Lines(b"a\nb\n"), out, sender="ada")
    assert seen == [0, 1, 2]


def test_what_yaml_can_hold_json_can_show():
    bot = FakeBot()
    bot.replies = (Reply(text="\ud83d", custom={"on": datetime.date(2026, 5, 12)}),)
    (answer,) = answers(b"x", bot)
    assert answer["replies"] == [{"text": "?", "custom": {"on": "2026-05-12"}}]


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        jsonl.dumps({"mean": float("nan")})


def test_watch_sees_each_turn():
    seen = []
    jsonl.converse(FakeBot(), io.BytesIO(b"a\nb"), io.BytesIO(), sender="ada", watch=seen.append)
    assert [turn.message.text for turn in seen] == ["a", "b"]
