"""The command `starfold`. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from dialogue import __version__
from dialogue.errors import StarfoldError

if TYPE_CHECKING:
    from dialogue.bot import Bot, TurnResult

HERE = Path()
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE


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
        return result


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(code)


def _inherited(ctx: typer.Context, value: Path) -> Path:
    """`--project` given before the command counts for the command."""
    return ctx.find_root().params.get("project", HERE) if value == HERE else value


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"starfold {__version__}")
        raise typer.Exit


Project = Annotated[
    Path,
    typer.Option(
        "--project", "-p", metavar="DIR", callback=_inherited, help="Folder of the bot.yml or the Rasa project."
    ),
]

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


@app.callback()
def starfold(
    project: Project = HERE,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A chatbot that knows what it does not know."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made when it is not there.")] = HERE,
    project: Project = HERE,
    from_rasa: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Only write a bot.yml that says what this Rasa project says, beside its files."
        ),
    ] = None,
) -> None:
    """Write the example bot (bot.yml and data/) into a folder. Overwrites nothing."""
    from dialogue.scaffold import write_starter, write_translation

    target = project if folder == HERE else folder
    if from_rasa is not None:
        target = from_rasa if target == HERE else target
        written = f"wrote {write_translation(from_rasa, target)}"
    else:
        written = f"wrote {len(write_starter(target))} files"
    typer.echo(f"{written}; now: starfold chat" + ("" if target == HERE else f" --project {target}"))


@app.command()
def train(
    project: Project = HERE,
    force: Annotated[bool, typer.Option("--force", help="Also when the model is up to date.")] = False,
) -> None:
    """Train the bot, unless its model is up to date."""
    from dialogue.console import progress
    from dialogue.project import train as train_project

    with progress() as report:
        summary = train_project(project, force=force, progress=report)
    for line in summary.lines:
        typer.echo(line)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def validate(project: Project = HERE) -> None:
    """List everything that is wrong in bot.yml and data/; for a Rasa project, also what each part of it is here."""
    from dialogue.console import console, translation
    from dialogue.rasa.project import rows_of
    from dialogue.training.validate import validate_project

    problems = validate_project(project)
    if rows := rows_of(project):
        console().print(translation(rows))
    for problem in problems:
        typer.echo(str(problem), err=True)
    errors = sum(problem.is_error for problem in problems)
    typer.echo(f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}", err=bool(errors))
    if errors:
        from dialogue.errors import ProjectError

        raise typer.Exit(ProjectError.exit_code)


@app.command()
def visualize(
    project: Project = HERE,
    out: Annotated[Path, typer.Option(dir_okay=False, metavar="FILE", help="Where to.")] = Path("graph.html"),
) -> None:
    """Draw stories and rules as a graph: one HTML page that needs nothing else."""
    from dialogue.config import load_config
    from dialogue.graph_page import graph_page
    from dialogue.training.data import read_data

    _check_folder(out, "--out")
    config = load_config(project)
    stories = read_data(config.data_paths).stories
    out.write_text(graph_page(config.name, stories, project), encoding="utf-8")
    typer.echo(f"wrote {out}")


@app.command()
def doctor(project: Project = HERE) -> None:
    """Check that a bot can run here: packages, weights, store, model."""
    from dialogue.console import console
    from dialogue.doctor import State, examine, line

    out, failed = console(), False
    for check in examine(project):
        out.print(line(check), soft_wrap=True)
        failed = failed or check.state is State.FAILED
    if failed:
        raise typer.Exit(StarfoldError.exit_code)


@measurements.command("nlu")
def measure_nlu(
    train: Annotated[Path, typer.Option(exists=True, metavar="FILE", help="Examples to learn from.")],
    test: Annotated[Path, typer.Option(exists=True, metavar="FILE", help="Examples to be asked about.")],
    valid: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Held-out examples.")] = None,
    valid_oos: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Held-out, out of scope.")] = None,
    oos: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Out of scope, asked too.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT", help="Also write the numbers.")] = None,
    project: Project = HERE,
) -> None:
    """Train the pipeline on a data set and measure it on another.

    A data set is Rasa YAML, JSON lines with "text" and "intent", or CSV. Labels of the test set that were not trained,
    and all of --oos, count as out of scope. --valid and --valid-oos tune the threshold.
    """
    from dialogue.console import console, metrics
    from dialogue.training.evaluate import evaluate_nlu

    _check_folder(json, "--json")
    with console(stderr=True).status("training and measuring"):
        numbers = evaluate_nlu(train=train, test=test, valid=valid, valid_oos=valid_oos, oos=oos, project=project)
    console().print(metrics(numbers))
    if json is not None:
        _write_json(json, numbers)


@measurements.command("stories")
def measure_stories(
    project: Project = HERE,
    stories: Annotated[
        list[Path] | None,
        typer.Option(exists=True, metavar="PATH", help="File or folder of test stories; may be repeated."),
    ] = None,
    e2e: Annotated[bool, typer.Option("--e2e", help="Have the texts read; intents and entities count too.")] = False,
    out: Annotated[Path | None, typer.Option(file_okay=False, metavar="DIR", help="Where failed stories go.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT", help="Also write the numbers.")] = None,
) -> None:
    """Replay test stories: test_*.yml under the project's data and tests/.

    A story fails if any action is predicted otherwise. Actions and forms are not executed, and without --e2e the
    annotated intents are taken as they are, so neither an action server nor a model is needed. Failed stories are
    written to failed_test_stories.yml.
    """
    from dialogue.console import log
    from dialogue.story_tests import FAILED, run_test_stories, write_failed

    _check_folder(json, "--json")
    log(traces=False)
    results = run_test_stories(project, files=stories or (), e2e=e2e)
    numbers = results.numbers()
    if json is not None:
        _write_json(json, numbers)
    told = f"{numbers['passed']} of {_stories(numbers['stories'])} passed, "
    told += f"{numbers['actions_right']} of {_count(numbers['actions'], 'action')} right"
    target = (out or project / ".starfold") / FAILED
    if not results.failed:
        target.unlink(missing_ok=True)
        typer.echo(told)
        return
    write_failed(results, target)
    for one in results.failed:
        typer.echo(f"{one.story.where}: failed: {one.story.name}", err=True)
    typer.echo(f"{told}; the failed ones are in {target}", err=True)
    raise typer.Exit(StarfoldError.exit_code)


@measurements.command("e2e")
def measure_e2e(
    cases: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Files or folders of test cases; file.yml::name for one of them."),
    ] = None,
    project: Project = HERE,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first that fails.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", dir_okay=False, metavar="FILE", help="Where results go.")
    ] = None,
) -> None:
    """Hold the conversations of test cases (fixtures, test_cases) with the bot, its actions executed.

    Looks in the project's tests/; results are written to tests/e2e_results.yml.
    """
    from dialogue.console import log, progress
    from dialogue.e2e import RESULTS, open_test_bot, read_cases, run_cases, write_results

    _check_folder(out, "--out")
    log(traces=False)
    found = read_cases(project, cases or ())
    with progress() as report:
        bot, store, domain = open_test_bot(project, progress=report)
    results = []
    with contextlib.closing(bot):
        for result in run_cases(found, bot, store, domain, fail_fast=fail_fast):
            results.append(result)
            if not result.passed:
                typer.echo(
                    "\n".join([f"{result.case.where}: failed: {result.case.name}", *result.difference]), err=True
                )
    write_results(results, out or project / "tests" / RESULTS)
    failed = sum(not result.passed for result in results)
    typer.echo(f"{len(results) - failed} of {_count(len(found), 'test case')} passed", err=bool(failed))
    if failed:
        raise typer.Exit(StarfoldError.exit_code)


def main() -> None:
    """Entry point of the command."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait for work leave the cores to others
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    app(prog_name="starfold")


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


def _write_json(file: Path, numbers: Mapping[str, Any]) -> None:
    from dialogue.channels.jsonl import dumps

    file.write_text(dumps(dict(numbers), indent=2) + "\n", encoding="utf-8")


def _check_folder(file: Path | None, option: str) -> None:
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"no folder {file.parent}", param_hint=option)


def _stories(number: int) -> str:
    return "1 story" if number == 1 else f"{number} stories"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
