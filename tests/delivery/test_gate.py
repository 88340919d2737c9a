from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery import Recheck
from engine.delivery.gate import judge, quiet_until
from engine.project.settings_values import QuietHours
from engine.store import GateRow, OutboxMessage

NOW = datetime(2026, 11, 23, 9, 0)
NIGHT = QuietHours(time(21), time(8))
MESSAGE = OutboxMessage(
    1, "ab" * 32, 3, 1, "quiet", "c1", "o", "s", "c1@example.com", "k", "email", "quiet", "sha", "marketing", "win-back",
    "treated", "Europe/Berlin", NOW, None, "{}", 0, 0, False,
)  # fmt: skip
ROW = GateRow(1, "claimed", 3, paused=False, rule_paused=False, expired=False, suppressions=())


def verdict(*suppressions: tuple[str, str, date | None], class_: str = "marketing") -> tuple[str, str]:
    judged = judge(MESSAGE._replace(class_=class_), replace(ROW, suppressions=suppressions), Recheck(), None, NOW)
    return judged.verdict, judged.reason


def test_an_ordinary_message_may_leave() -> None:
    assert verdict() == ("send", "")


TOMORROW, YESTERDAY, TODAY = date(2026, 11, 24), date(2026, 11, 22), date(2026, 11, 23)


@pytest.mark.parametrize(
    ("suppression", "stopped"),
    [
        (("unsubscribed", "", None), {"marketing"}),
        (("unsubscribed", "win-back", None), {"marketing", "service"}),
        (("bounced", "", None), {"marketing", "service"}),
        (("complained", "", None), {"marketing", "service"}),
        (("erased", "", None), {"marketing", "service", "legal"}),
        (("not_until", "", TOMORROW), {"marketing"}),
        (("not_until", "", TODAY), set()),
        (("not_until", "", YESTERDAY), set()),
        (("less_often", "", None), set()),
    ],
)
def test_each_kind_of_suppression_stops_its_classes(
    suppression: tuple[str, str, date | None], stopped: set[str]
) -> None:
    for class_ in ("marketing", "service", "legal"):
        expected = ("suppressed", suppression[0]) if class_ in stopped else ("send", "")
        assert verdict(suppression, class_=class_) == expected


def test_one_suppression_among_harmless_ones_is_enough() -> None:
    assert verdict(("less_often", "", None), ("not_until", "", YESTERDAY), ("bounced", "", None)) == (
        "suppressed",
        "bounced",
    )


def test_not_until_is_compared_on_the_customers_calendar() -> None:
    late = datetime(2026, 11, 23, 23, 30)  # half past midnight on the 24th in Berlin
    row = replace(ROW, suppressions=(("not_until", "", TOMORROW),))
    assert judge(MESSAGE, row, Recheck(), None, late).verdict == "send"
    assert judge(MESSAGE._replace(zone="UTC"), row, Recheck(), None, late).verdict == "suppressed"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expired": True}, ("expired", "expired")),
        ({"paused": True}, ("paused", "rule_paused")),
        ({"rule_paused": True}, ("paused", "rule_paused")),
        ({"state": "planned"}, ("paused", "claimed by another")),
        ({"token": 4}, ("paused", "claimed by another")),
    ],
)
def test_what_the_state_knows_stops_it(change: dict[str, object], expected: tuple[str, str]) -> None:
    judged = judge(MESSAGE, replace(ROW, **change), Recheck(), None, NOW)  # type: ignore[arg-type]
    assert (judged.verdict, judged.reason) == expected


def test_a_message_the_state_does_not_know_is_not_sent() -> None:
    assert judge(MESSAGE, None, Recheck(), None, NOW).verdict == "paused"


def test_a_reason_that_no_longer_holds_cancels() -> None:
    judged = judge(MESSAGE, ROW, Recheck({1: "no_longer_true"}), None, NOW)
    assert (judged.verdict, judged.reason) == ("cancelled", "no_longer_true")


@pytest.mark.parametrize("recipient", ["", "x", "a@b.de,c@d.de", "Ann@Example.com", "a@b.de\nBcc: c@d.de"])
def test_a_recipient_that_is_not_a_canonical_address_is_never_written_to(recipient: str) -> None:
    assert judge(MESSAGE._replace(recipient=recipient), ROW, Recheck(), None, NOW).reason == "invalid_address"


@pytest.mark.parametrize("broken", [{"zone": "Mars/Base"}, {"zone": ""}, {"recipient": None}])
def test_whatever_goes_wrong_in_the_gate_holds_the_message_back(broken: dict[str, object]) -> None:
    assert judge(MESSAGE._replace(**broken), ROW, Recheck(), NIGHT, NOW).verdict == "held"  # type: ignore[arg-type]


# Quiet hours.


@pytest.mark.parametrize(
    ("now", "zone", "until"),
    [
        (datetime(2026, 11, 23, 6, 59), "Europe/Berlin", datetime(2026, 11, 23, 7, 0)),  # 07:59 local
        (datetime(2026, 11, 23, 7, 0), "Europe/Berlin", None),
        (datetime(2026, 11, 23, 19, 59), "Europe/Berlin", None),
        (datetime(2026, 11, 23, 20, 0), "Europe/Berlin", datetime(2026, 11, 24, 7, 0)),
        (datetime(2026, 11, 23, 9, 0), "Pacific/Auckland", datetime(2026, 11, 23, 19, 0)),
        (
            datetime(2026, 3, 28, 23, 30),
            "Europe/Berlin",
            datetime(2026, 3, 29, 6, 0),
        ),  # the clocks go forward that night
        (datetime(2026, 10, 24, 23, 30), "Europe/Berlin", datetime(2026, 10, 25, 7, 0)),  # and back
    ],
)
def test_quiet_hours_end_on_the_customers_clock(now: datetime, zone: str, until: datetime | None) -> None:
    assert quiet_until(now, zone, NIGHT) == until


def test_a_message_in_quiet_hours_is_put_off_and_not_dropped() -> None:
    judged = judge(MESSAGE, ROW, Recheck(), NIGHT, datetime(2026, 11, 23, 22, 0))
    assert (judged.verdict, judged.until) == ("postpone", datetime(2026, 11, 24, 7, 0))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]),
    st.times(), st.times(),
)  # fmt: skip
def test_after_waiting_the_quiet_hours_are_over(now: datetime, zone: str, start: time, end: time) -> None:
    start, end = start.replace(second=0, microsecond=0, tzinfo=None), end.replace(second=0, microsecond=0, tzinfo=None)
    if start == end:
        return
    until = quiet_until(now, zone, QuietHours(start, end))
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        assert quiet_until(until, zone, QuietHours(start, end)) is None
        assert until.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)) is not None


def test_a_message_about_which_nobody_could_be_asked_waits_five_minutes() -> None:
    judged = judge(MESSAGE, ROW, Recheck(unsure={1: "invoice_not_confirmed"}), None, NOW)
    assert (judged.verdict, judged.reason, judged.until) == (
        "postpone",
        "invoice_not_confirmed",
        NOW + timedelta(minutes=5),
    )
