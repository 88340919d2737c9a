from datetime import timedelta

import pytest
from planning_world import World, at, caps, rule, step, verdict

RUN = "2026-11-20 09:00"
USUAL = caps("1/1", "2/7", "4/30", payment="1/2")


def inbox(*rules, people=1, **settings):
    """One candidate per rule for every customer, all due."""
    world = World(list(rules), settings={"caps": USUAL, **settings})
    for _ in range(people):
        world.person()
    for cust in range(people):
        for rule_no in range(len(rules)):
            world.candidate("2026-11-20 08:00", cust, rule_no)
    return world


def verdicts(world, run=RUN):
    return [verdict(d) for d in world.run(run)]


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (["2026-11-20"], "defer: cap 1/1 day"),
        (["2026-11-14", "2026-11-15"], "defer: cap 2/7 days"),
        (["2026-11-13", "2026-11-14"], "send"),
        (["2026-10-22", "2026-10-29", "2026-11-05", "2026-11-12"], "defer: cap 4/30 days"),
        (["2026-10-21", "2026-10-29", "2026-11-05", "2026-11-12"], "send"),
        (["2026-11-19", "2026-11-20"], "defer: cap 1/1 day"),  # the shortest window names the reason
    ],
)
def test_windows_are_local_dates_today_included(earlier, expected):
    world = inbox(rule("news"))
    world.expose(*earlier)
    assert verdicts(world) == [expected]


def test_a_window_also_looks_at_what_is_planned_for_tomorrow():
    world = inbox(rule("news"), caps=caps("2/3"))
    world.expose("2026-11-19", "2026-11-21")
    assert verdicts(world) == ["defer: cap 2/3 days"]
    world = inbox(rule("news"), caps=caps("2/3"))
    world.expose("2026-11-18", "2026-11-21")
    assert verdicts(world) == ["send"]


def test_exposures_taken_back_do_not_count():
    world = inbox(rule("news"))
    world.expose("2026-11-20")
    world.history["exposure"][0] = (*world.history["exposure"][0][:-1], False)
    assert verdicts(world) == ["send"]


def test_payment_mails_count_but_are_never_stopped_by_the_caps_of_all():
    world = inbox(rule("dunning", class_="service", topic="dunning"), rule("news"))
    assert verdicts(world) == ["send", "defer: outranked dunning"]
    world = inbox(rule("dunning", class_="service", topic="dunning"))
    world.expose("2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20")
    assert verdicts(world) == ["send"]


def test_an_uncapped_rule_counts_and_is_never_stopped():
    world = inbox(rule("tips", capped=False, priority=0), rule("news", priority=99))
    world.expose("2026-11-20", topic="x")
    assert verdicts(world) == ["send", "defer: cap 1/1 day"]
    assert verdicts(inbox(rule("tips", capped=False, priority=0), rule("news", priority=99))) == [
        "send", "defer: outranked tips"]  # fmt: skip


@pytest.mark.parametrize("class_", ["marketing", "service", "legal"])
def test_a_topic_cap_stops_every_class_on_that_topic(class_):
    world = inbox(rule("dunning", class_=class_, topic="payment"))
    world.expose("2026-11-19", topic="payment")
    assert verdicts(world) == ["defer: cap 1/2 days"]
    world = inbox(rule("dunning", class_=class_, topic="payment"), caps=caps(payment="1/2"))
    world.expose("2026-11-19", topic="other")
    assert verdicts(world) == ["send"]


def test_service_comes_before_marketing_of_any_priority_on_a_capped_topic():
    world = inbox(rule("offer", topic="payment", priority=99), rule("dunning", topic="payment", class_="service"))
    assert verdicts(world) == ["defer: outranked dunning", "send"]


def test_priority_then_earlier_anchor_then_rule_id_decide_who_gets_the_place():
    world = inbox(rule("low", priority=10), rule("high", priority=60), rule("mid", priority=50))
    assert verdicts(world) == ["defer: outranked high", "send", "defer: outranked high"]
    world = inbox(rule("b"), rule("a"), rule("c"))
    assert verdicts(world) == ["defer: outranked a", "send", "defer: outranked a"]
    world.candidates[0] = (*world.candidates[0][:3], at("2026-11-20 07:00"), *world.candidates[0][4:])
    world.history = World([]).history
    assert verdicts(world) == ["send", "defer: outranked b", "defer: outranked b"]


