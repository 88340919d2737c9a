"""What the pages of one project share: its links, its words, and who stands behind a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.api import Project
from engine.messages import Links, Purpose
from engine.messages.pages import Pages
from engine.messages.values import ValueFault, unpack
from engine.store import LinkedMessage, Store

PAGES = Path(__file__).parent / "pages"
_MOST_FIELDS = 200
_NOTICES = {404: "lost", 405: "failed", 429: "busy", 500: "busy", 503: "busy"}


@dataclass(frozen=True)
class Topic:
    """A topic people may choose. `is_service`: all its mail is about the reader's account."""

    id: str
    name: str
    is_service: bool


@dataclass(frozen=True)
class Fields:
    """What a form holds. Every field may come more than once; `readable` is False when it could not be read."""

    pairs: tuple[tuple[str, str], ...] = ()
    readable: bool = True

    def first(self, name: str) -> str:
        """The first value of a field, or ""."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.pairs if key == name]


class Site:
    """A project on the web."""

    def __init__(self, project: Project, store: Store, clock: Callable[[], datetime]) -> None:
        self.project, self.store, self.clock = project, store, clock
        self.settings = project.settings
        self.workspace = project.settings.workspace
        secret = self.settings.signing_secret(live=project.live)
        self.links = Links(self.workspace.public_url or "", [secret])
        self.pages = Pages(PAGES, self.workspace.locale)
        self.style = (PAGES / "style.css").read_text("utf-8")
        self._notices = {name: self._page("notice.html", self.pages.default, notice=name) for name in _NOTICES.values()}

    def message(self, purpose: Purpose, token: str) -> LinkedMessage:
        """The message whose link was followed; the neutral page (404) for any token that is not ours."""
        beginning = self.links.read(purpose, token)
        found = self.store.links.message(beginning) if beginning else None
        if found is None:
            raise HTTPException(404)
        return found

    def language(self, message: LinkedMessage) -> str:
        """The reader's language; the workspace's once their values are gone."""
        try:
            locale = unpack(message.values_json).get("customer", {}).get("locale")
        except ValueFault:
            locale = None
        return self.pages.language(locale if isinstance(locale, str) else None)

    def topics(self, language: str) -> list[Topic]:
        """The topics of active rules, marketing first; legal mail can be stopped by nobody."""
        classes: dict[str, set[str]] = {}
        for rule in self.project.rules:
            if rule.status == "active" and rule.class_ != "legal":
                classes.setdefault(rule.topic, set()).add(rule.class_)
        found = [
            Topic(topic, self._topic_name(topic, language), "marketing" not in kinds)
            for topic, kinds in classes.items()
        ]
        return sorted(found, key=lambda topic: (topic.is_service, topic.name))

    def _topic_name(self, topic: str, language: str) -> str:
        """As `web.topics` has it; else our own word for a usual topic; else its id in plain letters."""
        named = self.settings.web.topics.get(topic, {})
        own = self.pages.texts[language].get(f"topic-{topic}")
        fallback = named.get(self.workspace.locale) or next(iter(named.values()), None)
        return named.get(language) or (own if not named else fallback) or topic.replace("-", " ").capitalize()

    def page(self, name: str, message: LinkedMessage, status: int = 200, **values: Any) -> HTMLResponse:
        """A page for the person a message went to."""
        language = self.language(message)
        return HTMLResponse(self._page(name, language, address=masked(message.recipient), **values), status)

    def notice(self, status: int) -> str:
        """A page that says nothing about anybody, in the workspace's language."""
        return self._notices[_NOTICES.get(status, "failed")]

    def _page(self, name: str, language: str, **values: Any) -> str:
        return self.pages.render(name, language, workspace=self.workspace, style=Markup(self.style), **values)  # noqa: S704 - our own file


def masked(address: str) -> str:
    """`a•••@example.com`: enough to know which address it is, for whoever has it."""
    name, _, domain = address.rpartition("@")
    return f"{name[0]}•••@{domain}" if name else ""


async def read_fields(request: Request) -> Fields:
    """The fields of a form, urlencoded or multipart (RFC 8058 allows both); files and broken bodies are no fields."""
    try:
        form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    except HTTPException:
        return Fields(readable=False)
    return Fields(tuple((name, value) for name, value in form.multi_items() if isinstance(value, str)))


def look(router: APIRouter, path: str, endpoint: Callable[..., Any]) -> None:
    """A route that only shows: GET, and HEAD likewise."""
    for method in ("GET", "HEAD"):
        name = f"{method.lower()}_{path.split('/')[1]}"
        router.add_api_route(path, endpoint, methods=[method], operation_id=name, response_class=HTMLResponse)
