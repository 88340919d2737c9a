"""A small company to plan for: rules, people, candidates and history, run day after day.

`World.run` plans one day and keeps what the state database would keep, so that a test reads like a calendar.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from types import SimpleNamespace as Plain
from typing import Any

import duckdb

from engine.planning import PlanOptions, plan
from engine.project.durations import Duration
from engine.project.rules import Goal, Rule, Step, TriggerUse, Variant
from engine.project.settings_values import Cap, Guard, QuietHours
from engine.project.trigger_spec import TriggerParams
from engine.warehouse.zones import create_zone_tables

ZONES = ("UTC", "Europe/London", "America/New_York", "Pacific/Auckland", "Asia/Kolkata", "America/Sao_Paulo")

TABLES = """
CREATE OR REPLACE TABLE person (cust INTEGER, customer_id VARCHAR, address VARCHAR, addr INTEGER, address_state VARCHAR,
    zone_no INTEGER, country VARCHAR, consent BOOLEAN, consent_proved BOOLEAN, account_id VARCHAR);
CREATE OR REPLACE TABLE candidate (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, anchor TIMESTAMP,
    rests_at TIMESTAMP, ended BOOLEAN, goal_at TIMESTAMP, failing_steps UINTEGER);
CREATE OR REPLACE TABLE settled (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, step_id VARCHAR, local_date DATE,
    how VARCHAR, settled_at TIMESTAMP, anchor TIMESTAMP, own BOOLEAN);
CREATE OR REPLACE TABLE seen (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR);
CREATE OR REPLACE TABLE exposure (addr INTEGER, cust INTEGER, rule_id VARCHAR, occurrence VARCHAR, topic VARCHAR,
    class VARCHAR, local_date DATE, counts BOOLEAN);
CREATE OR REPLACE TABLE erased_person (cust INTEGER);
CREATE OR REPLACE TABLE suppression (addr INTEGER, kind VARCHAR, topic VARCHAR, until DATE);
CREATE OR REPLACE TABLE last_decision (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, step_id VARCHAR,
    outcome VARCHAR, reason VARCHAR, decided_at TIMESTAMP, waited_s BIGINT);
CREATE OR REPLACE TABLE rule_history (rule_no USMALLINT, run_no INTEGER, sends BIGINT);
"""
HISTORY = ("settled", "seen", "exposure", "suppression", "last_decision", "rule_history")
_NOT_STORED = {"not_due", "already_sent", "existing"}


def spell(text: str | None) -> Duration | None:
    return Duration.parse(text) if text else None


def step(send: str = "mail", **given: Any) -> Step:
    """A step; `after`, `wait`, `before` and `send_within` as text. `rule` numbers it."""
    lengths = {key: spell(given.pop(key, None)) for key in ("after", "wait", "before", "send_within")}
    defaults = {"id": send, "no": 0, "variants": {}, "where": None, "send_at": None, "channel": "email"}
    return Step(**lengths, **{**defaults, "send": None if "variants" in given else send, **given})


def rule(name: str = "r", *steps: Step, **given: Any) -> Rule:
    """A rule; `repeat_after`, `send_within` and `blocks_for` as text. No steps given: a single one."""
    lengths = {key: spell(given.pop(key, None)) for key in ("repeat_after", "send_within", "blocks_for")}
    class_ = given.get("class_", "marketing")
    ladder = given.pop("steps", steps or (step(),))
    goal = Goal(("login",), False, False, False, Duration(14, "days"), given.pop("goal")) if "goal" in given else None
    trigger = TriggerUse(given.pop("trigger", "event"), TriggerParams())
    defaults = {
        "id": name, "was": (), "description": "", "owner": None, "status": "active", "class_": class_, "ground": None,
        "topic": class_, "priority": 50, "trigger": trigger, "where": None, "holdout": 0.0, "goal": goal,
        "schedule": "daily", "send_at": None, "days": frozenset(), "quiet_hours": None, "existing": "skip",
        "scope": None, "facts": {}, "blocks": (), "exit_when": None, "daily_limit": None, "capped": True,
        "guard": None, "resend": 0, "path": "rules/r.yaml", "line": 1, "text": "",
        "steps": tuple(replace(one, no=no) for no, one in enumerate(ladder)),
    }  # fmt: skip
    return Rule(**lengths, **{**defaults, **given})


def caps(*all_: str, **topics: str) -> Plain:
    """`caps("1/1", "2/7", payment="1/2")`."""
    return Plain(all=tuple(map(_cap, all_)), topics={topic: (_cap(text),) for topic, text in topics.items()})


def _cap(text: str) -> Cap:
    limit, days = text.split("/")
    return Cap(int(limit), int(days))


NO_CAPS = caps()
QUIET = QuietHours(time(21), time(8))


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One database for all worlds of a test run: making the zone tables is the dearest part of a small one."""
    db = duckdb.connect(config={"threads": 1})
    create_zone_tables(db, ZONES, 2020, 2035)
    return db


