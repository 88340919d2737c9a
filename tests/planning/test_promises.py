"""What holds for every company, every history and every order of rows."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_random import AUTUMN, SPRING, facts, found, world
from planning_world import TABLES, World, at, connection, rows, rule

from engine.planning import Outcome, Reason, plan
from engine.warehouse.zones import create_zone_tables

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "3"))


def test_planning_cannot_read_a_file(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with duckdb.connect() as db:
        db.execute(TABLES)
        create_zone_tables(db, ["UTC"], 2026, 2026)
        assert db.execute(f"FROM '{secret}'").fetchall() == [(1,)]
        plan(db, [rule()], World([rule()]).options(at("2026-11-20 09:00")))
        for attempt in (
            f"FROM '{secret}'",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                db.execute(attempt)


def test_every_reason_leads_to_one_outcome_and_has_its_sentence():
    assert all(member.doc.endswith(".") for member in (*Reason, *Outcome))
    assert [reason for reason in Reason if reason.outcome is None] == [Reason.DUE]
    assert {Reason(str(reason)) for reason in Reason} == set(Reason)


def key(row):
    return (row.rule_no, row.cust, row.occurrence, row.step_id)


def outcomes(decisions, people):
    """Decisions by what the world knows, not by row numbers."""
    return {
        (d.rule_no, people[d.cust][1], d.occurrence, d.step_id): (d.outcome, d.reason, d.detail, d.not_before, d.arm)
        for d in decisions
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([SPRING, AUTUMN]))
def test_promises(seed, start):
    r = Random(seed)
    company = world(r, start)
    company.settings["guard"] = None  # the guard looks at all customers together, on purpose
    wanted, now = facts(r, company, start), start
    sent: Counter[tuple[object, ...]] = Counter()
    for _ in range(3):
        company.candidates = found(wanted, start, now)
        before = len(company.history["exposure"])
        decisions = company.plan(now)
        shuffled_and_alone(r, company, now, decisions)
        assert company.run(now) == decisions
        one_decision_each(decisions)
        caps_hold(company, decisions, company.history["exposure"][:before])
        sent.update(key(d) for d in decisions if d.outcome in {"send", "hold_out", "shadow"})
        again = company.plan(now)
        assert not [d for d in again if key(d) in sent and d.outcome in {"send", "hold_out", "shadow"}]
        now += timedelta(days=r.choice((1, 1, 2, 6)))
    assert set(sent.values()) <= {1}
    draws_are_stable(company)


def one_decision_each(decisions):
    """Every candidate has one decision beside its superseded steps."""
    counted = Counter((d.rule_no, d.cust, d.occurrence) for d in decisions if d.reason != "superseded")
    assert set(counted.values()) <= {1}
    assert {(d.rule_no, d.cust, d.occurrence) for d in decisions} == set(counted)


def caps_hold(company, decisions, earlier):
    """No window that holds a message which caps can stop has more messages than the cap allows."""
    for d in (d for d in decisions if d.outcome in {"send", "hold_out"} and d.channel == "email"):
        one, addr = company.rules[d.rule_no], company.people[d.cust][3]
        here = [(row[4], row[6]) for row in earlier if row[0] == addr and row[7]]
        here += [
            (company.rules[o.rule_no].topic, o.local_date)
            for o in decisions
            if o.outcome in {"send", "hold_out"} and o.channel == "email" and company.people[o.cust][3] == addr
        ]
        limits = [(cap, [day for topic, day in here if topic == one.topic])
                  for cap in company.settings["caps"].topics.get(one.topic, ())]  # fmt: skip
        if one.class_ == "marketing" and one.capped:
            limits += [(cap, [day for _, day in here]) for cap in company.settings["caps"].all]
        for cap, days in limits:
            for start in (d.local_date - timedelta(days=back) for back in range(cap.days)):
                assert sum(start <= day < start + timedelta(days=cap.days) for day in days) <= cap.limit


def shuffled_and_alone(r, company, now, decisions):
    """The order of rows changes nobody's outcome, and neither do customers at other addresses."""
    expected = outcomes(decisions, company.people)
    kept = company.people, company.candidates, company.history
    company.candidates = r.sample(company.candidates, len(company.candidates))
    company.history = {table: r.sample(rows_, len(rows_)) for table, rows_ in company.history.items()}
    assert outcomes(company.plan(now), company.people) == expected
    some = r.choice(company.people)[3]
    if not any(one.daily_limit for one in company.rules):
        company.candidates = [row for row in company.candidates if company.people[row[1]][3] == some]
        alone = outcomes(company.plan(now), company.people)
        mine = {cust[1] for cust in company.people if cust[3] == some}
        assert alone == {k: v for k, v in expected.items() if k[1] in mine}
    company.people, company.candidates, company.history = kept


def draws_are_stable(company):
    """Whoever is held out of a rule once is held out of it always."""
    settled = {(row[0], row[1], row[5]) for row in company.history["settled"] if row[5] in {"sent", "held_out"}}
    both = {pair for pair in {(no, cust) for no, cust, _ in settled}
            if {(*pair, "sent"), (*pair, "held_out")} <= settled}  # fmt: skip
    assert both == set()


def test_a_second_planning_replaces_the_first():
    company = World([rule()])
    company.person()
    company.candidate("2026-11-20 08:00")
    assert company.plan("2026-11-20 09:00") == company.plan("2026-11-20 09:00")
    assert len(rows(connection(), "settling")) == 1
