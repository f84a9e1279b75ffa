"""A parse in the shapes of other services, for programs that were written for them: Wit.ai, LUIS, Dialogflow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any


def wit(parse: Mapping[str, Any]) -> dict[str, Any]:
    """As `GET /message` of Wit.ai, see https://wit.ai/docs/http."""
    entities: dict[str, list[dict[str, Any]]] = {}
    for one in parse["entities"]:
        role = one.get("role") or one["entity"]
        entities.setdefault(f"{one['entity']}:{role}", []).append(
            {
                "name": one["entity"],
                "role": role,
                "start": one["start"],
                "end": one["end"],
                "body": parse["text"][one["start"] : one["end"]],
                "value": one["value"],
                "confidence": one.get("confidence_entity"),
                "entities": [],
                "suggested": False,
                "type": "value",
            }
        )
    intent = parse["intent"]
    intents = [] if intent["name"] is None else [{"name": intent["name"], "confidence": intent["confidence"]}]
    return {"text": parse["text"], "intents": intents, "entities": entities, "traits": {}}


def luis(parse: Mapping[str, Any]) -> dict[str, Any]:
    """As the prediction endpoint of LUIS, version 3."""
    entities: dict[str, Any] = {}
    instances: dict[str, list[dict[str, Any]]] = {}
    for one in parse["entities"]:
        key = one.get("role") or one["entity"]
        text = parse["text"][one["start"] : one["end"]]
        entities.setdefault(key, []).append(one["value"])
        instance = {"type": one["entity"], "text": text, "startIndex": one["start"], "length": len(text)}
        if one.get("confidence_entity") is not None:
            instance["score"] = one["confidence_entity"]
        if one.get("role"):
            instance["role"] = one["role"]
        instances.setdefault(key, []).append(instance)
    if instances:
        entities["$instance"] = instances
    prediction = {
        "normalizedQuery": parse["text"],
        "topIntent": parse["intent"]["name"],
        "intents": {one["name"]: {"score": one["confidence"]} for one in parse["intent_ranking"]},
        "entities": entities,
    }
    return {"query": parse["text"], "prediction": prediction}


def dialogflow(parse: Mapping[str, Any]) -> dict[str, Any]:
    """As `detectIntent` of Dialogflow ES, version 2."""
    parameters: dict[str, list[Any]] = {}
    for one in parse["entities"]:
        parameters.setdefault(one.get("role") or one["entity"], []).append(one["value"])
    name = parse["intent"]["name"]
    result = {
        "queryText": parse["text"],
        "action": name,
        "parameters": parameters,
        "allRequiredParamsPresent": True,
        "fulfillmentText": "",
        "fulfillmentMessages": [],
        "outputContexts": [],
        "intent": {"name": name, "displayName": name, "isFallback": name is None},
        "intentDetectionConfidence": parse["intent"]["confidence"],
        "diagnosticInfo": {},
        "languageCode": "",
    }
    return {"responseId": str(uuid.uuid4()), "queryResult": result}


EMULATIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "WIT": wit,
    "LUIS": luis,
    "DIALOGFLOW": dialogflow,
}
