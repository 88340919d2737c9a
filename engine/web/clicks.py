"""`/c/TOKEN`: on to a place that was stored when the mail was made, and nowhere else.

Mail software looks at links before people do. Such visits are noted as a scanner's: HEAD, a prefetch, software that
says so, or a click sooner after sending than anybody reads.
"""

from __future__ import annotations

import re
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.store import LinkedMessage
from engine.web.site import Site, look

FASTEST_READER = timedelta(seconds=2)

_SCANNERS = re.compile(
    r"bot\b|crawl|spider|scan|preview|prefetch|proxy|barracuda|mimecast|proofpoint|safelinks|urldefense|symantec"
    r"|forcepoint|fireeye|trendmicro|cisco|sophos|slurp|facebookexternalhit|whatsapp|headless|python-|curl/|wget/|java/"
    r"|go-http-client|okhttp|libwww|axios|node-fetch",
    re.IGNORECASE,
)


def routes(site: Site) -> APIRouter:
    """GET and HEAD lead on; each is noted."""
    router = APIRouter()

    def follow(token: str, request: Request) -> RedirectResponse:
        beginning, link_id = site.links.read_click(token) or ("", "")
        message = site.store.links.message(beginning) if beginning else None
        url = site.store.links.destination(link_id) if message else None
        if message is None or url is None:
            raise HTTPException(404)
        if message.recipient:  # of people who were erased nothing new is kept
            site.store.links.click(message.id, link_id, site.clock(), by_scanner=_is_scanner(site, message, request))
        return RedirectResponse(url, 302)

    look(router, "/c/{token}", follow)
    return router


def _is_scanner(site: Site, message: LinkedMessage, request: Request) -> bool:
    purposes = request.headers.get("purpose", "") + request.headers.get("sec-purpose", "")
    agent = request.headers.get("user-agent", "")
    if request.method == "HEAD" or "prefetch" in purposes.lower() or not agent or _SCANNERS.search(agent):
        return True
    sent_at = site.store.links.sent_at(message.id)
    return sent_at is None or site.clock() - sent_at < FASTEST_READER
