"""`check` and `schema`: mistakes found before anything runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command, tell_problem
from engine.cli.opening import AsOf, find_state, open_project, read_moment
from engine.cli.plan import plans
from engine.cli.screen import Meter, Screen
from engine.cli.wording import number_of, problem_document
from engine.clock import utc_now
from engine.errors import Problem, SetupError, UnavailableError
from engine.fit import fit_problems
from engine.project.loading import vanished_rules
from engine.project.schema import rule_schema
from engine.trial import Tried, try_out
from engine.triggers import triggers


@command
def check(
    screen: Screen,
    no_tables: Annotated[bool, typer.Option("--no-tables", help="do not look at the company's tables")] = False,
    render: Annotated[
        bool, typer.Option("--render", help="make every mail for every customer the rules match today")
    ] = False,
    as_of: AsOf = None,
) -> int | None:
    """Find mistakes in settings, rules and mails, and whether they fit the tables. Nothing is sent or written.

    JSON: `rules` (by status), `mails`, `tables_checked`, `warnings` (path, line, column, code, found, expected,
    suggestion, severity), `rendered` (with --render: rule, template, rendered). With errors instead: `error`,
    `exit_code`, `problems` of the same form.
    """
    if no_tables and render:
        raise RequestError("--render needs the tables; leave out --no-tables")
    moment = read_moment(as_of)
    with screen.meter() as meter:
        meter.stage("reading rules and mails")
        project = open_project(screen)
        problems = [*project.loaded.warnings, *project.templates.warnings, *_vanished(project), *_secrets(project)]
        seen = None
        if not no_tables:
            meter.stage("looking at the tables")
            seen = _tables(project, problems)
        tried = None
        if render and not any(problem.severity == "error" for problem in problems):
            tried = _render(project, moment, meter, problems)
    if tried is not None:
        _show_tried(screen, tried)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise SetupError(problems)
    _show(screen, project, problems, seen, tried)
    return None


def _render(
    project: Project, moment: datetime | date | None, meter: Meter, problems: list[Problem]
) -> list[Tried]:  # fmt: skip
    """Every mail for everybody it would go to, and in every language; what fails is a mistake."""
    meter.stage("putting the mails together")
    problems += project.templates.compose_all()
    tried: list[Tried] = []
    with find_state(project) as store:
        for plan in plans(project, store, moment, None, meter.stage):
            try:
                tried += try_out(project, plan, lambda done, of: meter.part("rendering", done, of))
            finally:
                plan.close()
    for one in tried:
        mail, note = project.templates.mails.get(one.template), project.templates.notes.get(one.template)
        problems += one.problems(note.path if note else mail.default.path if mail else one.rule.path)
    return tried


def _show_tried(screen: Screen, tried: list[Tried]) -> None:
    if tried:
        rows = [
            [(one.rule.id, "bold"), one.template, one.rendered, (f"{one.failed:,} would fail", "red") if one.failed else ""]
            for one in tried
        ]  # fmt: skip
        screen.table(["rule", "mail", "rendered", ""], rows)
    else:
        screen.say("No rule calls for a mail today.")
    screen.say()


def _tables(project: Project, problems: list[Problem]) -> str | None:
    """Add what the tables tell; None when they were looked at, or why they could not be."""
    try:
        problems += fit_problems(project, utc_now())
    except UnavailableError as error:
        return str(error)
    return None


def _vanished(project: Project) -> list[Problem]:
    """Rules that the last run knew and that are gone."""
    store = project.find_store()
    if store is None:
        return []
    with store:
        sha = store.snapshots.latest_sha()
        if sha is None or sha == project.snapshot_sha:
            return []
        try:
            earlier = project.at_snapshot(store.snapshots.load(sha)).rules
        except SetupError:  # an older version of Holdfast could read what this one cannot
            return []
    return vanished_rules(project.rules, [rule.id for rule in earlier])


def _secrets(project: Project) -> list[Problem]:
    """Secrets that are not set and that real mail, or tables from Stripe, cannot do without."""
    settings = project.settings
    found: list[Problem] = []
    secrets = [settings.workspace.secret, settings.holdout.salt] if project.live else []
    if settings.from_stripe:
        secrets += [*filter(None, [settings.stripe.api_key]), *settings.stripe.webhook_secret]
    for secret in secrets:
        try:
            secret.reveal()
        except SetupError as error:
            found += error.problems
    return found if project.live else [replace(problem, severity="warning") for problem in found]


def _show(
    screen: Screen, project: Project, warnings: list[Problem], unseen: str | None, tried: list[Tried] | None
) -> None:
    by_status: dict[str, int] = {}
    for rule in project.rules:
        by_status[rule.status] = by_status.get(rule.status, 0) + 1
    ordered = sorted(set(warnings), key=lambda problem: problem.order)
    mails = len(project.templates.mails)
    screen.emit({
        "rules": by_status, "mails": mails, "tables_checked": unseen is None,
        "warnings": [problem_document(problem) for problem in ordered],
        "rendered": None if tried is None else [
            {"rule": one.rule.id, "template": one.template, "rendered": one.rendered} for one in tried
        ],
    })  # fmt: skip
    if not screen.as_json:
        for problem in ordered:
            tell_problem(screen, problem)
    statuses = ", ".join(f"{number} {status}" for status, number in sorted(by_status.items()))
    tables = len(project.settings.warehouse.tables)
    parts = f"{number_of(len(project.rules), 'rule')} ({statuses or 'none'}), {number_of(mails, 'mail')}, "
    looked = f"{number_of(tables, 'table')}"
    screen.say((project.settings.workspace.name, "bold"), ": ", parts + looked)
    if unseen is not None:
        screen.say(("The tables could not be read, so columns were not checked: ", "yellow"), unseen)
    verdict = "no mistakes" + (f", {number_of(len(ordered), 'warning')}" if ordered else "")
    screen.say(("✓ ", "green"), verdict)


@command
def schema(screen: Screen) -> None:
    """Print the JSON Schema (2020-12) of a rule. Editors complete and check with it."""
    screen.raw(json.dumps(rule_schema(triggers()), indent=2, ensure_ascii=False) + "\n")
