from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from engine.sample import dirt, write_sample
from engine.warehouse.tables import TABLES
from tests.sample.rows import TODAY, rows_of

BILLING = (
    "subscriptions", "subscription_changes", "invoices", "payment_failures", "payment_methods", "refunds", "disputes",
)  # fmt: skip
VOICE = ("responses", "tickets")


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*.csv")):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def test_the_same_day_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, TODAY, customers=500)
    assert digest(tmp_path) == digest(small)


def test_another_day_gives_the_same_people_and_other_dates(small: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, TODAY + timedelta(days=9), customers=500)
    assert [row["name"] for row in rows_of(tmp_path, "customers")] == [
        row["name"] for row in rows_of(small, "customers")
    ]
    assert max(row["occurred_at"] for row in rows_of(tmp_path, "events")[:-1])[:10] >= "2026-11-29"


def test_more_customers_leave_the_first_ones_as_they_are(small: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, TODAY, customers=700)
    assert rows_of(tmp_path, "customers")[100:500] == rows_of(small, "customers")[100:500]


@pytest.mark.parametrize("today", [date(2028, 2, 29), date(2027, 3, 31), date(2027, 1, 1), date(2026, 10, 25)])
def test_any_day_can_be_today(today: date, tmp_path: Path) -> None:
    write_sample(tmp_path, today, customers=300)
    newest = sorted(row["occurred_at"] for row in rows_of(tmp_path, "events"))[-2]
    assert f"{today - timedelta(days=2)}" <= newest[:10] < f"{today}"


def test_progress_counts_every_customer(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_sample(tmp_path, TODAY, customers=120, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 120) for number in range(1, 121)]


def test_a_tiny_sample_still_holds_every_fault(tmp_path: Path) -> None:
    write_sample(tmp_path, TODAY, customers=1)
    assert len(rows_of(tmp_path, "customers")) == dirt.FEWEST_CUSTOMERS + 1


# The contract of the tables.


@pytest.mark.parametrize("table", ["customers", *BILLING, *VOICE])
def test_columns_have_the_contracts_names(small: Path, table: str) -> None:
    ours = {"customers": {"first_name"}, "invoices": {"access_until"}}.get(table, set())
    header = rows_of(small, table)[0].keys() if rows_of(small, table) else ()
    assert set(header) - ours <= TABLES[table].columns.keys()
    assert set(TABLES[table].required) <= set(header) or not header


def test_events_call_their_instant_otherwise(small: Path) -> None:
    header = rows_of(small, "events")[0].keys()
    assert header - {"occurred_at"} == TABLES["events"].columns.keys() - {"at", "account_id"}


def test_every_address_is_one_that_cannot_exist(whole: Path) -> None:
    addresses = [row["email"] for row in rows_of(whole, "customers") if row["email"]]
    assert all(address.endswith("example.com") for address in addresses)


def test_rows_belong_to_known_customers_and_invoices(whole: Path) -> None:
    customers = {row["customer_id"] for row in rows_of(whole, "customers")}
    for table in ("subscriptions", "invoices", "payment_methods", "refunds", "disputes", *VOICE, "events"):
        assert {row["customer_id"] for row in rows_of(whole, table)} <= customers
    invoices = {row["invoice_id"] for row in rows_of(whole, "invoices")}
    assert {row["invoice_id"] for row in rows_of(whole, "payment_failures")} <= invoices
    subscriptions = {row["subscription_id"] for row in rows_of(whole, "subscriptions")}
    assert {row["subscription_id"] for row in rows_of(whole, "subscription_changes")} <= subscriptions


def test_nothing_but_the_documented_fault_lies_after_the_export(whole: Path) -> None:
    late = [row for row in rows_of(whole, "events") if row["occurred_at"] >= f"{TODAY}"]
    assert [row["event_id"] for row in late] == ["E-ahead"]
    for table, column in (
        ("customers", "signed_up_at"), ("subscriptions", "started_at"), ("subscriptions", "ended_at"),
        ("invoices", "failed_at"), ("invoices", "paid_at"), ("payment_failures", "at"), ("refunds", "at"),
        ("subscription_changes", "at"), ("responses", "at"), ("tickets", "opened_at"), ("tickets", "closed_at"),
    ):  # fmt: skip
        newest = max(row[column] for row in rows_of(whole, table) if "-13-" not in row[column])
        assert f"{TODAY - timedelta(days=9)}" < newest[:10] < f"{TODAY}" or table == "refunds"


# The story the rows tell.


