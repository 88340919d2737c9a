from datetime import date, time

import pytest
from planning_world import World, at, rule, step, verdict

DAILY = "09:00"


def lone(*steps, zone="Europe/London", anchor="2026-11-20 08:00", **given):
    """One customer, one rule, one candidate."""
    world = World([rule("r", *steps, **given)])
    world.person(zone)
    world.candidate(anchor)
    return world


def days(world, *dates):
    """What happens on each of these days at 09:00 UTC."""
    return [world.verdict(f"{day} 09:00") for day in dates]


def test_a_second_run_on_the_same_day_sends_nothing():
    world = lone()
    assert days(world, "2026-11-20", "2026-11-20", "2026-11-21") == ["send", "wait: already_sent", "wait: already_sent"]


def test_a_step_is_not_planned_before_its_run():
    world = lone(step(after="3 days"))
    assert days(world, "2026-11-21", "2026-11-22", "2026-11-23") == ["wait: not_due", "wait: not_due", "send"]


def test_a_sending_time_before_the_anchor_is_the_next_day():
    world = lone(anchor="2026-11-20 08:00", send_at=time(7))
    (decision,) = world.run("2026-11-20 09:00")
    assert (verdict(decision), decision.not_before) == ("send", at("2026-11-21 07:00"))


def test_a_late_joiner_gets_the_newest_step_only():
    world = lone(step("one"), step("two", after="3 days"), step("three", after="5 days"), anchor="2026-11-15 08:00")
    assert [(d.step_id, verdict(d)) for d in world.run("2026-11-20 09:00")] == [
        ("one", "skip: superseded"), ("three", "send"), ("two", "skip: superseded")]  # fmt: skip
    assert days(world, "2026-11-21") == ["wait: already_sent"]


def test_wait_counts_from_the_local_date_of_the_step_before():
    world = lone(step("one"), step("two", wait="2 days"))
    assert days(world, "2026-11-20", "2026-11-21", "2026-11-22") == ["send", "wait: not_due", "send"]


def test_after_a_lost_day_what_is_still_in_time_is_sent_once():
    world = lone(step(send_within="1 day"))
    assert days(world, "2026-11-21", "2026-11-22") == ["send", "wait: already_sent"]


def test_a_rule_never_writes_to_the_history_before_it():
    world = lone(step(send_within="1 day"))
    assert days(world, "2026-11-22") == ["skip: existing"]
    assert world.history["settled"] == []


def test_a_step_in_play_that_becomes_too_late_is_settled_as_skipped():
    world = lone(step(send_within="1 day"))
    world.suppress("bounced")
    assert days(world, "2026-11-20", "2026-11-22", "2026-11-23") == [
        "skip: bounced", "skip: too_late", "wait: already_sent"]  # fmt: skip
    assert [row[3:6] for row in world.history["settled"]] == [("mail", date(2026, 11, 22), "skipped")]


def test_a_skip_becomes_a_send_while_in_time():
    world = lone()
    world.suppress("bounced")
    assert days(world, "2026-11-20") == ["skip: bounced"]
    world.history["suppression"].clear()
    assert days(world, "2026-11-23") == ["send"]


@pytest.mark.parametrize("first", ["where", "late"])
def test_a_step_that_was_not_sent_does_not_strand_the_wait_after_it(first):
    world = lone(step("one", send_within="1 day"), step("two", wait="2 days"))
    if first == "where":
        world.candidates[0] = (*world.candidates[0][:-1], 1)
    else:
        world.suppress("bounced")
    assert days(world, "2026-11-20", "2026-11-22")[1] == "skip: too_late"
    world.history["suppression"].clear()
    assert days(world, "2026-11-23", "2026-11-24") == ["wait: not_due", "send"]


def test_a_wait_counts_as_if_a_step_stopped_at_the_gate_were_not_there():
    world = lone(step("one"), step("two", wait="2 days"))
    stopped = ("one", date(2026, 11, 21), "stopped", at("2026-11-21 09:00"))
    world.history["settled"].append((0, 0, "2026-11-20", *stopped, at("2026-11-20 08:00"), True))
    assert days(world, "2026-11-21", "2026-11-22") == ["wait: not_due", "send"]


def test_an_inserted_step_does_not_send_what_is_past():
    world = lone(step("one"), step("three", after="4 days"))
    assert days(world, "2026-11-20", "2026-11-24") == ["send", "send"]
    world.rules = [rule("r", step("one"), step("two", after="2 days"), step("three", after="4 days"))]
    assert [(d.step_id, verdict(d)) for d in world.run("2026-11-25 09:00")] == [
        ("three", "wait: already_sent"), ("two", "skip: superseded")]  # fmt: skip


# -- before the anchor ------------------------------------------------------------------------------------------------

RENEWAL = (step("week", before="7 days"), step("day", before="1 day"))


def test_reminders_come_before_the_date_and_never_on_it():
    world = lone(*RENEWAL, anchor="2026-12-10 00:00")
    assert days(world, "2026-12-02", "2026-12-03", "2026-12-09", "2026-12-10") == [
        "wait: not_due", "send", "send", "wait: already_sent"]  # fmt: skip


