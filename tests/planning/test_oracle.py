"""Random companies, planned day by day: the SQL and the row-by-row planner must agree on every decision."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import zip_longest
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import Oracle
from planning_random import AUTUMN, SPRING, facts, found, world
from planning_world import Plain

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "8"))
FIELDS = ("rule_no", "cust", "occurrence", "anchor", "step_id", "outcome", "reason", "not_before", "expires_at",
          "local_date", "arm", "template", "detail")  # fmt: skip


def table(decisions: list[Plain]) -> list[tuple[Any, ...]]:
    for one in decisions:  # most existing candidates are told apart without working out when they expired
        one.expires_at = None if one.reason == "existing" else one.expires_at
    return sorted((tuple(getattr(one, name) for name in FIELDS) for one in decisions), key=str)


def unlike(decided: list[Plain], worked_out: list[Plain]) -> list[tuple[Any, ...]]:
    """Rows that differ. Where several messages fill a window, either may be the one that outranks."""
    pairs = zip_longest(table(decided), table(worked_out), fillvalue=(None,))
    return [(got, wanted) for got, wanted in pairs if got[:-1] != wanted[:-1] or not names(got[-1], wanted[-1])]


def names(detail: str | None, wanted: object) -> bool:
    return detail in wanted if isinstance(wanted, set) else detail == wanted


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([SPRING, AUTUMN]))
def test_every_decision_is_the_one_worked_out_by_hand(seed, start):
    r = Random(seed)
    company = world(r, start)
    wanted, now = facts(r, company, start), start
    first_day = r.choice(({}, {}, {}, {"paused_rules": {0}}, {"held_rules": {0: "stale_table"}}))
    for day in range(r.randint(1, 4)):
        company.candidates = found(wanted, start, now)
        special = {} if day else first_day
        expected = Oracle(company, now, **special).decide()
        assert unlike(company.run(now, **special), expected) == []
        now += timedelta(days=r.choice((1, 1, 1, 1, 2, 5, 9)))
