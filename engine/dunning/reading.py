"""Brings the billing tables and what the state remembers about failed payments into one DuckDB, as of one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import duckdb

from engine.api import Project
from engine.dunning import relations
from engine.dunning.next_steps import write_next_steps
from engine.errors import Problem, SetupError
from engine.project.rules import Rule
from engine.store import CaseHold, Store
from engine.store.cases import LONGEST_CASE
from engine.triggers.base import Lookup, Shared
from engine.triggers.failed_payments import FURTHER_TABLES
from engine.triggers.payment_failed import PaymentFailed, PaymentFailedParams
from engine.warehouse.sql import Bound, load_rows
from engine.warehouse.warehouse import Warehouse

Progress = Callable[[str], None]

_COLUMNS = {
    **FURTHER_TABLES,
    "invoices": (*FURTHER_TABLES["invoices"], "paid_minor", "paid_card"),
    "payment_failures": (*FURTHER_TABLES["payment_failures"], "card"),
    "disputes": (*FURTHER_TABLES["disputes"], "invoice_id"),
    "refunds": ("invoice_id", "amount_minor", "at", "kind", "status"),
}
_CANNOT_DO_WITHOUT = ("amount_minor", "currency", "failed_at")


@dataclass(frozen=True)
class Cases:
    """All failed payments as of `as_of` (naive UTC), as the relations of `relations.py` in `db`."""

    db: duckdb.DuckDBPyConnection
    as_of: datetime
    rules: tuple[Rule, ...]
    """The rules that write to customers about failed payments; drafts are none."""
    holds: tuple[CaseHold, ...]
    """What a person has put on hold, the newest first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()


def read_cases(
    project: Project,
    store: Store | None,
    as_of: datetime,
    since: datetime,
    progress: Progress = lambda text: None,
) -> Cases:
    """Read the tables and the state; what was sent is read as far back as cases that failed at `since` can need.

    Writes nothing. Raises SetupError when there is no table of invoices, or not what every case needs in it.
    """
    rules = mail_rules(project.rules)
    progress("reading the tables")
    warehouse = Warehouse(project.settings, project.root, as_of)
    try:
        columns = _stage(warehouse)
    finally:
        warehouse.close()
    db, bound = warehouse.db, Bound()
    progress("reading what was sent")
    holds = tuple(store.cases.holds()) if store else ()
    _load_memory(db, store, rules, project, holds, (as_of, min(since, as_of - LONGEST_CASE)))
    progress("sorting the cases")
    first_run_at = store.cases.first_run_at() if store else None

    def look(of: dict[str, frozenset[str]]) -> Lookup:
        return Lookup(as_of, bound, warehouse.facts, Shared(), of, 0, project.settings.dunning, first_run_at)

    blind = {**columns, "invoices": columns["invoices"] - {"paid_at", "status"}}
    relations.write_failed_invoices(db, look(columns), look(blind), bound)
    progress("working out what comes next")
    write_next_steps(db, project, store, as_of, rules)
    relations.write_open_cases(db, look(columns), bound, project.settings.dunning.max_mails)
    return Cases(db, as_of, rules, holds)


def mail_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Those that write to customers whose payment failed."""
    return tuple(
        rule for rule in rules
        if rule.trigger.name == PaymentFailed.name and rule.status != "draft"
        and isinstance(rule.trigger.params, PaymentFailedParams) and rule.trigger.params.handled_by == "mail"
    )  # fmt: skip


def _stage(warehouse: Warehouse) -> dict[str, frozenset[str]]:
    """Stage customers and the billing tables; the columns of each table that is mapped."""
    shapes = warehouse.shapes
    if "invoices" not in shapes:
        raise _unusable("HF605", "there is no table of invoices", "expected it under warehouse.tables.invoices")
    for column in _CANNOT_DO_WITHOUT:
        if not shapes["invoices"].has(column):
            raise _unusable("HF606", f'the table invoices has no column "{column}"', "without it no case is known")
    warehouse.stage_customers(())
    for table, columns in _COLUMNS.items():
        if table in shapes:
            warehouse.stage_rows(table, [column for column in columns if shapes[table].has(column)])
    warehouse.join_person(())
    return {name: frozenset(shape.columns) for name, shape in shapes.items()}


def _unusable(code: str, found: str, expected: str) -> SetupError:
    return SetupError(Problem("config.yaml", None, None, code, found, expected))


def _load_memory(
    db: duckdb.DuckDBPyConnection, store: Store | None, rules: Sequence[Rule], project: Project,
    holds: Sequence[CaseHold], span: tuple[datetime, datetime],
) -> None:  # fmt: skip
    load_rows(db, "case_hold", {"invoice_id": "VARCHAR"}, ((one.invoice_id,) for one in holds))
    refused = ((address,) for address in store.cases.refused_addresses()) if store else ()
    load_rows(db, "refused_address", {"address": "VARCHAR"}, refused)
    load_rows(db, "exposure_read", relations.EXPOSURE, _exposures(store, rules, project, span))


def _exposures(
    store: Store | None, rules: Sequence[Rule], project: Project, span: tuple[datetime, datetime]
) -> Iterator[Sequence[object]]:
    """What these rules did, under their present names; steps for people in the company are no mails."""
    present = {name: rule.id for rule in rules for name in (rule.id, *rule.was)}
    inward = {
        (rule.id, step.id) for rule in rules for step in rule.steps
        if not project.settings.reaches_customer(step.channel)
    }  # fmt: skip
    if store is None or not rules:
        return
    as_of, since = span
    for name, customer, occurrence, step, *rest in store.cases.exposures(list(present), since.date(), as_of):
        if (present[name], step) not in inward:
            yield (present[name], customer, occurrence, step, *rest)
