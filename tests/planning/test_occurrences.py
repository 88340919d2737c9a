"""Corrected data: the same silence under another name sends nothing again."""

import pytest
from planning_world import World, rule, step, verdict


def quiet_customer(**settings):
    world = World([rule("r", step("one"), step("two", wait="10 days"))], settings=settings)
    world.person()
    silence(world, "2026-10-21 23:59:59")
    assert world.verdict("2026-11-21 09:00") == "send"
    world.candidates.clear()
    return world


def silence(world, last_login):
    """No login for 31 days; the occurrence is the UTC date of the last one."""
    from datetime import datetime, timedelta

    moment = datetime.fromisoformat(last_login)
    world.candidate(moment + timedelta(days=30, hours=8), occurrence=f"{moment:%Y-%m-%d}", rests_at=last_login)


@pytest.mark.parametrize(
    "login", ["2026-10-22 00:00:00", "2026-10-22 00:59:59", "2026-10-21 22:59:59", "2026-09-01 00:00"]
)
def test_history_shifted_or_purged_sends_nothing_again(login):
    world = quiet_customer()
    silence(world, login)
    assert [world.verdict(f"2026-11-{day} 09:00") for day in (30,)] == ["wait: not_due"]
    assert world.verdict("2026-12-01 09:00") == "send"  # the second step of the ladder that began
    assert [row[2] for row in world.history["settled"]] == ["2026-10-21"] * 2


def test_an_unknown_instant_is_older_than_any():
    world = quiet_customer(survives={0: "past"})
    world.candidate("2026-11-20 08:00", occurrence="never")
    assert world.verdict("2026-11-25 09:00") == "wait: not_due"


def test_a_silence_answered_then_a_second_one_is_new():
    world = quiet_customer()
    silence(world, "2026-11-21 09:00:00")  # the very instant of the run that settled the first step
    assert world.verdict("2026-12-22 09:00") == "send"
    assert {row[2] for row in world.history["settled"]} == {"2026-10-21", "2026-11-21"}


def test_a_candidate_once_decided_about_keeps_its_occurrence():
    world = quiet_customer()
    silence(world, "2026-10-21 23:59:59")
    world.history["seen"].append((0, 0, "2026-10-25"))
    world.candidate("2026-11-20 08:00", occurrence="2026-10-25", rests_at="2026-10-25 08:00")
    assert {d.occurrence for d in world.run("2026-11-22 09:00")} == {"2026-10-21", "2026-10-25"}


def test_candidates_that_become_one_are_decided_once():
    world = quiet_customer()
    silence(world, "2026-10-21 23:59:59")
    silence(world, "2026-10-22 00:10:00")
    assert [verdict(d) for d in world.run("2026-11-22 09:00")] == ["wait: not_due"]


def test_ids_are_new_whenever_they_are_new():
    world = quiet_customer(survives={0: "none"})
    world.candidate("2026-11-22 08:00", occurrence="in_2", rests_at="2026-10-01 08:00")
    assert world.verdict("2026-11-22 09:00") == "send"
