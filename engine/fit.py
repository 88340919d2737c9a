"""Do the rules and mails fit the company's tables? What can be known from the tables without deciding anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import get_args, get_type_hints

from engine.addresses import AddressError, parse_address
from engine.api import Project
from engine.billing.warnings import billing_warnings
from engine.clock import utc_now
from engine.errors import Problem, did_you_mean
from engine.evaluation import Evaluation, queries_of
from engine.pipeline import check_templates, values_of
from engine.preview import mail_findings
from engine.project.file_reading import CONFIG
from engine.project.rules import EventCondition, Rule
from engine.project.trigger_spec import ColumnType
from engine.project.types import EventNames
from engine.store import Store
from engine.triggers.base import EventName
from engine.triggers.decline_codes import decline_codes
from engine.warehouse.contradictions import Contradiction, contradictions, unknown_codes
from engine.warehouse.guards import Doubt, doubts
from engine.warehouse.reading import physical
from engine.warehouse.sql import quote
from engine.warehouse.staging import Issue, TableReport
from engine.warehouse.tables import Kind
from engine.warehouse.warehouse import Warehouse


def fit_problems(project: Project, as_of: datetime) -> list[Problem]:
    """Tables, columns, types, names in mails and names of events that rules need, drafts included; in order of place.

    A name of an event that nobody has ever done is a warning: it may be new, or misspelt. Raises SetupError or
    UnavailableError when the tables cannot be opened.
    """
    evaluation = Evaluation(
        project.settings, project.root, project.rules, as_of,
        queries=queries_of(project.files), values=values_of(project.rules, project.templates),
    )  # fmt: skip
    try:
        problems = [
            *evaluation.check(), *check_templates(evaluation, project.templates), *_unknown_events(evaluation),
            *billing_warnings(project.settings, project.rules, _intervals(evaluation.warehouse)),
            *mail_findings(project, evaluation, as_of),
            *_doubtful_mapping(project, evaluation.warehouse),
        ]  # fmt: skip
    finally:
        evaluation.close()
    return sorted(set(problems), key=lambda problem: problem.order)


def _doubtful_mapping(project: Project, warehouse: Warehouse) -> Iterator[Problem]:
    """What is mapped in a way that is allowed and seldom meant."""
    for shape in warehouse.shapes.values():
        for name, column in shape.columns.items():
            if (
                column.kind is Kind.MINOR
                and not column.decimal
                and physical(column.source.looks_like) in {"decimal", "number"}
            ):
                found = f'{shape.name}.{name} comes from "{column.raw}", whose values have a decimal point'
                expected = (
                    f"in euros and cents it is mapped as {name.removesuffix('_minor')}; as it is, 400.00 is 400 cents"
                )
                yield Problem(CONFIG, None, None, "HF613", found, expected, severity="warning")
    countries, customers = project.settings.consent.require_in, warehouse.shapes["customers"]
    if countries and not customers.has("country"):
        found = f"consent.require_in names {', '.join(sorted(countries))}, and customers have no country"
        expected = (
            "so all of them need proof of consent for marketing mail; map country, or the proof, or change the setting"
        )
        yield Problem(CONFIG, None, None, "HF614", found, expected, severity="warning")


def _intervals(warehouse: Warehouse) -> set[str]:
    """How often subscriptions are billed, in the words of the table."""
    shape = warehouse.shapes.get("subscriptions")
    if shape is None or not shape.has("interval"):
        return set()
    raw = shape.columns["interval"].raw
    with warehouse.source.reading("subscriptions"):
        relation = warehouse.source.relation("subscriptions", [raw])
        rows = warehouse.db.execute(f"SELECT DISTINCT lower(trim(CAST({quote(raw)} AS VARCHAR))) FROM {relation}")
        return {str(row[0]) for row in rows.fetchall()}


def _unknown_events(evaluation: Evaluation) -> Iterator[Problem]:
    known = evaluation.warehouse.events.names if "events" in evaluation.warehouse.shapes else set()
    if not known:
        return
    for rule in evaluation.rules:
        for name in sorted(event_names(rule) - known):
            found = f'rule {rule.id}: nobody has ever done "{name}"'
            expected = "the events table holds no event of that name"
            yield Problem(
                rule.path, rule.line, None, "HF609", found, expected, did_you_mean(name, known), severity="warning"
            )


def event_names(rule: Rule) -> set[str]:
    """Folded names of the events a rule speaks of: in its trigger, its facts, its goal and its exit."""
    names: set[str] = set()
    hints = get_type_hints(type(rule.trigger.params), include_extras=True)
    for field, hint in hints.items():
        value = getattr(rule.trigger.params, field, None)
        if hint == EventNames:
            names.update(value or ())
        elif value and (hint == EventName or EventName in get_args(hint)):
            names.add(value)
    for spec in rule.facts.values():
        names.update(spec.event)
    if rule.goal:
        names.update(rule.goal.event)
    if isinstance(rule.exit_when, EventCondition):
        names.update(rule.exit_when.event)
    return names


@dataclass(frozen=True)
class TableFinding:
    """One mapped table: where it comes from, what reading all of it found, and its columns with their types."""

    table: str
    source: str
    report: TableReport
    columns: dict[str, ColumnType]


@dataclass(frozen=True)
class Look:
    """What reading every table whole showed."""

    findings: list[TableFinding]
    doubts: list[Doubt]
    contradictions: list[Contradiction]
    unknown_codes: list[Contradiction]
    """Not contradicted, but not understood: why payments failed."""


def look_at_tables(project: Project, as_of: datetime, store: Store | None) -> Look:
    """Read every mapped table whole, as a run at `as_of` would, and what the guards think of them."""
    warehouse = Warehouse(project.settings, project.root, as_of, accounts=True)
    try:
        shapes = warehouse.shapes
        warehouse.stage_customers(shapes["customers"].columns)
        if warehouse.accounts:
            warehouse.stage_accounts(shapes["accounts"].columns if "accounts" in shapes else ())
        for table, shape in shapes.items():
            if table not in {"customers", "events"} and not (table == "accounts" and warehouse.accounts):
                warehouse.stage_rows(table, shape.columns)
        found = {table: warehouse.report(table, thorough=True) for table in shapes}
        reports = {table: report for table, report in found.items() if report}
        rows_before = store.runs.table_rows_of_last_run() if store else {}
        findings = [
            TableFinding(table, _source(project, table), reports[table], warehouse.columns(table)) for table in reports
        ]
        unknown = unknown_codes(warehouse, [one.code for one in decline_codes()])
        return Look(
            findings, doubts(reports, rows_before, project.settings, as_of), contradictions(warehouse), unknown
        )  # fmt: skip
    finally:
        warehouse.close()
        warehouse.db.close()


def broken_values(project: Project, as_of: datetime, tables: list[str], limit: int) -> list[Issue]:
    """Quarantined values of these tables, at most `limit` of each."""
    warehouse = Warehouse(project.settings, project.root, as_of)
    try:
        return [issue for table in tables for issue in warehouse.issues(table, limit)]
    finally:
        warehouse.close()
        warehouse.db.close()


def customers_of_address(project: Project, address: str) -> list[str]:
    """Ids of the customers who have this e-mail address, sorted; compared as addresses are when sending."""
    warehouse = Warehouse(project.settings, project.root, utc_now())
    try:
        warehouse.stage_customers(())
        wanted = parse_address(address)
        query = "SELECT customer_id FROM t_customers WHERE address = $address ORDER BY 1"
        return [str(row[0]) for row in warehouse.db.execute(query, {"address": wanted}).fetchall()]
    except AddressError:
        return []
    finally:
        warehouse.close()
        warehouse.db.close()


def _source(project: Project, table: str) -> str:
    mapped = project.settings.warehouse.tables[table]
    return mapped.path or mapped.table or ("Stripe" if mapped.source else "a query")
