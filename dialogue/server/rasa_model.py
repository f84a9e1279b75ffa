"""The model in Rasa's HTTP API: read a text, say what comes next, train, load and unload."""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
import tarfile
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any

import httpx
import yaml
from fastapi import APIRouter, BackgroundTasks, Body, Depends, Query, Request
from fastapi.responses import Response

from dialogue.channels.jsonl import dumps
from dialogue.errors import ProjectError, TrainingError
from dialogue.server.parts import Here
from dialogue.server.rasa_conversations import Given, Shown, predicted, read_events
from dialogue.server.rasa_emulation import EMULATIONS
from dialogue.server.rasa_errors import RasaError, RasaRoute, admin, failure, with_model

logger = logging.getLogger(__name__)

CONFIGURATION = ("recipe", "assistant_id", "language", "pipeline", "policies")
ARCHIVE = ".tar.gz"
CALLBACK_SECONDS = 30.0
router = APIRouter(prefix="/model", route_class=RasaRoute, dependencies=[Depends(admin)])
CallbackUrl = Annotated[
    str | None,
    Query(alias="callback_url", pattern=r"^https?://", description="Answer at once; the result is posted there."),
]


@router.post("/parse", summary="What a text means", dependencies=[Depends(with_model)])
async def parse(here: Here, body: Given, emulation_mode: str | None = None) -> Response:
    """Rasa's parse of `{text, message_id?}`, or with `emulation_mode` the shape of WIT, LUIS or DIALOGFLOW."""
    text = body.get("text")
    if not isinstance(text, str) or len(text) > here.serving.message_characters:
        most = here.serving.message_characters
        raise RasaError(400, f"text: expected a string of at most {most} characters", None, {"parameter": "text"})
    emulate = None if emulation_mode is None else EMULATIONS.get(emulation_mode.upper())
    if emulation_mode is not None and emulate is None:
        known = ", ".join(EMULATIONS)
        raise RasaError(400, f"emulation_mode: expected one of {known}", None, {"parameter": "emulation_mode"})
    found = await here.service.parse(text)
    if emulate is not None:
        found = emulate(found)
    elif body.get("message_id") is not None:
        found["message_id"] = body["message_id"]
    return Response(dumps(found), media_type="application/json")


@router.post("/predict", summary="What would come next", dependencies=[Depends(with_model)])
async def predict(here: Here, body: Annotated[Any, Body()], include: Shown = "AFTER_RESTART") -> Response:
    """As `/conversations/{id}/predict`, for a conversation that consists of the events in the body."""
    events, bot = read_events(body), here.service.bot
    found = await here.service.call(lambda: predicted(bot, bot.fold("default", events), include))
    return Response(dumps(found), media_type="application/json")


@router.put("", summary="Load a model", status_code=204)
async def load(here: Here, body: Given) -> Response:
    """Let `{model_file}` answer: a version in the model's folder, by its name with or without `.tar.gz`."""
    file = body.get("model_file")
    if not isinstance(file, str) or not file:
        message = "expected model_file; a model server or remote storage is nothing a model is loaded from"
        raise RasaError(400, message, None, {"parameter": "model_file"})
    await here.service.call(here.service.live.swap, PurePath(file).name.removesuffix(ARCHIVE))
    return Response(status_code=204)


@router.delete("", summary="Unload the model", status_code=204)
async def unload(here: Here) -> Response:
    """Until a model is loaded again, nothing is answered: 409."""
    here.service.live.unload()
    return Response(status_code=204)


@router.post("/train", summary="Train a model")
async def train(
    here: Here,
    request: Request,
    later: BackgroundTasks,
    callback_url: CallbackUrl = None,
    save_to_default_model_directory: bool = True,
) -> Response:
    """Train on the training data, domain and perhaps configuration of a YAML body; the archive of the model.

    Without `pipeline` and `policies` in it, the bot's own configuration holds. The header `filename` says how the model
    is called for `PUT /model`.
    """
    project = here.project
    if project is None:
        raise RasaError(404, "this bot has no project folder to keep models in")
    content = read_yaml_body(await request.body())

    async def run() -> Response:
        state = request.app.state
        state.training_jobs = getattr(state, "training_jobs", 0) + 1
        try:
            name, archive = await asyncio.to_thread(trained, project, content, keep=save_to_default_model_directory)
        except (ProjectError, TrainingError) as error:
            raise RasaError(400, str(error), "TrainingError") from error
        finally:
            state.training_jobs -= 1
        return Response(archive, media_type="application/octet-stream", headers={"filename": f"{name}{ARCHIVE}"})

    return await now_or_later(run, callback_url, later)


