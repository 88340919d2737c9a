"""Is it still true? Asked once more just before sending: whoever has come back or paid meanwhile gets no mail.

One evaluation, as of the sending instant, restricted to the customers whose messages are due. Still true means: the
rule still finds the same occurrence (about the same account, with the customer among its recipients, where it is about
accounts), the step's own condition holds, the ladder has not ended, no other rule
blocks it, marketing still has consent, and the address is still the customer's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import duckdb

from engine.api import Project
from engine.billing import StripeApi, catch_up, read_again
from engine.delivery import Candidates, Recheck, StillTrue
from engine.errors import HoldfastError
from engine.messages import Templates
from engine.pipeline import Plan, Request, evaluate, plan_evaluated
from engine.project.rules import Rule
from engine.store import Store
from engine.triggers import finds_cases
from engine.warehouse.sql import execute, load_rows

NO_LONGER_TRUE = "no_longer_true"
_MANY = 5_000  # customers; above it reading everybody costs less than naming each


def still_true(project: Project, store: Store, planned_at: datetime | None = None) -> StillTrue:
    """The check for one delivery: messages that no longer hold, with the reason, and newer facts of those that do.

    `planned_at`: a plan made at this instant (naive UTC) counts as fresh for `delivery.recheck_after` and is not
    questioned, but for cases of failed payments kept from Stripe: there every invoice is read again that was not within
    `dunning.recheck`, and messages whose invoice cannot be read wait. Raises when the tables cannot be read, and then
    nothing is sent.
    """
    fresh_for = project.settings.delivery.recheck_after.elapsed

    def check(messages: Candidates, now: datetime) -> Recheck:
        unsure = confirm_invoices(project, store, messages, now)
        if planned_at is not None and planned_at <= now <= planned_at + fresh_for:
            cases = _case_rules(project) if project.settings.from_stripe else set()
            messages = [message for message in messages if message[1] in cases]
        if not messages:
            return Recheck()
        asked = {message[1] for message in messages}
        rules = tuple(
            rule for rule in project.rules if rule.status != "draft" and (asked & {rule.id, *rule.was} or rule.blocks)
        )
        customers = sorted({message[2] for message in messages})
        request = Request(
            now, project.default_schedule, rules, customer_ids=customers if len(customers) <= _MANY else None,
            believe_tables=True,
        )  # fmt: skip
        evaluation = evaluate(project.loaded, project.templates, request, store)
        _ask(evaluation.db, rules, messages, project.settings.reaches_customer)
        plan = plan_evaluated(project.settings, evaluation, request, store, live=project.live)
        try:
            untrue = _failing(plan)
            return Recheck(_with_reasons(plan, untrue), unsure, _newer_facts(plan, project.templates))
        finally:
            plan.close()

    return check


def confirm_invoices(project: Project, store: Store, messages: Candidates, now: datetime) -> dict[int, str]:
    """Have every invoice that messages are about read again, if it comes from Stripe and was not read lately.

    The messages whose invoices could not be read, with the reason. All open invoices of a customer are read: one mail
    is about all of them.
    """
    recheck = project.settings.dunning.recheck
    cases = _case_rules(project)
    about = {message[0]: _invoice_of(message[3]) for message in messages if message[1] in cases}
    if "invoices" not in project.settings.from_stripe or not about:
        return {}
    catch_up(project.settings, store, now)
    if recheck is None:
        return {}
    beside = store.billing.unchecked(set(about.values()), now - recheck.elapsed)
    wanted = sorted({ident for others in beside.values() for ident in others})
    if not wanted:
        return {}
    try:
        unread = read_again(StripeApi(project.settings.stripe), store, wanted, now)
    except HoldfastError as error:
        unread = dict.fromkeys(wanted, str(error))
    return {
        message: "invoice_not_confirmed" for message, invoice in about.items()
        if not unread.keys().isdisjoint(beside.get(invoice, ()))
    }  # fmt: skip


def _case_rules(project: Project) -> set[str]:
    """All names of the rules about failed payments."""
    return {name for rule in project.rules if finds_cases(rule.trigger) for name in (rule.id, *rule.was)}


def _invoice_of(occurrence: str) -> str:
    """A case's occurrence is its invoice, or that and the group behind a colon."""
    return occurrence.rpartition(":")[0] or occurrence


def _ask(
    db: duckdb.DuckDBPyConnection, rules: Sequence[Rule], messages: Candidates, reaches: Callable[[str], bool]
) -> None:
    """The messages in question as tables, made while the connection may still read files."""
    steps = [(name, step.id, step.no) for rule in rules for name in (rule.id, *rule.was) for step in rule.steps]
    blocks = [(name, other) for rule in rules for name in (rule.id, *rule.was) for other in _blockers(rule, rules)]
    asked = {
        "message_id": "BIGINT",
        "rule": "VARCHAR",
        "customer_id": "VARCHAR",
        "occurrence": "VARCHAR",
        "step": "VARCHAR",
        "needs_consent": "BOOLEAN",
        "recipient": "VARCHAR",
        "account_id": "VARCHAR",
    }
    rows = (
        (*step, class_ == "marketing" and reaches(channel), recipient if reaches(channel) else None, account)
        for *step, class_, channel, recipient, account in messages
    )
    load_rows(db, "asked", asked, rows)
    load_rows(db, "asked_step", {"rule": "VARCHAR", "step": "VARCHAR", "step_no": "INTEGER"}, steps)
    load_rows(db, "asked_block", {"rule": "VARCHAR", "blocker_no": "USMALLINT"}, blocks)