def test_a_reminder_is_not_sent_once_the_date_has_come():
    world = lone(step("day", before="1 day", send_within="1 week"), anchor="2026-12-10 00:00")
    assert days(world, "2026-12-08", "2026-12-10") == ["wait: not_due", "skip: existing"]


def test_a_reminder_is_not_sent_once_the_next_one_is_due():
    world = lone(*RENEWAL, anchor="2026-12-10 00:00")
    assert [(d.step_id, verdict(d)) for d in world.run("2026-12-09 09:00")] == [
        ("day", "send"), ("week", "skip: superseded")]  # fmt: skip


def test_a_reminder_may_be_three_days_late_but_a_card_reminder_as_late_as_the_next_step():
    for trigger, expected in (("renewal_approaching", "skip: existing"), ("card_expiring", "send")):
        world = lone(*RENEWAL, anchor="2026-12-10 00:00", trigger=trigger)
        assert days(world, "2026-12-07") == [expected]


def test_reminders_expire_at_local_midnight_of_the_date():
    world = lone(step(before="1 day"), anchor="2026-12-10 05:00", zone="America/New_York")
    (decision,) = world.run("2026-12-09 15:00")
    assert decision.expires_at == at("2026-12-10 05:00")


def test_when_a_renewal_moves_new_reminders_are_laid_around_the_new_date():
    world = World([rule("r", *RENEWAL)], settings={"survives": {0: "near_date"}})
    world.person()
    world.candidate("2026-12-10 00:00", occurrence="s1:2026-12-10")
    assert days(world, "2026-12-03") == ["send"]
    world.candidates.clear()
    world.candidate("2026-12-20 00:00", occurrence="s1:2026-12-20")
    assert days(world, "2026-12-09", "2026-12-13", "2026-12-19") == ["wait: not_due", "send", "send"]


def test_a_renewal_that_moves_by_a_day_keeps_its_ladder():
    world = World([rule("r", *RENEWAL)], settings={"survives": {0: "near_date"}})
    world.person()
    world.candidate("2026-12-10 00:00", occurrence="s1:2026-12-10")
    assert days(world, "2026-12-03") == ["send"]
    world.candidates.clear()
    world.candidate("2026-12-11 00:00", occurrence="s1:2026-12-11")
    assert days(world, "2026-12-04", "2026-12-09", "2026-12-10") == ["wait: not_due", "wait: not_due", "send"]


# -- calendars and clocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "length", "due"),
    [
        ("2027-01-31 08:00", "1 month", "2027-02-28"),
        ("2028-01-31 08:00", "1 month", "2028-02-29"),
        ("2028-02-29 08:00", "1 year", "2029-02-28"),
        ("2028-02-29 08:00", "4 years", "2032-02-29"),
        ("2027-03-31 08:00", "1 month", "2027-04-30"),
        ("2027-12-30 08:00", "2 days", "2028-01-01"),
    ],
)
def test_months_clamp_to_the_end_of_the_month(anchor, length, due):
    (decision,) = lone(step(after=length), anchor=anchor).plan(f"{due} 09:00")
    assert (verdict(decision), decision.due_date) == ("send", date.fromisoformat(due))


@pytest.mark.parametrize(
    ("zone", "anchor", "run", "due"),
    [
        ("Europe/London", "2026-10-24 08:00", "2026-10-25 08:00", "2026-10-25 09:00"),  # back to winter, 25 hours
        ("Europe/London", "2027-03-27 09:00", "2027-03-28 08:00", "2027-03-28 08:00"),  # to summer, 23 hours
        ("America/New_York", "2026-10-31 13:00", "2026-11-01 13:00", "2026-11-01 14:00"),
        ("America/New_York", "2027-03-13 14:00", "2027-03-14 13:00", "2027-03-14 13:00"),
    ],
)
def test_a_calendar_day_is_the_same_local_time_on_clock_change_days(zone, anchor, run, due):
    (decision,) = lone(step(after="1 day"), zone=zone, anchor=anchor).plan(run)
    assert (verdict(decision), decision.not_before) == ("send", at(due))


def test_hours_are_elapsed_time_on_a_day_of_25_hours():
    world = lone(step(after="24 hours", send_at=time(9)), anchor="2026-10-24 08:00")  # 09:00 in London
    (decision,) = world.plan("2026-10-25 08:00")  # 24 hours later the clock shows 08:00
    assert (decision.due_date, decision.not_before) == (date(2026, 10, 25), at("2026-10-25 09:00"))
    world = lone(step(after="24 hours", send_at=time(9)), anchor="2026-10-24 09:30")
    assert verdict(world.plan("2026-10-25 08:00")[0]) == "wait: not_due"  # 09:30 is past the sending time


def test_a_sending_time_in_the_gap_becomes_the_first_valid_instant():
    (decision,) = lone(step(send_at=time(1, 30)), anchor="2027-03-27 12:00").plan("2027-03-27 13:00")
    assert (decision.not_before, decision.local_date) == (at("2027-03-28 01:00"), date(2027, 3, 28))


