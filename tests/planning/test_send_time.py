from datetime import date, time

import pytest
from planning_world import QUIET, QuietHours, World, at, rule, step, verdict

MONDAY, TUESDAY = frozenset({0}), frozenset({1})  # 2026-11-23 is a Monday


def leaves(run, zone="Europe/London", anchor="2026-11-20 00:00", horizon=None, **given):
    """Decision about one candidate, quiet hours 21:00 to 08:00."""
    world = World([rule("r", **given)], settings={"quiet_hours": QUIET})
    world.person(zone)
    world.candidate(anchor)
    (decision,) = world.plan(run, **({"horizon": at(horizon)} if horizon else {}))
    return decision


def test_a_step_past_its_due_instant_leaves_at_once():
    assert leaves("2026-11-21 12:34").not_before == at("2026-11-21 12:34")


@pytest.mark.parametrize(
    ("run", "not_before", "day"),
    [
        ("2026-11-20 20:59", "2026-11-20 20:59", 20),
        ("2026-11-20 21:00", "2026-11-21 08:00", 21),
        ("2026-11-21 07:59", "2026-11-21 08:00", 21),
        ("2026-11-21 08:00", "2026-11-21 08:00", 21),
    ],
)
def test_quiet_hours_over_midnight(run, not_before, day):
    decision = leaves(run)
    assert (decision.not_before, decision.local_date) == (at(not_before), date(2026, 11, day))


def test_quiet_hours_within_a_day_and_only_for_marketing_unless_named():
    noon = QuietHours(time(12), time(14))
    assert leaves("2026-11-20 13:00", quiet_hours=noon).not_before == at("2026-11-20 14:00")
    assert leaves("2026-11-20 22:00", class_="service").not_before == at("2026-11-20 22:00")
    assert leaves("2026-11-20 13:00", class_="legal", quiet_hours=noon).not_before == at("2026-11-20 14:00")
    assert leaves("2026-11-20 22:00", quiet_hours="off").not_before == at("2026-11-20 22:00")


def test_quiet_hours_are_the_customers():
    decision = leaves("2026-11-20 09:00", zone="Pacific/Auckland", anchor="2026-11-19 00:00")  # 22:00 there
    assert (decision.not_before, decision.local_date) == (at("2026-11-20 19:00"), date(2026, 11, 21))


def test_quiet_hours_that_end_in_the_gap_end_after_it():
    early = QuietHours(time(21), time(1, 30))
    assert leaves("2027-03-27 22:00", anchor="2027-03-27 00:00", quiet_hours=early).not_before == at("2027-03-28 01:00")


def test_quiet_hours_that_end_at_an_hour_that_comes_twice_end_at_the_first():
    early = QuietHours(time(21), time(1, 30))
    assert leaves("2026-10-24 22:00", anchor="2026-10-24 00:00", quiet_hours=early).not_before == at("2026-10-25 00:30")


def test_only_on_allowed_days():
    assert verdict(leaves("2026-11-20 09:00", days=MONDAY)) == "wait: not_due"
    decision = leaves("2026-11-23 09:00", days=MONDAY)
    assert (verdict(decision), decision.not_before, decision.due_date) == (
        "send", at("2026-11-23 09:00"), date(2026, 11, 23))  # fmt: skip


def test_a_missed_day_waits_for_the_next_allowed_one_while_in_time():
    assert verdict(leaves("2026-11-24 10:00", days=MONDAY)) == "wait: not_due"
    assert verdict(leaves("2026-11-30 09:00", days=MONDAY)) == "send"


def test_what_could_leave_only_after_it_is_too_late_is_too_late():
    decision = leaves("2026-11-21 21:30", send_within="1 day")  # quiet until the 22nd
    assert (verdict(decision), decision.not_before) == ("skip: existing", at("2026-11-22 08:00"))


def test_what_could_leave_only_after_the_next_run_is_left_to_it():
    assert verdict(leaves("2026-11-20 22:00", horizon="2026-11-21 02:00")) == "wait: not_due"


def test_a_message_never_leaves_on_a_day_that_quiet_hours_push_it_to():
    decision = leaves("2026-11-23 21:30", anchor="2026-11-23 00:00", days=MONDAY, send_at=time(9))
    assert verdict(decision) == "wait: not_due"
    night = leaves("2026-11-23 22:30", anchor="2026-11-23 00:00", days=frozenset({0, 1}), send_at=time(23))
    assert night.not_before == at("2026-11-24 08:00")


def test_elapsed_send_within_counts_from_the_due_instant():
    steps = (step(send_within="2 hours"),)
    assert verdict(leaves("2026-11-20 10:59", steps=steps)) == "send"
    assert verdict(leaves("2026-11-20 11:00", steps=steps)) == "skip: existing"
