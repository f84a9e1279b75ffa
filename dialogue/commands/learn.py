"""Commands by which a bot learns from use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dialogue.commands.frame import HERE, Project, check_folder, count

Messages = Annotated[
    Path | None,
    typer.Option(
        exists=True, metavar="FILE", help="Messages: .txt, .jsonl, .csv or .yml.  [default: those in the store]"
    ),
]


def teach(
    text: Annotated[str, typer.Argument(help="A message.")],
    intent: Annotated[str, typer.Argument(help="What it means: an intent, or an answer such as faq/wifi.")],
    project: Project = HERE,
) -> None:
    """Teach one more example: it goes into the training data, and the model knows it without training anew."""
    from dialogue.project import teach as teach_project

    teach_project(project, text, intent)
    typer.echo(f"{text!r} is {intent} from now on")


def discover(
    project: Project = HERE,
    messages: Messages = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", dir_okay=False, metavar="FILE", help="Where suggested intents go.")
    ] = Path("discovered.yml"),
    least: Annotated[int, typer.Option(min=2, metavar="N", help="Fewest messages of a suggestion.")] = 3,
) -> None:
    """Sort what the bot did not understand into new intents, with a name and examples, for a person to read over."""
    from dialogue.console import log, progress
    from dialogue.learning.discover import as_yaml
    from dialogue.learning.work import discover_intents
    from dialogue.project import train

    check_folder(out, "--out")
    log(traces=False)
    with progress() as report:
        train(project, progress=report)
    suggestions = discover_intents(project, messages, least=least)
    for one in suggestions:
        kind = "new intent" if one.new else "more of"
        examples = "; ".join(message.text for message in one.messages[:3])
        typer.echo(
            f"{kind} {one.intent}: {count(len(one.messages), 'message')}, {one.together:.0%} together: {examples}"
        )
    new = sum(one.new for one in suggestions)
    if not new:
        typer.echo("nothing new was found")
        return
    out.write_text(as_yaml(suggestions), encoding="utf-8")
    typer.echo(f"{count(new, 'new intent')} written to {out}; read over, move into the training data, add a rule")


def review(
    project: Project = HERE,
    messages: Messages = None,
    most: Annotated[int, typer.Option("--count", min=1, metavar="N", help="How many messages to ask about.")] = 20,
) -> None:
    """Label the messages the bot would learn most from; answers go into the training data. Ctrl-D ends."""
    from dialogue.channels.ask import asker
    from dialogue.channels.terminal import line_editor
    from dialogue.console import log, progress
    from dialogue.learning.work import review_messages
    from dialogue.project import train

    log(traces=False)
    with progress() as report:
        train(project, progress=report)
    ask = asker(line_editor(project / ".starfold" / "review_history"))
    written = review_messages(project, messages, most=most, ask=ask, say=typer.echo)
    typer.echo(f"{count(written, 'example')} written; `starfold train` learns them" if written else "nothing written")
