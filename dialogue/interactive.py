"""Interactive learning: a person talks with the bot and corrects what it understood and what it does next.

What the person says wins: the engine runs with a chain and an understanding that ask before they answer. In the end the
conversation becomes a story, and its messages examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dialogue import events as ev
from dialogue.assembly import actions
from dialogue.bot import Bot
from dialogue.config_file import load_config
from dialogue.domain import ACTION_LISTEN, DEFAULT_ACTIONS, DEFAULT_INTENTS, REQUESTED_SLOT, Domain
from dialogue.errors import ModelError, TrainingError, Where, suggestion
from dialogue.message import Message
from dialogue.project import read
from dialogue.replay import gold
from dialogue.training.annotations import read_annotated
from dialogue.training.folder import current_version
from dialogue.training.insertion import insert_example, insert_story
from dialogue.training.nodes import Report
from dialogue.training.written import annotate
from dialogue.understanding import Understanding
from policies.chain import Chain
from policies.history import plain
from policies.types import FILLED, Belief, Decision, DialogueState, Doubt, Entity, Kind, Story, StoryStep

Ask = Callable[[str, str, Sequence[str]], str]  # question, what Enter means, what may be completed; EOFError ends
Say = Callable[[str], None]
SENDER, PERSON = "interactive", "person"
SILENT = frozenset((ACTION_LISTEN, "action_session_start"))


class AskedUnderstanding:
    """Reads a message and asks whether it is so; what was confirmed is certain. `heard` keeps it by the text."""

    def __init__(self, model: Understanding, domain: Domain, ask: Ask, say: Say) -> None:
        self.timings = model.timings
        self.heard: dict[str, tuple[str, tuple[Entity, ...]]] = {}
        self._model = model
        self._ask = ask
        self._say = say
        answers = domain.retrieval
        self._intents = [
            full
            for name in domain.intents
            for full in ([f"{name}/{key}" for key in answers[name]] if name in answers else [name])
        ]

    def parse_many(self, texts: Sequence[str]) -> list[Belief]:
        """What the person says that the texts mean."""
        return [self._hear(text, belief) for text, belief in zip(texts, self._model.parse_many(texts), strict=True)]

    def _hear(self, text: str, belief: Belief) -> Belief:
        shown = ", ".join(f"{one.name} {one.mean:.2f}" for one in belief.intents[:3])
        self._say(f"understood: {shown or 'no intents'}, none of these {belief.unknown:.2f}")
        intent = choose(self._ask, self._say, "intent", _best(belief), (*self._intents, *DEFAULT_INTENTS))
        entities = self._entities(text, belief.entities)
        self.heard[text] = intent, entities
        return gold(StoryStep(intent=intent, text=text, entities=entities))

    def _entities(self, text: str, found: Sequence[Entity]) -> tuple[Entity, ...]:
        marked = annotate(text, found)
        while True:
            report = Report()
            said, entities = read_annotated(self._ask("entities", marked, ()), Where("your line"), report)
            if said == text and not report.problems:
                return entities
            told = "; ".join(problem.message for problem in report.problems)
            self._say(told or "only mark words of the message, as in [Rome](city)")


class AskedChain(Chain):
    """A chain whose every decision is shown to a person, who may name another action."""

    def __init__(self, chain: Chain, domain: Domain, ask: Ask, say: Say) -> None:
        super().__init__(chain.policies)
        self._ask = ask
        self._say = say
        names = (*domain.responses, *domain.actions, *domain.forms, *DEFAULT_ACTIONS)
        self._actions = tuple(dict.fromkeys([*names, *(f"utter_{name}" for name in domain.retrieval)]))

    def doubt(self, belief: Belief, state: DialogueState) -> Doubt | None:
        """None: a person has said what the message means."""
        return None

    def decide(self, belief: Belief, state: DialogueState) -> Decision:
        """The chain's own decision, or what the person wants instead."""
        decision = super().decide(belief, state)
        self._say(f"{decision.policy}: {decision.reason}")
        action = choose(self._ask, self._say, "next action", decision.action, self._actions)
        if action == decision.action:
            return decision
        kind = Kind.LISTEN if action == ACTION_LISTEN else Kind.ACT
        return Decision(kind, action, 1.0, PERSON, f"a person chose it over {decision.action}")


