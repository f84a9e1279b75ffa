"""What a turn costs as a conversation grows: CPU milliseconds a turn after so many events.

    python -m tests.bench.turns           about a minute on one core

The understanding is a toy, so what is measured is the conversation: the store (SQLite in a file), the fold of the
events, policies, forms, actions in this process and on a server. A turn that tells an action the whole conversation, as
Rasa's contract wants, grows with it; no other does. `opened` is the first turn after the program starts: it reads all.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from dialogue.actions.local import LocalActions
from dialogue.actions.remote import ActionServer, RemoteActions
from dialogue.actions.respond import Responder
from dialogue.bot import Bot
from dialogue.domain import ActionSpec
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.desk import DOMAIN, Talk, make_bot
from tests.dialogue.servers import FakeServer

RESULTS = Path(__file__).parent / "results" / "turns.json"
EVENTS = (10, 100, 1_000, 10_000)
TURNS = 15
ACTIONS = """
from rasa_sdk import Action

class Weather(Action):
    def name(self):
        return "action_weather"

    def run(self, dispatcher, tracker, domain):
        return []
"""


def main() -> None:
    rows = measured(EVENTS, TURNS)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(table(rows))


def measured(lengths: tuple[int, ...], turns: int) -> dict[str, dict[str, float]]:
    """For each kind of turn its median CPU milliseconds after so many events."""
    with tempfile.TemporaryDirectory() as folder, FakeServer((200, {"events": [], "responses": []})) as server:
        place = Path(folder)
        (place / "actions.py").write_text(ACTIONS, "utf-8")
        url = f"sqlite:///{place / 'talk.db'}"
        responder = Responder(random.Random(1))
        domain = replace(DOMAIN, actions={"action_weather": ActionSpec("action_weather")})
        local = make_bot(store=SqlTrackerStore(url), custom=LocalActions(place / "actions.py", responder))
        remote = make_bot(store=SqlTrackerStore(url), custom=RemoteActions(ActionServer(server.url), domain, responder))
        rows: dict[str, dict[str, float]] = {}
        for length in lengths:
            grow(local, length)
            rows[str(length)] = {
                "answer": cost(turns, lambda: Talk(local).say("greet")),
                "form begun and dropped": cost(
                    turns, lambda: (Talk(local).say("book"), Talk(local).say("/restart"))[0]
                ),
                "not understood": cost(turns, lambda: Talk(local).say("blub")),
                "action in process": cost(turns, lambda: Talk(local).say("weather")),
                "action on a server": cost(turns, lambda: Talk(remote).say("weather")),
                "opened": cost(3, lambda: opened(url)),
            }
        local.close()
        remote.close()
    return rows


def grow(bot: Bot, length: int) -> None:
    """Talk until the conversation has so many events."""
    lines = ("greet", "weather in Oslo", "faq wifi?", "blub", "book for 3", "Rome", "a window seat")
    while bot.tracker("ada").length < length:
        for line in lines:
            Talk(bot).say(line)
    Talk(bot).say("greet")


def cost(turns: int, turn: Callable[[], object]) -> float:
    """Median CPU milliseconds of this process."""
    spent = []
    for _ in range(turns):
        begun = time.process_time()
        turn()
        spent.append(1000 * (time.process_time() - begun))
    return round(median(spent), 2)


def opened(url: str) -> None:
    """One turn of a program that has just begun."""
    bot = make_bot(store=SqlTrackerStore(url))
    Talk(bot).say("greet")
    bot.close()


def table(rows: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown."""
    kinds = list(next(iter(rows.values())))
    lines = [f"| events | {' | '.join(kinds)} |", f"|---{'|---' * len(kinds)}|"]
    lines += [f"| {length} | {' | '.join(f'{row[kind]:g}' for kind in kinds)} |" for length, row in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