def _failing(plan: Plan) -> dict[int, str]:
    """Messages that must not leave, with the reason. A rule that is no longer there finds nobody."""
    return {int(ident): reason for ident, reason in plan.db.execute(_FAILING, {"now": plan.request.as_of}).fetchall()}


def _with_reasons(plan: Plan, untrue: Mapping[int, str]) -> dict[int, str]:
    """The same, with what the rule's own trigger knows about why."""
    reasons = dict(untrue)
    for compiled in plan.evaluation.compiled:
        why = plan.evaluation.why_gone(compiled, "a.occurrence")
        if why is None:
            continue
        names = ", ".join(plan.evaluation.bound(name) for name in (compiled.rule.id, *compiled.rule.was))
        query = (
            f"SELECT a.message_id, {why} FROM asked AS a JOIN person AS p ON p.customer_id = a.{_subject(compiled.rule)} "
            f"WHERE a.rule IN ({names})"
        )
        with plan.evaluation.seen_by(compiled.rule):
            found = execute(plan.db, query, plan.evaluation.bound).fetchall()
        for ident, reason in found:
            if reason and reasons.get(ident) == NO_LONGER_TRUE:
                reasons[ident] = reason
    return reasons


def _newer_facts(plan: Plan, templates: Templates) -> dict[int, dict[str, object]]:
    """What the mails about failed payments show, as it is now."""
    newer: dict[int, dict[str, object]] = {}
    for compiled in plan.evaluation.compiled:
        if not finds_cases(compiled.rule.trigger):
            continue
        names = {name for template in compiled.rule.templates for name in templates.values_needed(template)
                 if name[0] == "fact"}  # fmt: skip
        found = compiled.found
        holds = " AND ".join(f"({condition.sql})" for condition in compiled.conditions)
        own = ", ".join(plan.evaluation.bound(name) for name in (compiled.rule.id, *compiled.rule.was))
        query = (
            f"SELECT a.message_id, {plan.evaluation.values_sql(compiled, names)} FROM {found.rows} "
            f"JOIN asked AS a ON a.{_subject(compiled.rule)} = p.customer_id AND a.occurrence = {found.occurrence} "
            f"AND a.rule IN ({own}) WHERE {holds}"
        )
        with plan.evaluation.seen_by(compiled.rule):
            rows = execute(plan.db, query, plan.evaluation.bound).fetchall()
        for ident, packed in rows:
            newer[int(ident)] = json.loads(packed).get("fact", {})
    return newer


def _subject(rule: Rule) -> str:
    """The column of `asked` that names whom the rule is about."""
    return "account_id" if rule.by_account else "customer_id"


def _blockers(rule: Rule, rules: Sequence[Rule]) -> list[int]:
    """Numbers of the active rules that hold this rule's class or topic back."""
    return [
        number
        for number, other in enumerate(rules)
        if other.id != rule.id and other.status == "active" and {rule.class_, rule.topic} & set(other.blocks)
        and other.blocks_for is None
    ]  # fmt: skip


_FAILING = f"""
    SELECT a.message_id, CASE
        WHEN p.address IS DISTINCT FROM a.recipient AND p.cust IS NOT NULL AND a.recipient IS NOT NULL THEN 'address_changed'
        WHEN a.needs_consent AND p.consent IS NOT TRUE AND p.cust IS NOT NULL THEN 'no_consent'
        ELSE '{NO_LONGER_TRUE}' END
    FROM asked AS a
    LEFT JOIN rule_name AS r USING (rule)
    LEFT JOIN person AS p USING (customer_id)
    LEFT JOIN asked_step AS s ON s.rule = a.rule AND s.step = a.step
    WHERE NOT EXISTS (
        SELECT 1 FROM candidate AS c
        WHERE c.rule_no = r.rule_no AND c.cust = p.cust
            AND CASE WHEN r.by_account THEN p.account_id END IS NOT DISTINCT FROM a.account_id AND NOT c.ended AND (c.failing_steps >> s.step_no) & 1 = 0
            AND (c.occurrence = a.occurrence OR EXISTS (
                SELECT 1 FROM decision AS d WHERE d.rule_no = c.rule_no AND d.cust = c.cust AND d.occurrence = a.occurrence)))
    OR EXISTS (
        SELECT 1 FROM asked_block AS b
        JOIN (SELECT rule_no, cust, anchor FROM candidate UNION ALL FROM bystander) AS c ON c.rule_no = b.blocker_no
        WHERE b.rule = a.rule AND c.cust = p.cust AND c.anchor <= $now)
    OR p.address IS DISTINCT FROM a.recipient AND a.recipient IS NOT NULL
    OR a.needs_consent AND p.consent IS NOT TRUE
    ORDER BY 1"""
