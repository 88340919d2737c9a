"""`demo`: the whole story in a minute, with a made-up company."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command
from engine.cli.decisions import Count, headline, show_why_nothing, why_nothing
from engine.cli.explained import Teller
from engine.cli.screen import Cell, Screen
from engine.cli.sent import tasks_filed
from engine.cli.start import fill
from engine.cli.tables import show_tables
from engine.cli.wording import day_text, number_of
from engine.clock import utc_now
from engine.demo import Day, examples, live_one_day, telling_customer
from engine.explain import Explanation, explain
from engine.fit import fit_problems, look_at_tables
from engine.sample import copy_project
from engine.store import Store

_DAYS = 3


@command
def demo(
    screen: Screen,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="use this new folder")] = None,
    customers: Annotated[int, typer.Option("--customers", min=100, metavar="N", help="made-up customers")] = 2_000,
) -> None:
    """See it work, without a setting or a key: a made-up company, three mornings, every mail in a folder.

    JSON: `folder`, `days` (date, run, sent, stopped), `sent` (rule, mails, subject, file), `nothing` (reason, cases,
    meaning), `example` (the customer explained).
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    today = utc_now().date()
    try:
        copy_project(folder)
    except FileExistsError as error:
        raise RequestError(f"{error}; name a folder without a project") from None
    screen.say(("Corkline", "bold"), f" is a made-up company with {number_of(customers, 'customer')}. Nobody real gets "
               "mail: everything goes into a folder.")  # fmt: skip
    fill(screen, folder, today, customers)
    project = Project.load(folder)
    _check(screen, project)
    _tables(screen, project, today)
    with project.open_store() as store:
        days = _mornings(screen, project, store, today - timedelta(days=_DAYS - 1), _DAYS - 1)
        counts, explanation = _look_ahead(screen, project, store, today)
        days += _mornings(screen, project, store, today, 1)
    _sent(screen, folder, days)
    _nothing(screen, counts)
    if explanation is not None:
        _explained(screen, project, explanation)
    _farewell(screen, folder)
    screen.emit(_document(folder, days, counts, explanation))


def _step(screen: Screen, words: str, typed: str = "") -> None:
    screen.title(words)
    if typed:
        screen.say((f"  $ holdfast {typed}", "cyan"))


def _check(screen: Screen, project: Project) -> None:
    _step(screen, "Are the rules, the mails and the data in order?", "check")
    with screen.meter() as meter:
        meter.stage("checking")
        problems = [one for one in fit_problems(project, utc_now()) if one.severity == "error"]
    rules, mails = number_of(len(project.rules), "rule"), number_of(len(project.templates.mails), "mail")
    screen.say(
        "  ", ("✓ ", "green"), f"{rules}, {mails}: {number_of(len(problems), 'mistake') if problems else 'no mistakes'}"
    )


def _tables(screen: Screen, project: Project, today: date) -> None:
    _step(screen, "What is in the tables?", "data check")
    with screen.meter() as meter:
        meter.stage("reading the tables")
        instant = project.instant(today)
        look = look_at_tables(project, instant, None)
    show_tables(screen, look, instant)


def _mornings(screen: Screen, project: Project, store: Store, first: date, number: int) -> list[Day]:
    days = []
    for offset in range(number):
        day = first + timedelta(days=offset)
        _step(screen, f"The morning of {day_text(day)}", f"run --date {day}")
        with screen.meter() as meter:
            lived = live_one_day(project, store, day, progress=meter.stage)
        days.append(lived)
        screen.say(f"  {headline(project, lived.run.counts)}")
        stopped = f", {lived.stopped:,} stopped at the last moment: no longer called for" if lived.stopped else ""
        tasks = sum(tasks_filed(project, report) for report in lived.deliveries)
        filed = f", {number_of(tasks, 'task')} filed for people" if tasks else ""
        screen.say("  ", (f"{number_of(len(lived.mails), 'mail')} left during the day", "green"), filed, stopped)
    return days


def _look_ahead(
    screen: Screen, project: Project, store: Store, today: date
) -> tuple[list[Count], Explanation | None]:  # fmt: skip
    """Today's plan, made before today's run, and the explanation of somebody in it."""
    _step(screen, "Look before you leap: what would the next run do?", "plan")
    with screen.meter() as meter:
        plan = project.plan(today, store=store, progress=meter.stage)
        counts, customer = plan.counts(), telling_customer(plan)
        plan.close()
        meter.stage(f"looking at {customer}")
        explanation = explain(project, store, customer, today) if customer else None
    screen.say(f"  {headline(project, counts)}; nothing is written, nothing is sent")
    return counts, explanation


def _sent(screen: Screen, folder: Path, days: list[Day]) -> None:
    mails = [mail for day in days for mail in day.mails]
    screen.title(f"What was sent: {number_of(len(mails), 'mail')}, for example")
    rows: list[list[Cell]] = [
        [(rule, "bold"), number, first.subject, masked(first.recipient)]
        for rule, (number, first) in examples(mails).items()
    ]
    screen.table(["rule", "mails", "one of them", "to"], rows, indent=2)
    screen.say()
    screen.say("  They lie in ", (f"{folder / 'outbox'}/", "bold"), "; a double click opens one in your mail program:")
    for _, first in list(examples(mails).values())[:3]:
        screen.say(f"  {first.file}  ", (first.subject, "dim"))


def _nothing(screen: Screen, counts: list[Count]) -> None:
    screen.title("Why the others got nothing today")
    show_why_nothing(screen, counts)


def _explained(screen: Screen, project: Project, explanation: Explanation) -> None:
    _step(screen, f"And {explanation.customer_id} in particular?", f"explain {explanation.customer_id}")
    if not screen.as_json:
        Teller(screen, project, explanation).tell(briefly=True)


def _farewell(screen: Screen, folder: Path) -> None:
    screen.title("Your turn")
    screen.say(
        f"  Look around in {folder}: the rules in rules/, the mails in templates/. Change one and see what changes:"
    )
    program = "holdfast" if shutil.which("holdfast") else ".venv/bin/holdfast"
    screen.say((f"  $ {program} -C {folder} plan", "cyan"))
    screen.say("  Begin a project of your own:")
    screen.say((f"  $ {program} init my-project", "cyan"))


def masked(address: str) -> str:
    """`n…@example.com`: enough to recognise, too little to pass on."""
    local, _, domain = address.partition("@")
    return f"{local[:1]}…@{domain}"


def _document(
    folder: Path, days: list[Day], counts: list[Count], explanation: Explanation | None
) -> dict[str, object]:  # fmt: skip
    mails = [mail for day in days for mail in day.mails]
    return {
        "folder": folder,
        "days": [
            {"date": day.date, "run": day.run.run.id, "sent": len(day.mails), "stopped": day.stopped} for day in days
        ],
        "sent": [
            {"rule": rule, "mails": number, "subject": first.subject, "file": folder / "outbox" / first.file}
            for rule, (number, first) in examples(mails).items()
        ],
        "nothing": [
            {"reason": reason, "cases": number, "meaning": text} for reason, number, text in why_nothing(counts)
        ],
        "example": explanation.customer_id if explanation else None,
    }
