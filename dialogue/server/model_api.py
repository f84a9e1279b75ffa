"""The model over HTTP: read a text, say which version answers, exchange it, teach it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from dialogue.channels.base import RefusedError
from dialogue.server.parts import Developer, Here, Parts
from dialogue.server.shapes import PROBLEMS, ModelRequest, ModelShown, ParseRequest, TeachRequest

router = APIRouter(prefix="/api", tags=["model"], responses=PROBLEMS, dependencies=[Developer])


@router.post("/parse", summary="What a text means")
async def parse(here: Here, body: ParseRequest) -> dict[str, Any]:
    """Rasa's parse, with the belief beside it. Changes nothing."""
    if len(body.text) > here.serving.message_characters:
        raise RefusedError(f"the text is too long: at most {here.serving.message_characters} characters", 422)
    return await here.service.parse(body.text)


@router.get("/model", summary="Which model answers")
async def model(here: Here) -> ModelShown:
    """The version that answers in this process."""
    return _shown(here)


@router.put("/model", summary="Exchange the model")
async def exchange(here: Here, body: ModelRequest | None = None) -> ModelShown:
    """Load a version and let it answer, while turns go on. If it cannot be loaded, nothing changes."""
    await here.service.call(here.service.live.swap, body.version if body else None)
    return _shown(here)


@router.post("/model/rollback", summary="Go back to the model before")
async def roll_back(here: Here) -> ModelShown:
    """Until the next exchange or start, the version before answers."""
    await here.service.call(here.service.live.roll_back)
    return _shown(here)


@router.post("/teach", summary="One more example")
async def teach(here: Here, body: TeachRequest) -> ModelShown:
    """Write an example into the training data, learn it without training anew, and answer with it."""
    project = here.project
    if project is None:
        raise RefusedError("this bot has no project folder to keep examples in", 404)

    def learn() -> None:
        from dialogue.project import teach

        teach(project, body.text, body.intent)
        here.service.live.swap()

    await here.service.call(learn)
    return _shown(here)


def _shown(here: Parts) -> ModelShown:
    now, bot = here.service.live.now, here.service.bot
    return ModelShown(
        version=now.version,
        before=here.service.live.before,
        name=bot.name,
        language=bot.language,
        facts=now.facts,
        intents=list(bot.intents),
    )
