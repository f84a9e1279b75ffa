"""The chat on a terminal: a line editor, the bot's answers, and commands that look inside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from rich.console import Console
from rich.table import Table

from dialogue.channels import explain
from dialogue.channels.slash import COMMANDS, ChatCompleter
from dialogue.domain import DEFAULT_INTENTS
from dialogue.errors import StarfoldError, suggestion
from dialogue.message import Button, Message
from dialogue.understanding import SHORTCUT

if TYPE_CHECKING:
    from dialogue.bot import Bot
    from dialogue.turn import TurnResult

PROMPT: StyleAndTextTuples = [("bold", "you › ")]
MENU_LINES = 6
REMINDER_SECONDS = 1.0


class TerminalChat:
    """One conversation of one user with one bot.

    Attributes:
        turn: the last turn, for `/why`.
        heard: the last message that was no shortcut, for `/teach`.
        saved: files this chat wrote and may therefore write again.
        done: ends `run` before the next prompt.

    Args:
        bot: answers.
        session: reads a line, see `line_editor`.
        console: where answers go.
        sender: whose conversation it is.
        teach: learns a text as an example of an intent; returns the bot that knows it.
        intents: names that may be taught.
        name: what the bot is called.
        debug: explain every turn without being asked.
    """

    def __init__(
        self,
        bot: Bot,
        *,
        session: PromptSession[str],
        console: Console,
        sender: str,
        teach: Callable[[str, str], Bot],
        intents: Iterable[str] = (),
        name: str = "bot",
        debug: bool = False,
    ) -> None:
        self.bot = bot
        self.session = session
        self.console = console
        self.sender = sender
        self.teach = teach
        self.intents = tuple(intents)
        self.name = name
        self.debug = debug
        self.turn: TurnResult | None = None
        self.heard = ""
        self.saved: set[Path] = set()
        self.done = False
        self._completer = ChatCompleter(self.intents)
        self._buttons: tuple[Button, ...] = ()
        self._lines: list[str] = []
        self._due: list[TurnResult] = []
        self._asking = threading.Lock()

    def run(self) -> None:
        """Talk until the user leaves. Ctrl-C clears the line or interrupts the turn, Ctrl-D ends the chat."""
        self.note(f"talking to {self.name} · /help lists the commands · Ctrl-D quits")
        while not self.done:
            self.remind()
            try:
                line = self.session.prompt(PROMPT, completer=self._completer, pre_run=self._watch)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                with self._asking:  # what came due before the line was sent is said before it is answered
                    self._speak()
                self.take(line)
            except KeyboardInterrupt:
                self.complain("interrupted")
            except (StarfoldError, OSError) as error:
                self.complain(str(error))

    def take(self, line: str) -> None:
        """Do what one line asks: run a command, press a button, or say something. A blank line does nothing."""
        line = _encodable(line).strip()
        name, _, argument = line.removeprefix("/").partition(" ")
        if not line:
            return
        if line.startswith("/") and name in COMMANDS:
            COMMANDS[name].run(self, argument.strip())
        elif not line.startswith("/") or self._is_shortcut(line):
            self.say(line)
        else:
            near = suggestion(f"/{name}", [f"/{command}" for command in COMMANDS])
            self.complain(f"unknown command '/{name}'{near}")

    def say(self, text: str) -> None:
        """Send a message, or the button it names by number or title, and show what comes back."""
        button = self._button(text)
        if button is not None:
            self.note(f"→ {button.title}")
        message = Message(text if button is None else button.payload, sender=self.sender)
        turn = self.bot.handle(message)
        self.turn = turn
        self.heard = self.heard if message.text.startswith("/") else message.text
        self._show(turn, said=text if button is None else button.title)

    def remind(self) -> None:
        """Show what the bot says of its own accord because a reminder came due."""
        try:
            self._collect()
        except StarfoldError as error:
            self.complain(str(error))
        self._speak()

    def forget(self) -> None:
        """Drop what belongs to the conversation so far."""
        self.turn, self.heard = None, ""
        self._offer(())

    def transcript(self) -> str:
        """Both sides of the chat so far, a line each."""
        return "".join(f"{line}\n" for line in self._lines)

    def note(self, text: str) -> None:
        """A dim line that is not the bot's."""
        self.console.print(explain.plain(text, "dim"))

    def complain(self, text: str) -> None:
        """A line that says what cannot be done."""
        self.console.print(explain.plain(text, "red"))

    def _watch(self) -> None:
        get_app().create_background_task(self._interrupt())

    async def _interrupt(self) -> None:
        """As long as the prompt waits, say above it what comes due."""
        while True:
            await asyncio.sleep(REMINDER_SECONDS)
            with contextlib.suppress(StarfoldError):  # the next prompt tells of it
                await asyncio.to_thread(self._collect)
            if self._due:
                await run_in_terminal(self._speak)

    def _collect(self) -> None:
        with self._asking:
            self._due += self.bot.due(sender=self.sender)

    def _speak(self) -> None:
        while self._due:
            self.turn = self._due.pop(0)
            self._show(self.turn, said=None)

    def _show(self, turn: TurnResult, *, said: str | None) -> None:
        self._lines += [] if said is None else [f"you: {said}"]
        buttons: list[Button] = []
        for reply in turn.replies:
            row = Table.grid()
            row.add_column(no_wrap=True)
            row.add_column(overflow="fold")
            row.add_row(explain.plain(f"{self.name} › ", "bold magenta"), explain.reply(reply, len(buttons) + 1))
            self.console.print(row)
            self._lines.append(f"{self.name}: {reply.text or ''}".rstrip())
            self._lines += [f"  [{number}] {b.title}" for number, b in enumerate(reply.buttons, len(buttons) + 1)]
            buttons += reply.buttons
        self._offer(tuple(buttons))
        self.console.print(explain.summary(turn))
        if self.debug:
            self.console.print(explain.why(turn, self.console.width))

    def _offer(self, buttons: tuple[Button, ...]) -> None:
        self._buttons = buttons
        self._completer.titles = tuple(button.title for button in buttons)

    def _button(self, text: str) -> Button | None:
        if text.isdecimal() and 1 <= int(text) <= len(self._buttons):
            return self._buttons[int(text) - 1]
        return next((b for b in self._buttons if b.title.casefold() == text.casefold()), None)

    def _is_shortcut(self, line: str) -> bool:
        """Whether it sends an intent directly, as buttons do: `/greet`, `/faq/wifi`, `/inform{"people": 2}`."""
        match = SHORTCUT.fullmatch(line)
        known = {name.partition("/")[0] for name in (*self.intents, *DEFAULT_INTENTS)}
        return match is not None and match["name"].partition("/")[0] in known


def line_editor(history: Path) -> PromptSession[str]:
    """A prompt with Ctrl-R over what was typed in earlier chats; commands complete while they are typed.

    Args:
        history: file to keep it in; when it cannot be written, history ends with the chat.
    """
    return PromptSession(
        history=_history(history),
        complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
        reserve_space_for_menu=MENU_LINES,
    )


class _SafeHistory(FileHistory):
    def store_string(self, string: str) -> None:
        super().store_string(_encodable(string))


def _history(file: Path) -> History:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError:
        return InMemoryHistory()
    return _SafeHistory(str(file)) if os.access(file, os.R_OK | os.W_OK) else InMemoryHistory()


def _encodable(text: str) -> str:
    # A terminal that is not UTF-8 hands over lone surrogates.
    return text.encode("utf-8", "replace").decode("utf-8")
