"""`/u/TOKEN`: out of all marketing mail, by a press of a button here or in the mail program (RFC 8058)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from engine.store import LinkedMessage, Wish
from engine.web.forms import form
from engine.web.site import Fields, Site, look, read_fields

_ONE_CLICK = ("List-Unsubscribe", "One-Click")


def routes(site: Site) -> APIRouter:
    """GET shows and changes nothing. POST acts whatever the body says: the token is the authority."""
    router = APIRouter()

    def show(token: str) -> HTMLResponse:
        message = site.message("unsubscribe", token)
        kinds = {(entry.kind, entry.topic) for entry in site.store.suppressions.of(message.address_key)}
        page = "unsubscribed.html" if ("unsubscribed", None) in kinds else "unsubscribe.html"
        return _page(site, page, message)

    def act(token: str, fields: Annotated[Fields, Depends(read_fields)]) -> HTMLResponse:
        message = site.message("unsubscribe", token)
        one_click = _ONE_CLICK in fields.pairs
        wording = "=".join(_ONE_CLICK) if one_click else _wording(site, message)
        wish = Wish("unsubscribed", welcome=False, wording=wording)
        source = "one-click unsubscribe" if one_click else "unsubscribe page"
        site.store.consents.record(message.address_key, message.recipient or None, [wish], source, site.clock())
        return _page(site, "unsubscribed.html", message)

    look(router, "/u/{token}", show)
    router.add_api_route(
        "/u/{token}", act, methods=["POST"], response_class=HTMLResponse, openapi_extra=form(*_ONE_CLICK[:1])
    )
    return router


def _page(site: Site, name: str, message: LinkedMessage) -> HTMLResponse:
    # Relative, so that it holds behind a proxy that serves us below a path.
    preferences = site.links.url("preferences", message.key).removeprefix(site.links.public_url)
    return site.page(name, message, preferences=f"..{preferences}")


def _wording(site: Site, message: LinkedMessage) -> str:
    language = site.language(message)
    said = site.pages.say(language, "unsubscribe_text", workspace=site.workspace.name)
    return f"{said} [{site.pages.say(language, 'unsubscribe_button')}]"
