"""Stories as training material of the learned policy: episodes of a few turns, varied at random.

Three variations. Another story may have gone before, as a conversation does not end with a story. The belief of a turn
may have lost probability to other intents: then so has the story's action. And the user may have said, or the bot
done, what no story has at this place: then the right answer is `ELSEWHERE`, none of the stories' actions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from policies.history import LISTEN, is_user, points, recent
from policies.moves import MoveTable, Numbers, situated, tabulate
from policies.situations import Floats, Vocabulary, vocabulary
from policies.types import Story

ELSEWHERE = "(no story)"
MOST_MOVES = 64
MOST_LOST = 0.9  # most probability that is taken from the right intent
ASTRAY = 0.25  # what a variation that no story has counts beside a story: it may yet be sensible
UNASKED = -1


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of a story.

    Attributes:
        moves: what happened, as rows of the table [L].
        targets: after each move what the bot does, as a class; `UNASKED` where this episode does not teach it [L].
        states: slots and form after each move [L, state_width].
        opens: whether it begins where its story begins.
    """

    moves: Numbers
    targets: Numbers
    states: Floats
    opens: bool


@dataclass(frozen=True, slots=True)
class Material:
    """Episodes with what is needed to vary them.

    `classes` are the actions that may be decided, then `ELSEWHERE`. `after` has for each move, as a row of the table,
    the rows of bare moves that some story has next; what begins a story may come after every action.
    """

    words: Vocabulary
    classes: tuple[str, ...]
    table: MoveTable
    episodes: tuple[Episode, ...]
    after: dict[int, frozenset[int]]
    openers: frozenset[int]
    max_history: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Moves: tokens [B, L, token_width], states [B, L, state_width], rows of the table [B, L].

    `targets` [B, L] are classes, and right with the probability `sure` [B, L]; else `ELSEWHERE` is right. An episode
    counts as much as its weight [B] says.
    """

    tokens: Floats
    states: Floats
    rows: Numbers
    targets: Numbers
    sure: Floats
    weights: Floats


def learnable(stories: Iterable[Story]) -> list[Story]:
    """Stories, no rules; cut before the first thing that is said in free words, by whomever."""
    found = []
    for story in stories:
        free = (step.bot_text is not None or (is_user(step) and step.intent is None) for step in story.steps)
        end = next((number for number, is_free in enumerate(free) if is_free), len(story.steps))
        if not story.is_rule and any(map(is_user, story.steps[:end])):
            found.append(replace(story, steps=story.steps[:end]))
    return found


def material(stories: Sequence[Story], max_history: int, words: Vocabulary | None = None) -> Material:
    """The material of stories that are `learnable`, within a vocabulary or that of their own."""
    words = words or vocabulary(step for story in stories for step in story.steps)
    classes = (*sorted({LISTEN, *words.actions}), ELSEWHERE)
    table = tabulate(words, (step for story in stories for step in story.steps))
    after: dict[int, set[int]] = defaultdict(set)
    openers: set[int] = set()
    for story in stories:
        moves = [table.bare(step) for step in story.steps if is_user(step) or step.action not in (None, LISTEN)]
        openers.update(moves[:1])
        for before, move in pairwise(moves):
            after[before].add(move)
    episodes = tuple(episode for story in stories for episode in _episodes(story, words, classes, table, max_history))
    usual = {row: frozenset(rows) for row, rows in after.items()}
    return Material(words, classes, table, episodes, usual, frozenset(openers), max_history)


def _episodes(
    story: Story, words: Vocabulary, classes: Sequence[str], table: MoveTable, max_history: int
) -> Iterable[Episode]:
    """The story's first turns, then for each further turn that with the ones before it that are remembered."""
    found = list(points(story))
    moves = found[-1].past if found else ()
    rows = np.array([table.row(move) for move in moves], np.int64)
    targets = np.full(len(moves), UNASKED, np.int64)
    states = np.zeros((len(moves), words.state_width), np.float32)
    for point in found:
        targets[len(point.past) - 1] = classes.index(point.action)
        states[len(point.past) - 1] = words.state(point.slots, point.form)
    turns = [number for number, move in enumerate(moves) if is_user(move)]
    for number, end in enumerate([*turns[1:], len(moves)]):
        if number + 1 < min(len(turns), max_history):
            continue
        begin = max(end - len(recent(moves[:end], max_history)), end - MOST_MOVES)
        asked = targets[begin:end].copy()
        asked[: max(0, turns[number] - begin) if number >= max_history else 0] = UNASKED
        yield Episode(rows[begin:end], asked, states[begin:end], begin == 0)


