"""Joins story blocks at their checkpoints into whole stories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialogue.errors import suggestion
from dialogue.training.nodes import Report
from dialogue.training.types import Block, Checkpoint
from policies.history import slot_matches
from policies.types import Story, StoryStep

MAX_STORIES = 2000


def join_blocks(blocks: Sequence[Block], report: Report) -> tuple[Story, ...]:
    """Every way from a block without a beginning checkpoint to one without an ending one, each block at most once.

    Reports checkpoints that nothing leads to, warns of those that lead nowhere and of blocks that are on no way, and
    warns when more than `MAX_STORIES` ways are found (the first ones are kept).
    """
    continuations: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        for checkpoint in block.starts:
            continuations[checkpoint.name].append(block)
    _check_joints(blocks, continuations, report)
    stories: list[Story] = []
    reached: set[int] = set()
    for path in _paths([block for block in blocks if not block.starts], continuations):
        if len(stories) == MAX_STORIES:
            message = f"checkpoints join to more than {MAX_STORIES} stories; the rest is left out"
            report.warning(path[0].where, message)
            return tuple(stories)
        stories.append(_joined(path))
        reached.update(map(id, path))
    ended = {checkpoint.name for block in blocks for checkpoint in block.ends}
    for block in blocks:
        if id(block) not in reached and all(checkpoint.name in ended for checkpoint in block.starts):
            names = " or ".join(repr(checkpoint.name) for checkpoint in block.starts)
            report.warning(block.where, f"no conversation reaches the part of {block.name!r} after checkpoint {names}")
    return tuple(stories)


def _check_joints(blocks: Sequence[Block], continuations: Mapping[str, Sequence[Block]], report: Report) -> None:
    ended = {checkpoint.name for block in blocks for checkpoint in block.ends}
    for block in blocks:
        for checkpoint in block.starts:
            if checkpoint.name not in ended:
                near = suggestion(checkpoint.name, ended)
                message = f"no story leads to checkpoint {checkpoint.name!r}{near}; what follows it is left out"
                report.warning(checkpoint.where, message)
        for checkpoint in block.ends:
            if checkpoint.name not in continuations:
                near = suggestion(checkpoint.name, continuations)
                report.warning(checkpoint.where, f"no story goes on from checkpoint {checkpoint.name!r}{near}")


def _paths(roots: Sequence[Block], continuations: Mapping[str, Sequence[Block]]) -> Iterator[tuple[Block, ...]]:
    """Depth first, with a stack of its own; paths come in the order of the files."""
    stack: list[tuple[Block, ...]] = [(block,) for block in reversed(roots)]
    while stack:
        path = stack.pop()
        following = [
            block
            for checkpoint in path[-1].ends
            for block in continuations.get(checkpoint.name, ())
            if not any(block is passed for passed in path) and _admits(block, checkpoint, path)
        ]
        if following:
            stack += [(*path, block) for block in reversed(following)]
        else:
            yield path


def _admits(block: Block, checkpoint: Checkpoint, path: Sequence[Block]) -> bool:
    """Whether the block's filter on this checkpoint lets a conversation through that went this path."""
    slots: dict[str, Any] = {}
    for passed in path:
        for step in passed.steps:
            slots.update(step.slots)
    wanted = next(start.slots for start in block.starts if start.name == checkpoint.name)
    return all(slot_matches(value, slots.get(name)) for name, value in wanted.items())


def _joined(path: Sequence[Block]) -> Story:
    steps: tuple[StoryStep, ...] = tuple(step for block in path for step in block.steps)
    names = " + ".join(dict.fromkeys(block.name for block in path))
    return Story(names, steps, str(path[0].where))
