"""`explain`: why a customer got something, or nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command
from engine.cli.explained import Teller
from engine.cli.opening import AsOf, RuleOption, find_state, known_rules, open_project, read_moment
from engine.cli.screen import Screen
from engine.explain import Explanation, RuleExplanation
from engine.explain import explain as explain_customer
from engine.fit import customers_of_address


@command
def explain(
    screen: Screen,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="a customer's id, or their e-mail address")],
    rule: RuleOption = None,
    as_of: AsOf = None,
    sql: Annotated[bool, typer.Option("--sql", help="print the query of each rule as well")] = False,
) -> None:
    """Say, rule by rule, what held for a customer and what did not, which stage decided, and what was sent before.

    JSON: `customer_id`, `as_of`, `person` (the customer's columns, or null), `rules` (rule, status, account_id,
    rows: about, conditions: text, held, values; found, decision; sql with --sql), `quarantined` (table, row, column,
    value, reason), `suppressions` (kind, topic, until), `history` (decisions, settled, exposures, messages; null before
    the first run).
    """
    project, moment = open_project(screen), read_moment(as_of)
    names = known_rules(project, rule)
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
