"""Commands that measure a bot: `starfold test`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from dialogue.commands.frame import HERE, Project, check_folder, count, write_json
from dialogue.errors import StarfoldError


def nlu(
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

    check_folder(json, "--json")
    with console(stderr=True).status("training and measuring"):
        numbers = evaluate_nlu(train=train, test=test, valid=valid, valid_oos=valid_oos, oos=oos, project=project)
    console().print(metrics(numbers))
    if json is not None:
        write_json(json, numbers)


def stories(
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

    check_folder(json, "--json")
    log(traces=False)
    results = run_test_stories(project, files=stories or (), e2e=e2e)
    numbers = results.numbers()
    if json is not None:
        write_json(json, numbers)
    told = f"{numbers['passed']} of {_stories(numbers['stories'])} passed, "
    told += f"{numbers['actions_right']} of {count(numbers['actions'], 'action')} right"
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


def e2e(
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

    check_folder(out, "--out")
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
    typer.echo(f"{len(results) - failed} of {count(len(found), 'test case')} passed", err=bool(failed))
    if failed:
        raise typer.Exit(StarfoldError.exit_code)


def _stories(number: int) -> str:
    return "1 story" if number == 1 else f"{number} stories"
