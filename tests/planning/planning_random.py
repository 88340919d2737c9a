"""Random companies: everything a rule can say, squeezed into a few weeks around a clock change."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from random import Random
from typing import Any

from planning_world import Guard, QuietHours, Variant, World, caps, rule, step

from engine.project.rules import Rule, Step

SPRING = datetime(2027, 3, 12, 9)  # New York springs forward on the 14th, London on the 28th
AUTUMN = datetime(2026, 10, 22, 8)  # London falls back on the 25th, New York on 1 November
ZONES = ("Europe/London", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")
SPREAD = ((-3, 1), (-3, 1), (-9, 4), (-60, 20))  # days between a candidate's anchor and the first run
TIMES = (None, None, None, time(9), time(1, 30), time(2, 30), time(23))


def ladder(r: Random) -> tuple[Step, ...]:
    """Steps in any order a user could write, sensible or not."""
    lengths = (
        "0 days",
        "0 days",
        "0 days",
        "1 day",
        "1 day",
        "2 days",
        "3 days",
        "1 week",
        "1 month",
        "2 hours",
        "30 hours",
    )
    return tuple(
        step(
            name,
            **{r.choice(("after", "after", "wait", "wait", "before")): r.choice(lengths)},
            send_at=r.choice(TIMES),
            channel=r.choice(("email", "email", "email", "email", "task")),
            send_within=r.choice((None, None, None, None, "0 days", "2 days", "5 hours", "1 month")),
            **({"variants": {"a": Variant("mail-a", 0.3), "b": Variant("mail-b", 0.7)}} if r.random() < 0.2 else {}),
        )
        for name in r.sample("abcdef", r.choice((0, 1, 1, 1, 1, 2, 2, 2, 3)))
    )


def one_rule(r: Random, no: int) -> Rule:
    class_ = r.choice(("marketing", "marketing", "marketing", "service", "legal"))
    return rule(
        f"r{9 - no}",
        steps=ladder(r),
        class_=class_,
        topic=r.choice((class_, class_, "payment")),
        status=r.choice(("active",) * 8 + ("shadow", "paused")),
        priority=r.choice((50, 60)),
        existing=r.choice(("skip", "skip", "include")),
        days=r.choice((frozenset(),) * 5 + (frozenset({0}), frozenset({1, 4}))),
        send_at=r.choice(TIMES),
        repeat_after=r.choice((None, None, "2 days", "1 week")),
        quiet_hours=r.choice((None, None, None, None, None, QuietHours(time(12), time(14)), "off")),
        goal=r.choice((True, False)),
        blocks=r.choice(((),) * 16 + (("marketing",), ("payment",))),
        blocks_for=r.choice((None, "3 days")),
        daily_limit=r.choice((None, None, 1, 3)),
        capped=r.choice((True, True, False)),
        holdout=r.choice((0.0, 0.3)),
        trigger=r.choice(("event", "card_expiring")),
    )


def crowded_rule(r: Random, no: int) -> Rule:
    """A single step at the anchor: what is left to decide is who gets the place."""
    class_ = r.choice(("marketing", "marketing", "marketing", "service", "legal"))
    return rule(
        f"r{9 - no}",
        step("a", send_at=r.choice((None, None, time(1, 30), time(23)))),
        class_=class_,
        topic=r.choice((class_, "payment", "news")),
        status=r.choice(("active",) * 4 + ("shadow",)),
        priority=r.choice((50, 60)),
        repeat_after=r.choice((None, None, None, "2 days")),
        daily_limit=r.choice((None, None, None, 3)),
        capped=r.choice((True, True, True, False)),
        holdout=0.2,
    )


def world(r: Random, start: datetime) -> World:
    """Half of the worlds try every part of a rule, half crowd a few inboxes."""
    make = r.choice((one_rule, crowded_rule))
    made = World([make(r, no) for no in range(r.randint(1, 8))])
    people = r.choice((2, 4, 8, 16))
    for no in range(people):
        made.person(
            r.choice(ZONES),
            customer_id=f"c{99 - no}",
            addr=r.choice((1, 2, 3, 100 + no, 100 + no)),
            address_state=r.choice(("ok",) * 12 + ("none", "invalid")),
            country=r.choice(("DE", "GB", "GB", None)),
            consent=r.choice((True,) * 8 + (False, None)),
            consent_proved=r.choice((True, True, False)),
        )
    kinds = ("unsubscribed", "bounced", "complained", "erased", "not_until", "less_often", "less_often")
    for _ in range(r.choice((0, 0, 1, 3))):
        until = (start + timedelta(days=r.randint(-2, 4))).date()
        made.suppress(r.choice(kinds), r.randrange(people), r.choice((None, "marketing", "payment")), until)
    for _ in range(r.choice((0, 3, 6))):
        day = (start + timedelta(days=r.randint(-20, 3))).date()
        made.expose(str(day), cust=r.randrange(people), topic=r.choice(("marketing", "payment", "service")),
                    rule_id=r.choice(("other", "r9")))  # fmt: skip
    every = [
        caps(),
        caps("1/1", "2/7", "4/30", payment="1/2"),
        caps("3/4", "2/1"),
        caps("2/3", marketing="1/2", news="3/3"),
    ]
    made.settings = {
        "caps": r.choice(every),
        "quiet_hours": r.choice((None, QuietHours(time(21), time(8)))),
        "guard": r.choice((None, None, Guard(share=0.5, first_run=2, growth=2, floor=1))),
        "holdout_global": r.choice((0.0, 0.2)),
        "require_in": r.choice(((), (), ("DE",))),
        "survives": {no: r.choice(("past", "near_date", "opened", "none")) for no in range(4)},
    }
    return made


def facts(r: Random, made: World, start: datetime) -> list[dict[str, Any]]:
    """What the company's triggers will find: from which day on, and what about it changes later."""
    return [
        {
            "rule_no": r.randrange(len(made.rules)),
            "cust": r.randrange(len(made.people)),
            "anchor": start + timedelta(days=r.randint(*r.choice(SPREAD)), minutes=r.randint(0, 1439)),
            "from_day": r.choice((0, 0, 0, 1, 2)),
            "moves": r.choice((0,) * 6 + (1, 26)),  # hours, from the second day on
            "rests": r.choice((None, 0, -48)),
            "ended": r.random() < 0.05,
            "goal_at": r.choice((None, None, None, start + timedelta(hours=30))),
            "failing": r.choice((0,) * 8 + (1, 3)),
        }
        for _ in range(r.choice((10, 40, 80)))
    ]  # fmt: skip


def found(wanted: list[dict[str, Any]], start: datetime, now: datetime) -> list[tuple[Any, ...]]:
    """Rows of `candidate` at `now`, unique as evaluation keeps them."""
    day, rows = (now - start).days, {}
    for want in wanted:
        if day < want["from_day"]:
            continue
        anchor = want["anchor"] + timedelta(hours=want["moves"] if day else 0)
        rests_at = None if want["rests"] is None else anchor + timedelta(hours=want["rests"])
        key = (want["rule_no"], want["cust"], f"x:{anchor:%Y-%m-%d}")
        rows[key] = (*key, anchor, rests_at, want["ended"], want["goal_at"], want["failing"])
    return list(rows.values())
