"""`/inbound/NAME`: what providers tell us. Acknowledged once it is stored, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.inbound import WEBHOOKS, BusyError, Intake, Rejected, Webhook
from engine.store import RawEvent
from engine.web.site import Site

LONG_BODY = 65_536  # bytes; one as long is read beside the event loop, so that others need not wait
RETRY_AFTER_S = 1

_JSON: dict[str, Any] = {"requestBody": {"content": {"application/json": {"schema": {"type": ["array", "object"]}}}}}


def routes(site: Site) -> APIRouter:
    """One route a plug-in; it is not there (404) while nothing is configured to know the sender by."""
    router = APIRouter()

    def write(source: str, events: Sequence[RawEvent]) -> None:
        site.store.inbound.keep(source, events, site.clock())

    intake = Intake(write)
    for kind in WEBHOOKS.values():
        webhook = kind.from_settings(site.settings, live=site.project.live)
        name, endpoint = f"inbound_{webhook.name}", _endpoint(site, webhook, intake)
        router.add_api_route(
            f"/inbound/{webhook.name}", endpoint, methods=["POST"], operation_id=name, openapi_extra=_JSON
        )
    return router


def _endpoint(site: Site, webhook: Webhook, intake: Intake) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def receive(request: Request) -> JSONResponse:
        if not webhook.is_heard:
            raise HTTPException(404)
        body = await request.body()
        given = (body, request.headers, site.clock())
        try:
            events = await asyncio.to_thread(webhook.read, *given) if len(body) > LONG_BODY else webhook.read(*given)
            await intake.keep(webhook.name, events)
        except Rejected as rejected:
            return JSONResponse({"error": str(rejected)}, rejected.status)
        except BusyError:
            raise HTTPException(503, headers={"retry-after": str(RETRY_AFTER_S)}) from None
        return JSONResponse({"events": len(events)})

    return receive
