"""The one pure pipeline: facts, history, rules and an instant go in; decisions come out.

`plan`, `run` and `explain` are this pipeline with different ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import duckdb

from engine.errors import Problem, SetupError
from engine.evaluation import Evaluation, Memory, queries_of
from engine.history import load_history
from engine.messages import Templates
from engine.planning import PlanOptions
from engine.planning import plan as decide
from engine.project.loading import ProjectFiles
from engine.project.rules import Rule
from engine.project.settings import Settings
from engine.schedule import horizon_after, send_time
from engine.store import Store
from engine.triggers import mails_open_cases
from engine.warehouse.guards import Doubt, doubts

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to decide: which rules, as of when, for whom."""

    as_of: datetime
    """Facts are strictly before this instant (naive UTC)."""
    schedule: str
    rules: tuple[Rule, ...]
    horizon: datetime | None = None
    """Steps due before it are planned; None: the schedule's next run."""
    customer_ids: Sequence[str] | None = None
    account_ids: Sequence[str] = ()
    """With `customer_ids`: accounts whose people and rows are read too, for rules about accounts."""
    before_run: int | None = None
    """Leave out what this run has written itself: it is being continued."""
    approved: Collection[str] = ()
    """Rules released from the guard."""
    believe_tables: bool = False
    """Do not hold rules for empty, shrunk or stale tables; they are still reported."""


