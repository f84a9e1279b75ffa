"""The command `starfold`. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from dialogue import __version__
from dialogue.commands.channels import channels
from dialogue.commands.frame import HERE, Guarded, Project
from dialogue.commands.learn import discover, review, teach
from dialogue.commands.measure import e2e, nlu, stories
from dialogue.commands.project import doctor, init, train, validate, visualize
from dialogue.commands.serve import run
from dialogue.commands.talk import chat, interactive, parse

app = typer.Typer(
    cls=Guarded,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
measurements = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Measure a bot.")
app.add_typer(measurements, name="test")
COMMANDS: tuple[Callable[..., None], ...] = (
    *(init, train, chat, interactive, parse, run),
    *(channels, validate, visualize, doctor),
)
LEARNING: tuple[Callable[..., None], ...] = (teach, review, discover)
MEASUREMENTS: tuple[Callable[..., None], ...] = (nlu, stories, e2e)
for command in (*COMMANDS, *LEARNING):
    app.command()(command)
for command in MEASUREMENTS:
    measurements.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"starfold {__version__}")
        raise typer.Exit


@app.callback()
def starfold(
    project: Project = HERE,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A chatbot that knows what it does not know."""


def main() -> None:
    """Entry point of the command."""
    # What ends with the process is not searched for cycles, which takes half a second after training.
    atexit.register(gc.freeze)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait for work leave the cores to others
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever began the command
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    app(prog_name="starfold")
