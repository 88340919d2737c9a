"""From the button on a page to what the next runs decide and what delivery lets through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from email import message_from_string
from email.policy import default
from pathlib import Path

import pytest
from web_world import CONFIG, Web

from engine.run import daily_run
from engine.sending import send_due

FIRST = date(2026, 5, 2)  # Ann has been silent for thirty days since the day before, after the run
LADDER = """rule: quiet
status: active
topic: win-back
trigger:
  inactivity: {for: 30 days, event: login}
existing: include
steps:
  - send: m
  - id: again
    after: 2 days
    send: m
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Web]:
    """Two mails to Ann, on the first and on the third day."""
    caps = "caps: {all: [2/7 days]}\n"
    made = Web(tmp_path / "project", f"sqlite:///{tmp_path}/state.db", CONFIG + caps, {"quiet.yaml": LADDER})
    yield made
    made.store.close()


def plan_day(shop: Web, number: int) -> dict[tuple[str, str], int]:
    """The run of a day, at its instant; its decisions by outcome and reason."""
    day = FIRST + timedelta(days=number)
    as_of = shop.project.instant(day)
    report = daily_run(shop.project, shop.store, "daily", day, as_of, as_of)
    return {(outcome, reason): n for _, outcome, reason, n in report.counts}


def deliver(shop: Web, number: int) -> dict[str, int]:
    """What was stopped, and how many left, two hours after that day's run."""
    at = shop.project.instant(FIRST + timedelta(days=number)) + timedelta(hours=2)
    report = send_due(shop.project, shop.store, clock=lambda: at, planned_at=at)
    return {**report.stopped, "accepted": report.sent}


def choose(shop: Web, number: int, **form: str) -> None:
    """Ann follows the preferences link of her newest mail and saves."""
    shop.clock.now = shop.project.instant(FIRST + timedelta(days=number)) + timedelta(hours=3)
    key = shop.store.history_of("ann").messages[-1].key
    usual = {"do": "save", "shown": "win-back", "topic": "win-back", "often": "usual", "until": ""}
    assert shop.post(shop.path("preferences", key), usual | form).status_code == 200


def sends(counts: dict[tuple[str, str], int]) -> int:
    return sum(n for (outcome, _), n in counts.items() if outcome == "send")


def test_who_chooses_nothing_gets_both_mails(shop: Web) -> None:
    assert sends(plan_day(shop, 0)) == 1
    assert deliver(shop, 0) == {"accepted": 1}
    assert sends(plan_day(shop, 2)) == 1
    assert deliver(shop, 2) == {"accepted": 1}


def test_who_wants_less_gets_half_as_many(shop: Web) -> None:
    plan_day(shop, 0)
    deliver(shop, 0)
    choose(shop, 0, often="less")
    counts = plan_day(shop, 2)
    assert sends(counts) == 0
    assert counts["defer", "cap"] == 1
    choose(shop, 2, often="usual")
    assert sends(plan_day(shop, 3)) == 1


def test_who_takes_a_break_gets_nothing_before_its_end(shop: Web) -> None:
    plan_day(shop, 0)
    deliver(shop, 0)
    choose(shop, 0, until=str(FIRST + timedelta(days=4)))
    for number in (2, 3):
        counts = plan_day(shop, number)
        assert sends(counts) == 0
        assert any(reason == "not_until" for _, reason in counts)
    assert sends(plan_day(shop, 4)) == 1


def test_a_break_also_stops_what_was_planned_already(shop: Web) -> None:
    plan_day(shop, 0)
    choose(shop, 0, until=str(FIRST + timedelta(days=4)))
    assert deliver(shop, 0) == {"not_until": 1, "accepted": 0}


@pytest.mark.parametrize("topic", ["", "win-back"])
def test_who_unsubscribes_gets_neither_the_planned_mail_nor_a_later_one(shop: Web, topic: str) -> None:
    plan_day(shop, 0)
    if topic:
        choose(shop, 0, topic="")
    else:
        shop.clock.now = shop.project.instant(FIRST)
        shop.post(shop.path("unsubscribe", shop.store.history_of("ann").messages[-1].key))
    assert deliver(shop, 0) == {"unsubscribed": 1, "accepted": 0}
    counts = plan_day(shop, 2)
    assert sends(counts) == 0
    assert any(reason == "unsubscribed" for _, reason in counts)


def test_the_links_in_a_delivered_mail_open_its_pages(shop: Web) -> None:
    plan_day(shop, 0)
    deliver(shop, 0)
    (mail,) = (shop.folder / "outbox").glob("*.eml")
    key = shop.store.history_of("ann").messages[-1].key
    path = shop.path("unsubscribe", key)
    written = message_from_string(mail.read_text(), policy=default)
    assert written["List-Unsubscribe"] == f"<https://mail.example.com{path}>"
    assert shop.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