def choose(ask: Ask, say: Say, question: str, default: str, names: Sequence[str]) -> str:
    """A name out of several, asked for until it is one of them."""
    while (answer := ask(question, default, names).strip() or default) not in names:
        say(f"there is no {question} {answer!r}{suggestion(answer, names)}")
    return answer


def learn_interactively(project: Path, ask: Ask, say: Say) -> None:
    """Talk with the trained bot until the person ends it, then write story and examples if so wanted.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    from dialogue.store.sql import SqlTrackerStore

    config = load_config(project)
    version = current_version(config.model_path)
    if version is None:
        raise ModelError(f"there is no model in {config.model_path}; `starfold train` makes one")
    model, policies, domain = read(config, version)
    heard = AskedUnderstanding(model, domain, ask, say)
    chain = AskedChain(policies, domain, ask, say)
    store = SqlTrackerStore("sqlite://")
    bot = Bot(heard, domain, chain, actions(config, domain)[0], store, name=config.name, language=config.language)
    try:
        converse(bot, ask, say)
        story = recorded(bot.tracker(SENDER).applied_events, domain)
        keep(config.data_paths, story, heard.heard, ask, say)
    finally:
        bot.close()


def converse(bot: Bot, ask: Ask, say: Say) -> None:
    """Turn after turn, until the input ends."""
    while True:
        try:
            text = ask("you", "", ()).strip()
            if text:
                for reply in bot.handle(Message(text, sender=SENDER)).replies:
                    say(f"{bot.name} › {reply.text or reply.as_dict()}")
        except EOFError:
            return


def keep(
    paths: Sequence[Path],
    steps: Sequence[StoryStep],
    heard: dict[str, tuple[str, tuple[Entity, ...]]],
    ask: Ask,
    say: Say,
) -> None:
    """Write the story under a name the person gives, and new examples; nothing when the input has ended."""
    from dialogue.training.data import read_data

    if not steps:
        return
    try:
        if name := ask("name of the story (empty: do not keep it)", "", ()).strip():
            say(f"story written to {insert_story(paths, Story(name, tuple(steps)))}")
        known = {plain(example.text) for example in read_data(paths).examples}
        fresh = {
            text: said for text, said in heard.items() if plain(text) not in known and said[0] not in DEFAULT_INTENTS
        }
        if not fresh or ask(f"{len(fresh)} new examples: keep them?", "yes", ("yes", "no")).strip() != "yes":
            return
    except EOFError:
        return
    for text, (intent, entities) in fresh.items():
        try:
            say(f"example of {intent} written to {insert_example(paths, text, intent, entities)}")
        except TrainingError as refused:
            say(str(refused))


def recorded(happened: Iterable[ev.Event], domain: Domain) -> tuple[StoryStep, ...]:
    """A conversation as the steps of a story: what was said and done, forms, and slots that influence conversations."""
    return tuple(step for event in happened for step in _step(event, domain))


def _step(event: ev.Event, domain: Domain) -> Iterator[StoryStep]:
    if isinstance(event, ev.UserUttered):
        entities = tuple(Entity(str(one.get("entity")), 0, 0, one.get("value"), "story") for one in event.entities)
        yield StoryStep(intent=_full_intent(event), entities=entities)
    elif isinstance(event, ev.ActionExecuted) and event.name and event.name not in SILENT:
        yield StoryStep(action=event.name)
    elif isinstance(event, ev.ActiveLoop):
        yield StoryStep(active_form=event.name, sets_form=True)
    elif isinstance(event, ev.SlotSet) and event.name != REQUESTED_SLOT:
        slot = domain.slots.get(event.name)
        if slot is not None and slot.influence_conversation:
            yield StoryStep(slots={event.name: _shown(event.value, slot.type)})


def _shown(value: Any, kind: str) -> Any:
    return FILLED if kind in ("text", "list") and value not in (None, []) else value


def _full_intent(event: ev.UserUttered) -> str:
    name = event.intent or "nlu_fallback"
    chosen = event.parse_data.get("response_selector", {}).get(name, {}).get("response", {})
    return str(chosen.get("intent_response_key") or name)


def _best(belief: Belief) -> str:
    """The most probable intent, a retrieval intent with its best answer."""
    if belief.top is None:
        return DEFAULT_INTENTS[-1]
    answers = belief.responses.get(belief.top.name, ())
    if not answers:
        return belief.top.name
    return answers[0].name if "/" in answers[0].name else f"{belief.top.name}/{answers[0].name}"
