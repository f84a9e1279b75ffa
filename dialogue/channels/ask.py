"""Questions on a terminal: a line editor that completes what may be answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter


def asker(session: PromptSession[str]) -> Callable[[str, str, Sequence[str]], str]:
    """What asks: the question, the answer that stands there already, and what may be completed.

    Ctrl-D, or Ctrl-C, raises `EOFError`: the person wants to end.
    """

    def ask(question: str, default: str, names: Sequence[str]) -> str:
        try:
            return session.prompt(
                f"{question} › ", default=default, completer=WordCompleter(list(names), sentence=True)
            )
        except KeyboardInterrupt as interrupt:
            raise EOFError from interrupt

    return ask