def test_an_unpaid_bill_ends_the_subscription_after_two_weeks(whole: Path) -> None:
    ended = [row for row in rows_of(whole, "subscriptions") if row["cancel_reason"] == "payment_failed"]
    unpaid = {row["subscription_id"]: row for row in rows_of(whole, "invoices") if row["status"] == "uncollectible"}
    known = [row for row in ended if row["subscription_id"] in unpaid]
    assert len(known) > 50
    for row in known:
        failed_on = date.fromisoformat(unpaid[row["subscription_id"]]["failed_at"][:10])
        assert date.fromisoformat(row["ended_at"][:10]) - failed_on in (timedelta(days=13), timedelta(days=14))


def test_an_invoice_repeats_its_first_and_last_failure(whole: Path) -> None:
    tries: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(whole, "payment_failures"):
        tries.setdefault(row["invoice_id"], []).append(row)
    failed = [row for row in rows_of(whole, "invoices") if row["failed_at"]]
    assert {row["invoice_id"] for row in failed} == tries.keys()
    for row in failed:
        first, last = tries[row["invoice_id"]][0], tries[row["invoice_id"]][-1]
        assert (row["failed_at"], row["last_failed_at"], row["decline_code"]) == (
            first["at"],
            last["at"],
            last["decline_code"],
        )
        assert not row["paid_at"] or row["paid_at"] > last["at"]


def test_a_move_to_another_plan_shows_in_the_next_bill_and_in_no_earlier_one(whole: Path) -> None:
    moves: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(whole, "subscription_changes"):
        moves.setdefault(row["subscription_id"], []).append(row)
    once = {subscription: rows[0] for subscription, rows in moves.items() if len(rows) == 1}
    seen: Counter[str] = Counter()
    for bill in rows_of(whole, "invoices"):
        move, due_on = once.get(bill["subscription_id"]), (bill["failed_at"] or bill["paid_at"])[:10]
        if move and due_on != move["at"][:10]:
            side = "from" if due_on < move["at"] else "to"
            assert abs(int(bill["amount_minor"])) == int(move[f"{side}_amount_minor"])
            assert bill["product"] == f"Corkline {move[f'{side}_plan'].title()}"
            seen[side] += 1
    assert min(seen["from"], seen["to"]) > 100
    for row in rows_of(whole, "subscriptions"):
        if row["subscription_id"] in moves:
            last = moves[row["subscription_id"]][-1]
            assert (row["plan"], row["amount_minor"]) == (last["to_plan"], last["to_amount_minor"])


def test_only_customers_with_a_plan_speak(whole: Path) -> None:
    served: dict[str, list[tuple[str, str]]] = {}
    for row in rows_of(whole, "subscriptions"):
        served.setdefault(row["customer_id"], []).append((row["started_at"], row["ended_at"] or "9999"))
    for table, column in (("responses", "at"), ("tickets", "opened_at")):
        rows = rows_of(whole, table)
        assert len(rows) > 500
        for row in rows:
            assert any(begin <= row[column] < end for begin, end in served[row["customer_id"]])


def test_answers_are_scores_with_and_without_words(whole: Path) -> None:
    rows = rows_of(whole, "responses")
    assert {row["survey"] for row in rows} == {"nps"}
    assert {int(row["score"]) for row in rows} == set(range(11))
    assert {bool(row["comment"]) for row in rows} == {True, False}
    assert all(bool(row["comment"]) == bool(row["reason"]) for row in rows)


def test_most_tickets_are_closed_within_three_days_and_some_wait_longer(whole: Path) -> None:
    rows = rows_of(whole, "tickets")
    assert len({row["ticket_id"] for row in rows}) == len(rows)
    quick = [
        row for row in rows
        if row["closed_at"] and datetime.fromisoformat(row["closed_at"]) - datetime.fromisoformat(row["opened_at"])
        <= timedelta(days=3)
    ]  # fmt: skip
    assert 0.8 < len(quick) / len(rows) < 1
    assert any(not row["closed_at"] for row in rows)
    assert all(row["closed_at"] > row["opened_at"] for row in rows if row["closed_at"])


@pytest.mark.parametrize("today", [date(2028, 2, 29), date(2027, 3, 1), date(2027, 1, 1), date(2026, 10, 25)])
def test_whatever_the_day_somebody_has_just_cancelled_and_somebody_has_taken_the_smaller_plan(
    today: date, tmp_path: Path
) -> None:
    write_sample(tmp_path, today, customers=120)
    lately = f"{today - timedelta(days=2)}"
    leaving = {
        row["customer_id"] for row in rows_of(tmp_path, "subscriptions")
        if row["cancel_at_period_end"] == "true" and row["status"] == "active" and row["cancel_requested_at"] >= lately
        and row["current_period_end"] > f"{today}"
    }  # fmt: skip
    moved = {
        row["subscription_id"] for row in rows_of(tmp_path, "subscription_changes")
        if row["at"] >= lately and (row["from_plan"], row["to_plan"]) == ("team", "pro")
    }  # fmt: skip
    assert leaving >= {"C00066", "C00064"}
    assert moved >= {"S00069-1", "S00119-1"}


