"""The web application of one project."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.api import Project
from engine.clock import utc_now
from engine.store import Store
from engine.web import clicks, health, inbound, metrics, preferences, unsubscribe
from engine.web.guard import Guard, security_headers
from engine.web.limits import Visitors
from engine.web.site import Site

ROOMS = (unsubscribe, preferences, clicks, inbound, health, metrics)


def make_app(project: Project, store: Store, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """All routes, guarded. `clock` gives naive UTC. No cookies are set and no documentation of the routes is served.

    Raises SetupError when a secret that `config.yaml` names is missing.
    """
    site = Site(project, store, clock)
    app = FastAPI(title="Holdfast", docs_url=None, redoc_url=None, openapi_url=None)
    for room in ROOMS:
        app.include_router(room.routes(site))

    async def refuse(_request: Request, error: Exception) -> HTMLResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        return HTMLResponse(site.notice(status), status, headers=headers)

    app.add_exception_handler(HTTPException, refuse)
    visitors = Visitors(project.settings.web.trusted_proxies)
    headers = security_headers(site.style, https=project.settings.workspace.public_url is not None)
    app.add_middleware(Guard, visitors=visitors, notice=site.notice, headers=headers)
    return app
