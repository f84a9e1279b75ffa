"""Write the golden conversations as they really went: `python -m tests.conversations.write`, some minutes."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path

from dialogue.message import Reply
from dialogue.project import open_bot
from dialogue.turn import TurnResult
from tests.conversations.nova import HERE, LANGUAGES, ROOT, Line, deviations, replay, write_project

TITLES = {"en": "A conversation with Nova", "zh": "和 Nova 的一次对话"}
KEY = """Each turn: what the user said, what the bot replied, and what it decided: kind, action and confidence, the most
probable intent with the posterior mean and its 90 % credible interval, the probability of "none of the intents", the
reason. Written by `python -m tests.conversations.write`."""


def main() -> None:
    """Train each bot, hold the conversation, write it down; tell where it did not go as a person expects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", default="last_layers", help="of the fusion: none, last_layers, all")
    tune = parser.parse_args().tune
    for language in LANGUAGES:
        with tempfile.TemporaryDirectory() as folder:
            project = write_project(Path(folder), language, tune=tune)
            with closing(open_bot(project)) as bot:
                turns = list(replay(bot, language))
        text = "\n\n".join((f"# {TITLES[language]}", KEY, *(told(n, *turn) for n, turn in enumerate(turns, 1))))
        (HERE / f"golden_{language}.md").write_text(text + "\n", "utf-8")
        for line, turn in turns:
            for found in deviations(line, turn):
                print(f"{language} {'known: ' if line.falls_short else ''}{found}")


def told(number: int, line: Line, turn: TurnResult) -> str:
    """One turn as Markdown."""
    said = [f"**{number}. you**: {line.user or '*(an empty line)*'}"]
    said += [f"**Nova**: {reply_text(reply)}" for reply in turn.replies]
    decision, belief, top = turn.decision, turn.belief, turn.belief.top
    assert top is not None
    said.append(
        f"`{decision.kind.value} {decision.action} {decision.confidence:.3f}` · "
        f"{top.name} {top.mean:.3f} [{top.lower:.3f}, {top.upper:.3f}] · unknown {belief.unknown:.3f} · "
        f"{decision.reason.replace(f'{ROOT}/', '')}"
    )
    if deviations(line, turn):
        said.append(f"*A person would expect it to {' or '.join(kind.replace('_', ' ') for kind in line.kinds)}.*")
    return "  \n".join(said)


def reply_text(reply: Reply) -> str:
    """A reply with its buttons."""
    buttons = " ".join(f"[{button.title}]" for button in reply.buttons)
    return f"{reply.text or ''} {buttons}".strip()


if __name__ == "__main__":
    main()
