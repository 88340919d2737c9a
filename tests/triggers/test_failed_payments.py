"""`payment_failed` and `payment_lost`: every instant at which a case begins, waits, goes on, or becomes somebody's task."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trigger_world import LONG_AGO, Answer, CsvFiles, Engine, project, rule, rules

from engine.evaluation import Memory

AS_OF = datetime(2026, 11, 22, 9)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def ago(days: float, more: timedelta = timedelta()) -> datetime:
    return AS_OF - days * DAY + more


def bill(**more: Any) -> Row:
    return {
        "invoice_id": "i", "customer_id": "c", "subscription_id": "s", "amount_minor": 500, "currency": "EUR",
        "status": "open", "failed_at": ago(5), "last_failed_at": None, "paid_at": None, "decline_code": None,
        "hosted_invoice_url": None, "number": None, "product": None, "next_attempt_at": None, "processing_since": None,
        "stops_on": None, "known_since": None, **more,
    }  # fmt: skip


def attempt(days: float, code: str | None = None, **more: Any) -> Row:
    return {
        "invoice_id": "i", "at": ago(days), "network_advice_code": None, "advice_code": None, "outcome_reason": None,
        "decline_code": code, "error_code": None, "card_country": None, "last4": None, **more,
    }  # fmt: skip


def card(added: datetime | None, **more: Any) -> Row:
    return {
        "payment_method_id": "p", "customer_id": "c", "last4": "4242", "is_default": True, "added_at": added,
        "auto_updated_at": None, **more,
    }  # fmt: skip


def plan(**more: Any) -> Row:
    return {
        "subscription_id": "s", "customer_id": "c", "plan": "Team", "status": "active",
        "started_at": ago(200), "ended_at": None,
        "cancel_reason": None, "collection_paused": None, "trial_end": None, **more,
    }  # fmt: skip


def dispute(days: float, status: str | None, closed_at: datetime | None = None) -> Row:
    return {"customer_id": "c", "at": ago(days), "status": status, "closed_at": closed_at}


BARE: Rows = {
    "customers": [{"customer_id": "c", "email": "c@example.com", "timezone": "UTC"}],
    "payment_failures": [attempt(99, invoice_id="other")],
    "payment_methods": [card(ago(200), customer_id="other")],
    "subscriptions": [plan(subscription_id="other", customer_id="other")],
    "disputes": [dispute(99, "won")],
}
"""One customer, and of every table something that is about somebody else."""


def world(*invoices: Row, **tables: list[Row]) -> Rows:
    return {**BARE, "invoices": list(invoices or [bill()]), **tables}


def renewed(at: datetime, **more: Any) -> Rows:
    old = card(ago(200), auto_updated_at=at)
    return world(bill(**more), payment_methods=[old])


def moved(at: datetime, *tries: Row, **more: Any) -> Rows:
    return world(bill(processing_since=at, **more), payment_failures=[*BARE["payment_failures"], *tries])


def back(at: datetime | None, **more: Any) -> Rows:
    """Ended over it, with another plan begun at `at`."""
    ended = plan(ended_at=ago(1), cancel_reason="payment_failed")
    return world(subscriptions=[ended, plan(subscription_id="z", started_at=at, **more)])


CASES: dict[str, list[tuple[str, bool, Rows]]] = {
    "unpaid": [
        ("failed exactly at the run's instant", False, world(bill(failed_at=AS_OF))),
        ("failed a second before", True, world(bill(failed_at=AS_OF - SECOND))),
        ("failed a second after", False, world(bill(failed_at=AS_OF + SECOND))),
        ("exactly seven days old when first heard of", True, world(bill(failed_at=ago(20), known_since=ago(13)))),
        ("a second younger then", True, world(bill(failed_at=ago(20, SECOND), known_since=ago(13)))),
        ("a second older then", False, world(bill(failed_at=ago(20, -SECOND), known_since=ago(13)))),
        ("renewed by its network after the failure", False, renewed(ago(2))),
        ("renewed exactly three days ago", True, renewed(ago(3))),
        ("renewed a second less than three days ago", False, renewed(ago(3, SECOND))),
        ("renewed a second more than three days ago", True, renewed(ago(3, -SECOND))),
        ("renewed at the very instant of the failure", True, renewed(ago(1), failed_at=ago(1))),
        ("renewed a second after the failure", False, renewed(ago(1, SECOND), failed_at=ago(1))),
        ("renewed at the run's instant", True, renewed(AS_OF)),
        ("renewed a second before the run", False, renewed(AS_OF - SECOND)),
        ("renewed, and failed again since", True, renewed(ago(2), last_failed_at=ago(1))),
        ("renewed, and fails again tomorrow", False, renewed(ago(2), last_failed_at=ago(-1))),
        ("a new default card after the failure", False, world(payment_methods=[card(ago(4))])),
        ("a new default card three weeks ago that was never charged", False,
         world(bill(failed_at=ago(30)), payment_methods=[card(ago(21))])),
        ("a new default card at the instant of the failure", True, world(payment_methods=[card(ago(5))])),
        ("a second after it", False, world(payment_methods=[card(ago(5, SECOND))])),
        ("a new default card at the run's instant", True, world(payment_methods=[card(AS_OF)])),
        ("a new card that is not the default", True, world(payment_methods=[card(ago(4), is_default=False)])),
        ("a new default card that failed, too", True,
         world(payment_methods=[card(ago(4))], payment_failures=[attempt(5), attempt(3)])),
        ("a payment under way", False, moved(ago(4))),
        ("a payment under way since the run's instant", True, moved(AS_OF)),
        ("under way since a second before", False, moved(AS_OF - SECOND)),
        ("under way since the instant of the failure", True, moved(ago(5))),
        ("under way, and failed in the end", True, moved(ago(4), attempt(5), attempt(1))),
        ("collection paused", False, world(subscriptions=[plan(collection_paused=True)])),
        ("collection paused on another plan", True,
         world(subscriptions=[plan(subscription_id="another", collection_paused=True)])),
        ("the plan ended a second before the run", False, world(subscriptions=[plan(ended_at=AS_OF - SECOND)])),
        ("the plan ends at the run's instant", True, world(subscriptions=[plan(ended_at=AS_OF)])),
        ("the plan is called cancelled, nobody knows since when", False, world(subscriptions=[plan(status="Canceled")])),
        ("the plan is called cancelled, and ends tomorrow", True,
         world(subscriptions=[plan(status="canceled", ended_at=ago(-1))])),
        ("the plan is set to cancel, and money is owed", True,
         world(subscriptions=[plan(cancel_at_period_end=True)])),
        ("the plan is past due", True, world(subscriptions=[plan(status="past_due")])),
        ("a trial ended without a card", False, world(subscriptions=[plan(trial_end=ago(5))])),
        ("a trial ended with a card", True,
         world(subscriptions=[plan(trial_end=ago(5))], payment_methods=[card(ago(20))])),
        ("with a card added nobody knows when", True,
         world(subscriptions=[plan(trial_end=ago(5))], payment_methods=[card(None)])),
        ("a trial that ended exactly three days before the failure", True,
         world(subscriptions=[plan(trial_end=ago(8))])),
        ("a second less than three days", False, world(subscriptions=[plan(trial_end=ago(8, SECOND))])),
        ("a trial that ended a second after the failure", True, world(subscriptions=[plan(trial_end=ago(5, SECOND))])),
        ("a dispute opened a second before the run", False, world(disputes=[dispute(0, "open") | {"at": AS_OF - SECOND}])),
        ("a dispute opened at the run's instant", True, world(disputes=[dispute(0, "open")])),
        ("a dispute won", True, world(disputes=[dispute(3, "won", ago(1))])),
        ("won at the run's instant: until then open", False, world(disputes=[dispute(3, "won", AS_OF)])),
        ("won a second before the run", True, world(disputes=[dispute(3, "won", AS_OF - SECOND)])),
        ("a dispute lost", False, world(disputes=[dispute(3, "lost", ago(1))])),
        ("lost, nobody knows when", False, world(disputes=[dispute(3, "lost")])),
        ("lost before this bill failed", True, world(disputes=[dispute(30, "lost", ago(6))])),
        ("lost at the instant this bill failed", True, world(disputes=[dispute(30, "lost", ago(5))])),
        ("lost a second later", False, world(disputes=[dispute(30, "lost", ago(5, SECOND))])),
        ("a dispute in a word nobody knows", True, world(disputes=[dispute(3, "warning")])),
        ("a dispute of somebody else", True, world(disputes=[dispute(3, "open") | {"customer_id": "other"}])),
    ],
    "lost": [
        ("the plan ended over it", True, world(subscriptions=[plan(ended_at=ago(1), cancel_reason="payment_failed")])),
        ("the plan ends over it at the run's instant", False,
         world(subscriptions=[plan(ended_at=AS_OF, cancel_reason="payment_failed")])),
        ("the plan ended a second before", True,
         world(subscriptions=[plan(ended_at=AS_OF - SECOND, cancel_reason="payment_failed")])),
        ("the plan was cancelled by the customer", False,
         world(subscriptions=[plan(ended_at=ago(1), cancel_reason="too_expensive")])),
        ("the plan ended, nobody knows why", False, world(subscriptions=[plan(ended_at=ago(1))])),
        ("called cancelled over it, without an end", True,
         world(subscriptions=[plan(status="canceled", cancel_reason="payment_failed")])),
        ("unpaid", True, world(subscriptions=[plan(status="unpaid")])),
        ("paused", True, world(subscriptions=[plan(status="Paused")])),
        ("past due is not lost", False, world(subscriptions=[plan(status="past_due")])),
        ("written off", True, world(bill(status="uncollectible"))),
        ("voided", False, world(bill(status="void"), subscriptions=[plan(status="unpaid")])),
        ("paid after all", False, world(bill(paid_at=ago(1)), subscriptions=[plan(status="unpaid")])),
        ("nothing was due", False, world(bill(status="uncollectible", amount_minor=0))),
        ("suspected fraud", False, world(bill(status="uncollectible", decline_code="fraudulent"))),
        ("a case for a person", False, world(bill(status="uncollectible", decline_code="invalid_amount"))),
        ("with a dispute open", False, world(bill(status="uncollectible"), disputes=[dispute(1, "open")])),
        ("with a payment under way", False, world(bill(status="uncollectible", processing_since=ago(1)))),
        ("a trial that ended without a card", False,
         world(bill(status="uncollectible"), subscriptions=[plan(trial_end=ago(5))])),
        ("subscribed anew since the failure", False, back(ago(2))),
        ("subscribed anew a second after the failure", False, back(ago(5, SECOND))),
        ("another plan begun at the instant of the failure", True, back(ago(5))),
        ("another plan begins at the run's instant", True, back(AS_OF)),
        ("another plan, nobody knows since when", True, back(None)),
        ("subscribed anew, and ended that too", True, back(ago(2), ended_at=ago(1))),
        ("somebody else has subscribed", True, back(ago(2), customer_id="other")),
        ("the plan it was for has begun since", True,
         world(bill(status="uncollectible"), subscriptions=[plan(started_at=ago(2))])),
        ("with a new card that nobody will charge", True,
         world(bill(status="uncollectible"), payment_methods=[card(ago(1))])),
    ],
}  # fmt: skip

FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]
KEYS = ("customer_id", "invoice_id", "subscription_id", "payment_method_id")
RULES = rules(
    rule("unpaid", "payment_failed: {}"),
    rule("person", "payment_failed: {handled_by: person}"),
    rule("lost", "payment_lost: {}"),
)


def everybody() -> Rows:
    """Each case in a company of its own: no id stands in two."""
    tables: Rows = {}
    for number, (*_, own) in enumerate(FLAT):
        for table, rows in own.items():
            ids = [{key: f"{row[key]}{number}" for key in KEYS if key in row} for row in rows]
            tables.setdefault(table, []).extend({**row, **mine} for row, mine in zip(rows, ids, strict=True))
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
def test_a_case_is_found_or_waits(answer: Answer, number: int, name: str, found: bool) -> None:
    assert len(answer[name].get(f"c{number}", [])) == found


# ── one case at a time ──────────────────────────────────────────────────────────────────────────────────────────────


def asked(
    tmp_path: Path, tables: Rows, *, name: str = "unpaid", settings: str = "", as_of: datetime = AS_OF, **memory: Any
) -> list[Any]:
    """What a rule finds of the one customer; by default the engine has always been there."""
    engine = CsvFiles()
    engine.load(tables, tmp_path)
    known = Memory(**{"first_run_at": LONG_AGO, **memory})
    return Answer(project(engine, tables, RULES, tmp_path, settings=settings), as_of, memory=known)[name].get("c", [])


def fact(tmp_path: Path, tables: Rows, name: str, **more: Any) -> object:
    (one,) = asked(tmp_path, tables, **more)
    return one.facts[name]


@pytest.mark.parametrize(("begun", "found"), [(ago(13), True), (ago(13, SECOND), False), (ago(13, -SECOND), True)])
def test_without_a_word_of_the_table_a_bill_is_heard_of_at_the_first_run(
    tmp_path: Path, begun: datetime, found: bool
) -> None:
    old = world(bill(failed_at=ago(20)))
    assert bool(asked(tmp_path, old, first_run_at=begun)) is found
    assert [one.facts["why"] for one in asked(tmp_path, old, name="person", first_run_at=begun)] == ["too_old"] * (
        not found
    )


def test_before_the_first_run_a_bill_is_heard_of_now(tmp_path: Path) -> None:
    assert asked(tmp_path, world(bill(failed_at=ago(7))), first_run_at=None)
    assert not asked(tmp_path, world(bill(failed_at=ago(7, -SECOND))), first_run_at=None)


def test_what_is_adopted_can_be_set(tmp_path: Path) -> None:
    setting = "dunning: {adopt: 2 days}"
    assert asked(tmp_path, world(bill(known_since=ago(3))), settings=setting)
    assert not asked(tmp_path, world(bill(known_since=ago(3, SECOND))), settings=setting)


@pytest.mark.parametrize(("mails", "found"), [(0, True), (4, True), (5, False), (9, False)])
def test_after_five_mails_no_other_one_follows(tmp_path: Path, mails: int, found: bool) -> None:
    assert bool(asked(tmp_path, world(), case_mails=lambda: [("i", mails), ("j", 9)])) is found
    assert bool(asked(tmp_path, world(), settings="dunning: {max_mails: 9}", case_mails=lambda: [("i", mails)])) is (
        mails < 9
    )


@pytest.mark.parametrize("name", ["unpaid", "person", "lost"])
def test_a_case_on_hold_waits(tmp_path: Path, name: str) -> None:
    code = "fraudulent" if name == "person" else None
    status = "uncollectible" if name == "lost" else "open"
    tables = world(bill(decline_code=code, status=status))
    assert asked(tmp_path, tables, name=name, case_holds=lambda: ["another"])
    assert not asked(tmp_path, tables, name=name, case_holds=lambda: ["i"])


PEOPLE: list[tuple[str | None, Rows, dict[str, Any]]] = [
    # why a person, with which tables, and what is remembered
    (None, world(), {}),
    ("fraud_suspected", world(bill(decline_code="fraudulent")), {}),
    ("fraud_suspected", world(payment_failures=[attempt(5, "fraudulent", advice_code="try_again_later")]), {}),
    ("fraud_suspected", world(bill(decline_code="rule", known_since=AS_OF, failed_at=ago(50))), {}),
    ("needs_a_look", world(bill(decline_code="duplicate_transaction")), {}),
    ("needs_a_look", world(bill(decline_code="invalid_amount", known_since=AS_OF, failed_at=ago(50))), {}),
    ("too_old", world(bill(failed_at=ago(50), known_since=AS_OF)), {}),
    ("no_address", world(customers=[{"customer_id": "c", "email": None}]), {}),
    ("no_address", world(customers=[{"customer_id": "c", "email": " "}]), {}),
    ("address_refused", world(customers=[{"customer_id": "c", "email": "two@at@example.com"}]), {}),
    ("address_refused", world(), {"refused_addresses": lambda: ["c@example.com"]}),
    (None, world(), {"refused_addresses": lambda: ["d@example.com"]}),
    (None, world(bill(decline_code="testmode_decline")), {"refused_addresses": lambda: ["c@example.com"]}),
    (None, world(payment_failures=[attempt(5, "fraudulent", error_code="lock_timeout")]), {}),
    (None, world(bill(decline_code="fraudulent"), disputes=[dispute(1, "open")]), {}),
]


@pytest.mark.parametrize(("why", "tables", "memory"), PEOPLE)
def test_what_nobody_may_be_mailed_about_is_a_task(
    tmp_path: Path, why: str | None, tables: Rows, memory: dict[str, Any]
) -> None:
    found = asked(tmp_path, tables, name="person", **memory)
    assert [(one.occurrence, one.facts["why"]) for one in found] == [(f"i:{why}", why)] * bool(why)
    if why in {"fraud_suspected", "needs_a_look", "too_old"}:
        assert asked(tmp_path, tables, **memory) == []


def test_one_try_told_twice_is_read_the_same_in_any_order(tmp_path: Path) -> None:
    """The stricter of the two decides whom to turn to."""
    for codes in (("generic_decline", "duplicate_transaction"), ("duplicate_transaction", "generic_decline")):
        tables = world(payment_failures=[attempt(5, code) for code in codes])
        assert asked(tmp_path, tables) == []
        assert [one.facts["why"] for one in asked(tmp_path, tables, name="person")] == ["needs_a_look"]
        tables["payment_failures"].append(attempt(5, "testmode_decline"))
        assert asked(tmp_path, tables, name="person") == []


def test_only_the_last_try_says_whom_to_turn_to(tmp_path: Path) -> None:
    tables = world(payment_failures=[attempt(5, "duplicate_transaction"), attempt(4, "generic_decline")])
    assert asked(tmp_path, tables)
    tables = world(payment_failures=[attempt(5, "generic_decline"), attempt(4, "duplicate_transaction")])
    assert not asked(tmp_path, tables)


# ── facts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("next_attempt_at", "told"),
    [(AS_OF - SECOND, None), (AS_OF, None), (AS_OF + SECOND, AS_OF + SECOND), (ago(-3), ago(-3)), (None, None)],
)
def test_a_past_attempt_is_not_promised(
    tmp_path: Path, next_attempt_at: datetime | None, told: datetime | None
) -> None:
    assert fact(tmp_path, world(bill(next_attempt_at=next_attempt_at)), "next_attempt_at") == told


def test_without_the_column_no_attempt_is_promised(tmp_path: Path) -> None:
    tables = world({key: value for key, value in bill().items() if key != "next_attempt_at"})
    assert fact(tmp_path, tables, "next_attempt_at") is None


@pytest.mark.parametrize(
    ("zone", "failed_at", "as_of", "stops_on", "days_left"),
    [
        # The clock goes back on the 1st of November 2026 in New York: fourteen dates, one of 25 hours.
        ("America/New_York", datetime(2026, 10, 25, 3, 59), datetime(2026, 10, 27, 9), date(2026, 11, 7), 11),
        ("America/New_York", datetime(2026, 10, 25, 4), datetime(2026, 11, 8, 4, 59), date(2026, 11, 8), 1),
        ("America/New_York", datetime(2026, 10, 25, 4), datetime(2026, 11, 8, 5), None, 0),
        # And forward in London on the 29th of March 2026: one of 23.
        ("Europe/London", datetime(2026, 3, 20, 23, 59), datetime(2026, 3, 29, 0, 30), date(2026, 4, 3), 5),
        ("Europe/London", datetime(2026, 3, 20, 23, 59), datetime(2026, 4, 2, 22, 59), date(2026, 4, 3), 1),
        ("Europe/London", datetime(2026, 3, 20, 23, 59), datetime(2026, 4, 2, 23), None, 0),
        ("Europe/London", datetime(2026, 3, 20, 23, 59), datetime(2026, 4, 4, 23), None, -2),
        # One instant, two dates.
        ("Pacific/Auckland", datetime(2026, 11, 15, 12), datetime(2026, 11, 22, 9), date(2026, 11, 30), 8),
        ("Pacific/Auckland", datetime(2026, 11, 15, 10, 59), datetime(2026, 11, 22, 11), date(2026, 11, 29), 6),
        ("Pacific/Honolulu", datetime(2026, 11, 15, 9, 59), datetime(2026, 11, 22, 9, 59), date(2026, 11, 28), 7),
        ("Pacific/Honolulu", datetime(2026, 11, 15, 10), datetime(2026, 11, 22, 10), date(2026, 11, 29), 7),
    ],
)
def test_days_are_counted_on_the_customers_calendar(
    tmp_path: Path, zone: str, failed_at: datetime, as_of: datetime, stops_on: date | None, days_left: int
) -> None:
    tables = world(bill(failed_at=failed_at), customers=[{**BARE["customers"][0], "timezone": zone}])
    (one,) = asked(tmp_path, tables, as_of=as_of)
    assert (one.facts["stops_on"], one.facts["days_left"]) == (stops_on, days_left)


@pytest.mark.parametrize(("zone", "day"), [("UTC", 1), ("Pacific/Auckland", 2), ("Pacific/Honolulu", 1)])
def test_the_tables_own_word_decides_when_it_stops(tmp_path: Path, zone: str, day: int) -> None:
    who = [{**BARE["customers"][0], "timezone": zone}]
    told = world(bill(stops_on=datetime(2026, 12, 1, 20)), customers=who)
    assert fact(tmp_path, told, "stops_on") == date(2026, 12, day)
    assert fact(tmp_path, world(bill(stops_on=date(2026, 12, 1)), customers=who), "stops_on") == date(2026, 12, 1)


@pytest.mark.parametrize(("window", "days"), [("10 days", 10), ("3 weeks", 21), ("36 hours", 2)])
def test_otherwise_it_stops_with_the_retries(tmp_path: Path, window: str, days: int) -> None:
    left = fact(tmp_path, world(bill(failed_at=ago(1))), "days_left", settings=f"dunning: {{retry_window: {window}}}")
    assert left == days - 1


def test_the_numbers_are_those_of_the_sum_oldest_first(tmp_path: Path) -> None:
    """Below the least amount, in another currency, paid or voided: not in the sum, and not named."""
    others = [bill(invoice_id=f"x{n}", number=f"X{n}", **one) for n, one in enumerate(
        [{"amount_minor": 0}, {"currency": "USD"}, {"paid_at": ago(1)}, {"status": "void"}, {"failed_at": ago(-1)}])]  # fmt: skip
    same = [
        bill(invoice_id="b", number="R-9"),
        bill(invoice_id="a", number=None),
        bill(failed_at=ago(6), number="R-10"),
    ]
    found = asked(tmp_path, world(*others, *same))
    one = next(one for one in found if one.facts["currency"] == "EUR")
    assert one.facts["invoice_numbers"] == "R-10, R-9"
    assert (one.facts["open_invoices"], one.facts["amount_minor"]) == (3, 1500)


@pytest.mark.parametrize(
    ("own", "count", "page", "link"),
    [
        ("https://one", 1, "https://all.example.com", "https://one"),
        (None, 1, "https://all.example.com", "https://all.example.com"),
        ("https://one", 2, "https://all.example.com", "https://all.example.com"),
        ("https://one", 2, None, "https://one"),
        (None, 2, None, None),
    ],
)
def test_the_link_pays_what_the_mail_is_about(
    tmp_path: Path, own: str | None, count: int, page: str | None, link: str | None
) -> None:
    bills = [bill(invoice_id=f"i{n}", hosted_invoice_url=own) for n in range(count)]
    setting = f"dunning: {{pay_page: '{page}'}}" if page else ""
    assert fact(tmp_path, world(*bills), "pay_url", settings=setting) == link


def test_the_card_shown_is_the_one_that_was_tried(tmp_path: Path) -> None:
    """Where the last try does not say, the newest default card; never an older try's, never more than four digits."""
    default = [card(ago(90), last4="1111", payment_method_id="q"), card(ago(30), last4="2222")]

    def shown(*tries: Row, cards: list[Row] = default) -> object:
        return fact(tmp_path, world(payment_failures=[*tries], payment_methods=cards), "last4")

    assert shown(attempt(5, last4="0341"), attempt(3, last4="9995")) == "9995"
    assert shown(attempt(5, last4="0341"), attempt(3)) == "2222"
    assert shown(attempt(5), cards=[default[0], card(ago(30), last4=None)]) is None
    assert shown(attempt(5, last4="4242 4242 4242 4242 ")) == "4242"


