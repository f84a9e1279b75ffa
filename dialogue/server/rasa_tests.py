"""Evaluation in Rasa's HTTP API: test stories and test messages against the model that answers, or another version."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from fastapi.responses import Response

from dialogue.bot import Bot
from dialogue.channels.jsonl import dumps
from dialogue.config import Config
from dialogue.errors import ProjectError, TrainingError
from dialogue.replay import parser, replay
from dialogue.server.parts import Here, Parts
from dialogue.server.rasa_errors import RasaError, RasaRoute, admin, with_model
from dialogue.server.rasa_model import CallbackUrl, now_or_later, read_yaml_body
from dialogue.story_tests import read_test_stories
from dialogue.training.data import read_data
from dialogue.training.metrics import report
from dialogue.training.types import Example
from dialogue.understanding import parse_data

if TYPE_CHECKING:
    from dialogue.training.data import TrainingData

MEMORISED = ("rules", "memory")
NO_TAG = "no_entity"
Parse = dict[str, Any]
Version = Annotated[
    str | None, Query(alias="model", description="A version of the model; by default the one that answers.")
]
router = APIRouter(prefix="/model/test", route_class=RasaRoute, dependencies=[Depends(admin), Depends(with_model)])


@router.post("/stories", summary="Replay test stories")
async def stories(
    here: Here, request: Request, later: BackgroundTasks, e2e: bool = False, callback_url: CallbackUrl = None
) -> Response:
    """`{report, precision, f1, accuracy, actions, in_training_data_fraction, is_end_to_end_evaluation}`."""
    body = await request.body()
    read_yaml_body(body)
    bot = here.service.bot
    return await _evaluated(lambda: story_report(bot, body, e2e=e2e), callback_url, later)


@router.post("/intents", summary="Read test messages")
async def intents(
    here: Here,
    request: Request,
    later: BackgroundTasks,
    version: Version = None,
    cross_validation_folds: Annotated[int | None, Query(ge=2, le=20)] = None,
    callback_url: CallbackUrl = None,
) -> Response:
    """`{intent_evaluation, entity_evaluation, response_selection_evaluation}` of a body of NLU examples.

    With `cross_validation_folds` the bot's pipeline is trained anew on the examples without each fold in turn.
    """
    body = await request.body()
    read_yaml_body(body)

    def run() -> dict[str, Any]:
        data = _read(body)
        if not data.examples:
            raise RasaError(400, "no examples to test with: expected `nlu:`")
        if cross_validation_folds is not None:
            parses = cross_validated(here, data, cross_validation_folds)
        else:
            bot = here.service.bot if version is None else here.service.live.load(version).bot
            parses = [bot.parse(example.text) for example in data.examples]
        return {
            "intent_evaluation": intent_evaluation(data.examples, parses),
            "entity_evaluation": entity_evaluation(data.examples, parses),
            "response_selection_evaluation": response_evaluation(data.examples, parses),
        }

    return await _evaluated(run, callback_url, later)


def story_report(bot: Bot, body: bytes, *, e2e: bool) -> dict[str, Any]:
    """Every action that the stories expect against what the policies decided."""
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "test_stories.yml")
        file.write_bytes(body)
        told = read_test_stories([file], Config())
    understand = parser(bot.understanding, bot.domain) if e2e else None
    checks = [check for story in told for check in replay(story, bot.domain, bot.policies, understand).actions]
    actions = [
        {
            "action": check.expected,
            "predicted": check.predicted,
            "policy": check.decision.policy if check.decision else None,
            "confidence": check.decision.confidence if check.decision else None,
        }
        for check in checks
    ]
    memorised = sum(1 for one in actions if one["policy"] in MEMORISED)
    found = report([check.expected for check in checks], [check.predicted for check in checks])
    return {
        **{key: found[key] for key in ("report", "precision", "accuracy")},
        "f1": found["f1_score"],
        "actions": actions,
        "in_training_data_fraction": memorised / len(actions) if actions else 0.0,
        "is_end_to_end_evaluation": e2e,
    }


def cross_validated(here: Parts, data: TrainingData, folds: int) -> list[Parse]:
    """Each example as read by a model that learned without its fold. Examples of a class are dealt out in turn."""
    if here.project is None:
        raise RasaError(404, "this bot has no project folder to train in")
    from dialogue.config_file import load_config
    from dialogue.training.corpus import build_corpus
    from dialogue.training.trainer import train_model

    config = load_config(here.project)
    own = read_data(config.data_paths)
    seen: dict[str | None, int] = {}
    places = []
    for example in data.examples:
        seen[example.intent] = seen.get(example.intent, -1) + 1
        places.append(seen[example.intent] % folds)
    parses: dict[int, Parse] = {}
    for fold in range(folds):
        rest = tuple(example for example, place in zip(data.examples, places, strict=True) if place != fold)
        corpus = build_corpus(replace(own, examples=rest, synonyms=data.synonyms))
        model = train_model(config, corpus, lambda stage, done, total: None)
        for number, example in enumerate(data.examples):
            if places[number] == fold:
                parses[number] = parse_data(example.text, model.parse(example.text), own.domain)
    return [parses[number] for number in range(len(data.examples))]


def intent_evaluation(examples: Sequence[Example], parses: Sequence[Parse]) -> dict[str, Any]:
    """Intents, retrieval intents without their answers."""
    truth = [(example.intent or "").partition("/")[0] for example in examples]
    guess = [str(parse["intent"]["name"]) for parse in parses]
    predictions = [
        {"text": example.text, "intent": meant, "predicted": found, "confidence": parse["intent"]["confidence"]}
        for example, meant, found, parse in zip(examples, truth, guess, parses, strict=True)
    ]
    return {"predictions": predictions, **report(truth, guess)}


def entity_evaluation(examples: Sequence[Example], parses: Sequence[Parse]) -> dict[str, Any]:
    """For each extractor that found something: the tag of every word, as Rasa scores entities."""
    extractors = sorted({str(one["extractor"]) for parse in parses for one in parse["entities"]})
    truth = [tag for example, parse in zip(examples, parses, strict=True) for tag in _tags(parse, _marked(example))]
    return {
        name: report(
            truth,
            [
                tag
                for parse in parses
                for tag in _tags(parse, [one for one in parse["entities"] if one["extractor"] == name])
            ],
        )
        for name in extractors
    }


def response_evaluation(examples: Sequence[Example], parses: Sequence[Parse]) -> dict[str, Any]:
    """Answers of retrieval intents."""
    pairs = [
        (example, parse["response_selector"].get(str(example.intent).partition("/")[0], {}).get("response", {}))
        for example, parse in zip(examples, parses, strict=True)
        if "/" in (example.intent or "")
    ]
    predictions = [
        {
            "text": example.text,
            "intent_response_key_target": example.intent,
            "intent_response_key_prediction": found.get("intent_response_key"),
            "confidence": found.get("confidence", 0.0),
        }
        for example, found in pairs
    ]
    if not predictions:
        return {}
    truth = [str(one["intent_response_key_target"]) for one in predictions]
    return {
        "predictions": predictions,
        **report(truth, [str(one["intent_response_key_prediction"]) for one in predictions]),
    }


def _marked(example: Example) -> list[Parse]:
    return [{"entity": one.entity, "start": one.start, "end": one.end} for one in example.entities]


def _tags(parse: Parse, entities: Sequence[Parse]) -> list[str]:
    """The entity each word lies in."""
    return [
        next((str(one["entity"]) for one in entities if one["start"] <= start and end <= one["end"]), NO_TAG)
        for start, end in parse["text_tokens"]
    ]


def _read(body: bytes) -> TrainingData:
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "nlu.yml")
        file.write_bytes(body)
        return read_data([file])


async def _evaluated(run: Callable[[], dict[str, Any]], callback_url: str | None, later: BackgroundTasks) -> Response:
    async def evaluated() -> Response:
        try:
            found = await asyncio.to_thread(run)
        except (ProjectError, TrainingError) as error:
            raise RasaError(400, str(error), "TestingError") from error
        return Response(dumps(found), media_type="application/json")

    return await now_or_later(evaluated, callback_url, later)
