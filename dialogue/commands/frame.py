"""What all commands share: the option `--project`, how errors end a command, and small checks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dialogue.errors import StarfoldError

HERE = Path()
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE
PLACES = ("--data", "--domain")  # options that most commands of Rasa have


class Guarded(TyperGroup):
    """Commands whose errors are sentences on standard error and an exit code, not tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except StarfoldError as error:
            raise _failure(str(error), error.exit_code) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            # The interpreter flushes once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise _failure(f"{error.filename}: {error.strerror}", StarfoldError.exit_code) from error
        except Exception as error:  # the class for an option that is not there is none of typer's public ones
            option = getattr(error, "option_name", None)
            if option not in PLACES:
                raise
            names = f"`starfold init --from-rasa DIR {option} PATH` names others"
            told = f"a project's files are found, the same for all commands; {names}"
            raise typer.BadParameter(told, getattr(error, "ctx", None), param_hint=option) from error
        return result


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(code)


def _inherited(ctx: typer.Context, value: Path) -> Path:
    """`--project` given before the command counts for the command."""
    return ctx.find_root().params.get("project", HERE) if value == HERE else value


Project = Annotated[
    Path,
    typer.Option(
        "--project", "-p", metavar="DIR", callback=_inherited, help="Folder of the bot.yml or the Rasa project."
    ),
]


def write_json(file: Path, numbers: Mapping[str, Any]) -> None:
    """Write numbers for another program to read."""
    from dialogue.channels.jsonl import dumps

    file.write_text(dumps(dict(numbers), indent=2) + "\n", encoding="utf-8")


def check_folder(file: Path | None, option: str) -> None:
    """Refuse, before long work, a file whose folder is not there."""
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"no folder {file.parent}", param_hint=option)


def count(number: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
