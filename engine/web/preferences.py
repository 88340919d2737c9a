"""`/p/TOKEN`: topics, how often, not until a date, out of everything and back again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from engine.delivery.gate import local_date
from engine.store import LinkedMessage, Suppression, Wish
from engine.web.forms import form
from engine.web.site import Fields, Site, Topic, look, read_fields

LONGEST_PAUSE_DAYS = 366
_SOURCE = "preferences page"
_FINAL = frozenset({"erased", "bounced", "complained"})  # no button here takes these back


@dataclass(frozen=True)
class Wishes:
    """What a person wishes at present."""

    unwanted: frozenset[str] = frozenset()  # topics
    nothing: bool = False
    less_often: bool = False
    until: date | None = None
    final: bool = False

    @classmethod
    def of(cls, entries: Iterable[Suppression], today: date) -> Wishes:
        """As the suppressions have it; a break that is over is none."""
        entries = list(entries)
        general = {entry.kind: entry for entry in entries if entry.topic is None}
        pause = general.get("not_until")
        return cls(
            unwanted=frozenset(entry.topic for entry in entries if entry.kind == "unsubscribed" and entry.topic),
            nothing="unsubscribed" in general or "erased" in general,
            less_often="less_often" in general,
            until=pause.until if pause and pause.until and pause.until > today else None,
            final=bool(_FINAL & general.keys()),
        )


def routes(site: Site) -> APIRouter:
    """GET shows. POST does what the pressed button says; a form without a known button changes nothing."""
    router = APIRouter()

    def show(token: str) -> HTMLResponse:
        return _page(site, site.message("preferences", token))

    def act(token: str, fields: Annotated[Fields, Depends(read_fields)]) -> HTMLResponse:
        message = site.message("preferences", token)
        wishes = _asked(site, message, fields)
        if wishes is None:
            return _page(site, message, 422, entered=fields)
        site.store.consents.record(message.address_key, message.recipient or None, wishes, _SOURCE, site.clock())
        return _page(site, message, saved=bool(wishes))

    look(router, "/p/{token}", show)
    described = form("do", "shown", "topic", "often", "until")
    router.add_api_route(
        "/p/{token}", act, methods=["POST"], response_class=HTMLResponse, openapi_extra=described, name="choose"
    )
    return router


def _page(
    site: Site, message: LinkedMessage, status: int = 200, *, entered: Fields | None = None, saved: bool = False
) -> HTMLResponse:
    """The form as things stand, or, when its date was none, as it was `entered`."""
    wishes = _present(site, message)
    if wishes.nothing:
        return site.page("unsubscribed_from_all.html", message, may_return=not wishes.final)
    if entered is not None:
        unwanted = frozenset(entered.all("shown")) - frozenset(entered.all("topic"))
        wishes = Wishes(unwanted, less_often=entered.first("often") == "less")
    earliest, latest = _days(site, message)
    return site.page(
        "preferences.html", message, status, topics=site.topics(site.language(message)), wishes=wishes,
        earliest=earliest, latest=latest, problem=entered is not None, saved=saved,
    )  # fmt: skip


def _present(site: Site, message: LinkedMessage) -> Wishes:
    today = local_date(site.clock(), message.zone)
    return Wishes.of(site.store.suppressions.of(message.address_key), today)


def _days(site: Site, message: LinkedMessage) -> tuple[date, date]:
    """The first and the last date a break may end on, by the reader's calendar."""
    today = local_date(site.clock(), message.zone)
    return today + timedelta(days=1), today + timedelta(days=LONGEST_PAUSE_DAYS)


def _asked(site: Site, message: LinkedMessage, fields: Fields) -> list[Wish] | None:
    """What the form asks for; None when its date is none."""
    language, name = site.language(message), site.workspace.name
    match fields.first("do"):
        case "unsubscribe":
            wording = site.pages.say(language, "all_hint", workspace=name)
            button = site.pages.say(language, "all_button")
            return [Wish("unsubscribed", welcome=False, wording=f"{wording} [{button}]")]
        case "subscribe":
            if _present(site, message).final:
                return []
            wording = site.pages.say(language, "again_wording", workspace=name)
            button = site.pages.say(language, "again_button")
            return [Wish("unsubscribed", welcome=True, wording=f"{wording} [{button}]")]
        case "save":
            pause = _pause(site, message, fields.first("until").strip())
            note = site.pages.say(language, "consent_note", workspace=name)
            often = _often(fields.first("often"))
            return None if pause is None else [*_topics(site.topics(language), fields, note), *often, pause]
        case _:
            return []


def _topics(known: Iterable[Topic], fields: Fields, note: str) -> list[Wish]:
    """Only topics the reader has seen: one that was added meanwhile is not refused by a box that was not there."""
    shown, ticked = set(fields.all("shown")), set(fields.all("topic"))
    return [
        Wish("unsubscribed", welcome=topic.id in ticked, topic=topic.id, wording=f"{topic.name}. {note}")
        for topic in sorted(known, key=lambda topic: topic.id)
        if topic.id in shown
    ]


def _often(word: str) -> list[Wish]:
    return [Wish("less_often", welcome=word == "usual")] if word in {"usual", "less"} else []


def _pause(site: Site, message: LinkedMessage, text: str) -> Wish | None:
    """The break asked for, or its end when the field is empty; None for what is no date within bounds."""
    if not text:
        return Wish("not_until", welcome=True)
    try:
        until = date.fromisoformat(text)
    except ValueError:
        return None
    earliest, latest = _days(site, message)
    return Wish("not_until", welcome=False, until=until) if earliest <= until <= latest else None
