"""`/inbound/sendgrid`: what SendGrid says became of our mail. Acknowledged once it is stored, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.inbound import Rejected, receive
from engine.project.secret import Secret
from engine.web.site import Site

_HEADER = "x-twilio-email-event-webhook-"


async def _read(request: Request) -> bytes:
    return await request.body()


def routes(site: Site) -> APIRouter:
    """One route; it is not there (404) while no sendgrid channel names its key."""
    router = APIRouter()
    secret = site.settings.signing_secret(live=site.project.live)
    keys = [key.reveal() for key in _keys(site)]

    def sendgrid(request: Request, body: Annotated[bytes, Depends(_read)]) -> JSONResponse:
        if not keys:
            raise HTTPException(404)
        signature, timestamp = (request.headers.get(_HEADER + name) for name in ("signature", "timestamp"))
        try:
            received = receive(site.store, body, signature, timestamp, keys, secret, site.clock())
        except Rejected as rejected:
            return JSONResponse({"error": str(rejected)}, rejected.status)
        return JSONResponse(
            {"stored": received.stored, "repeated": received.repeated, "quarantined": received.quarantined}
        )

    described = {"requestBody": {"content": {"application/json": {"schema": {"type": "array"}}}}}
    router.add_api_route("/inbound/sendgrid", sendgrid, methods=["POST"], openapi_extra=described)
    return router


def _keys(site: Site) -> Iterator[Secret]:
    """The verification keys of all sendgrid channels; during a rotation a channel has two."""
    for name, kind in site.settings.uses.items():
        if kind == "sendgrid":
            yield from site.settings.channels[name].events_key
