"""`explain`: why a customer got something, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command
from engine.cli.explained import Teller, tell_account
from engine.cli.opening import AsOf, RuleOption, find_state, known_rules, open_project, read_moment
from engine.cli.screen import Screen
from engine.explain import Explanation, RuleExplanation, explain_account
from engine.explain import explain as explain_customer
from engine.fit import customers_of_address


@command
def explain(
    screen: Screen,
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="a customer's id, or their e-mail address", show_default=False)
    ] = "",
    account: Annotated[
        str, typer.Option("--account", metavar="ID", help="explain an account and all its people instead")
    ] = "",
    rule: RuleOption = None,
    as_of: AsOf = None,
    sql: Annotated[bool, typer.Option("--sql", help="print the query of each rule as well")] = False,
) -> None:
    """Say, rule by rule, what held for a customer and what did not, which stage decided, and what was sent before.

    JSON: `customer_id`, `as_of`, `person` (the customer's columns, or null), `rules` (rule, status, account_id,
    rows: about, conditions: text, held, values; found, decision; sql with --sql), `quarantined` (table, row, column,
    value, reason), `suppressions` (kind, topic, until), `history` (decisions, settled, exposures, messages; null before
    the first run). With --account: `account_id`, `as_of`, `account` (its columns, or null), `rules` (rule, status,
    account_id, rows, decisions: customer_id, occurrence, step, outcome, reason, channel, template, arm, not_before).
    """
    if bool(customer) == bool(account):
        raise RequestError("explain one CUSTOMER, or one account with --account ID")
    project, moment = open_project(screen), read_moment(as_of)
    names = known_rules(project, rule)
    if account:
        _explain_account(screen, project, account, moment, names, sql=sql)
        return
    with screen.meter() as meter, find_state(project) as store:
        meter.stage(f"looking at {customer}")
        found = explain_customer(project, store, _customer_id(project, customer), moment, names)
    if found.person is None and not (found.history and (found.history.settled or found.history.decisions)):
        raise RequestError(
            f'there is no customer "{customer}" in the customers table, and nothing is remembered of one'
        )
    screen.emit(_document(found, sql=sql))
    if not screen.as_json:
        Teller(screen, project, found).tell(in_full=names is not None, sql=sql)


def _explain_account(
    screen: Screen, project: Project, account: str, moment: datetime | date | None, names: list[str] | None,
    *, sql: bool,
) -> None:  # fmt: skip
    with screen.meter() as meter, find_state(project) as store:
        meter.stage(f"looking at {account}")
        found = explain_account(project, store, account, moment, names)
    if not found.rules:
        raise RequestError("no rule that is asked for is about accounts")
    if found.account is None:
        raise RequestError(f'there is no account "{account}" in the tables')
    documents = [
        _rule_document(one, sql=sql) | {"decisions": [_without_rule(row) for row in decisions]}
        for one, decisions in zip(found.rules, found.decisions, strict=True)
    ]
    document = {"account_id": found.account_id, "as_of": found.as_of, "account": found.account, "rules": documents}
    screen.emit(document)
    if not screen.as_json:
        tell_account(screen, project, found)


def _without_rule(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name not in {"rule", "account_id", "anchor"}}


def _customer_id(project: Project, customer: str) -> str:
    """An e-mail address stands for the customer who has it."""
    if "@" not in customer:
        return customer
    found = customers_of_address(project, customer)
    if len(found) > 1:
        raise RequestError(f"{len(found)} customers have this address: {', '.join(found[:20])}; name one of them")
    return found[0] if found else customer


def _document(found: Explanation, *, sql: bool) -> dict[str, object]:
    return {
        "customer_id": found.customer_id, "as_of": found.as_of, "person": found.person,
        "rules": [_rule_document(one, sql=sql) for one in found.rules],
        "quarantined": [vars(issue) for issue in found.quarantined], "history": found.history,
        "suppressions": [dict(zip(("kind", "topic", "until"), one, strict=True)) for one in found.suppressions],
    }  # fmt: skip


def _rule_document(one: RuleExplanation, *, sql: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "rule": one.rule.id,
        "status": one.rule.status,
        "account_id": one.account_id,
        "rows": one.rows,
    }
    return document | ({"sql": one.sql} if sql else {})