def read_yaml_body(body: bytes) -> dict[str, Any]:
    """A body of YAML as a mapping. Raises `RasaError` with status 400."""
    try:
        content = yaml.safe_load(body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RasaError(400, f"the body is no YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise RasaError(400, "the body is empty: expected training data in YAML")
    return {str(key): value for key, value in content.items()}


def trained(project: Path, content: Mapping[str, Any], *, keep: bool) -> tuple[str, bytes]:
    """Train in a folder that is gone afterwards.

    Args:
        project: the bot's folder; its configuration holds where `content` has none.
        content: training data, domain and configuration.
        keep: whether the version is kept among the bot's.

    Returns:
        Name of the version, and its files as tar.gz.

    Raises:
        ProjectError: if the data or the configuration are wrong.
        TrainingError: if there is nothing to learn from.
    """
    from dialogue.config_file import load_config
    from dialogue.project import train as train_project

    with tempfile.TemporaryDirectory(prefix="starfold-train-") as made:
        folder = Path(made)
        (folder / "data").mkdir()
        configure(project, folder, {key: content[key] for key in CONFIGURATION if key in content})
        data = {key: value for key, value in content.items() if key not in CONFIGURATION}
        text = yaml.safe_dump({"version": "3.1", **data}, sort_keys=False, allow_unicode=True)
        (folder / "data" / "training.yml").write_text(text, "utf-8")
        version = train_project(folder, force=True).folder
        if keep:
            place = load_config(project).model_path / version.name
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = place.parent / f".draft-{version.name}"
            shutil.copytree(version, draft)
            draft.rename(place)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(version, arcname=version.name)
        return version.name, packed.getvalue()


def configure(project: Path, folder: Path, own: Mapping[str, Any]) -> None:
    """Write the configuration of a training into its folder: what the request has, or else the bot's."""
    for name in ("endpoints.yml", *(() if own.keys() & {"pipeline", "policies"} else ("config.yml",))):
        if (project / name).is_file():
            shutil.copy(project / name, folder / name)
    written = project / "bot.yml"
    if own.keys() & {"pipeline", "policies"} or not written.is_file():
        if not (folder / "config.yml").is_file():
            (folder / "config.yml").write_text(yaml.safe_dump(dict(own), sort_keys=False), "utf-8")
        return
    bot = yaml.safe_load(written.read_text("utf-8"))
    if isinstance(bot.get("actions"), str) and bot["actions"].endswith(".py"):
        bot["actions"] = str((project / bot["actions"]).resolve())
    kept = {key: value for key, value in bot.items() if key not in ("model", "store", "server", "channels")}
    (folder / "bot.yml").write_text(yaml.safe_dump({**kept, "data": ["data"]}, sort_keys=False), "utf-8")


async def now_or_later(
    run: Callable[[], Awaitable[Response]], callback_url: str | None, later: BackgroundTasks
) -> Response:
    """The result; or 204, and the result, or the error in its body, is posted to the URL when it is there."""
    if callback_url is None:
        return await run()

    async def tell() -> None:
        try:
            answer = await run()
        except Exception as error:  # whoever waits must hear of it
            answer = failure(error)
        told = {"content-type": answer.headers["content-type"]}
        told |= {key: answer.headers[key] for key in ("filename",) if key in answer.headers}
        try:
            async with httpx.AsyncClient(timeout=CALLBACK_SECONDS) as client:
                await client.post(callback_url, content=bytes(answer.body), headers=told)
        except httpx.HTTPError as error:
            logger.warning("the result could not be posted to %s: %s", callback_url, error)

    later.add_task(tell)
    return Response(status_code=204, background=later)
