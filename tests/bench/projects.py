"""Projects of any size in Rasa's format, always the same for the same numbers; and what policies take to learn them.

`python -m tests.bench.projects DIR` writes one (20 forms, 600 examples, 50 stories, 30 rules unless told otherwise);
with `--measure` it instead prints the CPU seconds of fitting each policy at once, twice and four times the size, with
`--whole` the CPU seconds and the peak memory of `starfold train` on it, with all encoders, and on the project DIR.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

THINGS = [
    "table",
    "ticket",
    "room",
    "car",
    "boat",
    "bike",
    "flight",
    "tour",
    "course",
    "seat",
    "locker",
    "parcel",
    "taxi",
    "guide",
    "hall",
]
VERBS = ["book", "order", "reserve", "get", "arrange", "request", "want", "rent", "schedule", "take"]
PLACES = ["oslo", "rome", "lima", "cairo", "delhi", "kyoto", "quito", "riga"]
COMMON = {
    "affirm": "yes sure okay absolutely indeed",
    "deny": "no never nope rather-not negative",
    "stop": "stop enough quit cancel-that forget-it",
    "thank": "thanks cheers thank-you much-obliged ta",
}


@dataclass(frozen=True)
class Size:
    """Of a project."""

    forms: int = 20
    examples: int = 600
    stories: int = 50
    rules: int = 30

    def times(self, factor: int) -> Size:
        """A project so many times as big."""
        return Size(*(factor * number for number in (self.forms, self.examples, self.stories, self.rules)))


def write_project(folder: Path, size: Size = Size(), seed: int = 0, *, whole: bool = False) -> Path:
    """Write bot.yml, domain, examples, stories and rules into a folder.

    Args:
        folder: where to.
        size: how much of each.
        seed: of what is drawn.
        whole: whether the bot has the encoders and the fusion that a bot.yml without a word of them has; else one
            cheap encoder and no fusion.
    """
    rng = random.Random(seed)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    cheap = {} if whole else {"encoders": {"words": "onehot"}, "fusion": {"tune": "none"}}
    files: dict[str, Any] = {
        "bot.yml": {"version": "1", "name": "big", **cheap},
        "data/domain.yml": _domain(size),
        "data/nlu.yml": {"nlu": list(_examples(size, rng))},
        "data/stories.yml": {"stories": list(_stories(size, rng))},
        "data/rules.yml": {"rules": list(_rules(size))},
    }
    for name, content in files.items():
        head = {} if name == "bot.yml" else {"version": "3.1"}
        (folder / name).write_text(yaml.safe_dump({**head, **content}, sort_keys=False, allow_unicode=True), "utf-8")
    return folder


def _questions(size: Size) -> int:
    """Rules are one for the end of each form, and questions."""
    return max(0, size.rules - size.forms)


def _domain(size: Size) -> dict[str, Any]:
    forms, slots, responses = {}, {}, {}
    for number in range(size.forms):
        for what in ("place", "day"):
            condition = {"active_loop": f"form_{number}", "requested_slot": f"{what}_{number}"}
            mapping = {"type": "from_entity", "entity": what, "conditions": [condition]}
            slots[f"{what}_{number}"] = {"type": "text", "influence_conversation": False, "mappings": [mapping]}
            responses[f"utter_ask_{what}_{number}"] = [{"text": f"Which {what}?"}]
        forms[f"form_{number}"] = {"required_slots": [f"place_{number}", f"day_{number}"]}
        responses[f"utter_done_{number}"] = [{"text": f"{_thing(number)}: {{place_{number}}}, {{day_{number}}}."}]
        responses[f"utter_sure_{number}"] = [{"text": "Shall I stop?"}]
    for number in range(_questions(size)):
        responses[f"utter_question_{number}"] = [{"text": f"Answer {number}."}]
    responses |= {name: [{"text": name}] for name in ("utter_stopped", "utter_welcome")}
    intents = [*COMMON, *(f"want_{n}" for n in range(size.forms)), *(f"question_{n}" for n in range(_questions(size)))]
    return {"intents": intents, "entities": ["place", "day"], "slots": slots, "forms": forms, "responses": responses}


def _thing(number: int) -> str:
    return THINGS[number % len(THINGS)] + ("" if number < len(THINGS) else f" type {number // len(THINGS)}")


def _examples(size: Size, rng: random.Random) -> Iterator[dict[str, Any]]:
    names = [*COMMON, *(f"want_{n}" for n in range(size.forms)), *(f"question_{n}" for n in range(_questions(size)))]
    for place, name in enumerate(names):
        count = (place + 1) * size.examples // len(names) - place * size.examples // len(names)
        said: dict[str, None] = {}
        while len(said) < count:
            said[_sentence(name, rng)] = None
        yield {"intent": name, "examples": "".join(f"- {text}\n" for text in said)}


def _sentence(name: str, rng: random.Random) -> str:
    polite = " ".join(rng.choice(("", "please", "well", "hey", "so", "now", "oh", "look")) for _ in range(3)).split()
    kind, _, number = name.partition("_")
    if kind == "want":
        where = f"in [{rng.choice(PLACES)}](place) on [day {rng.randint(1, 28)}](day)"
        said = f"{rng.choice(VERBS)} a {_thing(int(number))} {rng.choice(('', where))}".strip()
    elif kind == "question":
        said = f"{rng.choice(('what', 'how', 'why'))} about matter {number}"
    else:
        said = rng.choice(COMMON[name].split())
    return " ".join([said, *polite])


def _stories(size: Size, rng: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(size.stories):
        form, other = number % size.forms, rng.randrange(size.forms)
        steps = _begun(form)
        if number % 3 == 0:
            steps += [*_ended(form), {"intent": "thank"}, {"action": "utter_welcome"}]
        elif number % 3 == 1:
            steps += [{"intent": "stop"}, {"action": f"utter_sure_{form}"}, {"intent": "affirm"}]
            steps += [{"action": "action_deactivate_loop"}, {"active_loop": None}, {"action": "utter_stopped"}]
        else:
            steps += [{"intent": "stop"}, {"action": f"utter_sure_{form}"}, {"intent": "deny"}]
            steps += [{"action": f"form_{form}"}, {"active_loop": None}, {"action": f"utter_done_{form}"}]
            steps += _begun(other) + _ended(other)
        yield {"story": f"story {number}", "steps": steps}


def _begun(form: int) -> list[dict[str, Any]]:
    return [{"intent": f"want_{form}"}, {"action": f"form_{form}"}, {"active_loop": f"form_{form}"}]


def _ended(form: int) -> list[dict[str, Any]]:
    return [{"active_loop": None}, {"action": f"utter_done_{form}"}]


def _rules(size: Size) -> Iterator[dict[str, Any]]:
    for number in range(min(size.forms, size.rules)):
        steps = [{"action": f"form_{number}"}, *_ended(number)]
        yield {"rule": f"done {number}", "condition": [{"active_loop": f"form_{number}"}], "steps": steps}
    for number in range(_questions(size)):
        steps = [{"intent": f"question_{number}"}, {"action": f"utter_question_{number}"}]
        yield {"rule": f"question {number}", "steps": steps}


def measure(factors: tuple[int, ...] = (1, 2, 4)) -> Iterator[str]:
    """CPU seconds of fitting each policy that learns, and of checking the stories, by size."""
    from dialogue.config_file import load_config
    from dialogue.training.conflicts import check_stories
    from dialogue.training.data import read_data
    from policies.catalog import build
    from policies.types import Story, StoryStep

    warm = Story("warm", (StoryStep(intent="a"), StoryStep(action="b")))
    build("transformer").fit([warm])  # what torch loads once is not counted
    for factor in factors:
        with tempfile.TemporaryDirectory() as folder:
            project = write_project(Path(folder), Size().times(factor))
            config = load_config(project)
            data = read_data(config.data_paths)
        line = [f"{factor} x: {len(data.stories)} stories and rules"]
        for name in ("rules", "memory", "transformer"):
            start = time.process_time()
            build(name).fit(data.stories)
            line.append(f"{name} {time.process_time() - start:.2f}")
        start = time.process_time()
        list(check_stories(config, data))
        yield ", ".join([*line, f"checks {time.process_time() - start:.2f} CPU-s"])


def measure_whole(size: Size = Size(), other: Path | None = None) -> Iterator[str]:
    """CPU seconds and peak memory of training a whole bot, and a copy of another project, each in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        projects = [write_project(Path(folder) / "big", size, whole=True)]
        if other is not None:
            projects.append(shutil.copytree(other, Path(folder) / other.name, ignore=shutil.ignore_patterns(".*")))
        for project in projects:
            usage = _starfold("--project", str(project), "train")
            yield f"{project.name}: {usage.ru_utime + usage.ru_stime:.1f} CPU-s, peak {usage.ru_maxrss / 1024:.0f} MB"


def _starfold(*arguments: str) -> Any:
    """What the command used. Raises `RuntimeError` where it fails."""
    done = subprocess.Popen([sys.executable, "-m", "dialogue", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode:
        raise RuntimeError(f"starfold {' '.join(arguments)} ended with {done.returncode}")
    return usage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--whole", action="store_true")
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    size = Size(options.forms, options.examples, options.stories, options.rules)
    if options.measure or options.whole:
        for line in measure_whole(size, options.folder) if options.whole else measure():
            print(line, flush=True)
    elif options.folder is None:
        parser.error("name a folder, --measure or --whole")
    else:
        write_project(options.folder, size)


if __name__ == "__main__":
    main()