class Plan:
    """Decisions as a relation. `db` holds `decision` and `settling`, keyed to `person` by `cust`."""

    def __init__(self, request: Request, evaluation: Evaluation, found: list[Doubt]) -> None:
        self.request, self.evaluation, self.doubts = request, evaluation, found

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules planned; `rule_no` is the place in this tuple."""
        return self.request.rules

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The in-memory database the plan lives in."""
        return self.evaluation.db

    def counts(self) -> list[tuple[str, str, str, int]]:
        """(rule, outcome, reason, how many), by rule and outcome."""
        rows = self.db.execute(
            "SELECT rule_no, CAST(outcome AS VARCHAR), CAST(reason AS VARCHAR), count(*) FROM decision GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return [(self.rules[number].id, outcome, reason, count) for number, outcome, reason, count in rows]

    def rows(self) -> Iterator[dict[str, object]]:
        """One mapping a decision, by rule and customer: the columns of `plan --out`."""
        reader = self.db.cursor().execute(f"{self.select()} ORDER BY d.rule_no, p.customer_id, d.occurrence, d.step_no")
        names = [column[0] for column in reader.description or ()]
        while batch := reader.fetchmany(10_000):
            for row in batch:
                record = dict(zip(names, row, strict=True))
                record["rule"] = self.rules[int(str(record["rule"]))].id
                yield record

    def select(self) -> str:
        """SQL of all decisions with the names people know; `rule` is still the number."""
        return (
            "SELECT d.rule_no AS rule, CASE p.address_state WHEN 'nobody' THEN '' ELSE p.customer_id END AS customer_id, "
            f"{self._account()} AS account_id, d.occurrence, d.anchor, d.step_id AS step, "
            "CAST(d.outcome AS VARCHAR) AS outcome, CAST(d.reason AS VARCHAR) || coalesce(':' || d.detail, '') AS reason, "
            "d.channel, d.template, d.arm, d.not_before FROM decision AS d JOIN person AS p ON p.cust = d.cust"
        )

    def _account(self) -> str:
        """SQL for the account a decision is about; NULL in rules about customers."""
        numbers = ", ".join(str(number) for number, rule in enumerate(self.rules) if rule.by_account)
        return f"CASE WHEN d.rule_no IN ({numbers}) THEN p.account_id END" if numbers else "CAST(NULL AS VARCHAR)"

    def close(self) -> None:
        """Free the memory."""
        self.evaluation.close()
        self.db.close()


def make_plan(
    project: ProjectFiles,
    templates: Templates,
    request: Request,
    store: Store | None,
    *,
    live: bool = False,
    progress: Progress = lambda text: None,
) -> Plan:
    """Evaluate, remember, decide. Writes nothing.

    Raises SetupError when rules name tables, columns or values the company's data does not have. `live` makes a
    missing secret an error instead of a development value.
    """
    evaluation = evaluate(project, templates, request, store, progress)
    return plan_evaluated(project.settings, evaluation, request, store, live=live, progress=progress)


def plan_evaluated(
    settings: Settings,
    evaluation: Evaluation,
    request: Request,
    store: Store | None,
    *,
    live: bool = False,
    progress: Progress = lambda text: None,
) -> Plan:
    """Decide about candidates already found. The connection cannot reach files or the network afterwards."""
    progress("loading history")
    rules, db = request.rules, evaluation.db
    load_history(db, store, rules, settings, settings.signing_secret(live=live), request.as_of, request.before_run)
    for table in tables_read(evaluation, rules):
        evaluation.warehouse.report(table)
    found = doubts(
        evaluation.warehouse.reports, store.runs.table_rows_of_last_run() if store else {}, settings, request.as_of
    )
    options = _options(settings, evaluation, request, store, found, live=live)
    progress("deciding")
    evaluation.close()
    decide(db, rules, options)
    return Plan(request, evaluation, found)


def _options(
    settings: Settings,
    evaluation: Evaluation,
    request: Request,
    store: Store | None,
    found: Sequence[Doubt],
    *,
    live: bool,
) -> PlanOptions:
    rules = request.rules
    paused = store.switches.paused() if store else {}
    return PlanOptions(
        as_of=request.as_of,
        horizon=request.horizon or horizon_after(settings, request.schedule, request.as_of),
        send_at=send_time(settings, request.schedule),
        quiet_hours=settings.quiet_hours,
        caps=settings.caps,
        holdout_global=settings.holdout.global_,
        salt=settings.salt(live=live),
        guard=settings.guard,
        customers=int(
            evaluation.db.execute("SELECT count(*) FROM person WHERE address_state <> 'nobody'").fetchall()[0][0]
        ),
        require_in=settings.consent.require_in,
        held_rules={} if request.believe_tables else _held(evaluation, rules, found),
        paused_rules={number for number, rule in enumerate(rules) if "*" in paused or rule.id in paused},
        approved_rules={number for number, rule in enumerate(rules) if rule.id in request.approved},
        people_only={name for name in settings.channels if not settings.reaches_customer(name)},
        survives={number: evaluation.triggers[rule.trigger.name].survives for number, rule in enumerate(rules)},
    )


def evaluate(
    project: ProjectFiles,
    templates: Templates,
    request: Request,
    store: Store | None,
    progress: Progress = lambda text: None,
    further_values: Mapping[str, set[tuple[str, str]]] = MappingProxyType({}),
) -> Evaluation:
    """The candidates of the request, with every name checked against the tables.

    `further_values` names, per rule, what else is to be read beside what its mails show.
    """
    wanted = {
        rule: names | further_values.get(rule, set()) for rule, names in values_of(request.rules, templates).items()
    }
    evaluation = Evaluation(
        project.settings, project.root, request.rules, request.as_of,
        queries=queries_of(project.files), values=wanted,
        customer_ids=request.customer_ids, account_ids=request.account_ids, memory=_memory(request, store),
    )  # fmt: skip
    problems = [problem for problem in evaluation.check() if problem.severity == "error"]
    problems += check_templates(evaluation, templates)
    if problems:
        evaluation.close()
        raise SetupError(problems)
    evaluation.run(progress)
    return evaluation


def _memory(request: Request, store: Store | None) -> Memory:
    """What the state tells about customers and cases."""
    if store is None:
        return Memory()
    ledger, before = store.ledger, request.before_run
    mailing = {name for rule in request.rules if mails_open_cases(rule.trigger) for name in (rule.id, *rule.was)}
    return Memory(
        _by_any_name(request.rules, lambda name: ledger.customers_sent(name, before)),
        _by_any_name(request.rules, lambda name: ledger.accounts_sent(name, before)),
        case_holds=lambda: [one.invoice_id for one in store.cases.holds()],
        case_mails=lambda: store.cases.mails(mailing, request.as_of),
        refused_addresses=store.cases.refused_addresses, first_run_at=store.cases.first_run_at(),
    )  # fmt: skip


def _by_any_name(rules: Sequence[Rule], sent: Callable[[str], Iterator[str]]) -> Callable[[str], Iterator[str]]:
    """Whom a rule has written to, under whatever name it had then."""
    names = {rule.id: (rule.id, *rule.was) for rule in rules}
    return lambda rule_id: (one for name in names.get(rule_id, (rule_id,)) for one in sent(name))


def values_of(rules: Sequence[Rule], templates: Templates) -> dict[str, set[tuple[str, str]]]:
    """What the mails of each rule read."""
    return {
        rule.id: {name for template in rule.templates for name in templates.values_needed(template)} for rule in rules
    }


def check_templates(evaluation: Evaluation, templates: Templates) -> list[Problem]:
    """Names in mails that neither customers nor the trigger's facts provide."""
    problems: list[Problem] = []
    for rule in evaluation.rules:
        catalog = evaluation.catalog(rule)
        provided = {
            "account": set(catalog["account"]),
            "customer": set(evaluation.warehouse.columns("customers")),
            "fact": set(catalog["fact"]),
            "subscription": set(catalog["subscription"]),
        }
        reaches = evaluation.warehouse.settings.reaches_customer
        for template, is_mail in dict.fromkeys(
            (name, reaches(step.channel)) for step in rule.steps for name in step.templates
        ):
            problems += (
                templates.check(template, rule.class_, provided)
                if is_mail
                else templates.check_note(template, provided)
            )
    return list(dict.fromkeys(problem for problem in problems if problem.severity == "error"))


def tables_read(evaluation: Evaluation, rules: Sequence[Rule]) -> dict[str, set[int]]:
    """Each mapped table with the rules that read it, customers included."""
    readers: dict[str, set[int]] = {}
    for number, rule in enumerate(rules):
        for table in evaluation.tables_of(rule):
            readers.setdefault(table, set()).add(number)
    return readers


def _held(evaluation: Evaluation, rules: Sequence[Rule], found: Sequence[Doubt]) -> dict[int, str]:
    readers = tables_read(evaluation, rules)
    return {number: doubt.reason for doubt in found for number in readers.get(doubt.table, ())}
