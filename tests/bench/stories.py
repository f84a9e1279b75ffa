"""What the learned policy does where a story that it has not seen goes on, with habits and without.

    python -m tests.bench.stories FOLDER [--most 8]

FOLDER holds Rasa projects, each in a folder of its own. Of each, one story after another is left out (at most so many,
evenly spread), the policy learns from the others, and at each place of the story, as told up to there, it is asked what
to do: right, wrong, or passed. Counted are places outside of forms, by whether the other stories tell the turn so far
anywhere (`told`) or not (`never`), and whether the bot listens or acts.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dialogue.training.data import collect_data
from policies.episodes import learnable
from policies.habits import habits, turned
from policies.history import LISTEN, Point, is_user, points
from policies.transformer import TransformerPolicy
from policies.types import Belief, Candidate, Decision, DialogueState, Story, Turn

RESULTS = Path(__file__).parent / "results" / "stories.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=8, help="stories of a project that are left out, one at a time")
    given = parser.parse_args()
    total: Counter[tuple[str, str, str]] = Counter()
    projects = stories = 0
    for project in sorted(path for path in given.folder.iterdir() if path.is_dir()):
        told = learnable(collect_data([project])[0].stories)
        if len(told) < 2:
            continue
        chosen = sorted({round(number) for number in np.linspace(0, len(told) - 1, given.most)})
        found: Counter[tuple[str, str, str]] = Counter()
        for number in chosen:
            found.update(asked(told[number], [*told[:number], *told[number + 1 :]]))
        projects, stories, total = projects + 1, stories + len(chosen), total + found
        print(project.name, len(told), counts(found), flush=True)
    row = {"projects": projects, "stories": stories, **counts(total)}
    RESULTS.write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    print(row)


def counts(found: Counter[tuple[str, str, str]]) -> dict[str, int]:
    """Ready for JSON."""
    return {" ".join(key): count for key, count in sorted(found.items())}


def asked(held: Story, others: Sequence[Story]) -> Iterator[tuple[str, str, str]]:
    """For each place of the story: what is known of it, which policy, and what came of it."""
    policy = TransformerPolicy().fit(others)
    if policy.learned_ is None:
        return
    known = habits(others)
    learned = {"habits": policy.learned_, "none": replace(policy.learned_, habits={})}
    for point in points(held):
        if point.form is not None or not any(map(is_user, point.past)):
            continue
        state = stood(point)
        told = turned(state.turns[-1].intent or "", state.turns[-1].actions) in known
        for name, one in learned.items():
            policy.learned_ = one
            verdict = policy.decide(sure(state.turns[-1].intent or ""), state)
            acted = verdict.action if isinstance(verdict, Decision) else None
            came = "passed" if acted is None else "right" if acted == point.action else "wrong"
            yield f"{'told' if told else 'never'} {'listen' if point.action == LISTEN else 'act'}", name, came


def stood(point: Point) -> DialogueState:
    """The conversation at a place of a story."""
    turns: list[Turn] = []
    for step in point.past:
        if is_user(step):
            turns.append(Turn(step.intent, step.entities))
        elif turns:
            turns[-1] = replace(turns[-1], actions=(*turns[-1].actions, step.action or ""))
    return DialogueState(turns=tuple(turns), slots=dict(point.slots), active_form=point.form)


def sure(intent: str) -> Belief:
    """A belief without doubt."""
    name = intent.partition("/")[0]
    return Belief((Candidate(name, 1.0, 1.0, 1.0),), 0.0, 0.0, 0.0)


if __name__ == "__main__":
    main()
