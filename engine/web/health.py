"""`/health`: whether the state answers. Nothing about what is in it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from engine.errors import UnavailableError
from engine.web.site import Site, look


def routes(site: Site) -> APIRouter:
    """200 while the state database answers, else 503."""
    router = APIRouter()

    def health() -> JSONResponse:
        try:
            site.store.install.environment()
        except UnavailableError:
            return JSONResponse({"status": "unavailable"}, 503, headers={"retry-after": "30"})
        return JSONResponse({"status": "ok"})

    look(router, "/health", health)
    return router
