"""A bot without a model, for tests of what talks to bots."""

from types import MappingProxyType

from dialogue.events import ActionExecuted, BotUttered, SlotSet, UserUttered
from dialogue.message import Button, Message, Reply
from dialogue.tracker import Tracker
from dialogue.turn import TurnResult
from policies.types import Belief, Candidate, Decision, Entity, Kind

MILLISECONDS = MappingProxyType({"understand": 4.25, "decide": 0.5})
BELIEF = Belief(
    intents=(
        Candidate("opening_hours", 0.75, 0.5, 0.875),
        Candidate("ticket_price", 0.125, 0.0625, 0.25),
        Candidate("faq", 0.0625, 0.0, 0.125),
    ),
    unknown=0.0625,
    entropy=0.83,
    mutual_information=0.21,
    entities=(Entity("date", 0, 7, "tonight", "lookup"),),
    contributions=MappingProxyType({"bert": 0.7, "onehot": 0.3}),
)
DECISION = Decision(
    Kind.ACT, "utter_opening_hours", 0.75, "rules", "rule 'say when open'", passed=(("forms", "no form is active"),)
)


class FakeBot:
    """Echoes; offers two buttons when it hears "choose"; `replies` overrides what it says."""

    name = "Nova"
    intents = ("opening_hours", "ticket_price", "greet", "help")

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.replies: tuple[Reply, ...] | None = None
        self.error: BaseException | None = None
        self.reminders: list[str] = []
        self.closed = False
        self._trackers: dict[str, Tracker] = {}

    def handle(self, message: Message) -> TurnResult:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.heard.append(message)
        said = self.replies if self.replies is not None else self._answer(message.text)
        events = (
            UserUttered(text=message.text),
            ActionExecuted(name="utter_echo", policy="rules", confidence=1.0),
            SlotSet(name="行星", value="火星"),
            *(BotUttered(text=reply.text) for reply in said),
        )
        self._trackers[message.sender] = self.tracker(message.sender).apply(events)
        return TurnResult(message, said, DECISION, BELIEF, events, MILLISECONDS)

    def due(self, *, sender: str) -> list[TurnResult]:
        waiting, self.reminders = self.reminders, []
        return [self.handle(Message(text, sender=sender)) for text in waiting]

    def parse(self, text: str) -> dict:
        return {"text": text, "intent": {"name": "opening_hours", "confidence": 0.75}}

    def tracker(self, sender: str) -> Tracker:
        return self._trackers.get(sender) or Tracker(sender)

    def reset(self, sender: str) -> None:
        self._trackers.pop(sender, None)

    def close(self) -> None:
        self.closed = True

    def _answer(self, text: str) -> tuple[Reply, ...]:
        if text == "choose":
            return (Reply(text="which?", buttons=(Button("Prices", "/ticket_price"), Button("时间", "/help"))),)
        return (Reply(text=f"you said {text}"),)
