"""The instants at which an answer changes, one by one and by name."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, Engine, project, rule, rules

AS_OF = datetime(2026, 11, 22, 9)
MICROSECOND = timedelta(microseconds=1)

Row = dict[str, Any]


def ago(days: float, more: timedelta = timedelta()) -> datetime:
    return AS_OF - timedelta(days=days) + more


def seen(customer: str, *moments: datetime, name: str = "login") -> list[Row]:
    return [{"customer_id": customer, "name": name, "at": moment} for moment in moments]


def bill(number: str, **more: Any) -> Row:
    return {
        "invoice_id": number,
        "customer_id": number,
        "amount_minor": 500,
        "currency": "EUR",
        "status": "open",
        "failed_at": ago(3),
        "last_failed_at": None,
        "paid_at": None,
        "decline_code": None,
        "billing_reason": None,
        "collection_method": None,
        "livemode": None,
        **more,
    }


def plan(number: str, **more: Any) -> Row:
    return {
        "subscription_id": f"s-{number}",
        "customer_id": number,
        "status": "active",
        "interval": None,
        "started_at": ago(100),
        "ended_at": None,
        "trial_end": None,
        "current_period_end": None,
        "anchor_date": None,
        "cancel_requested_at": None,
        "cancel_at_period_end": None,
        **more,
    }


EVENTS = [
    *seen("silent-30", ago(30)),
    *seen("silent-30-less", ago(30, MICROSECOND)),
    *seen("silent-30-more", ago(30, -MICROSECOND)),
    *seen("login-tomorrow", ago(40), AS_OF + timedelta(days=1)),
    *seen("login-now", ago(40), AS_OF),
    *seen("login-just-before", ago(40), AS_OF - MICROSECOND),
    *seen("only-tomorrow", AS_OF + timedelta(days=1)),
    *seen("used-30", ago(30), name="report"),
    *seen("used-30-more", ago(30, -MICROSECOND), name="report"),
    *seen("active-14", ago(14), name="ping"),
    *seen("active-14-more", ago(14, -MICROSECOND), name="ping"),
    *seen("done-now", AS_OF, name="project"),
    *seen("done-just-before", AS_OF - MICROSECOND, name="project"),
    *seen("cart-7", ago(7), name="cart"),
    *seen("cart-7-more", ago(7, -MICROSECOND), name="cart"),
    *seen("cart-now", AS_OF, name="cart"),
    *seen("paid-same-instant", ago(3), name="cart"),
    *seen("paid-same-instant", ago(3), name="paid"),
    *seen("paid-before", ago(3), name="cart"),
    *seen("paid-before", ago(3, -MICROSECOND), name="paid"),
    *seen("paid-tomorrow", ago(3), name="cart"),
    *seen("paid-tomorrow", AS_OF + timedelta(days=1), name="paid"),
    *seen("three-in-7", ago(7), ago(5), ago(3), name="call"),
    *seen("two-in-7", ago(7, -MICROSECOND), ago(5), ago(3), name="call"),
]

SIGNED_UP = {
    "age-21": ago(21),
    "age-21-less": ago(21, MICROSECOND),
    "new-1": ago(1),
    "new-1-less": ago(1, MICROSECOND),
    "new-14": ago(14),
    "new-14-more": ago(14, -MICROSECOND),
    "done-now": ago(5),
    "done-just-before": ago(5),
    "active-14": ago(300),
    "active-14-more": ago(300),
    "signed-up-now": AS_OF,
}

BILLS = [
    bill("failed-now", failed_at=AS_OF),
    bill("failed-before", failed_at=AS_OF - MICROSECOND),
    bill("paid-now", paid_at=AS_OF),
    bill("paid-just-before", paid_at=AS_OF - MICROSECOND),
    bill("paid-by-status", status="paid"),
    bill("paid-later", status="paid", paid_at=AS_OF + timedelta(days=2)),
    bill("void", status="void"),
    bill("nothing-due", amount_minor=0),
    bill("least-due", amount_minor=1),
    bill("own-word", billing_reason="renewal"),
    bill("first-invoice", billing_reason="subscription_create"),
    bill("by-invoice", collection_method="send_invoice"),
    bill("test-mode", livemode=False),
    bill("live", livemode=True),
    bill("new-card"),
    bill("card-same-instant"),
    bill("old-card"),
    bill("failed-again", last_failed_at=ago(1)),
    bill("fails-tomorrow", last_failed_at=AS_OF + timedelta(days=1)),
    bill("tried-again"),
    bill("tries-tomorrow"),
    bill("disputed"),
    bill("disputed-now"),
    bill("won"),
]


def card(customer: str, added: datetime, default: bool = True) -> Row:
    return {
        "payment_method_id": customer,
        "customer_id": customer,
        "last4": "4242",
        "is_default": default,
        "added_at": added,
    }


CARDS = [
    card("new-card", ago(3, MICROSECOND)),
    card("card-same-instant", ago(3)),
    card("old-card", ago(9)),
    card("failed-again", ago(2)),
    card("fails-tomorrow", ago(2)),
    card("tried-again", ago(2)),
    card("tries-tomorrow", ago(2)),
    card("live", ago(1), default=False),
]
DISPUTES = [
    {"customer_id": name, "at": moment, "status": status, "invoice_id": "x"}
    for name, moment, status in (("disputed", ago(1), "open"), ("disputed-now", AS_OF, "open"), ("won", ago(1), "won"))
]

TRIES = [
    {"invoice_id": name, "at": moment, "decline_code": None, "advice_code": None}
    for name, moment in (
        ("tried-again", ago(3)),
        ("tried-again", ago(1)),
        ("tries-tomorrow", ago(3)),
        ("tries-tomorrow", ago(-1)),
    )
]

PLANS = [
    plan("ended-now", ended_at=AS_OF),
    plan("ended-before", ended_at=AS_OF - MICROSECOND),
    plan("started-now", started_at=AS_OF, current_period_end=ago(-9)),
    plan("started-before", started_at=AS_OF - MICROSECOND, current_period_end=ago(-9)),
    plan("renews-now", current_period_end=AS_OF),
    plan("renewed-before", current_period_end=AS_OF - MICROSECOND),
    plan("cancels-now", current_period_end=ago(-9), cancel_requested_at=AS_OF),
    plan("cancelled-before", current_period_end=ago(-9), cancel_requested_at=AS_OF - MICROSECOND),
    plan("flagged", current_period_end=ago(-9), cancel_at_period_end=True),
    plan("flagged-since-tomorrow", current_period_end=ago(-9), cancel_at_period_end=True, cancel_requested_at=ago(-1)),
    plan("called-cancelled", current_period_end=ago(-9), status="canceled"),
    plan("cancelled-later", current_period_end=ago(-9), status="canceled", ended_at=ago(-5)),
    plan("trial-now", trial_end=AS_OF),
    plan("trial-over", trial_end=AS_OF - MICROSECOND),
    plan("back", subscription_id="s-back-1", ended_at=ago(50)),
    plan("back", started_at=ago(50), ended_at=ago(50)),
    plan("once-more", subscription_id="s-once-1", ended_at=ago(50)),
    plan("once-more", started_at=ago(50, MICROSECOND), ended_at=None, status="incomplete_expired"),
    plan("future", subscription_id="s-future-1", ended_at=ago(50)),
    plan("future", started_at=ago(-1)),
    plan("same-day", started_at=ago(20), ended_at=ago(20).date()),
]

CASES = [
    ("quiet", "silent-30", True, "exactly 30.0 days silent is found"),
    ("quiet", "silent-30-less", False, "one microsecond less is not"),
    ("quiet", "silent-30-more", True, "one microsecond more is"),
    ("quiet", "login-tomorrow", True, "a login dated tomorrow is no login"),
    ("quiet", "login-now", True, "a login at the run's own instant is not yet one"),
    ("quiet", "login-just-before", False, "a login a microsecond before the run ends the silence"),
    ("quiet", "only-tomorrow", False, "who only has a login dated tomorrow never did it"),
    ("unused", "used-30", False, "a feature used exactly 30.0 days ago counts as used"),
    ("unused", "used-30-more", True, "one microsecond longer ago it does not"),
    ("unused-active", "active-14", True, "an event exactly 14.0 days ago is within 14 days"),
    ("unused-active", "active-14-more", False, "one a microsecond older is not"),
    ("unused", "age-21", True, "who signed up exactly min_age ago is old enough"),
    ("unused", "age-21-less", False, "who signed up a microsecond later is not"),
    ("new", "new-1", True, "who signed up exactly `for` ago is found"),
    ("new", "new-1-less", False, "a microsecond later is too early"),
    ("new", "new-14", True, "who signed up exactly `within` ago is still new"),
    ("new", "new-14-more", False, "a microsecond earlier is not"),
    ("new", "done-now", True, "done at the run's own instant is not yet done"),
    ("new", "done-just-before", False, "done a microsecond before is done"),
    ("cart", "cart-7", True, "an event exactly 7.0 days ago is within 7 days"),
    ("cart", "cart-7-more", False, "one a microsecond older is not"),
    ("cart", "cart-now", False, "an event at the run's own instant has not happened"),
    ("cart", "paid-same-instant", False, "`unless` at the same instant counts as since"),
    ("cart", "paid-before", True, "`unless` a microsecond before does not"),
    ("cart", "paid-tomorrow", True, "`unless` dated tomorrow has not happened"),
    ("calls", "three-in-7", True, "min_count counts an event exactly as old as the window"),
    ("calls", "two-in-7", False, "and not one that is older"),
    ("unpaid", "failed-now", False, "a failure at the run's own instant is not yet one"),
    ("unpaid", "failed-before", True, "a failure a microsecond before is"),
    ("unpaid", "paid-now", True, "paid at the run's own instant is still open"),
    ("unpaid", "paid-just-before", False, "paid a microsecond before is settled"),
    ("unpaid", "paid-by-status", False, "the status decides where no instant does"),
    ("unpaid", "paid-later", True, "as of now, what will be paid in two days is open"),
    ("unpaid", "void", False, "a voided invoice is no case"),
    ("unpaid", "nothing-due", False, "nothing due is no case"),
    ("unpaid", "least-due", True, "one cent is"),
    ("unpaid", "own-word", True, "a billing reason nobody knows does not exclude"),
    ("unpaid", "first-invoice", False, "a failed first invoice is an abandoned checkout"),
    ("unpaid", "by-invoice", False, "an invoice the customer pays by hand is no failed card"),
    ("unpaid", "test-mode", False, "test invoices are not written about"),
    ("unpaid", "live", True, "a new card that is not the default changes nothing"),
    ("unpaid", "new-card", False, "a default card newer than the last failure holds the ladder"),
    ("unpaid", "card-same-instant", True, "one of the same instant does not"),
    ("unpaid", "old-card", True, "an older one does not"),
    ("unpaid", "failed-again", True, "the next failure releases it"),
    ("unpaid", "fails-tomorrow", False, "a failure dated tomorrow does not yet"),
    ("unpaid", "tried-again", True, "nor need the invoice know: a try of its own row releases it too"),
    ("unpaid", "tries-tomorrow", False, "but not one dated tomorrow"),
    ("unpaid", "disputed", False, "an open dispute holds"),
    ("unpaid", "disputed-now", True, "one that begins at the run's instant not yet"),
    ("unpaid", "won", True, "a dispute that was won does not"),
    ("left", "ended-now", False, "service that ends at the run's own instant has not ended"),
    ("left", "ended-before", True, "a microsecond before it has"),
    ("left", "back", True, "a second subscription that started and ended at that very instant is the last one"),
    ("left", "once-more", False, "one that started a microsecond later keeps the customer out"),
    ("left", "future", True, "one that starts tomorrow is not a fact yet"),
    (
        "left",
        "same-day",
        True,
        "bought in the morning, given back the same day: a date-only end lies before its own start",
    ),
    ("renewal", "started-now", False, "a subscription that starts at the run's own instant is not in service"),
    ("renewal", "started-before", True, "a microsecond before it is"),
    ("renewal", "renews-now", True, "a period that ends at the run's own instant is still to come"),
    ("renewal", "renewed-before", False, "a microsecond before it is past"),
    ("renewal", "cancels-now", True, "set to cancel at the run's own instant is not yet"),
    ("renewal", "cancelled-before", False, "a microsecond before is"),
    ("renewal", "flagged", False, "without an instant the flag decides"),
    ("renewal", "flagged-since-tomorrow", True, "with one the flag does not"),
    ("renewal", "called-cancelled", False, "called cancelled, without an end: not in service"),
    ("renewal", "cancelled-later", True, "called cancelled, but the end is still to come: in service"),
    ("trial", "trial-now", True, "a trial that ends at the run's own instant is still to end"),
    ("trial", "trial-over", False, "a microsecond before it is over"),
]

EVERYONE = "scope: everyone"
RULES = rules(
    rule("quiet", "inactivity: {for: 30 days, event: login}", EVERYONE),
    rule("unused", "unused_feature: {feature: report, for: 30 days, min_age: 21 days}", EVERYONE),
    rule("unused-active", "unused_feature: {feature: report, for: 30 days, active_within: 14 days}", EVERYONE),
    rule("new", "onboarding: {event: project, for: 1 day, within: 14 days}", EVERYONE),
    rule("cart", "event: {name: cart, within: 7 days, unless: paid}"),
    rule("calls", "event: {name: call, within: 7 days, min_count: 3}"),
    rule("unpaid", "payment_failed: {}"),
    rule("left", "cancelled: {}"),
    rule("renewal", "renewal_approaching: {}", steps="[{before: 1 day, send: m}]"),
    rule("trial", "trial_ending: {}", steps="[{before: 1 day, send: m}]"),
)


def tables() -> dict[str, list[Row]]:
    rows = [*EVENTS, *BILLS, *PLANS]
    names = dict.fromkeys([*(row["customer_id"] for row in rows), *SIGNED_UP])
    return {
        "customers": [
            {"customer_id": name, "timezone": "UTC", "signed_up_at": SIGNED_UP.get(name, ago(200))} for name in names
        ],
        "events": EVENTS,
        "subscriptions": PLANS,
        "invoices": BILLS,
        "payment_methods": CARDS,
        "disputes": DISPUTES,
        "payment_failures": TRIES,
    }


@pytest.fixture(scope="module")
def answer(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder = tmp_path_factory.mktemp(engine.name)
    engine.load(tables(), folder)
    return Answer(project(engine, tables(), RULES, folder), AS_OF)


@pytest.mark.parametrize(("name", "customer", "found"), [pytest.param(*case[:3], id=case[3]) for case in CASES])
def test_at_the_boundary(answer: Answer, name: str, customer: str, found: bool) -> None:
    assert (customer in answer[name]) is found


def failed(tmp_path: Path, invoices: list[Row], tries: list[Row]) -> list[tuple[str, datetime, object]]:
    """(occurrence, anchor, sum) of a single customer's candidates."""
    engine, world = CsvFiles(), {"customers": [{"customer_id": "ann"}], "invoices": invoices, "payment_failures": tries}
    engine.load(world, tmp_path)
    found = Answer(project(engine, world, rule("r", "payment_failed: {}"), tmp_path), AS_OF)["r"].get("ann", [])
    return [(one.occurrence, one.anchor, one.facts["amount_minor"]) for one in found]