@dataclass
class World:
    """One workspace in London with a daily run at 09:00 local time, which is 09:00 UTC in winter."""

    rules: list[Any]
    people: list[tuple[Any, ...]] = field(default_factory=list)
    candidates: list[tuple[Any, ...]] = field(default_factory=list)
    history: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in HISTORY})
    settings: dict[str, Any] = field(default_factory=dict)
    runs: int = 0

    def person(self, zone: str = "Europe/London", **given: Any) -> int:
        """Add a customer with an address of their own; returns `cust`."""
        cust = len(self.people)
        state = given.get("address_state", "ok")
        addr = None if state != "ok" else given.get("addr", 1000 + cust)
        name = given.get("customer_id", f"c{cust}")
        self.people.append((cust, name, f"{name}@example.com" if state == "ok" else None, addr, state,
                            ZONES.index(zone), given.get("country", "GB"), given.get("consent", True),
                            given.get("consent_proved", True), given.get("account_id")))  # fmt: skip
        return cust

    def candidate(self, anchor: datetime | str, cust: int = 0, rule_no: int = 0, **given: Any) -> None:
        """Add what the trigger finds: everything about it but `anchor` has a quiet default."""
        moment = at(anchor)
        self.candidates.append((rule_no, cust, given.get("occurrence", f"{moment:%Y-%m-%d}"), moment,
                                at(given.get("rests_at")), given.get("ended", False), at(given.get("goal_at")),
                                given.get("failing_steps", 0)))  # fmt: skip

    def suppress(self, kind: str, cust: int = 0, topic: str | None = None, until: date | None = None) -> None:
        self.history["suppression"].append((self.people[cust][3], kind, topic, until))

    def expose(self, *days: str, cust: int = 0, topic: str = "marketing", rule_id: str = "other") -> None:
        """Earlier messages to this customer's address."""
        for day in days:
            self.history["exposure"].append((self.people[cust][3], cust, rule_id, "x", topic, "marketing",
                                             date.fromisoformat(day), True))  # fmt: skip

    def options(self, as_of: datetime, **given: Any) -> PlanOptions:
        defaults = {
            "as_of": as_of, "horizon": as_of + timedelta(days=1), "send_at": time(9), "quiet_hours": None,
            "caps": NO_CAPS, "holdout_global": 0.0, "salt": "salt", "guard": None, "customers": len(self.people),
            "people_only": ("task", "webhook"),
        }  # fmt: skip
        return PlanOptions(**{**defaults, **self.settings, **given})

    def database(self) -> duckdb.DuckDBPyConnection:
        """The connection of all worlds, filled with this one's tables."""
        db = connection()
        db.execute(TABLES)
        for table, rows in {"person": self.people, "candidate": self.candidates, **self.history}.items():
            if rows:
                places = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
                db.execute(f"INSERT INTO {table} VALUES {places}", [value for row in rows for value in row])
        return db

    def plan(self, as_of: datetime | str, **given: Any) -> list[Plain]:
        """Decisions of one run, nothing remembered."""
        return self._plan(at(as_of), given)[0]

    def run(self, as_of: datetime | str, **given: Any) -> list[Plain]:
        """Decisions of one run, remembered as the state would."""
        moment = at(as_of)
        decisions, settling = self._plan(moment, given)
        self._remember(moment, decisions, settling)
        return decisions

    def verdict(self, as_of: datetime | str, **given: Any) -> str:
        """`run`, for a single candidate: outcome, or outcome and reason; superseded steps left out."""
        (only,) = [decision for decision in self.run(as_of, **given) if decision.reason != "superseded"]
        return verdict(only)

    def _plan(self, as_of: datetime, given: dict[str, Any]) -> tuple[list[Plain], list[Plain]]:
        db = self.database()
        plan(db, self.rules, self.options(as_of, **given))
        return rows(db, "decision"), rows(db, "settling")

    def _remember(self, as_of: datetime, decisions: list[Plain], settling: list[Plain]) -> None:
        self.runs += 1
        for s in settling:
            self.history["settled"].append(
                (s.rule_no, s.cust, s.occurrence, s.step_id, s.local_date, s.how, as_of, s.anchor, True))  # fmt: skip
        for d in decisions:
            one = self.rules[d.rule_no]
            if d.outcome in {"send", "hold_out"} and d.channel == "email":
                self.history["exposure"].append((self.people[d.cust][3], d.cust, one.id, d.occurrence, one.topic,
                                                 one.class_, d.local_date, True))  # fmt: skip
            if d.reason not in _NOT_STORED:
                self._store(as_of, d)
        for rule_no in range(len(self.rules)):
            sends = sum(d.outcome == "send" and d.rule_no == rule_no for d in decisions)
            self.history["rule_history"].append((rule_no, self.runs, sends))

    def _store(self, as_of: datetime, d: Plain) -> None:
        """A decision is stored when it differs from the last one of the same candidate and step."""
        key = (d.rule_no, d.cust, d.occurrence)
        if key not in self.history["seen"]:
            self.history["seen"].append(key)
        kept = self.history["last_decision"]
        last = next((row for row in kept if row[:4] == (*key, d.step_id)), None)
        if last is None or last[4:6] != (d.outcome, d.reason):
            if last:
                kept.remove(last)
            kept.append((*key, d.step_id, d.outcome, d.reason, as_of, d.waited_s))


def at(moment: datetime | str | None) -> Any:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def verdict(decision: Plain) -> str:
    if decision.reason == "due":
        return str(decision.outcome)
    return f"{decision.outcome}: {decision.reason}" + (f" {decision.detail}" if decision.detail else "")


def rows(db: duckdb.DuckDBPyConnection, table: str) -> list[Plain]:
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY rule_no, cust, occurrence, step_id")
    names = [column[0] for column in cursor.description]
    return [Plain(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


__all__ = [
    "NO_CAPS",
    "QUIET",
    "Guard",
    "Plain",
    "QuietHours",
    "Variant",
    "World",
    "at",
    "caps",
    "rule",
    "step",
    "verdict",
]
