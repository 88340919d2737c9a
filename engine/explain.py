"""Why did this person get it, or not? Condition by condition, with the customer's own values.

The same pipeline as a run, for one customer: what each rule's trigger, scope and `where` said, which stage decided,
and what was sent before. Limits that hang on everybody else (`daily_limit`, the guard) show only in what past runs
recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from engine.api import Project, as_if_active
from engine.evaluation import Compiled, Evaluation
from engine.pipeline import Plan, Request, evaluate, plan_evaluated
from engine.project.rules import Rule
from engine.store import CustomerHistory, Store
from engine.warehouse.sql import execute, quote
from engine.warehouse.staging import Issue


@dataclass(frozen=True)
class Checked:
    """One condition: whether it held (None: a value it needs is missing), and the values it looked at."""

    text: str
    held: bool | None
    values: Mapping[str, object]


@dataclass(frozen=True)
class RowExplanation:
    """One row a rule looked at: the customer, or one of their subscriptions, invoices and so on."""

    about: Mapping[str, object]
    """occurrence, anchor and the trigger's facts."""
    conditions: tuple[Checked, ...]
    found: bool
    """Whether all conditions held: the row is a candidate."""
    decision: Mapping[str, object] | None
    """step, outcome, reason, detail, not_before, arm, template; None when there is no candidate."""


@dataclass(frozen=True)
class RuleExplanation:
    """What one rule says about the customer."""

    rule: Rule
    rows: tuple[RowExplanation, ...]
    """Empty when the table the rule looks at has nothing about this customer."""
    sql: str
    account_id: str | None = None
    """The account that a rule about accounts was asked about: the customer's."""


@dataclass(frozen=True)
class Explanation:
    """All there is to say about one customer as of one instant."""

    customer_id: str
    as_of: datetime
    person: Mapping[str, object] | None
    """The customer's columns; None when the customer is not in the table."""
    rules: tuple[RuleExplanation, ...]
    quarantined: tuple[Issue, ...]
    suppressions: tuple[tuple[str, str | None, date | None], ...]
    """(kind, topic or None for all, until) of what stands against writing to the address."""
    history: CustomerHistory | None


def explain(
    project: Project,
    store: Store | None,
    customer_id: str,
    as_of: datetime | date | None = None,
    rules: Sequence[str] | None = None,
) -> Explanation:
    """Explain one customer. `rules`: only these; by default all but drafts. Writes nothing."""
    chosen = _chosen(project, rules)
    instant = project.instant(as_of)
    planned = tuple(as_if_active(rule) for rule in chosen)
    request = Request(instant, project.default_schedule, planned, customer_ids=(customer_id,), believe_tables=True)
    evaluation = evaluate(
        project.loaded, project.templates, request, store, further_values={rule.id: _shown(rule) for rule in chosen}
    )
    person = _person(evaluation, customer_id)
    rows = (
        [_addressed(evaluation, compiled, person) for compiled in evaluation.compiled]
        if person
        else [[] for _ in chosen]
    )
    quarantined = _quarantined(evaluation)
    plan = plan_evaluated(project.settings, evaluation, request, store, live=project.live)
    decisions = _decisions(plan, customer_id)
    explained = tuple(
        RuleExplanation(
            rule,
            tuple(_decided(row, number, decisions) for row in found),
            _readable(evaluation, number),
            str(person["account_id"]) if rule.by_account and person and person["account_id"] else None,
        )
        for number, (rule, found) in enumerate(zip(chosen, rows, strict=True))
    )
    against = plan.db.execute(
        "SELECT DISTINCT s.kind, s.topic, s.until FROM suppression AS s JOIN person AS p USING (addr) "
        "WHERE p.customer_id = $customer ORDER BY ALL",
        {"customer": customer_id},
    ).fetchall()
    plan.close()
    history = store.history_of(customer_id) if store else None
    return Explanation(customer_id, instant, person, explained, quarantined, tuple(against), history)