def tried(invoice: str, *tries: tuple[float, str | None]) -> list[Row]:
    return [{"invoice_id": invoice, "at": ago(days), "decline_code": code, "advice_code": None} for days, code in tries]


def test_the_oldest_failure_names_the_case_and_all_open_ones_are_its_sum(tmp_path: Path) -> None:
    first, second = bill("a", customer_id="ann", failed_at=ago(3)), bill("b", customer_id="ann", failed_at=ago(5))
    assert failed(tmp_path, [first, second], tried("z", (1, None))) == [("b:soft", ago(5), 1000)]


def test_each_currency_is_a_case_of_its_own(tmp_path: Path) -> None:
    euro, yen = bill("a", customer_id="ann"), bill("b", customer_id="ann", currency="JPY", amount_minor=2900)
    assert failed(tmp_path, [euro, yen], tried("z", (1, None))) == [("a:soft", ago(3), 500), ("b:soft", ago(3), 2900)]


def test_a_change_of_group_starts_at_its_own_anchor_and_back_again_too(tmp_path: Path) -> None:
    tries = tried("a", (9, None), (7, "expired_card"), (5, None), (4, "generic_decline"))
    assert failed(tmp_path, [bill("a", customer_id="ann", failed_at=ago(9))], tries) == [("a:soft", ago(5), 500)]


