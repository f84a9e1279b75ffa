"""Commands that measure a bot: `starfold test`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialogue.commands.frame import HERE, Project, check_folder, count, write_json
from dialogue.errors import MissingExtraError, StarfoldError

if TYPE_CHECKING:
    from dialogue.report.svg import Plot

RESULT, CONFIG = ".json", "bot.yml"  # what --compare takes beside folders


def nlu(
    train: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Examples to learn from.")] = None,
    test: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Examples to be asked about.")] = None,
    valid: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Held-out examples.")] = None,
    valid_oos: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Held-out, out of scope.")] = None,
    oos: Annotated[Path | None, typer.Option(exists=True, metavar="FILE", help="Out of scope, asked too.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT", help="Also write the results.")] = None,
    report: Annotated[Path | None, typer.Option(file_okay=False, metavar="DIR", help="Also draw a page.")] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="On the page; takes about as long again as the training.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(exists=True, metavar="A B", help="Two projects, or results of --json, side by side."),
    ] = None,
    project: Project = HERE,
) -> None:
    """Train the pipeline on a data set and measure it on another.

    A data set is Rasa YAML, JSON lines with "text" and "intent", or CSV. Labels of the test set that were not trained,
    and all of --oos, count as out of scope. --valid and --valid-oos tune the threshold.
    """
    check_folder(json, "--json")
    check_folder(report, "--report")
    if learning_curve and (report is None or compare is not None):
        raise typer.BadParameter("is drawn on the page of --report, about one project", param_hint="--learning-curve")
    for path in compare or ():
        if not path.is_dir() and path.suffix != RESULT and path.name != CONFIG:
            told = f"{path}: expected a project's folder, its {CONFIG}, or a result of --json"
            raise typer.BadParameter(told, param_hint="--compare")
    saved = compare is not None and all(path.suffix == RESULT for path in compare)
    for name, file in (("--train", train), ("--test", test)):
        if file is None and not saved:
            raise typer.BadParameter("is needed where something is trained", param_hint=name)
    sets = {"train": train, "test": test, "valid": valid, "valid_oos": valid_oos, "oos": oos}
    if compare is None:
        _measure(project, sets, json, report, curve=learning_curve)
    else:
        _compare(compare, sets, json, report)


def _measure(project: Path, sets: Mapping[str, Any], json: Path | None, report: Path | None, *, curve: bool) -> None:
    """One project on its own."""
    from dialogue.console import console, metrics
    from dialogue.report.findings import find
    from dialogue.report.outcomes import as_rows, outcomes_of
    from dialogue.report.single import plots_of, single_page
    from dialogue.training.evaluate import measure_nlu

    with tempfile.TemporaryDirectory() as folder, console(stderr=True).status("training and measuring"):
        cache = Path(folder)
        measured = measure_nlu(**sets, project=project, cache=cache)
        found = find(measured, cache, curve=curve) if report is not None else None
    console().print(metrics(measured.numbers))
    if json is not None:
        write_json(json, {**measured.numbers, "messages": as_rows(outcomes_of(measured))})
    if report is not None and found is not None:
        plots = plots_of(found)
        _write_report(report, single_page(found, plots), plots)


def _compare(both: tuple[Path, Path], sets: Mapping[str, Any], json: Path | None, report: Path | None) -> None:
    """Two projects, or results, side by side."""
    from dialogue.console import comparison, console
    from dialogue.report.comparison import compare, comparison_page, plots_of_both
    from dialogue.report.outcomes import Outcomes, outcomes_of, read_result
    from dialogue.training.evaluate import measure_nlu

    def outcomes(path: Path) -> Outcomes:
        if path.suffix == RESULT:
            return read_result(path)
        return outcomes_of(measure_nlu(**sets, project=path if path.is_dir() else path.parent))

    with console(stderr=True).status("training and measuring"):
        found = compare((str(both[0]), str(both[1])), outcomes(both[0]), outcomes(both[1]))
    console().print(comparison(found.numbers()["measures"]))
    if json is not None:
        write_json(json, found.numbers())
    if report is not None:
        plots = plots_of_both(found)
        _write_report(report, comparison_page(found, plots), plots)


def _write_report(folder: Path, page: str, plots: Mapping[str, Plot]) -> None:
    from dialogue.report.write import can_draw, write_report

    typer.echo(f"The report is in {write_report(folder, page, plots)}", err=True)
    if not can_draw():
        typer.echo(f"{MissingExtraError('a PNG of each chart', 'report')}", err=True)


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
