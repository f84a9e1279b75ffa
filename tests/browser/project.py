"""A bot that can show everything the widget shows; trains in a moment."""

from __future__ import annotations

import json
from pathlib import Path

TOKEN = "developer-token-of-the-tests"
IDENTITY = "a secret that signs who the user is"
SECRETS = {"WEB_TOKEN": TOKEN, "WEB_IDENTITY": IDENTITY}  # of the environment
BOT = """version: "1"
name: Nova
data: [data]
actions: actions.py
encoders:
  words: onehot
  word2vec: {type: word2vec, dim: 24, epochs: 20}
  gru: {type: gru, dim: 16, word_dim: 16, char_dim: 8, spelling_dim: 8, epochs: 6}
fusion: {tune: none}
server:
  tokens: ["${WEB_TOKEN}"]
  identity_secret: ${WEB_IDENTITY}
  rates: {sender: null, address: null, key: null}
  log: text
"""
EXAMPLES = {
    "greet": "hello|hello there|hi|hi there|good morning|good evening|hey",
    "goodbye": "bye|goodbye|see you|see you later|bye bye|have a good night",
    "planets": "which planets can we see|what is up tonight|can we see saturn|is jupiter visible|planets tonight",
    "opening_hours": "when do you open|opening hours|how long are you open|are you open on sunday|when do you close",
    "book_visit": "i want to book a visit|book a tour|reserve two tickets|can i come on friday|tickets please",
    "tell_more": "tell me more|explain the telescope|how does it work|more details please|what is a refractor",
}
RESPONSES = {
    "utter_greet": [{"text": "Hello! I am **Nova**, at the visitor desk. What would you like to know?"}],
    "utter_goodbye": [{"text": "Clear skies!"}],
    "utter_opening_hours": [
        {
            "text": "We are open:\n\n- **Tuesday to Friday**, 14:00 to 22:00\n- **Saturday**, 12:00 to 23:00\n\n"
            "More on [our page](https://observatory.example/visit)."
        }
    ],
    "utter_book_visit": [
        {
            "text": "Gladly. Which evening suits you?",
            "buttons": [
                {"title": "Friday", "payload": '/say{"text": "Friday it is."}'},
                {"title": "Saturday", "payload": '/say{"text": "Saturday it is."}'},
                {"title": "Another day", "payload": '/say{"text": "Which one?"}'},
            ],
        }
    ],
    "utter_tell_more": [
        {
            "text": "The big one is a refractor with an opening of `0.65 m`, built in 1896.",
            "custom": {
                "quick_replies": [
                    {"title": "Can I look through it?", "payload": "can we see saturn"},
                    {"title": "When are you open?", "payload": "opening hours"},
                ]
            },
        }
    ],
}
ACTIONS = '''
import time

from rasa_sdk import Action


class Say(Action):
    """Says what it is told, in whatever shape: `/say{"text": ..., "image": ..., "custom": {...}}`."""

    def name(self):
        return "action_say"

    def run(self, dispatcher, tracker, domain):
        told = {entity["entity"]: entity["value"] for entity in tracker.latest_message["entities"]}
        time.sleep(float(told.get("seconds", 0)))
        for _ in range(int(told.get("times", 1))):
            dispatcher.utter_message(
                text=told.get("text"),
                image=told.get("image"),
                attachment=told.get("attachment"),
                buttons=[told["button"]] if "button" in told else None,
                json_message=told.get("custom"),
            )
        return []


class Planets(Action):
    def name(self):
        return "action_planets"

    def run(self, dispatcher, tracker, domain):
        time.sleep(0.3)
        dispatcher.utter_message(text="Three planets are up tonight:")
        dispatcher.utter_message(json_message=PLANETS)
        return []


PLANETS = {
    "cards": [
        {
            "title": name,
            "subtitle": when,
            "image": f"PICTURES/{name.lower()}.svg",
            "alt": f"{name} in the telescope",
            "buttons": [{"title": "Book an evening", "payload": "/book_visit"}],
        }
        for name, when in (
            ("Saturn", "In the south-east from 20:40; the rings are wide open."),
            ("Jupiter", "High in the east, with all four moons."),
            ("Mars", "Low in the west until 19:30."),
        )
    ]
}
'''


def write_project(folder: Path, pictures: str = "https://observatory.example") -> Path:
    """The project's files, opened with `SECRETS` in the environment. `pictures` is where those of the cards are."""
    (folder / "data").mkdir(parents=True)
    (folder / "bot.yml").write_text(BOT)
    (folder / "actions.py").write_text(ACTIONS.replace("PICTURES", pictures))
    rules = [{"rule": name, "steps": [{"intent": name}, {"action": _action(name)}]} for name in (*EXAMPLES, "say")]
    data = {
        "version": "3.1",
        "intents": [*EXAMPLES, "say"],
        "entities": ["text", "image", "custom", "attachment", "button", "seconds", "times"],
        "responses": RESPONSES,
        "actions": ["action_say", "action_planets"],
        "rules": rules,
        "nlu": [
            {"intent": name, "examples": "".join(f"- {text}\n" for text in examples.split("|"))}
            for name, examples in (*EXAMPLES.items(), ("say", "say it|say the word|please say so|say it again"))
        ],
    }
    (folder / "data" / "all.yml").write_text(json.dumps(data))  # JSON is YAML
    return folder


def _action(intent: str) -> str:
    own = {"planets": "action_planets", "say": "action_say"}
    return own.get(intent, f"utter_{intent}")