def test_two_reasons_of_one_instant_are_one_group(tmp_path: Path) -> None:
    """Billing systems report one failure twice; which row comes first must not matter."""
    tries = tried("a", (9, "generic_decline"), (5, "authentication_required"), (5, "generic_decline"))
    one = [bill("a", customer_id="ann", failed_at=ago(9))]
    assert failed(tmp_path, one, tries) == failed(tmp_path, one, tries[::-1]) == [("a:soft", ago(5), 500)]


def left(tmp_path: Path, customers: list[Row], *plans: Row) -> set[str]:
    """Subscriptions that `cancelled` finds."""
    engine, world = CsvFiles(), {"customers": customers, "subscriptions": list(plans)}
    engine.load(world, tmp_path)
    found = Answer(project(engine, world, rule("r", "cancelled: {}"), tmp_path), AS_OF)["r"]
    return {one.occurrence.rpartition(":")[0] for ones in found.values() for one in ones}


def test_of_two_that_ended_at_the_same_instant_one_is_found(tmp_path: Path) -> None:
    one, two = (plan("ann", subscription_id=name, ended_at=ago(9)) for name in ("s-1", "s-2"))
    assert (
        left(tmp_path, [{"customer_id": "ann"}], one, two)
        == left(tmp_path, [{"customer_id": "ann"}], two, one)
        == {"s-2"}
    )


