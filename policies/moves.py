"""Moves of stories as rows of a table, so that whole batches of them are made by indexing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.history import base_intent, is_user
from policies.situations import Floats, Vocabulary
from policies.types import StoryStep

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MoveTable:
    """Every move there is, one a row; row 0 is none.

    Attributes:
        tokens: [M, token_width].
        users: whether the move is the user's [M].
        intents: its intent's place among the intents [M]; the last for all others, and for the bot's moves.
        actions: its action's place among the actions [M]; the last for all others, -1 for the user's moves.
        rows: from what a move says to its row.
    """

    tokens: Floats
    users: NDArray[np.bool_]
    intents: Numbers
    actions: Numbers
    rows: dict[tuple[str, ...], int]
    words: Vocabulary

    def row(self, step: StoryStep) -> int:
        """The row of a step, of the vocabulary's strangers if it is none of its words."""
        return self.rows.get(_key(step), self.bare(step))

    def bare(self, step: StoryStep) -> int:
        """The row of a step without its entities."""
        return self.rows.get(_key(step)[:2], self.stranger(is_user(step)))

    def bare_rows(self, said: bool) -> range:
        """The rows of all intents without entities, or of all actions."""
        intents, actions = len(self.words.intents), len(self.words.actions)
        return range(1, 1 + intents) if said else range(2 + intents, 2 + intents + actions)

    def stranger(self, said: bool) -> int:
        """The row of an intent, or action, that no story has."""
        return self.bare_rows(said).stop


def tabulate(words: Vocabulary, steps: Iterable[StoryStep]) -> MoveTable:
    """The table of a vocabulary: bare intents, another one, actions, another one; then intents with entities."""
    strange = StoryStep(intent=""), StoryStep(action="")
    bare = [*(StoryStep(intent=name) for name in words.intents), strange[0]]
    bare += [*(StoryStep(action=name) for name in words.actions), strange[1]]
    more = (step for step in steps if is_user(step) and base_intent(step.intent or "") in words.intents)
    moves = list({_key(step): step for step in (*bare, *more)}.values())
    tokens = [np.zeros(words.token_width, np.float32)]
    tokens += [
        words.user({base_intent(step.intent or ""): 1.0}, step.entities) if is_user(step) else words.bot(step.action)
        for step in moves
    ]
    places = {name: number for number, name in enumerate(words.intents)}
    return MoveTable(
        tokens=np.array(tokens, np.float32),
        users=np.array([False, *map(is_user, moves)]),
        intents=np.array([0, *(places.get(base_intent(step.intent or ""), len(places)) for step in moves)], np.int64),
        actions=np.array(
            [-1, *(-1 if is_user(step) else action_place(words, step.action) for step in moves)], np.int64
        ),
        rows={_key(step): number for number, step in enumerate(moves, start=1)},
        words=words,
    )


def action_place(words: Vocabulary, name: str | None) -> int:
    """An action's place among the actions; the last for all others."""
    return words.actions.index(name) if name in words.actions else len(words.actions)


def situated(tokens: Floats, states: Floats, users: NDArray[np.bool_], actions: Numbers, width: int) -> Floats:
    """The situation after each move: what was said last, done since, done before it, and the state.

    Args:
        tokens: [..., L, token_width].
        states: [..., L, state_width].
        users: which moves are the user's [..., L].
        actions: place of each of the bot's among `width` actions, -1 for the user's [..., L].
        width: number of actions, with the place for all others.

    Returns:
        [..., L, token_width + 2 width + state_width].
    """
    place = np.broadcast_to(np.arange(users.shape[-1]), users.shape)
    spoke = np.maximum.accumulate(np.where(users, place, -1), axis=-1)  # place of the user's last move
    did = np.maximum.accumulate(np.where(actions >= 0, place, -1), axis=-1)  # place of the bot's last
    did_before = np.where(spoke > 0, np.take_along_axis(did, np.maximum(spoke - 1, 0), axis=-1), -1)
    said = np.where(spoke[..., None] >= 0, np.take_along_axis(tokens, np.maximum(spoke, 0)[..., None], axis=-2), 0)
    since = _one_hot(actions, np.where(did > spoke, did, -1), width)
    before = _one_hot(actions, did_before, width)
    found: Floats = np.concatenate([said, since, before, states], axis=-1).astype(np.float32)
    return found


def _one_hot(actions: Numbers, places: Numbers, width: int) -> Floats:
    chosen = np.where(places >= 0, np.take_along_axis(actions, np.maximum(places, 0), axis=-1), width)
    return np.eye(width + 1, width, dtype=np.float32)[chosen]


def _key(step: StoryStep) -> tuple[str, ...]:
    """What tells moves apart: whose, what, and of a user's the entities by name."""
    if not is_user(step):
        return ("bot", step.action or "")
    return ("user", base_intent(step.intent or ""), *sorted({entity.entity for entity in step.entities}))
