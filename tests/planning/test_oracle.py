"""Random companies, planned day by day: the SQL and the row-by-row planner must agree on every decision."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import Oracle
from planning_random import AUTUMN, SPRING, facts, found, world
from planning_world import Plain

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "25"))
FIELDS = ("rule_no", "cust", "occurrence", "anchor", "step_id", "outcome", "reason", "detail", "not_before",
          "local_date", "arm", "template")  # fmt: skip
TALLY: Counter[str] = Counter()


def table(decisions: list[Plain]) -> list[tuple[Any, ...]]:
    return sorted((tuple(getattr(one, name) for name in FIELDS) for one in decisions), key=str)


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
        TALLY.update(f"{one.outcome}: {one.reason}" for one in expected)
        assert table(company.run(now, **special)) == table(expected)
        now += timedelta(days=r.choice((1, 1, 1, 1, 2, 5, 9)))