def test_two_customers_with_one_address_leave_when_the_last_one_does(tmp_path: Path) -> None:
    both = [{"customer_id": "ann", "email": "team@example.com"}, {"customer_id": "bob", "email": " Team@Example.com"}]
    apart = [{"customer_id": "ann", "email": None}, {"customer_id": "bob", "email": None}]
    earlier, later = plan("ann", ended_at=ago(9)), plan("bob", ended_at=ago(5))
    assert left(tmp_path, both, earlier, later) == {"s-bob"}
    assert left(tmp_path, both, earlier, plan("bob")) == set()
    assert left(tmp_path, apart, earlier, later) == {"s-ann", "s-bob"}


def dates(zone: str, **columns: date | datetime) -> dict[str, list[Row]]:
    """One customer in `zone` with one subscription."""
    return {
        "customers": [{"customer_id": "ann", "timezone": zone}],
        "subscriptions": [
            {"subscription_id": "s", "customer_id": "ann", "interval": "month", "ended_at": None, **columns}
        ],
    }


def next_renewal(tmp_path: Path, as_of: datetime, zone: str, **columns: Any) -> tuple[str, datetime]:
    engine, world = CsvFiles(), dates(zone, **columns)
    engine.load(world, tmp_path)
    text = rule("r", "renewal_approaching: {}", steps="[{before: 1 day, send: m}]")
    ((one,),) = Answer(project(engine, world, text, tmp_path), as_of)["r"].values()
    return one.occurrence, one.anchor


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (datetime(2027, 2, 1), date(2027, 2, 28)),
        (datetime(2027, 3, 1), date(2027, 3, 31)),
        (datetime(2027, 4, 1), date(2027, 4, 30)),
        (datetime(2028, 2, 1), date(2028, 2, 29)),
        (datetime(2028, 2, 29), date(2028, 2, 29)),
        (datetime(2028, 2, 29, 0, 0, 0, 1), date(2028, 3, 31)),
        (datetime(2027, 1, 1), date(2027, 1, 31)),
    ],
)
def test_the_31st_comes_back_after_short_months(tmp_path: Path, as_of: datetime, expected: date) -> None:
    assert next_renewal(tmp_path, as_of, "UTC", anchor_date=date(2027, 1, 31))[0] == f"s:{expected}"


