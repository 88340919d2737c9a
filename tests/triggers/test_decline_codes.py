"""Why a payment failed, as a group and somebody to turn to: every code, every advice, and which of them decides."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.triggers.decline_codes import ADVICE, SIGNALS, contact_sql, decline_codes, group_sql

OFFICIAL = (Path(__file__).parent / "stripe_decline_codes.txt").read_text(encoding="utf-8").split()
"""The values of `decline_code` in Stripe's client libraries."""

CLASS_GROUPS = {
    "soft-funds": "soft", "soft-issuer": "soft", "processor-error": "soft", "invalid-details": "details",
    "authentication": "authentication", "hard": "hard", "fraud-no-contact": "fraud",
}  # fmt: skip
MAIL_CONTACTS = {"ladder": "mail", "once": "mail", "operator": "person", "none": "nobody"}


def said(**signals: str | None) -> tuple[Any, ...]:
    """Group and contact of one failed try that says this of itself; all columns are there."""
    row = {name: signals.get(name) for name in (*SIGNALS, "card_country")}
    columns = {name: f"CAST(${name} AS VARCHAR)" for name in row}
    (used,) = duckdb.execute(f"SELECT {group_sql(columns)}, {contact_sql(columns)}", row).fetchall()
    return used


def test_every_official_decline_code_is_listed() -> None:
    assert len(OFFICIAL) == 47
    assert set(OFFICIAL) <= {entry.code for entry in decline_codes()}


def test_the_official_codes_are_what_our_classification_calls_decline_codes(shared_data: Path) -> None:
    """Beside four that are documented and not in the libraries."""
    ours = {row["code"] for row in published(shared_data) if row["field"] == "decline_code"}
    assert ours - set(OFFICIAL) == {
        "incorrect_address", "live_mode_test_card", "mobile_device_authentication_required", "test_mode_live_card",
    }  # fmt: skip
    assert set(OFFICIAL) <= ours


def test_every_code_has_the_group_and_contact_its_class_and_mail_ask_for(shared_data: Path) -> None:
    asked = {
        row["code"]: (
            "wish-to-stop" if row["mail"] == "once" else CLASS_GROUPS[row["class"]],
            MAIL_CONTACTS[row["mail"]],
        )
        for row in published(shared_data)
    }
    assert asked.pop("*") == said(decline_code="any other")
    assert len(asked) == 70
    assert {entry.code: (entry.group, entry.contact) for entry in decline_codes()} == asked


