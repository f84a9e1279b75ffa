"""Commands that make and check a bot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dialogue.commands.frame import HERE, Project, check_folder, count
from dialogue.errors import StarfoldError


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made when it is not there.")] = HERE,
    project: Project = HERE,
    from_rasa: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Only write a bot.yml that says what this Rasa project says, beside its files."
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(exists=True, metavar="PATH", help="With --from-rasa: its training data; may be repeated."),
    ] = None,
    domain: Annotated[
        list[Path] | None,
        typer.Option(exists=True, metavar="PATH", help="With --from-rasa: its domain; may be repeated."),
    ] = None,
) -> None:
    """Write the example bot (bot.yml and data/) into a folder. Overwrites nothing."""
    from dialogue.scaffold import write_starter, write_translation

    target = project if folder == HERE else folder
    if (data or domain) and from_rasa is None:
        raise typer.BadParameter("is for a Rasa project, with --from-rasa", param_hint="--data" if data else "--domain")
    if from_rasa is not None:
        target = from_rasa if target == HERE else target
        written = f"wrote {write_translation(from_rasa, target, data or (), domain or ())}"
    else:
        written = f"wrote {len(write_starter(target))} files"
    typer.echo(f"{written}; now: starfold chat" + ("" if target == HERE else f" --project {target}"))


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
    typer.echo(f"{count(errors, 'error')}, {count(len(problems) - errors, 'warning')}", err=bool(errors))
    if errors:
        from dialogue.errors import ProjectError

        raise typer.Exit(ProjectError.exit_code)


def visualize(
    project: Project = HERE,
    out: Annotated[Path, typer.Option(dir_okay=False, metavar="FILE", help="Where to.")] = Path("graph.html"),
) -> None:
    """Draw stories and rules as a graph: one HTML page that needs nothing else."""
    from dialogue.config_file import load_config
    from dialogue.graph_page import graph_page
    from dialogue.training.data import read_data

    check_folder(out, "--out")
    config = load_config(project)
    stories = read_data(config.data_paths).stories
    out.write_text(graph_page(config.name, stories, project), encoding="utf-8")
    typer.echo(f"wrote {out}")


def doctor(project: Project = HERE) -> None:
    """Check that a bot can run here: packages, weights, store, model, and the servers it needs."""
    from dialogue.checks import State
    from dialogue.console import console
    from dialogue.doctor import examine, line

    out, failed = console(), False
    for check in examine(project):
        out.print(line(check), soft_wrap=True)
        failed = failed or check.state is State.FAILED
    if failed:
        raise typer.Exit(StarfoldError.exit_code)