@pytest.mark.parametrize(
    ("as_of", "expected"), [(datetime(2026, 3, 1), date(2027, 2, 28)), (datetime(2027, 3, 1), date(2028, 2, 29))]
)
def test_29_february_comes_back_in_leap_years(tmp_path: Path, as_of: datetime, expected: date) -> None:
    found = next_renewal(tmp_path, as_of, "UTC", anchor_date=date(2024, 2, 29), interval="year")
    assert found[0] == f"s:{expected}"


def test_a_renewal_counted_across_a_clock_change_stays_on_its_local_date(tmp_path: Path) -> None:
    """Anchored in Auckland's summer (UTC+13), due in its winter (UTC+12): still midnight of the 15th."""
    found = next_renewal(tmp_path, datetime(2026, 7, 1), "Pacific/Auckland", anchor_date=date(2026, 1, 15))
    assert found == ("s:2026-07-15", datetime(2026, 7, 14, 12))


def test_a_period_end_without_a_time_is_midnight_where_the_customer_lives(tmp_path: Path) -> None:
    found = next_renewal(tmp_path, datetime(2026, 11, 22), "Pacific/Auckland", current_period_end=date(2026, 12, 1))
    assert found == ("s:2026-12-01", datetime(2026, 11, 30, 11))


def test_a_date_without_midnight_begins_when_the_clock_has_jumped(tmp_path: Path) -> None:
    """In Santiago the 6th of September 2026 begins at 01:00."""
    found = next_renewal(tmp_path, datetime(2026, 9, 1), "America/Santiago", current_period_end=date(2026, 9, 6))
    assert found == ("s:2026-09-06", datetime(2026, 9, 6, 4))