def published(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "billing" / "decline_codes.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["code"])


@pytest.mark.parametrize("name", ["outcome_reason", "decline_code", "error_code"])
def test_every_listed_code_counts_wherever_it_stands(name: str) -> None:
    for entry in decline_codes():
        assert said(**{name: f" {entry.code.upper()} "}) == (entry.group, entry.contact)


@pytest.mark.parametrize("code", ["never_heard_of", "", " ", None, "'; --", "$1", "soft", "💳", "x" * 10_000])
def test_an_unknown_code_is_soft_and_for_mail(code: str | None) -> None:
    for name in SIGNALS:
        assert said(**{name: code}) == ("soft", "mail")


def test_a_failure_that_says_nothing_is_soft_and_for_mail() -> None:
    assert said() == ("soft", "mail")
    assert duckdb.execute(f"SELECT {group_sql({})}, {contact_sql({})}").fetchall()[0] == ("soft", "mail")


@pytest.mark.parametrize(
    ("advice", "group"),
    [
        ("do_not_try_again", "hard"), ("confirm_card_data", "details"), ("try_again_later", "soft"),
        ("01", "details"), ("02", "soft"), ("03", "hard"), ("21", "wish-to-stop"), ("40", "hard"), ("41", "hard"),
        *((str(code), "soft") for code in range(24, 31)), ("R0", "wish-to-stop"), ("R1", "wish-to-stop"), ("R3", "hard"),
    ],
)  # fmt: skip
def test_advice_comes_before_any_code(advice: str, group: str) -> None:
    """Whether Stripe says it or the card's network, and whichever code stands beside it."""
    for name in ("advice_code", "network_advice_code"):
        for code in ("insufficient_funds", "expired_card", "lost_card", "authentication_required", "never_heard_of"):
            assert said(**{name: f" {advice} ", "decline_code": code}) == (group, "mail")


def test_numbers_that_lost_their_zero_are_the_same_advice() -> None:
    assert [ADVICE[one] for one in ("1", "2", "3")] == [ADVICE[one] for one in ("01", "02", "03")]


def test_of_two_advices_the_networks_comes_first() -> None:
    assert said(network_advice_code="03", advice_code="try_again_later") == ("hard", "mail")
    assert said(network_advice_code="24", advice_code="do_not_try_again") == ("soft", "mail")
    assert said(network_advice_code="99", advice_code="do_not_try_again") == ("hard", "mail")


def test_of_several_codes_the_first_that_is_listed_counts() -> None:
    assert said(outcome_reason="lost_card", decline_code="expired_card", error_code="card_declined")[0] == "hard"
    assert said(decline_code="expired_card", error_code="card_declined")[0] == "details"
    assert said(outcome_reason="of_its_own", decline_code="never_heard_of", error_code="expired_card")[0] == "details"


@pytest.mark.parametrize("advice", ["do_not_try_again", "try_again_later", "confirm_card_data"])
@pytest.mark.parametrize(
    "code",
    ["stop_payment_order", "revocation_of_authorization", "revocation_of_all_authorizations", "debit_not_authorized"],
)
def test_who_told_the_bank_to_stop_is_never_asked_for_another_card(advice: str, code: str) -> None:
    """ "Do not try again" comes with these codes; it must not turn one neutral note into a ladder of reminders."""
    assert said(advice_code=advice, decline_code=code) == ("wish-to-stop", "mail")
    assert said(outcome_reason="previously_declined_do_not_retry", decline_code=code) == ("wish-to-stop", "mail")


@pytest.mark.parametrize("advice", ["do_not_try_again", "try_again_later", "confirm_card_data", "21"])
@pytest.mark.parametrize("name", ["outcome_reason", "decline_code", "error_code"])
def test_no_advice_brings_a_mail_to_suspected_fraud(advice: str, name: str) -> None:
    assert said(advice_code=advice, **{name: "fraudulent"}) == ("fraud", "person")


@pytest.mark.parametrize(
    ("signals", "contact"),
    [
        ({"outcome_reason": "highest_risk_level", "decline_code": "generic_decline"}, "person"),
        ({"decline_code": "duplicate_transaction", "error_code": "card_declined"}, "person"),
        ({"decline_code": "generic_decline", "error_code": "live_mode_test_card"}, "person"),
        ({"decline_code": "testmode_decline", "advice_code": "do_not_try_again"}, "nobody"),
        ({"error_code": "lock_timeout", "network_advice_code": "03"}, "nobody"),
        ({"outcome_reason": "highest_risk_level", "decline_code": "testmode_decline"}, "nobody"),
    ],
)
def test_any_code_may_keep_a_case_from_the_customer(signals: dict[str, str], contact: str) -> None:
    assert said(**signals)[1] == contact


@pytest.mark.parametrize("country", ["IN", "in", " In "])
def test_an_indian_card_needs_its_owner_where_others_are_charged_again(country: str) -> None:
    def indian(**signals: str) -> object:
        return said(card_country=country, **signals)[0]

    assert indian(decline_code="insufficient_funds") == indian() == indian(advice_code="02") == "authentication"
    assert indian(decline_code="expired_card") == "details"
    assert indian(advice_code="do_not_try_again") == "hard"
    assert indian(decline_code="stop_payment_order") == "wish-to-stop"
    assert said(card_country="ID", decline_code="insufficient_funds")[0] == "soft"
