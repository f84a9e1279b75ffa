"""Whether the server lives, whether it can answer, and its metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from dialogue.errors import StoreError
from dialogue.server.metrics import CONTENT_TYPE
from dialogue.server.parts import Developer, Here
from dialogue.server.shapes import PROBLEMS

PATIENCE = 5.0  # seconds for the database to answer
router = APIRouter(tags=["health"])


@router.get("/health/live", summary="Does the process live?")
async def live() -> dict[str, str]:
    """Always well, as long as it answers at all."""
    return {"status": "ok"}


@router.get("/health/ready", summary="Can it answer?", responses={503: {"description": "not just now"}})
async def ready(here: Here) -> Response:
    """Well when a model is loaded, the database answers and the process is not about to end."""
    state = {"model": here.service.live.version or "none", "store": "ok"}
    try:
        await asyncio.wait_for(here.service.call(here.service.records.ping), PATIENCE)
    except (StoreError, asyncio.TimeoutError):
        state["store"] = "does not answer"
    well = state["store"] == "ok" and here.service.live.version is not None and not here.service.draining
    return JSONResponse({"status": "ok" if well else "not ready", **state}, 200 if well else 503)


@router.get("/metrics", dependencies=[Developer], summary="For Prometheus", responses=PROBLEMS)
async def metrics(here: Here) -> Response:
    """Prometheus' text format."""
    here.service.metrics.mailbox.set(await here.service.call(here.service.mailbox.waiting))
    if here.serving.events.url is not None:
        here.service.metrics.outbox.set(await here.service.call(here.service.outbox.waiting))
    return Response(here.service.metrics.text(), media_type=CONTENT_TYPE)
