"""`data check` and `data issues`: what Holdfast sees in the company's tables."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command
from engine.cli.opening import AsOf, find_state, open_project, read_moment, require_known
from engine.cli.root import small_app
from engine.cli.screen import Cell, Screen
from engine.cli.wording import ago, number_of
from engine.clock import utc_now
from engine.fit import Look, TableFinding, broken_values, look_at_tables
from engine.project.trigger_spec import ColumnType

app = small_app(help="Look at the company's tables as a run would.", no_args_is_help=True)


@app.command("check")
@command
def check_tables(screen: Screen, as_of: AsOf = None) -> None:
    """The tables found, their newest facts, what was set aside as broken, and the columns rules may use.

    JSON: `as_of`, `tables` (table, source, rows, newest, future, repeated, unknown, quarantined: column, reason, count;
    columns: name to type), `doubts` (table, reason, text), `contradictions` and `unknown_codes` (table, text, count).
    """
    project = open_project(screen)
    moment = read_moment(as_of)
    instant = project.instant(moment) if moment else utc_now()
    with screen.meter() as meter, find_state(project) as store:
        meter.stage("reading the tables")
        look = look_at_tables(project, instant, store)
    screen.emit({
        "as_of": instant, "tables": [_document(finding) for finding in look.findings],
        "doubts": [vars(doubt) for doubt in look.doubts],
        "contradictions": [vars(contradiction) for contradiction in look.contradictions],
        "unknown_codes": [vars(unknown) for unknown in look.unknown_codes],
    })  # fmt: skip
    show_tables(screen, look, instant)
    _show_columns(screen, look.findings)


def _document(finding: TableFinding) -> dict[str, object]:
    report = finding.report
    issues = [{"column": column, "reason": reason, "count": n} for column, reason, n in report.issues or ()]
    return {
        "table": finding.table, "source": finding.source, "rows": report.rows, "newest": report.newest,
        "future": report.future, "repeated": report.repeated, "unknown": report.unknown, "quarantined": issues,
        "columns": finding.columns,
    }  # fmt: skip


def show_tables(screen: Screen, look: Look, instant: datetime) -> None:
    """The tables, and below them what is wrong in them."""
    rows: list[list[Cell]] = [
        [
            (finding.table, "bold"), finding.report.rows,
            ago(finding.report.newest, instant) if finding.report.newest else "", finding.report.quarantined or None,
            finding.report.repeated or None, finding.report.unknown or None, finding.report.future or None,
            (finding.source, "dim"),
        ]
        for finding in look.findings
    ]  # fmt: skip
    headings = ["table", "rows", "newest fact", "set aside", "repeated", "of strangers", "in the future", "from"]
    screen.table(headings, rows)
    issues = [
        (finding.table, column, count, reason)
        for finding in look.findings
        for column, reason, count in finding.report.issues or ()
    ]
    if issues:
        screen.title("Set aside as broken (the rest of each row is used; `holdfast data issues` lists them)")
        screen.table(["table", "column", "values", "why"], issues, indent=2)
    odd = {
        "Contradict one another (used as they are: dates are believed before status words)": look.contradictions,
        "Not understood (what these customers are told is a guess)": look.unknown_codes,
    }
    for title, found in odd.items():
        if found:
            screen.title(title)
            screen.table(["table", "rows", "which"], [[one.table, one.count, one.text] for one in found], indent=2)
    for doubt in look.doubts:
        screen.say()
        screen.say(("! ", "yellow"), doubt.text, ("; a run would hold every rule that reads it", "yellow"))


def _show_columns(screen: Screen, findings: list[TableFinding]) -> None:
    screen.title("Columns usable in rules and mails")
    for finding in findings:
        by_type: dict[ColumnType, list[str]] = {}
        for name, kind in finding.columns.items():
            by_type.setdefault(kind, []).append(name)
        screen.say("  ", (finding.table, "bold"))
        for kind, names in by_type.items():
            screen.say(f"    {kind:<8}", ", ".join(names))


@app.command("issues")
@command
def issues(
    screen: Screen,
    table: Annotated[str | None, typer.Option("--table", metavar="T", help="only this table")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="at most so many of each table")] = 100,
) -> None:
    """List broken values: which row, which column, what stands there, and why it cannot be used.

    JSON: `issues` (table, row, column, value, reason), `limit`.
    """
    project = open_project(screen)
    found = broken_values(project, utc_now(), _asked_tables(project, table), limit)
    screen.emit({"issues": [vars(issue) for issue in found], "limit": limit})
    if not found:
        screen.say(("✓ ", "green"), "no broken values")
        return
    screen.table(
        ["table", "row", "column", "value", "why"],
        [[issue.table, issue.row, issue.column, repr(issue.value)[:60], issue.reason] for issue in found],
    )
    screen.say()
    screen.say((f"{number_of(len(found), 'broken value')}; at most {limit:,} of each table are listed", "dim"))


def _asked_tables(project: Project, table: str | None) -> list[str]:
    mapped = list(project.settings.warehouse.tables)
    if table is None:
        return mapped
    if not mapped:
        raise RequestError("no table is mapped in config.yaml")
    require_known(table, mapped, "table")
    return [table]
