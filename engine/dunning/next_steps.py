"""What the ladders would do next about each open case: the pipeline's own answer, nothing worked out twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import duckdb

from engine.api import Project
from engine.pipeline import Plan, Request
from engine.project.rules import Rule
from engine.store import Store
from engine.warehouse.sql import load_rows

_COLUMNS = {
    "invoice_id": "VARCHAR", "step": "VARCHAR", "next_on": "DATE", "reason": "VARCHAR", "held_out": "BOOLEAN",
    "shadow": "BOOLEAN",
}  # fmt: skip

# Where two rules write about one case, the one that has something left to say comes first.
_SELECT = """
    SELECT regexp_replace(occurrence, ':[^:]*$', '') AS invoice_id, step_id, coalesce(local_date, due_date) AS next_on,
        CAST(reason AS VARCHAR) AS reason, coalesce(arm = 'control', FALSE), list_contains($shadow, rule_no)
    FROM decision WHERE reason <> 'superseded'
    QUALIFY row_number() OVER (PARTITION BY invoice_id ORDER BY reason = 'already_sent', next_on NULLS LAST, rule_no) = 1
"""


def write_next_steps(
    db: duckdb.DuckDBPyConnection, project: Project, store: Store | None, as_of: datetime, rules: Sequence[Rule]
) -> None:
    """Make `next_step` in `db`: for each case that `rules` find, the step due or to come, and what stands in its way."""
    load_rows(db, "next_step", _COLUMNS, _decided(project, store, as_of, rules) if rules else ())


def _decided(
    project: Project, store: Store | None, as_of: datetime, rules: Sequence[Rule]
) -> Iterator[Sequence[object]]:
    plan = project.decide(Request(as_of, project.default_schedule, tuple(rules), believe_tables=True), store)
    try:
        yield from _rows(plan)
    finally:
        plan.close()


def _rows(plan: Plan) -> Iterator[Sequence[object]]:
    shadow = [number for number, rule in enumerate(plan.rules) if rule.status == "shadow"]
    reader = plan.db.execute(_SELECT, {"shadow": shadow})
    while batch := reader.fetchmany(10_000):
        yield from batch