def test_a_sending_time_that_comes_twice_means_the_first():
    (decision,) = lone(step(send_at=time(1, 30)), anchor="2026-10-24 12:00").plan("2026-10-24 13:00")
    assert decision.not_before == at("2026-10-25 00:30")


def test_auckland_gets_nine_in_the_morning_from_a_morning_run_in_london():
    world = lone(zone="Pacific/Auckland", anchor="2026-11-20 15:00", send_at=time(9))  # 04:00 on the 21st there
    assert days(world, "2026-11-19") == ["wait: not_due"]
    (decision,) = world.run("2026-11-20 09:00")
    assert (verdict(decision), decision.not_before, decision.local_date) == (
        "send", at("2026-11-20 20:00"), date(2026, 11, 21))  # fmt: skip


# -- existing, repeating, ending, holding -----------------------------------------------------------------------------


def test_include_has_no_lateness_and_counts_later_steps_from_the_first():
    world = lone(step("one"), step("two", after="3 days"), anchor="2024-01-01 08:00", existing="include")
    assert days(world, "2026-11-20", "2026-11-22", "2026-11-23") == ["send", "wait: not_due", "send"]


def two_silences(**given):
    world = World([rule("r", repeat_after="30 days", **given)])
    world.person()
    world.candidate("2026-11-01 08:00")
    assert days(world, "2026-11-01") == ["send"]
    world.candidates.clear()
    world.candidate("2026-11-10 08:00")
    return world


def test_a_second_ladder_starts_on_the_first_day_repeat_after_allows():
    world = two_silences()
    assert days(world, "2026-11-10", "2026-11-20", "2026-11-30", "2026-12-01") == [
        *["defer: repeat_too_soon"] * 3, "send"]  # fmt: skip


@pytest.mark.parametrize(("run", "expected"), [("2026-12-08", "send"), ("2026-12-09", "skip: existing")])
def test_lateness_begins_when_repeat_after_allows_the_ladder(run, expected):
    assert days(two_silences(), run) == [expected]


def test_goal_ends_the_ladder_unless_the_rule_says_otherwise():
    for ends, expected in ((True, "skip: ended"), (False, "send")):
        world = lone(step("one"), step("two", wait="2 days"), goal=ends)
        assert days(world, "2026-11-20") == ["send"]
        world.candidates.clear()
        world.candidate("2026-11-20 08:00", goal_at="2026-11-21 10:00")
        assert days(world, "2026-11-22") == [expected]


def test_a_goal_reached_before_the_first_mail_ends_nothing():
    world = lone(goal=True)
    world.candidates.clear()
    world.candidate("2026-11-20 08:00", goal_at="2026-11-19 10:00")
    assert days(world, "2026-11-20") == ["send"]


def test_exit_when_ends_a_ladder_that_is_due():
    world = lone(step("one"), step("two", wait="2 days"))
    world.candidates.clear()
    world.candidate("2026-11-20 08:00", ended=True)
    assert days(world, "2026-11-20") == ["skip: ended"]


def test_a_pause_is_not_lateness_and_settles_nothing():
    world = lone(step("one"), step("two", after="2 days"))
    assert world.verdict("2026-11-20 09:00", paused_rules={0}) == "held: rule_paused"
    assert world.verdict("2026-11-21 09:00", paused_rules={0}) == "held: rule_paused"
    assert [verdict(d) for d in world.run("2026-11-22 09:00", paused_rules={0})] == ["held: rule_paused"]
    assert world.history["settled"] == []
    world = lone(step("one", send_within="1 day"))
    for day in (20, 26, 29):
        assert world.verdict(f"2026-11-{day} 09:00", held_rules={0: "stale_table"}) == "held: stale_table"
    assert days(world, "2026-11-30") == ["send"]


def test_a_hold_does_not_wake_the_history_before_the_rule():
    world = lone(step(send_within="1 day"), anchor="2026-10-01 08:00")
    assert world.verdict("2026-11-20 09:00", paused_rules={0}) == "skip: existing"
    assert days(world, "2026-11-21") == ["skip: existing"]


def test_a_held_rule_settles_not_even_what_is_too_late():
    world = lone(step(send_within="1 day"))
    world.suppress("bounced")
    assert days(world, "2026-11-20") == ["skip: bounced"]
    assert world.verdict("2026-11-25 09:00", held_rules={0: "empty_table"}) == "skip: too_late"
    assert world.history["settled"] == []
    assert days(world, "2026-11-26") == ["skip: too_late"]
    assert [row[5] for row in world.history["settled"]] == ["skipped"]


def test_a_message_expires_when_the_next_step_falls_due_at_the_latest():
    for within, expires in (
        (None, "2026-11-23 00:00"),
        ("5 days", "2026-11-26 00:00"),
        ("3 hours", "2026-11-20 12:00"),
    ):
        world = lone(step("one", send_within=within), step("two", after="3 days"))
        assert world.run("2026-11-20 09:00")[0].expires_at == at(expires)


def test_a_rule_without_steps_decides_nothing():
    world = lone(steps=())
    (decision,) = world.run("2026-11-20 09:00")
    assert (verdict(decision), decision.step_no) == ("wait: already_sent", None)