@pytest.mark.parametrize(
    ("added", "tried", "told"),
    [
        (ago(4), "0341", "5556"),
        (ago(3), "0341", "5556"),
        (ago(3, SECOND), "0341", None),
        (ago(5), "0341", None),
        (ago(5, SECOND), "0341", "5556"),
        (ago(4), "5556", None),
        (ago(4), None, None),
    ],
)
def test_a_new_card_that_was_not_the_one_charged_is_told(
    tmp_path: Path, added: datetime, tried: str | None, told: str | None
) -> None:
    """Added after the first failure (five days ago) and not after the last (three days ago)."""
    cards = [card(added, last4="5556", is_default=False)]
    tries = [attempt(5, last4="0341"), attempt(3, last4=tried)]
    assert fact(tmp_path, world(payment_methods=cards, payment_failures=tries), "new_card_last4") == told


@pytest.mark.parametrize(
    ("before", "count"), [(92 * DAY, 1), (92 * DAY + SECOND, 0), (SECOND, 1), (timedelta(), 0), (-SECOND, 0)]
)
def test_earlier_failures_are_those_of_the_last_three_months(tmp_path: Path, before: timedelta, count: int) -> None:
    earlier = bill(invoice_id="j", failed_at=ago(5) - before, paid_at=ago(1))
    assert fact(tmp_path, world(bill(), earlier), "earlier_failures") == count


