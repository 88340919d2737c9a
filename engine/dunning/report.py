"""Counts a report from the relations of failed payments. Pure: the same relations and period, the same figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from engine.dunning.intervals import newcombe
from engine.dunning.relations import OUTCOMES

Money = Mapping[str, int]
"""Amounts in minor units, by currency: amounts of different currencies are never added."""


@dataclass(frozen=True)
class Tally:
    """How many invoices, and how much money."""

    invoices: int = 0
    money: Money = field(default_factory=dict)


@dataclass(frozen=True)
class Open:
    """What is open now, whenever it failed."""

    cases: int
    invoices: int
    money: Money


@dataclass(frozen=True)
class Recovery:
    """Invoices recovered after so many mails. None: nobody knows when they were paid."""

    mails: int | None
    held_out: bool
    """Never written to, on purpose: the control group."""
    invoices: int
    within_7_days: int
    """Of these, how many within 7 days of the last mail."""
    money: Money


@dataclass(frozen=True)
class GroupFigures:
    """What became of the invoices that failed for one kind of reason."""

    group: str
    outcomes: Mapping[str, int]
    recovered: Money


@dataclass(frozen=True)
class StepFigures:
    """One step of one rule: mails about invoices of the period, and recoveries of which it was the last mail."""

    rule: str
    step: str
    mails: int
    recovered: int
    within_7_days: int
    money: Money


@dataclass(frozen=True)
class Arm:
    """Invoices that came as far as a mail, or would have; and how many of them were recovered."""

    invoices: int = 0
    recovered: int = 0


@dataclass(frozen=True)
class Lift:
    """What a rule's mails add: recoveries among those written to, against those held out.

    An invoice belongs to its arm from the first mail that was due on, whether or not that one left: leaving out those
    whose mail was stopped, for instance because they had just paid, would make the arms incomparable.
    """

    rule: str
    treated: Arm
    control: Arm
    difference: float | None
    """Of the two shares, with its 95 % interval (Newcombe); None while an arm is empty."""
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Report:
    """Failed payments as of one instant, and what became of those that first failed from `since` until `until`."""

    as_of: datetime
    since: datetime
    until: datetime
    open: Open
    opened: Tally
    outcomes: Mapping[str, Tally]
    """Each invoice of `opened` in exactly one of `OUTCOMES`."""
    recoveries: tuple[Recovery, ...]
    cards: Mapping[str, Tally]
    """Recoveries by `same`, `new` or `unknown` card."""
    median_days: float | None
    """From the first failure to the money."""
    mails: int
    mails_per_recovery: float | None
    complaints: int
    """Addresses that reported our mail as spam after one of these mails."""
    groups: tuple[GroupFigures, ...]
    steps: tuple[StepFigures, ...]
    lifts: tuple[Lift, ...]


def report(
    db: duckdb.DuckDBPyConnection,
    as_of: datetime,
    since: datetime,
    until: datetime,
    held_out_rules: Collection[str] = (),
) -> Report:
    """Count. `held_out_rules` are those that name a holdout: each of them gets its lift."""
    db.execute(
        "CREATE OR REPLACE TABLE of_period AS SELECT * FROM failed_invoice WHERE failed_at >= ? AND failed_at < ?",
        [since, until],
    )
    outcomes = _tallies(db, "outcome", "TRUE")
    opened = _tallies(db, "'opened'", "TRUE")
    mails = _one(db, "SELECT coalesce(sum(mails), 0) FROM of_period")
    recovered = outcomes.get("recovered", Tally()).invoices
    days = "median((epoch_us(paid_at) - epoch_us(failed_at)) / 86400000000.0)"
    return Report(
        as_of=as_of, since=since, until=until, open=_open(db),
        opened=opened.get("opened", Tally()),
        outcomes={name: outcomes.get(name, Tally()) for name in OUTCOMES},
        recoveries=_recoveries(db),
        cards={"same": Tally(), "new": Tally(), "unknown": Tally(),
               **_tallies(db, "coalesce(card, 'unknown')", "outcome = 'recovered'")},
        median_days=_one(db, f"SELECT {days} FROM of_period WHERE outcome = 'recovered'"),
        mails=mails, mails_per_recovery=mails / recovered if recovered else None,
        complaints=_one(db, "SELECT count(DISTINCT address_key) FROM mail JOIN of_period USING (invoice_id) WHERE complained"),
        groups=_groups(db), steps=_steps(db), lifts=tuple(_lift(db, rule) for rule in held_out_rules),
    )  # fmt: skip


def _one(db: duckdb.DuckDBPyConnection, select: str) -> Any:
    return db.execute(select).fetchall()[0][0]


# Sums as BIGINT, because a sum of BIGINT is a HUGEINT, and DuckDB's maps keep what they are given.
_MONEY = "map_from_entries(list((currency, CAST(money AS BIGINT)) ORDER BY currency) FILTER (money <> 0))"


def _by_currency(keys: str, counts: Mapping[str, str], where: str) -> str:
    """A SELECT of keys, summed counts and money by currency, over `of_period`."""
    inner = ", ".join(f"{sql} AS {name}" for name, sql in counts.items())
    outer = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in counts)
    numbered = ", ".join(f"k{number}" for number in range(len(keys.split(" | "))))
    named = ", ".join(f"{key} AS k{number}" for number, key in enumerate(keys.split(" | ")))
    return (
        f"SELECT {numbered}, {outer}, {_MONEY} FROM (SELECT {named}, currency, {inner}, sum(money_minor) AS money "
        f"FROM of_period WHERE {where} GROUP BY ALL) GROUP BY {numbered} ORDER BY {numbered}"
    )


def _tallies(db: duckdb.DuckDBPyConnection, key: str, where: str) -> dict[str, Tally]:
    rows = db.execute(_by_currency(key, {"n": "count(*)"}, where)).fetchall()
    return {name: Tally(invoices, money or {}) for name, invoices, money in rows}


def _open(db: duckdb.DuckDBPyConnection) -> Open:
    """Sums over all cases, whatever the period."""
    rows = db.execute(
        "SELECT currency, count(*), sum(invoices), CAST(sum(amount_minor) AS BIGINT) FROM open_case GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return Open(sum(row[1] for row in rows), int(sum(row[2] for row in rows)), {row[0]: row[3] for row in rows})


def _recoveries(db: duckdb.DuckDBPyConnection) -> tuple[Recovery, ...]:
    """Before any mail first, then by the number of mails; those nobody can place come last."""
    select = _by_currency(
        "mails_before | coalesce(held_out AND mails_before = 0, FALSE)",
        {"n": "count(*)", "soon": "count(*) FILTER (soon)"}, "outcome = 'recovered'",
    )  # fmt: skip
    rows = db.execute(f"{select} NULLS LAST").fetchall()
    return tuple(
        Recovery(mails, held_out, invoices, soon, money or {}) for mails, held_out, invoices, soon, money in rows
    )


def _groups(db: duckdb.DuckDBPyConnection) -> tuple[GroupFigures, ...]:
    counts = db.execute("SELECT grp, outcome, count(*) FROM of_period GROUP BY ALL").fetchall()
    money = _tallies(db, "grp", "outcome = 'recovered'")
    found: dict[str, dict[str, int]] = {}
    for group, outcome, number in counts:
        found.setdefault(group, dict.fromkeys(OUTCOMES, 0))[outcome] = number
    most_first = sorted(found, key=lambda group: (-sum(found[group].values()), group))
    return tuple(GroupFigures(group, found[group], money.get(group, Tally()).money) for group in most_first)


def _steps(db: duckdb.DuckDBPyConnection) -> tuple[StepFigures, ...]:
    sent = db.execute(
        "SELECT m.rule, m.step, count(*), median(epoch_us(m.exposed_at) - epoch_us(p.failed_at)) AS usual "
        "FROM mail AS m JOIN of_period AS p USING (invoice_id) GROUP BY ALL ORDER BY m.rule, usual, m.step"
    ).fetchall()
    select = _by_currency(
        "last_rule | last_step", {"n": "count(*)", "soon": "count(*) FILTER (soon)"},
        "outcome = 'recovered' AND last_rule IS NOT NULL",
    )  # fmt: skip
    after = {(rule, step): rest for rule, step, *rest in db.execute(select).fetchall()}
    figures = []
    for rule, step, mails, _ in sent:
        recovered, soon, money = after.get((rule, step), (0, 0, {}))
        figures.append(StepFigures(rule, step, mails, recovered, soon, money or {}))
    return tuple(figures)


def _lift(db: duckdb.DuckDBPyConnection, rule: str) -> Lift:
    rows = db.execute(
        "SELECT held_out, count(*), count(*) FILTER (p.outcome = 'recovered') FROM (SELECT invoice_id, "
        "arg_min(held_out, (exposed_at, step)) AS held_out FROM case_exposure WHERE rule = ? GROUP BY 1) AS e "
        "JOIN (SELECT invoice_id, outcome FROM of_period) AS p USING (invoice_id) GROUP BY 1",
        [rule],
    ).fetchall()
    arms = {bool(held_out): Arm(invoices, recovered) for held_out, invoices, recovered in rows}
    treated, control = arms.get(False, Arm()), arms.get(True, Arm())
    if not (treated.invoices and control.invoices):
        return Lift(rule, treated, control, None, None, None)
    difference = treated.recovered / treated.invoices - control.recovered / control.invoices
    limits = newcombe(treated.recovered, treated.invoices, control.recovered, control.invoices)
    return Lift(rule, treated, control, difference, *limits)
