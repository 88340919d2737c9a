"""Changes, answers, tickets, drops and counts: the instants and values at which an answer changes, one by one."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, Engine, project, rule, rules

AS_OF = datetime(2026, 11, 22, 9)
MICROSECOND = timedelta(microseconds=1)

Row = dict[str, Any]
Case = tuple[str, bool, dict[str, list[Row]]]


def ago(days: float, more: timedelta = timedelta()) -> datetime:
    return AS_OF - timedelta(days=days) + more


def plan(**more: Any) -> dict[str, list[Row]]:
    row = {
        "subscription_id": "s",
        "status": "active",
        "plan": "pro",
        "started_at": ago(100),
        "ended_at": None,
        "current_period_end": ago(-9),
        "cancel_requested_at": None,
        "cancel_at_period_end": None,
    }
    return {"subscriptions": [{**row, **more}]}


def changed(*changes: tuple[datetime, int | None, int | None], **more: Any) -> dict[str, list[Row]]:
    rows = [
        {"subscription_id": "s", "at": moment, "from_amount_minor": before, "to_amount_minor": after}
        for moment, before, after in changes
    ]
    return {**plan(**more), "subscription_changes": rows}


def did(*moments: datetime, name: str = "sync") -> dict[str, list[Row]]:
    return {"events": [{"name": name, "at": moment} for moment in moments]}


def answered(*answers: tuple[datetime, object, str | None], survey: str | None = "nps") -> dict[str, list[Row]]:
    rows = [
        {"response_id": f"r{number}", "survey": survey, "score": score, "reason": reason, "at": moment}
        for number, (moment, score, reason) in enumerate(answers)
    ]
    return {"responses": rows}


def asked(opened: datetime | None, closed: datetime | None = None, text: str | None = None) -> dict[str, list[Row]]:
    return {"tickets": [{"ticket_id": "t", "opened_at": opened, "closed_at": closed, "text": text}]}


LAST, BEFORE = [ago(day) for day in (1, 2)], [ago(day) for day in (8, 9, 10, 11)]

CASES: dict[str, list[Case]] = {
    "leaving": [
        ("asked for a microsecond before the run", True, plan(cancel_requested_at=AS_OF - MICROSECOND)),
        ("asked for at the run's own instant", False, plan(cancel_requested_at=AS_OF)),
        ("flagged, and nobody knows since when", False, plan(cancel_at_period_end=True)),
        ("flag and request", True, plan(cancel_at_period_end=True, cancel_requested_at=ago(3))),
        ("the request decides where the flag says no", True, plan(cancel_at_period_end=False, cancel_requested_at=ago(3))),
        ("ended a microsecond before the run", False, plan(cancel_requested_at=ago(3), ended_at=AS_OF - MICROSECOND)),
        ("ends at the run's own instant", True, plan(cancel_requested_at=ago(3), ended_at=AS_OF)),
        ("without any known end", True, plan(cancel_requested_at=ago(3), current_period_end=None)),
    ],
    "leaving-end": [
        ("flagged, and nobody knows since when", True, plan(cancel_at_period_end=True)),
        ("neither flagged nor asked for", False, plan()),
        ("without any known end", False, plan(cancel_requested_at=ago(3), current_period_end=None)),
        ("with an end of its own", True, plan(cancel_requested_at=ago(3), ended_at=ago(-5))),
        ("with an end but no period", True, plan(cancel_requested_at=ago(3), current_period_end=None, ended_at=ago(-5))),
        ("the period ends at the run's own instant", True, plan(cancel_at_period_end=True, current_period_end=AS_OF)),
        ("it ended a microsecond before, and service goes on", False, plan(cancel_at_period_end=True, current_period_end=AS_OF - MICROSECOND)),
    ],
    "down": [
        ("a microsecond before the run", True, changed((AS_OF - MICROSECOND, 900, 500))),
        ("at the run's own instant", False, changed((AS_OF, 900, 500))),
        ("dated tomorrow, after an old rise", False, changed((ago(9), 500, 900), (ago(-1), 900, 500))),
        ("by one cent", True, changed((ago(1), 900, 899))),
        ("the same amount", False, changed((ago(1), 900, 900))),
        ("to nothing", True, changed((ago(1), 900, 0))),
        ("from an unknown amount", False, changed((ago(1), None, 500))),
        ("to an unknown amount", False, changed((ago(1), 900, None))),
        ("and up again", False, changed((ago(5), 900, 500), (ago(1), 500, 900))),
        ("and another plan for as much", True, changed((ago(5), 900, 500), (ago(1), 500, 500))),
        ("and then to something unknown", True, changed((ago(5), 900, 500), (ago(1), 500, None))),
        ("told twice", True, changed((ago(5), 900, 500), (ago(5), 900, 500))),
        ("and ended", False, changed((ago(5), 900, 500), ended_at=ago(1))),
    ],
    "drop": [
        ("exactly by half", True, did(*BEFORE, *LAST)),
        ("not quite by half", False, did(*BEFORE, *LAST, ago(3))),
        ("to nothing", True, did(*BEFORE)),
        ("from less than min_before", False, did(*BEFORE[1:])),
        ("from nothing", False, did()),
        ("an event exactly as old as the window is of the last one", False, did(*BEFORE, *LAST, ago(7))),
        ("a microsecond older it is of the one before", True, did(*BEFORE, *LAST, ago(7, -MICROSECOND))),
        ("an event exactly two windows old counts", True, did(*BEFORE[1:], ago(14))),
        ("a microsecond older it does not", False, did(*BEFORE[1:], ago(14, -MICROSECOND))),
        ("events of tomorrow and of this instant do not count", True, did(*BEFORE, *LAST, AS_OF, ago(-1))),
        ("one a microsecond before does", False, did(*BEFORE, *LAST, AS_OF - MICROSECOND)),
        ("a row told twice counts once", True, did(*BEFORE, *LAST, LAST[0])),
        ("and does not fill up min_before", False, did(*BEFORE[1:], BEFORE[1])),
        ("other events do not count", False, did(*BEFORE, name="other")),
    ],
    "drop-third": [
        ("100 to 67 is by exactly 33%", True, did(*(ago(7 + n / 20) for n in range(1, 101)), *(ago(n / 20) for n in range(1, 68)))),
        ("100 to 68 is not", False, did(*(ago(7 + n / 20) for n in range(1, 101)), *(ago(n / 20) for n in range(1, 69)))),
    ],
    "tenth": [
        ("ten", True, did(*(ago(n) for n in range(1, 11)))),
        ("nine", False, did(*(ago(n) for n in range(1, 10)))),
        ("nine and one told twice", False, did(*(ago(n) for n in range(1, 10)), ago(9))),
        ("nine and one at the run's own instant", False, did(*(ago(n) for n in range(10)))),
        ("years ago", True, did(*(ago(900 + n) for n in range(30)))),
    ],
    "detractor": [
        ("a score of just at_most", True, answered((ago(1), 6, "price"))),
        ("one more", False, answered((ago(1), 7, "price"))),
        ("a score of just at_least", True, answered((ago(1), 1, "price"))),
        ("one less", False, answered((ago(1), 0, "price"))),
        ("a microsecond before the run", True, answered((AS_OF - MICROSECOND, 3, "price"))),
        ("at the run's own instant", False, answered((AS_OF, 3, "price"))),
        ("an answer of tomorrow does not replace it", True, answered((ago(1), 3, "price"), (ago(-1), 9, "price"))),
        ("a later answer does", False, answered((ago(2), 3, "price"), (ago(1), 9, "price"))),
        ("of one instant the greater id", False, answered((ago(1), 3, "price"), (ago(1), 9, "price"))),
        ("a later answer without a score is none", True, answered((ago(2), 3, "price"), (ago(1), None, "price"))),
        ("nor is one out of range", True, answered((ago(2), 3, "price"), (ago(1), 11, "price"))),
        ("another reason", False, answered((ago(1), 3, "slow"))),
        ("no reason", False, answered((ago(1), 3, None))),
        ("a reason in capitals", True, answered((ago(1), 3, " PRICE "))),
        ("another survey", False, answered((ago(1), 3, "price"), survey="csat")),
        ("no survey", False, answered((ago(1), 3, "price"), survey=None)),
        ("the survey's name in capitals", True, answered((ago(1), 3, "price"), survey=" NPS")),
    ],
    "open-ticket": [
        ("opened exactly three days ago", True, asked(ago(3))),
        ("a microsecond later", False, asked(ago(3, MICROSECOND))),
        ("closed a microsecond before the run", False, asked(ago(5), AS_OF - MICROSECOND)),
        ("closed at the run's own instant", True, asked(ago(5), AS_OF)),
        ("opened nobody knows when", False, asked(None)),
        ("opened tomorrow", False, asked(ago(-1))),
    ],
    "closed-ticket": [
        ("closed exactly seven days ago", True, asked(ago(9), ago(7))),
        ("a microsecond earlier", False, asked(ago(9), ago(7, -MICROSECOND))),
        ("closed at the run's own instant", False, asked(ago(9), AS_OF)),
        ("closed a microsecond before", True, asked(ago(9), AS_OF - MICROSECOND)),
        ("still open", False, asked(ago(9))),
    ],
    "words": [
        ("in capitals", True, asked(ago(1), text="KÜNDIGEN")),
        ("without the accent", True, asked(ago(1), text="bitte kundigen!")),
        ("with the accent apart", True, asked(ago(1), text="ku\u0308ndigen")),
        ("within another word", False, asked(ago(1), text="unkündigen")),
        ("at the beginning of another word", False, asked(ago(1), text="kündigendes")),
        ("spelt with ue", False, asked(ago(1), text="kuendigen")),
        ("a phrase over a line break", True, asked(ago(1), text="please CANCEL\n my  account?")),
        ("a phrase with something between", False, asked(ago(1), text="cancel my old account")),
        ("half a phrase", False, asked(ago(1), text="cancel my")),
        ("a sharp s", True, asked(ago(1), text="SCHLUSS")),
        ("a number", True, asked(ago(1), text="error 404.")),
        ("a longer number", False, asked(ago(1), text="error 4040")),
        ("no text", False, asked(ago(1))),
        ("a percent sign is no wildcard", False, asked(ago(1), text="kxndigen %")),
        ("closed long ago", True, asked(ago(90), ago(80), "kündigen")),
        ("opened at the run's own instant", False, asked(AS_OF, text="kündigen")),
    ],
}  # fmt: skip

RULES = rules(
    rule("leaving", "cancellation_scheduled: {}"),
    rule("leaving-end", "cancellation_scheduled: {anchor: end}", steps="[{before: 1 day, send: m}]"),
    rule("down", "downgrade: {}"),
    rule("drop", "usage_drop: {event: Sync, window: 7 days}", "scope: everyone"),
    rule("drop-third", "usage_drop: {event: sync, window: 7 days, by: 33%}", "scope: everyone"),
    rule("tenth", "milestone: {event: sync, count: 10}"),
    rule("detractor", "survey_score: {survey: Nps, at_least: 1, at_most: 6, reason: [Price, other]}"),
    rule("open-ticket", "ticket: {open_for: 3 days}"),
    rule("closed-ticket", "ticket: {closed_within: 7 days}"),
    rule("words", "ticket: {words: [Kündigen, 'cancel my account', schluß, '404']}"),
)

FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]
KEYS = ("subscription_id", "response_id", "ticket_id")


def everybody() -> dict[str, list[Row]]:
    """Each case as a customer of its own, whose ids nobody else has."""
    tables: dict[str, list[Row]] = {"customers": []}
    for number, (*_, own) in enumerate(FLAT):
        customer = f"c{number}"
        tables["customers"].append({"customer_id": customer, "signed_up_at": ago(500)})
        for table, rows in own.items():
            whose = {} if table == "subscription_changes" else {"customer_id": customer}
            for row in rows:
                ids = {key: f"{row[key]}-{number}" for key in KEYS if key in row}
                tables.setdefault(table, []).append({**row, **whose, **ids})
    return tables


@pytest.fixture(scope="module")
def answer(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder, tables = tmp_path_factory.mktemp(engine.name), everybody()
    engine.load(tables, folder)
    return Answer(project(engine, tables, RULES, folder), AS_OF)


@pytest.mark.parametrize(
    ("number", "name", "found"),
    [pytest.param(n, name, found, id=f"{name}: {why}") for n, (name, why, found, _) in enumerate(FLAT)],
)
def test_at_the_edge(answer: Answer, number: int, name: str, found: bool) -> None:
    assert len(answer[name].get(f"c{number}", [])) == found


def test_the_end_of_service_is_its_own_end_rather_than_the_period(answer: Answer) -> None:
    number = next(n for n, case in enumerate(FLAT) if case[1] == "with an end of its own")
    (one,) = answer["leaving-end"][f"c{number}"]
    assert (one.anchor, one.facts["ends_on"]) == (ago(-5), date(2026, 11, 27))


def test_the_tenth_is_counted_from_the_first_ever(answer: Answer) -> None:
    number = next(n for n, case in enumerate(FLAT) if case[1] == "years ago")
    (one,) = answer["tenth"][f"c{number}"]
    assert one.anchor == ago(920)


def test_changes_may_name_the_customer_too(tmp_path: Path) -> None:
    tables = {"customers": [{"customer_id": "ann"}]}
    tables |= {
        table: [{**row, "customer_id": "ann"} for row in rows] for table, rows in changed((ago(1), 9, 5)).items()
    }
    engine = CsvFiles()
    engine.load(tables, tmp_path)
    found = Answer(project(engine, tables, rule("r", "downgrade: {}"), tmp_path), AS_OF, further="all")["r"]
    assert [one.occurrence for one in found["ann"]] == ["s:2026-11-21"]