@pytest.mark.parametrize(
    ("own", "plan_name", "told"), [("Boards", "Team", "Boards"), (None, "Team", "Team"), (None, None, None)]
)
def test_the_product_is_the_bills_own_or_its_plan(
    tmp_path: Path, own: str | None, plan_name: str | None, told: str | None
) -> None:
    other = plan(subscription_id="z", plan="Other")
    assert fact(tmp_path, world(bill(product=own), subscriptions=[other, plan(plan=plan_name)]), "product") == told


# ── what was lost ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_several_losses_the_last_one_is_told(tmp_path: Path) -> None:
    ended = plan(ended_at=ago(2), cancel_reason="payment_failed")
    older = bill(invoice_id="w", subscription_id=None, failed_at=ago(40), status="uncollectible")
    (one,) = asked(tmp_path, world(older, bill(), subscriptions=[ended]), name="lost")
    assert (one.occurrence, one.anchor, one.facts["outcome"]) == ("i", ago(2), "cancelled")


def test_a_loss_without_an_instant_counts_from_the_end_of_the_retries(tmp_path: Path) -> None:
    tables = world(subscriptions=[plan(status="unpaid")])
    (one,) = asked(tmp_path, tables, name="lost", settings="dunning: {retry_window: 10 days}")
    assert (one.anchor, one.facts["ended_on"]) == (ago(-5), date(2026, 11, 27))


def test_each_currency_is_a_loss_of_its_own(tmp_path: Path) -> None:
    two = [bill(status="uncollectible"), bill(invoice_id="j", currency="USD", status="uncollectible")]
    assert [one.occurrence for one in asked(tmp_path, world(*two), name="lost")] == ["i", "j"]