@dataclass(frozen=True)
class AccountExplanation:
    """What the rules about accounts say of one account, and what was decided about each of its people."""

    account_id: str
    as_of: datetime
    account: Mapping[str, object] | None
    """Its columns; None when neither the accounts table nor any customer names it."""
    rules: tuple[RuleExplanation, ...]
    decisions: tuple[tuple[Mapping[str, object], ...], ...]
    """Beside `rules`: customer_id ('' where nobody is a recipient), occurrence, step, outcome, reason, detail,
    template and not_before of each."""


def explain_account(
    project: Project, store: Store | None, account_id: str, as_of: datetime | date | None = None,
    rules: Sequence[str] | None = None,
) -> AccountExplanation:  # fmt: skip
    """Explain one account. `rules`: only these; by default all about accounts but drafts. Writes nothing."""
    chosen = tuple(rule for rule in _chosen(project, rules) if rule.by_account)
    instant = project.instant(as_of)
    request = Request(
        instant, project.default_schedule, tuple(map(as_if_active, chosen)), customer_ids=(), account_ids=(account_id,),
        believe_tables=True,
    )  # fmt: skip
    evaluation = evaluate(
        project.loaded,
        project.templates,
        request,
        store,
        further_values={rule.id: _shown(rule) | _OF_ACCOUNT for rule in chosen},
    )
    account = None
    if chosen:
        with evaluation.seen_by(chosen[0]):
            account = _person(evaluation, account_id)
    rows = [_rows(evaluation, compiled, account_id) for compiled in evaluation.compiled]
    plan = plan_evaluated(project.settings, evaluation, request, store, live=project.live)
    explained = tuple(
        RuleExplanation(rule, tuple(found), _readable(evaluation, number), account_id)
        for number, (rule, found) in enumerate(zip(chosen, rows, strict=True))
    )
    decided = [dict(row) for row in plan.rows() if row["account_id"] == account_id]
    plan.close()
    decisions = tuple(tuple(row for row in decided if row["rule"] == rule.id) for rule in chosen)
    return AccountExplanation(account_id, instant, account, explained, decisions)


_OF_ACCOUNT = {("account", name) for name in ("name", "plan", "country", "signed_up_at", "mrr_minor", "currency")}
"""What is worth showing of an account."""


def _chosen(project: Project, rules: Sequence[str] | None) -> tuple[Rule, ...]:
    return tuple(rule for rule in project.rules if (rule.id in rules if rules is not None else rule.status != "draft"))


def _shown(rule: Rule) -> set[tuple[str, str]]:
    """The facts worth showing: the trigger's own and the rule's."""
    return {("fact", name) for name in (*rule.trigger.facts, *rule.facts)}


def _person(evaluation: Evaluation, customer_id: str) -> dict[str, object] | None:
    query = "SELECT * FROM person WHERE customer_id = $customer"
    reader = evaluation.db.execute(query, {"customer": customer_id})
    names = [column[0] for column in reader.description or ()]
    row = reader.fetchone()
    if row is None:
        return None
    return {name.removeprefix("c_"): value for name, value in zip(names, row, strict=True) if name.startswith("c_")}


def _rows(evaluation: Evaluation, compiled: Compiled, subject: object) -> list[RowExplanation]:
    """Every row the rule looked at for this customer or account, with each condition's answer."""
    facts = {name: compiled.facts[name]() for name in sorted(dict.fromkeys(name for _, name in _shown(compiled.rule)))}
    about = {"occurrence": compiled.found.occurrence, "anchor": compiled.found.anchor, **facts}
    columns = list(about.values())
    for condition in compiled.conditions:
        columns += [condition.sql, *condition.shows.values()]
    select = ", ".join(f"{sql} AS {quote(f'x{number}')}" for number, sql in enumerate(columns))
    query = f"SELECT {select} FROM {compiled.found.rows} WHERE p.customer_id = {evaluation.bound(subject)}"
    with evaluation.seen_by(compiled.rule):
        rows = execute(evaluation.db, query, evaluation.bound).fetchall()
    return [_row(compiled, list(about), list(row)) for row in rows]


