"""What can be typed with a leading slash in the terminal chat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from dialogue.channels import explain
from dialogue.errors import suggestion

if TYPE_CHECKING:
    from dialogue.channels.terminal import TerminalChat


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what follows its name, what it is for, what it does."""

    argument: str
    help: str
    run: Callable[[TerminalChat, str], None]


def _why(chat: TerminalChat, _: str) -> None:
    if chat.turn is None:
        chat.complain("nothing to explain yet: say something first")
    else:
        chat.console.print(explain.why(chat.turn, chat.console.width))


def _slots(chat: TerminalChat, _: str) -> None:
    chat.console.print(explain.slots(chat.bot.tracker(chat.sender).slots))


def _events(chat: TerminalChat, _: str) -> None:
    chat.console.print(explain.events(chat.bot.tracker(chat.sender).events))


def _reset(chat: TerminalChat, _: str) -> None:
    chat.bot.reset(chat.sender)
    chat.forget()
    chat.note("the conversation starts anew")


def _teach(chat: TerminalChat, intent: str) -> None:
    if not intent:
        return chat.complain("/teach needs the name of an intent")
    if answers := [name for name in chat.intents if name.startswith(f"{intent}/")]:
        return chat.complain(f"{intent} has an answer for each question: name one, such as {answers[0]}")
    if intent not in chat.intents:
        return chat.complain(f"no intent {intent!r}{suggestion(intent, chat.intents)}")
    if not chat.heard:
        return chat.complain("nothing to learn from yet: say something first")
    before = chat.bot
    with chat.console.status("learning"):
        chat.bot = chat.teach(chat.heard, intent)
    before.close()
    return chat.note(f"learned: {chat.heard!r} is {intent}")


def _save(chat: TerminalChat, name: str) -> None:
    if not name:
        return chat.complain("/save needs the name of a file")
    target = Path(name).expanduser()
    if target.exists() and target not in chat.saved:
        return chat.complain(f"{target} exists already; choose another name")
    try:
        target.write_text(chat.transcript(), encoding="utf-8")
    except OSError as error:
        return chat.complain(f"{target}: {error.strerror}")
    chat.saved.add(target)
    return chat.note(f"saved to {target}")


def _help(chat: TerminalChat, _: str) -> None:
    table = explain.grid(2)
    for name, command in COMMANDS.items():
        table.add_row(explain.plain(f"/{name} {command.argument}", "cyan"), command.help)
    chat.console.print(table)
    chat.note("a number picks a button · Tab completes · Ctrl-R searches · Ctrl-C clears the line · Ctrl-D quits")


def _quit(chat: TerminalChat, _: str) -> None:
    chat.done = True


COMMANDS: Mapping[str, Command] = {
    "why": Command("", "why the bot answered as it did", _why),
    "slots": Command("", "what it remembers", _slots),
    "events": Command("", "all that happened in this conversation", _events),
    "reset": Command("", "begin a new conversation", _reset),
    "teach": Command("INTENT", "the last message is an example of INTENT", _teach),
    "save": Command("FILE", "write the transcript", _save),
    "help": Command("", "this list", _help),
    "quit": Command("", "leave", _quit),
}


class ChatCompleter(Completer):
    """Completes commands, intents after `/teach`, and the titles of the buttons on offer."""

    def __init__(self, intents: Iterable[str]) -> None:
        self.intents = tuple(intents)
        self.titles: tuple[str, ...] = ()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What the text before the cursor may become."""
        typed = document.text_before_cursor
        name, space, argument = typed.partition(" ")
        if not typed.startswith("/"):
            return _matching(typed, self.titles)
        if not space:
            return _matching(typed, [f"/{command}" for command in COMMANDS], meta=_meta)
        return _matching(argument, self.intents) if name == "/teach" else ()


def _meta(name: str) -> str:
    return COMMANDS[name.removeprefix("/")].help


def _matching(typed: str, words: Iterable[str], meta: Callable[[str], str] = lambda _: "") -> Iterable[Completion]:
    start = typed.casefold()
    for word in words:
        if word.casefold().startswith(start):
            yield Completion(word, start_position=-len(typed), display_meta=meta(word))