def test_the_outranked_goes_out_the_next_day():
    world = inbox(rule("high", priority=60), rule("low"), caps=caps("1/1"))
    assert verdicts(world) == ["send", "defer: outranked high"]
    assert verdicts(world, "2026-11-21 09:00") == ["wait: already_sent", "send"]


def test_two_customers_with_one_address_share_its_caps():
    world = inbox(rule("news"), people=3)
    world.people = [(*p[:3], 7, *p[4:]) if p[0] < 2 else p for p in world.people]
    assert verdicts(world) == ["send", "defer: outranked news", "send"]


def test_less_often_halves_the_caps_but_leaves_one_in_each_window():
    world = inbox(rule("news"))
    world.suppress("less_often")
    world.expose("2026-11-14")
    assert verdicts(world) == ["defer: cap 1/7 days"]
    world = inbox(rule("news"))
    world.suppress("less_often")
    world.expose("2026-10-23", "2026-11-01")
    assert verdicts(world) == ["defer: cap 2/30 days"]
    world = inbox(rule("news"))
    world.suppress("less_often")
    assert verdicts(world) == ["send"]


def test_shadow_rules_are_judged_in_their_place_and_take_none():
    shadow = rule("trial", priority=60, status="shadow")
    assert verdicts(inbox(shadow, rule("news"))) == ["shadow", "send"]
    assert verdicts(inbox(rule("trial", priority=10, status="shadow"), rule("news"))) == [
        "defer: outranked news", "send"]  # fmt: skip
    assert verdicts(inbox(shadow, rule("news"), rule("tips", priority=40), caps=caps("2/1"))) == [
        "shadow",
        "send",
        "send",
    ]
    world = inbox(shadow, rule("news"))
    world.run(RUN)
    assert [row[2] for row in world.history["exposure"]] == ["news"]
    assert verdicts(world, "2026-11-21 09:00")[0] == "wait: already_sent"


def test_tasks_take_no_place():
    world = inbox(rule("call", step(channel="task"), priority=60), rule("news"))
    assert verdicts(world) == ["send", "send"]


def test_daily_limit_prefers_the_newest_and_is_not_lateness():
    world = World([rule("r", daily_limit=2, send_within="1 day")])
    for cust in range(5):
        world.person()
        world.candidate(at("2026-11-20 08:00") - timedelta(minutes=cust), cust)
    days = [verdicts(world, f"2026-11-{day} 09:00") for day in (20, 21, 22)]
    assert [[no for no, what in enumerate(day) if what == "send"] for day in days] == [[0, 1], [2, 3], [4]]
    assert days[0][2] == "defer: daily_limit"


def test_what_daily_limit_refuses_takes_no_place():
    world = inbox(rule("rare", priority=90, daily_limit=1), rule("news"), people=2)
    assert sorted(verdicts(world)) == ["defer: daily_limit", "defer: outranked rare", "send", "send"]


def test_a_second_run_of_the_day_does_not_double_the_daily_limit():
    world = World([rule("r", daily_limit=1)])
    for cust in range(2):
        world.person()
        world.candidate("2026-11-20 08:00", cust)
    assert sorted(verdicts(world) + verdicts(world)) == [
        "defer: daily_limit", "defer: daily_limit", "send", "wait: already_sent"]  # fmt: skip


def test_only_one_ladder_of_a_rule_with_repeat_after_starts_at_a_time():
    world = World([rule("r", repeat_after="7 days")])
    world.person()
    world.candidate("2026-11-20 07:00", occurrence="late", rests_at=None)
    world.candidate("2026-11-20 06:00", occurrence="early", rests_at=None)
    assert verdicts(world) == ["send", "defer: repeat_too_soon"]
    assert verdicts(world, "2026-11-26 09:00") == ["wait: already_sent", "defer: repeat_too_soon"]
    assert verdicts(world, "2026-11-27 09:00") == ["wait: already_sent", "send"]
