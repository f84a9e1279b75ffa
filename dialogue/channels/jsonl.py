"""A pipe as a channel: one message a line in, one JSON object a line out, UTF-8 whatever the locale says.

A line out answers a line in and nothing else: reminders wait for a chat on a terminal or a server. A blank line is a
message like any other. A line that is not UTF-8 is answered with `{"text", "error"}` and the next
one is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from dialogue.message import Message

if TYPE_CHECKING:
    from dialogue.bot import Bot
    from dialogue.turn import TurnResult

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def converse(
    bot: Bot,
    lines: BinaryIO,
    out: BinaryIO,
    *,
    sender: str,
    watch: Callable[[TurnResult], None] | None = None,
) -> None:
    """Answer every line of `lines` until it ends, each answer flushed before the next line is read.

    Args:
        bot: answers.
        lines: the user's side; the last line may lack its newline.
        out: the bot's side.
        sender: whose conversation it is.
        watch: sees each turn before its answer is written.
    """
    for number, line in enumerate(iter(lines.readline, b""), start=1):
        raw = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            said = f"line {number}: not UTF-8, byte {error.start + 1} is 0x{raw[error.start]:02x}"
            _write(out, {"text": raw.decode("utf-8", "replace"), "error": said})
            continue
        turn = bot.handle(Message(text, sender=sender))
        if watch is not None:
            watch(turn)
        _write(out, record(turn))


def record(turn: TurnResult) -> dict[str, Any]:
    """A turn as one line shows it. Probabilities are in 0..1, entropy and mutual information in nats."""
    decision, belief = turn.decision, turn.belief
    return {
        "text": turn.message.text,
        "replies": [reply.as_dict() for reply in turn.replies],
        "decision": {
            "kind": decision.kind.value,
            "action": decision.action,
            "confidence": decision.confidence,
            "policy": decision.policy,
            "reason": decision.reason,
        },
        "belief": {
            "intents": [
                {"name": intent.name, "mean": intent.mean, "lower": intent.lower, "upper": intent.upper}
                for intent in belief.intents
            ],
            "unknown": belief.unknown,
            "entropy": belief.entropy,
            "mutual_information": belief.mutual_information,
        },
    }


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON without NaN, text unescaped; dates and other YAML values become strings.

    Raises:
        ValueError: for a number that is not finite.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    # numpy's scalars, without importing numpy
    return value.item() if hasattr(value, "item") else str(value)


def _write(out: BinaryIO, value: Mapping[str, Any]) -> None:
    # Half of a surrogate pair, possible through a YAML escape, has no UTF-8 form.
    out.write(dumps(value).encode("utf-8", "replace") + b"\n")
    out.flush()