@pytest.mark.parametrize(
    ("as_of", "day"),
    [(datetime(2026, 9, 6, 4), date(2026, 9, 6)), (datetime(2026, 9, 6, 4, 0, 0, 1), date(2026, 10, 6))],
)
def test_a_renewal_in_the_missing_hour_is_due_when_the_clock_jumps(tmp_path: Path, as_of: datetime, day: date) -> None:
    assert next_renewal(tmp_path, as_of, "America/Santiago", anchor_date=date(2026, 8, 6))[0] == f"s:{day}"


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        (datetime(2026, 11, 1, 4, 30), date(2026, 11, 1)),
        (datetime(2026, 11, 1, 4, 30, 0, 1), date(2026, 12, 1)),
        (datetime(2026, 11, 1, 5, 15), date(2026, 12, 1)),
    ],
)
def test_a_renewal_in_the_hour_that_comes_twice_is_due_the_first_time(
    tmp_path: Path, as_of: datetime, day: date
) -> None:
    """00:30 in Havana on the 1st of November 2026 is 04:30 and 05:30 UTC; at 05:15 it is past, whatever the clock says."""
    found = next_renewal(tmp_path, as_of, "America/Havana", anchor_date=datetime(2026, 10, 1, 4, 30))
    assert found[0] == f"s:{day}"


def test_an_instant_falls_on_the_date_the_customer_sees(tmp_path: Path) -> None:
    found = next_renewal(
        tmp_path, datetime(2026, 11, 22), "Pacific/Auckland", current_period_end=datetime(2026, 11, 30, 20)
    )
    assert found == ("s:2026-12-01", datetime(2026, 11, 30, 20))


def test_a_coming_period_end_wins_over_the_computed_one(tmp_path: Path) -> None:
    dated = {"anchor_date": date(2026, 1, 25), "current_period_end": date(2026, 12, 20)}
    assert next_renewal(tmp_path, datetime(2026, 11, 22), "UTC", **dated)[0] == "s:2026-12-20"
    assert next_renewal(tmp_path, datetime(2026, 12, 21), "UTC", **dated)[0] == "s:2026-12-25"