def as_written(data: Material) -> Batch:
    """Every episode as it stands, believed for certain."""
    return _batch(data, data.episodes, np.ones(len(data.episodes), np.float32), None)


def varied(data: Material, chosen: Sequence[Episode], rng: np.random.Generator) -> Batch:
    """The episodes varied, and of each one variation that no story has."""
    joined = [_after_another(data, episode, rng) if rng.random() < 0.5 else episode for episode in chosen]
    weights = np.repeat(np.array([1.0, ASTRAY], np.float32), len(joined))
    return _batch(data, [*joined, *(_astray(data, episode, rng) for episode in joined)], weights, rng)


def _after_another(data: Material, episode: Episode, rng: np.random.Generator) -> Episode:
    """The episode with the end of another before it, as far as the memory reaches."""
    users = data.table.users
    room = data.max_history - int(users[episode.moves].sum())
    if not episode.opens or room <= 0 or not users[episode.moves[0]]:
        return episode
    other = data.episodes[int(rng.integers(len(data.episodes)))].moves
    said = np.flatnonzero(users[other])
    before = other[said[-room] if len(said) > room else 0 :]
    before = before[max(0, len(before) + len(episode.moves) - MOST_MOVES) :]
    states = np.concatenate([np.zeros((len(before), data.words.state_width), np.float32), episode.states])
    targets = np.concatenate([np.full(len(before), UNASKED, np.int64), episode.targets])
    return Episode(np.concatenate([before, episode.moves]), targets, states, True)


def _astray(data: Material, episode: Episode, rng: np.random.Generator) -> Episode:
    """The episode up to some place where something happens that no story has there."""
    places = np.flatnonzero(episode.targets != UNASKED)
    place = int(places[int(rng.integers(len(places)))])
    usual = data.after.get(int(episode.moves[place - 1]), frozenset()) if place else frozenset()
    said = bool(data.table.users[episode.moves[place]])
    others = [row for row in data.table.bare_rows(said) if row not in usual and not (said and row in data.openers)]
    odd = others[int(rng.integers(len(others)))] if others and rng.random() < 0.8 else data.table.stranger(said)
    moves, targets = episode.moves[: place + 1].copy(), np.full(place + 1, UNASKED, np.int64)
    moves[place], targets[place] = odd, len(data.classes) - 1
    return Episode(moves, targets, episode.states[: place + 1], episode.opens)


def _batch(data: Material, chosen: Sequence[Episode], weights: Floats, rng: np.random.Generator | None) -> Batch:
    shape = (len(chosen), max(len(episode.moves) for episode in chosen))
    rows, targets = np.zeros(shape, np.int64), np.full(shape, UNASKED, np.int64)
    states = np.zeros((*shape, data.words.state_width), np.float32)
    for number, episode in enumerate(chosen):
        size = len(episode.moves)
        rows[number, :size], targets[number, :size] = episode.moves, episode.targets
        states[number, :size] = episode.states
    tokens, sure = data.table.tokens[rows], np.ones(shape, np.float32)
    if rng is not None:
        _spread(data, rows, tokens, sure, rng)
    return Batch(tokens, states, rows, targets, sure, weights)


def situations(data: Material, batch: Batch) -> Floats:
    """The situation after each move of a batch: [B, L, situation_width]."""
    users, actions = data.table.users[batch.rows], data.table.actions[batch.rows]
    return situated(batch.tokens, batch.states, users, actions, len(data.words.actions) + 1)


def _spread(data: Material, rows: Numbers, tokens: Floats, sure: Floats, rng: np.random.Generator) -> None:
    """Half of the users' moves lose some of their probability, to another intent or to what is unknown."""
    chosen: NDArray[np.bool_] = data.table.users[rows] & (rng.random(rows.shape) < 0.5)
    lost = (MOST_LOST * rng.random(int(chosen.sum()))).astype(np.float32)
    one, move = np.nonzero(chosen)
    unknown = len(data.words.intents)
    other = np.where(rng.random(len(lost)) < 0.5, unknown, rng.integers(unknown + 1, size=len(lost)))
    tokens[one, move, data.table.intents[rows[one, move]]] -= lost
    tokens[one, move, other] += lost
    sure[one, move] -= lost
