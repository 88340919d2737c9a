"""`dunning`: failed payments: what is open, what became of the others, and what the mails added."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import DebugOption, FormatOption, RequestError, command
from engine.cli.dunning_told import ROWS_ON_SCREEN, tell
from engine.cli.opening import find_state, open_project, open_settings, open_state, read_date, read_moment
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.cli.wording import instant, number_of
from engine.clock import utc_now
from engine.dunning import Cases, OpenCase, read_cases, report
from engine.dunning.invoices import ids_of_invoice
from engine.dunning.open_cases import open_cases
from engine.store.suppressions import cell_text
from engine.warehouse.zones import local_to_utc, utc_to_local

app = small_app()

_DAYS = 90

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="D", help=f"invoices that first failed on this date or later; default: {_DAYS} days ago"),
]  # fmt: skip
Until = Annotated[str | None, typer.Option("--until", metavar="D", help="and on this date or earlier; default: today")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="T", help="how things stood at this instant; a date means that day's scheduled instant"),
]  # fmt: skip
CsvFile = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="write all open cases there as well")]
Invoice = Annotated[str, typer.Argument(metavar="INVOICE", help="its id, or the number customers know it as")]


@app.callback(invoke_without_command=True)
def dunning(
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    csv_file: CsvFile = None,
    output_format: FormatOption = None,
    debug: DebugOption = False,
) -> None:
    """Failed payments: the open cases with their next step, what became of the others, what the mails added.

    JSON: `as_of`, `since`, `until`, `open` (cases, invoices, money), `cases` (customer_id, invoice_id, number, group,
    failed_at, days, currency, amount_minor, invoices, mails, next_step, next_on, waits), and of the period: `opened`
    and each of `outcomes` (recovered, credit, reversed, lost, voided, open) and `cards` (same, new, unknown) as
    invoices and money; `recoveries` (mails, held_out, invoices, within_7_days, money), `median_days`, `mails`,
    `mails_per_recovery`, `complaints`, `groups` (group, outcomes, recovered), `steps` (rule, step, mails, recovered,
    within_7_days, money), `lifts` (rule, treated, control, difference, low, high; empty without a control group);
    `holds` (invoice_id, note, at). Money is whole minor units by currency.
    """
    if ctx.invoked_subcommand is None:
        _report(
            ctx=ctx, output_format=output_format, debug=debug, since=since, until=until, as_of=as_of, csv_file=csv_file
        )


@command
def _report(
    screen: Screen, since: str | None = None, until: str | None = None, as_of: str | None = None, csv_file: Path | None = None
) -> None:  # fmt: skip
    project = open_project(screen)
    given = read_moment(as_of)
    moment = project.instant(given) if given else utc_now()
    first, last = _period(project, read_date(since, "--since"), read_date(until, "--until"), moment)
    with screen.meter() as meter, find_state(project) as store:
        cases = read_cases(project, store, moment, first, meter.stage)
    with cases:
        found = report(cases.db, moment, first, last, [rule.id for rule in cases.rules if rule.holdout])
        screen.emit(_document(cases, vars(found)) if screen.as_json else None)
        if csv_file:
            written = _write(csv_file, open_cases(cases.db))
            screen.warn(f"{number_of(written, 'open case')} written to {csv_file}")
        if not screen.as_json:
            tell(screen, project.settings.workspace, found, list(open_cases(cases.db, ROWS_ON_SCREEN)), cases.holds)


@app.command("hold")
@command
def hold(
    screen: Screen,
    invoice: Invoice,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="why; the report shows it")] = "",
) -> None:
    """Write to nobody about an invoice until `release`. JSON: `held` (false when it was on hold already), `invoice_id`."""
    settings, now = open_settings(screen), utc_now()
    found = ids_of_invoice(settings, screen.folder, invoice, now)
    if not found:
        raise RequestError(f'there is no invoice "{invoice}" in the invoices table')
    if len(found) > 1:
        raise RequestError(f"{len(found)} invoices have this number: {', '.join(found[:20])}; name one by its id")
    with open_state(screen, settings, create=True) as store:
        held = store.cases.hold(found[0], note, now)
    screen.emit({"held": held, "invoice_id": found[0]})
    again = f"`holdfast dunning release {found[0]}` lifts it"
    screen.say((found[0], "bold"), f" is on hold. {again}." if held else f" was on hold already; {again}.")


@app.command("release")
@command
def release(screen: Screen, invoice: Invoice) -> None:
    """Let an invoice's ladder go on where it stood. JSON: `released` (false when it was not on hold), `invoice_id`."""
    settings = open_settings(screen)
    with open_state(screen, settings) as store:
        held = {one.invoice_id for one in store.cases.holds()}
        named = [invoice] if invoice in held else ids_of_invoice(settings, screen.folder, invoice, utc_now())
        chosen = next((one for one in named if one in held), invoice)
        released = store.cases.release(chosen)
    screen.emit({"released": released, "invoice_id": chosen})
    screen.say((chosen, "bold"), " goes on with the next run" if released else " was not on hold")


def _period(project: Project, since: date | None, until: date | None, as_of: datetime) -> tuple[datetime, datetime]:
    """The instants between which invoices first failed: whole dates of the workspace's calendar, `until` included."""
    zone = project.settings.workspace.timezone
    today = utc_to_local(zone, as_of).date()
    last = min(until or today, today)
    first = since or last - timedelta(days=_DAYS)
    if first > last:
        raise RequestError(f"--since {first} is later than --until {last}")

    def begin(day: date) -> datetime:
        return local_to_utc(zone, datetime.combine(day, time()))

    return begin(first), min(begin(last + timedelta(days=1)), as_of)


def _document(cases: Cases, figures: dict[str, object]) -> dict[str, object]:
    return {**figures, "cases": [asdict(one) for one in open_cases(cases.db)], "holds": cases.holds}


def _write(path: Path, cases: Iterable[OpenCase]) -> int:
    """Write the cases as CSV, whole or not at all; cells a spreadsheet would run are quoted. How many."""
    unfinished = path.with_name(f".{path.name}.part")
    names, written = [field.name for field in fields(OpenCase)], 0
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            sink = csv.writer(file, lineterminator="\n")
            sink.writerow(names)
            for written, one in enumerate(cases, start=1):  # noqa: B007 - the last number is the answer
                sink.writerow(_cell(getattr(one, name)) for name in names)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _cell(value: object) -> str:
    return cell_text(instant(value) if isinstance(value, datetime) else value)
