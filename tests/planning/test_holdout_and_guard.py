from collections import Counter

import pytest
from planning_world import Guard, Variant, World, caps, rule, step, verdict

from engine.planning import draw

RUN = "2026-11-20 09:00"


def crowd(*rules, people=200, **settings):
    world = World(list(rules), settings=settings)
    for cust in range(people):
        world.person()
        for rule_no in range(len(rules)):
            world.candidate("2026-11-20 08:00", cust, rule_no)
    return world


def test_the_holdout_is_drawn_by_the_hash_that_python_knows_too():
    world = crowd(rule("r", holdout=0.3))
    held = {d.cust for d in world.plan(RUN) if d.outcome == "hold_out"}
    assert held == {cust for cust in range(200) if draw("salt", "r", f"c{cust}") < 0.3 * 16**15}
    assert 40 <= len(held) <= 80
    assert {d.arm for d in world.plan(RUN) if d.cust in held} == {"control"}


def test_the_hash_never_changes():
    assert draw("s", "r", "c") == 132530575819756862


def test_a_renamed_rule_keeps_its_control_group():
    held = [
        {d.cust for d in crowd(one, people=60).plan(RUN) if d.outcome == "hold_out"}
        for one in (rule("old", holdout=0.5), rule("new", holdout=0.5, was=("old",)))
    ]
    assert held[0] == held[1]


def test_holdouts_of_two_rules_are_independent_and_the_global_one_is_shared():
    def held(world):
        decisions = world.plan(RUN)
        return [{d.cust for d in decisions if d.rule_no == no and d.outcome == "hold_out"} for no in (0, 1)]

    one, two = held(crowd(rule("one", holdout=0.5), rule("two", holdout=0.5)))
    assert 25 < len(one & two) < 75
    one, two = held(crowd(rule("one"), rule("two"), holdout_global=0.2))
    assert one == two
    assert 20 < len(one) < 60


@pytest.mark.parametrize(
    ("class_", "own", "everywhere"), [("marketing", 200, 200), ("service", 200, 0), ("legal", 0, 0)]
)
def test_service_is_held_out_only_by_its_own_rule_and_legal_never(class_, own, everywhere):
    def count(**settings):
        share = settings.pop("holdout", 0.0)
        decisions = crowd(rule("r", class_=class_, holdout=share), **settings).plan(RUN)
        return sum(d.outcome == "hold_out" for d in decisions)

    assert (count(holdout=1.0), count(holdout_global=1.0)) == (own, everywhere)


def test_the_held_out_use_up_caps_and_climb_the_ladder():
    world = crowd(rule("r", step("one"), step("two", wait="1 day"), holdout=1.0, priority=60), rule("news"),
                  people=1, caps=caps("1/1"))  # fmt: skip
    assert [verdict(d) for d in world.run(RUN)] == ["hold_out", "defer: outranked r"]
    assert [(d.step_id, verdict(d)) for d in world.run("2026-11-21 09:00")] == [
        ("two", "hold_out"), ("mail", "defer: outranked r")]  # fmt: skip


def test_variants_divide_by_share_and_stay_with_the_customer():
    step_ = step("offer", variants={"a": Variant("mail-a", 0.25), "b": Variant("mail-b", 0.75)})
    decisions = crowd(rule("r", step_)).plan(RUN)
    arms = Counter(d.arm for d in decisions)
    assert 30 <= arms["a"] <= 70
    assert arms["a"] + arms["b"] == 200
    assert {(d.arm, d.template) for d in decisions} == {("a", "mail-a"), ("b", "mail-b")}
    for d in decisions:
        assert (d.arm == "a") == (draw("salt", "r", "offer", f"c{d.cust}") < 0.25 * 16**15)


GUARD = Guard(share=0.5, first_run=50, growth=3, floor=20)


def guarded(people, history=(), rules=None, **settings):
    world = crowd(*(rules or [rule("r")]), people=people, guard=GUARD, **{"customers": 1000, **settings})
    world.history["rule_history"] += [(0, no, sends) for no, sends in enumerate(history)]
    return Counter(verdict(d) for d in world.run(RUN))


def test_a_rule_that_never_ran_may_send_first_run_messages():
    assert guarded(50) == {"send": 50}
    assert guarded(51) == {"held: held_for_review 51 messages": 51}


def test_later_it_may_send_growth_times_its_usual_number():
    assert guarded(90, [30, 30, 500]) == {"send": 90}
    assert guarded(91, [30, 30, 500]) == {"held: held_for_review 91 messages": 91}
    assert guarded(60, [1000] * 5 + [20] * 14) == {"send": 60}
    assert guarded(61, [1000] * 50 + [20] * 14) == {"held: held_for_review 61 messages": 61}


def test_it_may_never_send_to_more_than_a_share_of_all_customers_and_always_to_a_few():
    assert guarded(41, [500], customers=80) == {"held: held_for_review 41 messages": 41}
    assert guarded(20, [0], customers=20) == {"send": 20}


def test_a_held_rule_settles_nothing_and_frees_no_place():
    rules = [rule("r", priority=60, holdout=0.2), rule("news")]
    world = crowd(*rules, people=100, guard=GUARD, customers=1000, caps=caps("1/1"))
    world.candidate("2026-11-01 08:00", 0, occurrence="late")
    world.history["seen"].append((0, 0, "late"))
    found = Counter((d.rule_no, d.outcome, d.reason) for d in world.run(RUN))
    assert found == {(0, "held", "held_for_review"): 100, (0, "skip", "too_late"): 1, (1, "defer", "outranked"): 100}
    assert world.history["settled"] == []


def test_an_approved_rule_passes_and_a_rule_may_have_a_guard_of_its_own():
    assert guarded(60, approved_rules={0}) == {"send": 60}
    assert guarded(60, rules=[rule("r", guard="off")]) == {"send": 60}
    assert guarded(60, rules=[rule("r", guard=Guard(share=1, first_run=60, growth=3, floor=1))]) == {"send": 60}
    assert guarded(60, rules=[rule("r", status="shadow")]) == {"shadow": 60}


def test_waiting_for_approval_is_not_lateness():
    world = crowd(rule("r", send_within="1 day"), people=60, guard=GUARD, customers=1000)
    for day in (20, 25):
        assert {verdict(d) for d in world.run(f"2026-11-{day} 09:00")} == {"held: held_for_review 60 messages"}
        world.history["rule_history"].clear()
    assert {verdict(d) for d in world.run("2026-11-26 09:00", approved_rules={0})} == {"send"}
