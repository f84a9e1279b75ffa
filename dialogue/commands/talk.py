"""Commands that talk to a bot."""

from __future__ import annotations

import contextlib
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue.commands.frame import HERE, Project

if TYPE_CHECKING:
    from dialogue.bot import Bot
    from dialogue.turn import TurnResult


def chat(
    project: Project = HERE,
    sender: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose conversation to go on with.  [default: a new one]")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Explain every answer; in a pipe, on standard error.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train first in any case.")] = False,
) -> None:
    """Talk to the bot, trained first when it must be. In a pipe: a message a line in, a JSON object a line out."""
    from dialogue.console import log, progress
    from dialogue.project import open_bot

    log(traces=debug)
    with progress() as report:
        bot = open_bot(project, progress=report, retrain=retrain)
    name = sender or uuid.uuid4().hex
    if sys.stdin.isatty():
        _talk(bot, project, sender=name, debug=debug)
    else:
        _pipe(bot, sender=name, debug=debug)


def interactive(project: Project = HERE) -> None:
    """Talk to the bot and correct what it understood and does next. Ctrl-D ends: story and examples can be kept."""
    from dialogue.channels.ask import asker
    from dialogue.channels.terminal import line_editor
    from dialogue.console import log, progress
    from dialogue.interactive import learn_interactively
    from dialogue.project import train as train_project

    log(traces=False)
    with progress() as report:
        train_project(project, progress=report)
    learn_interactively(project, asker(line_editor(project / ".starfold" / "interactive_history")), typer.echo)


def parse(
    text: Annotated[str, typer.Argument(help="A message.")],
    project: Project = HERE,
) -> None:
    """Print what the bot takes one message for, as a JSON object."""
    from dialogue.channels.jsonl import dumps
    from dialogue.console import log, progress
    from dialogue.project import open_bot

    if any("\ud800" <= character <= "\udfff" for character in text):
        raise typer.BadParameter("the message is not valid text in the locale's encoding", param_hint="TEXT")
    log(traces=False)
    with progress() as report:
        bot = open_bot(project, progress=report)
    with contextlib.closing(bot):
        typer.echo(dumps(bot.parse(text), indent=2 if sys.stdout.isatty() else None))


def _talk(bot: Bot, project: Path, *, sender: str, debug: bool) -> None:
    from dialogue.channels.terminal import TerminalChat, line_editor
    from dialogue.console import console, progress
    from dialogue.project import open_bot, teach

    def learn(text: str, intent: str) -> Bot:
        teach(project, text, intent)
        with progress() as report:
            return open_bot(project, progress=report)

    chat = TerminalChat(
        bot,
        session=line_editor(project / ".starfold" / "history"),
        console=console(),
        sender=sender,
        teach=learn,
        intents=bot.intents,
        name=bot.name,
        debug=debug,
    )
    try:
        chat.run()
    finally:
        chat.bot.close()


def _pipe(bot: Bot, *, sender: str, debug: bool) -> None:
    from dialogue.channels import jsonl
    from dialogue.channels.explain import why
    from dialogue.console import console

    target = console(stderr=True)

    def explain(turn: TurnResult) -> None:
        target.print(why(turn, target.width))

    with contextlib.closing(bot):
        watch = explain if debug else None
        jsonl.converse(bot, sys.stdin.buffer, sys.stdout.buffer, sender=sender, watch=watch)