def _addressed(evaluation: Evaluation, compiled: Compiled, person: Mapping[str, object]) -> list[RowExplanation]:
    """The rows about a customer, or about their account with whether the customer is a recipient as a last condition."""
    rule = compiled.rule
    found = _rows(evaluation, compiled, person["account_id" if rule.by_account else "customer_id"])
    where = rule.recipients.where
    if where is None:
        return found
    customer = evaluation.bound(person["customer_id"])
    query = f"SELECT {evaluation.recipient_condition(rule)} FROM person AS p WHERE p.customer_id = {customer}"
    held = execute(evaluation.db, query, evaluation.bound).fetchall()[0][0]
    values = {name: person.get(name) for _, name in sorted(where.columns)}
    checked = Checked(f"recipients: {where.text}", None if held is None else bool(held), values)
    return [
        RowExplanation(row.about, (*row.conditions, checked), row.found and bool(held), row.decision) for row in found
    ]


def _row(compiled: Compiled, names: list[str], values: list[object]) -> RowExplanation:
    about = dict(zip(names, values, strict=False))
    rest, checked = values[len(names) :], []
    for condition in compiled.conditions:
        held, shown = rest[0], rest[1 : 1 + len(condition.shows)]
        checked.append(
            Checked(
                condition.text, None if held is None else bool(held), dict(zip(condition.shows, shown, strict=True))
            )
        )
        rest = rest[1 + len(condition.shows) :]
    return RowExplanation(about, tuple(checked), all(check.held for check in checked), None)


def _quarantined(evaluation: Evaluation) -> tuple[Issue, ...]:
    warehouse = evaluation.warehouse
    tables = [table for table, report in warehouse.reports.items() if report.issues and table != "events"]
    return tuple(issue for table in tables for issue in warehouse.issues(table, 50))


def _decisions(plan: Plan, customer_id: str) -> dict[tuple[int, str], dict[str, object]]:
    """By rule and occurrence; superseded steps stand behind the decision that counts."""
    reader = plan.db.execute(
        "SELECT rule_no, occurrence, anchor, step_id AS step, CAST(outcome AS VARCHAR) AS outcome, "
        "CAST(reason AS VARCHAR) AS reason, detail, not_before, local_date, due_date, arm, template, channel "
        "FROM decision WHERE cust IN (SELECT cust FROM person WHERE customer_id = $customer) "
        "ORDER BY reason = 'superseded' DESC",
        {"customer": customer_id},
    )
    names = [column[0] for column in reader.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in reader.fetchall()]
    return {(int(str(row["rule_no"])), str(row["occurrence"])): row for row in rows}


def _decided(
    row: RowExplanation, number: int, decisions: Mapping[tuple[int, str], Mapping[str, object]]
) -> RowExplanation:
    """The row with its decision; one that took over an older occurrence is found by its rule alone."""
    if not row.found:
        return row
    own = decisions.get((number, str(row.about["occurrence"])))
    others = [decision for (rule, _), decision in decisions.items() if rule == number]
    return RowExplanation(row.about, row.conditions, True, own or (others[0] if others else None))


def _readable(evaluation: Evaluation, number: int) -> str:
    """The rule's SQL with the bound values written in, to be read by a person and never run."""
    text = evaluation.compiled[number].candidates()
    shared = evaluation.account_shared if evaluation.rules[number].by_account else evaluation.shared
    for name, select in shared.tables.items():
        text = text.replace(f" {name} AS ", f" ({select}) AS ")
    for name, value in sorted(evaluation.bound.values.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(f"${name}", repr(str(value)) if not isinstance(value, int | float) else str(value))
    return text
