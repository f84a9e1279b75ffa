"""A small project on disk that trains in a moment: one encoder, no weights, no fusion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOT = """version: "1"
name: small
data: [data]
actions: actions.py
encoders:
  words: onehot
"""
DATA = """version: "3.1"
intents: [greet, goodbye, weather, wait]
responses:
  utter_greet: [{text: "Hello!"}]
  utter_goodbye: [{text: "Bye."}]
  utter_weather: [{text: "Sunny."}]
rules:
  - {rule: greet, steps: [{intent: greet}, {action: utter_greet}]}
  - {rule: goodbye, steps: [{intent: goodbye}, {action: utter_goodbye}]}
  - {rule: weather, steps: [{intent: weather}, {action: utter_weather}]}
  - {rule: wait, steps: [{intent: wait}, {action: action_wait}, {action: utter_greet}]}
actions: [action_wait]
nlu:
  - {intent: greet, examples: "- hello\\n- hello there\\n- hi\\n- hi there\\n- good morning\\n"}
  - {intent: goodbye, examples: "- bye\\n- goodbye\\n- see you\\n- see you later\\n- bye bye\\n"}
  - {intent: weather, examples: "- will it rain\\n- is it sunny\\n- weather today\\n- how is the weather\\n- rain\\n"}
  - {intent: wait, examples: "- wait\\n- please wait\\n- wait a moment\\n- hold on\\n- hang on a moment\\n"}
"""
ACTIONS = '''
import time
from collections.abc import Sequence
from pathlib import Path

from rasa_sdk import Action


class Wait(Action):
    """Says on disk that it runs, and then takes its time."""

    def name(self):
        return "action_wait"

    def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(text="Waiting.")
        (Path(__file__).parent / "waiting").touch()
        time.sleep(60)
        return []
'''


def write_small(folder: Path) -> Path:
    """The project's files."""
    (folder / "data").mkdir(parents=True)
    (folder / "bot.yml").write_text(BOT, "utf-8")
    (folder / "data" / "all.yml").write_text(DATA, "utf-8")
    (folder / "actions.py").write_text(ACTIONS, "utf-8")
    return folder


def command(*arguments: object, before: str = "", by: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A real `starfold` process in pipe mode, with some code run before it, started by another command if need be."""
    program = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{before}\nfrom dialogue.cli import main\nmain()\n"
    line = [*by, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