def test_nobody_has_two_subscriptions_in_service(whole: Path) -> None:
    running = Counter(row["customer_id"] for row in rows_of(whole, "subscriptions") if not row["ended_at"])
    assert set(running.values()) == {1}


def test_the_plan_of_a_customer_is_that_of_the_subscription(whole: Path) -> None:
    running = {row["customer_id"]: row["plan"] for row in rows_of(whole, "subscriptions") if not row["ended_at"]}
    for row in rows_of(whole, "customers"):
        assert row["plan"] == running.get(row["customer_id"], "free")


def test_free_accounts_never_share_more_reports_than_the_plan_includes(whole: Path) -> None:
    never_paid = {row["customer_id"] for row in rows_of(whole, "customers")} - {
        row["customer_id"] for row in rows_of(whole, "payment_methods")
    }
    shared = Counter(
        row["customer_id"] for row in rows_of(whole, "events")
        if row["name"] == "report_shared" and row["customer_id"] in never_paid
    )  # fmt: skip
    assert max(shared.values()) == 25


def test_every_kind_of_customer_is_there(whole: Path) -> None:
    customers = rows_of(whole, "customers")
    assert {row["currency"] for row in customers} == {"EUR", "GBP", "USD", "JPY"}
    assert {row["locale"].partition("-")[0] for row in customers} == {"en", "de", "fr", "he", "iw", "ja"}
    assert len({row["timezone"] for row in customers}) == 11
    assert {row["consent"] for row in customers} == {"true", "false", ""}
    statuses = {(row["status"], row["interval"]) for row in rows_of(whole, "subscriptions")}
    assert statuses >= {("trialing", "month"), ("past_due", "month"), ("active", "year"), ("canceled", "month")}
    assert {row["status"] for row in rows_of(whole, "invoices")} == {"open", "paid", "uncollectible"}
    assert any(row["cancel_at_period_end"] == "true" for row in rows_of(whole, "subscriptions"))
    assert rows_of(whole, "refunds")
    assert rows_of(whole, "disputes")


def test_the_numbers_are_those_of_a_living_company(whole: Path) -> None:
    events = rows_of(whole, "events")
    assert 150_000 < len(events) < 300_000
    assert 366 >= len({row["occurred_at"][:10] for row in events}) >= 365
    subscriptions = rows_of(whole, "subscriptions")
    assert 1_200 < sum(row["status"] == "active" for row in subscriptions) < 2_000
    assert 40 < sum(row["status"] == "trialing" for row in subscriptions) < 120
    week = f"{TODAY - timedelta(days=7)}"
    assert (
        25
        < sum(row["signed_up_at"] >= week and "-13-" not in row["signed_up_at"] for row in rows_of(whole, "customers"))
        < 90
    )
    assert 10 < sum(row["status"] == "open" for row in rows_of(whole, "invoices")) < 60


# The documented faults, in the documented numbers.


def faults_of_customers(folder: Path) -> dict[str, int]:
    rows = rows_of(folder, "customers")
    ids = Counter(row["customer_id"] for row in rows)
    addresses = [row["email"] for row in rows if row["email"]]
    return {
        "twice": sum(count > 1 for count in ids.values()),
        "no address": sum(not row["email"] for row in rows),
        "broken": sum(address.count("@") != 1 or " " in address for address in addresses),
        "zone": sum(row["timezone"] == "Europe/Atlantis" for row in rows),
        "nameless": sum(not row["name"] for row in rows),
        "month 13": sum(row["signed_up_at"][5:7] == "13" for row in rows),
    }


@pytest.mark.parametrize("folder", ["small", "whole"])
def test_customers_have_the_documented_faults(folder: str, request: pytest.FixtureRequest) -> None:
    assert faults_of_customers(request.getfixturevalue(folder)) == {
        "twice": 1, "no address": 2, "broken": 3, "zone": 1, "nameless": 4, "month 13": 1,
    }  # fmt: skip


def test_events_have_the_documented_faults(whole: Path) -> None:
    rows = rows_of(whole, "events")
    ids = Counter(row["event_id"] for row in rows)
    assert sum(count - 1 for count in ids.values()) == dirt.REPEATED_EVENTS
    assert sum(datetime.fromisoformat(row["occurred_at"]).date() > TODAY for row in rows) == 1


def test_billing_has_the_documented_faults(whole: Path) -> None:
    assert sum(int(row["amount_minor"]) < 0 for row in rows_of(whole, "invoices")) == 1
    assert sum(row["exp_month"] == "13" for row in rows_of(whole, "payment_methods")) == 1
