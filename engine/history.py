"""What the state remembers, loaded beside the candidates: bounded by who is present, never all of history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

import duckdb

from engine.planning.tables import calendar
from engine.project.rules import Rule
from engine.project.settings import Settings
from engine.recipients import NOBODY
from engine.store import CUSTOMER_KEY_SQL, Store
from engine.warehouse.sql import load_rows

_SETTLED = {
    "rule": "VARCHAR", "customer_id": "VARCHAR", "occurrence": "VARCHAR", "step_id": "VARCHAR", "local_date": "DATE",
    "how": "VARCHAR", "settled_at": "TIMESTAMP", "anchor": "TIMESTAMP", "account_id": "VARCHAR",
}  # fmt: skip
_DECISION = {
    "rule": "VARCHAR", "customer_id": "VARCHAR", "occurrence": "VARCHAR", "step_id": "VARCHAR", "outcome": "VARCHAR",
    "reason": "VARCHAR", "decided_at": "TIMESTAMP", "waited_s": "BIGINT", "account_id": "VARCHAR",
}  # fmt: skip
_EXPOSURE = {
    "rule": "VARCHAR", "customer_id": "VARCHAR", "occurrence": "VARCHAR", "step": "VARCHAR", "address_key": "VARCHAR",
    "topic": "VARCHAR", "class": "VARCHAR", "arm": "VARCHAR", "local_date": "DATE", "counts": "BOOLEAN",
    "account_id": "VARCHAR",
}  # fmt: skip

_SAME_PERSON = f"p.account_id = {{0}}.account_id AND p.customer_id = coalesce({{0}}.customer_id, {NOBODY.format('{0}.account_id')})"
"""SQL for whether `p` is the customer of a remembered row; one without stands in for an account that has nobody."""

_SUPPRESSION = {"address_key": "VARCHAR", "kind": "VARCHAR", "topic": "VARCHAR", "until": "DATE"}


def load_history(
    db: duckdb.DuckDBPyConnection,
    store: Store | None,
    rules: Sequence[Rule],
    settings: Settings,
    secret: str,
    as_of: datetime,
    before_run: int | None = None,
) -> None:
    """Make the history tables that planning reads, resolved to rule_no, cust and addr.

    Without a store they are empty: the plan of a project that has never run. With `before_run` everything that run
    wrote itself is left out, so that an interrupted run is decided again exactly as it was.
    """
    _number_rules(db, rules)
    _key_addresses(db, secret)
    _load_settled(db, store, rules, before_run)
    _load_decisions(db, store, rules, before_run)
    _load_exposures(db, store, rules, settings, as_of, before_run)
    _load_suppressions(db, store, secret)
    sends = store.runs.rule_sends_history([rule.id for rule in rules]) if store else []
    load_rows(db, "rule_history_read", {"rule": "VARCHAR", "run_no": "INTEGER", "sends": "BIGINT"}, sends)
    db.execute(
        "CREATE OR REPLACE TABLE rule_history AS SELECT r.rule_no, h.run_no, h.sends "
        "FROM rule_history_read AS h JOIN rule_name AS r USING (rule)"
    )


def _number_rules(db: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> None:
    """Names in the state to rule numbers: a rule's id, those it had before, and the names its memory goes by."""
    names = [
        (name, number, rule.id, rule.status == "shadow", rule.by_account)
        for number, rule in enumerate(rules)
        for name in dict.fromkeys((rule.id, *rule.was, *rule.memory_names))
    ]
    columns = {"rule": "VARCHAR", "rule_no": "USMALLINT", "present_name": "VARCHAR", "in_shadow": "BOOLEAN",
               "by_account": "BOOLEAN"}  # fmt: skip
    load_rows(db, "rule_name", columns, names)


def _key_addresses(db: duckdb.DuckDBPyConnection, secret: str) -> None:
    """`address_key` of every address, the form in which the state remembers addresses; without one, the customer's."""
    db.execute(
        "CREATE OR REPLACE TABLE address_key AS SELECT addr, sha256($secret || chr(31) || address) AS key "
        "FROM person WHERE addr = cust",
        {"secret": secret},
    )
    key = CUSTOMER_KEY_SQL.format(customer_id="customer_id")
    db.execute(
        f"CREATE OR REPLACE TABLE customer_key AS SELECT cust, {key} AS key FROM person WHERE addr IS NULL",
        {"secret": secret},
    )


def _load_settled(
    db: duckdb.DuckDBPyConnection, store: Store | None, rules: Sequence[Rule], before_run: int | None
) -> None:
    """`settled` by candidate: `own` steps, and beside them one row for each step anybody of the account got.

    The ladder is each recipient's own. When it began, and what occurrence it is about, is known of the account.
    """
    remembered = store.ledger.rules_with_memory() if store else set()
    names = {number: [name for name in rule.memory_names if name in remembered] for number, rule in enumerate(rules)}
    of_customers = {number: known for number, known in names.items() if known and not rules[number].by_account}
    of_accounts = {number: known for number, known in names.items() if known and rules[number].by_account}
    rows: Iterable[Sequence[object]] = ()
    if store and of_customers:
        rows = store.ledger.settled_of(_present(db, of_customers, "customer_id"), before_run=before_run)
    load_rows(db, "settled_read", _SETTLED, rows)
    db.execute(
        "CREATE OR REPLACE TABLE settled AS SELECT r.rule_no, p.cust, coalesce(s.occurrence, '') AS occurrence, "
        "s.step_id, s.local_date, s.how, s.settled_at, s.anchor, TRUE AS own FROM settled_read AS s "
        "JOIN rule_name AS r USING (rule) JOIN person AS p USING (customer_id) WHERE NOT r.by_account"
    )
    if store and of_accounts:
        rows = store.ledger.settled_of_accounts(_present(db, of_accounts, "account_id"), before_run=before_run)
        load_rows(db, "settled_read", _SETTLED, rows)
        db.execute(_SETTLED_OF_ACCOUNTS)


_SETTLED_OF_ACCOUNTS = f"""
    INSERT INTO settled
    WITH known AS (
        SELECT r.rule_no, s.* REPLACE (coalesce(s.occurrence, '') AS occurrence)
        FROM settled_read AS s JOIN rule_name AS r USING (rule) WHERE r.by_account
    ), once AS (
        SELECT rule_no, account_id, occurrence, step_id, how, min(local_date) AS local_date,
            min(settled_at) AS settled_at, min(anchor) AS anchor
        FROM known GROUP BY ALL
    )
    SELECT k.rule_no, p.cust, k.occurrence, k.step_id, k.local_date, k.how, k.settled_at, k.anchor, TRUE
    FROM known AS k JOIN person AS p ON {_SAME_PERSON.format("k")}
    SEMI JOIN recipient AS i ON i.rule_no = k.rule_no AND i.cust = p.cust
    UNION ALL
    SELECT o.rule_no, i.cust, o.occurrence, o.step_id, o.local_date, o.how, o.settled_at, o.anchor, FALSE
    FROM once AS o JOIN recipient AS i ON i.rule_no = o.rule_no AND i.account_id = o.account_id"""


def _present(db: duckdb.DuckDBPyConnection, names: dict[int, list[str]], subject: str) -> Iterator[tuple[str, str]]:
    """(rule, subject) of all candidates of rules that remember anything, streamed."""
    reader = db.cursor().execute(
        f"SELECT DISTINCT c.rule_no, p.{subject} FROM candidate AS c JOIN person AS p USING (cust) "
        "WHERE list_contains($numbers, c.rule_no)", {"numbers": list(names)},
    )  # fmt: skip
    while rows := reader.fetchmany(10_000):
        for number, ident in rows:
            for name in names[number]:
                yield name, ident


def _load_decisions(
    db: duckdb.DuckDBPyConnection, store: Store | None, rules: Sequence[Rule], before_run: int | None
) -> None:
    names = [name for rule in rules for name in (rule.id, *rule.was)]
    rows = store.ledger.latest_decisions(names, before_run=before_run) if store else ()
    load_rows(db, "standing", _DECISION, rows)
    db.execute(
        "CREATE OR REPLACE TABLE last_decision AS SELECT r.rule_no, p.cust, coalesce(d.occurrence, '') AS occurrence, "
        "coalesce(d.step_id, '') AS step_id, d.outcome, d.reason, d.decided_at, d.waited_s FROM standing AS d "
        "JOIN rule_name AS r USING (rule) JOIN person AS p USING (customer_id) WHERE NOT r.by_account"
    )
    if any(rule.by_account for rule in rules):
        db.execute(
            "INSERT INTO last_decision SELECT r.rule_no, p.cust, coalesce(d.occurrence, ''), coalesce(d.step_id, ''), "
            "d.outcome, d.reason, d.decided_at, d.waited_s FROM standing AS d JOIN rule_name AS r USING (rule) "
            f"JOIN person AS p ON {_SAME_PERSON.format('d')} WHERE r.by_account"
        )
    db.execute(
        "CREATE OR REPLACE TABLE seen AS SELECT DISTINCT l.rule_no, l.cust, l.occurrence FROM last_decision AS l "
        "JOIN rule_name AS r USING (rule_no) WHERE r.rule = r.present_name AND (r.in_shadow OR l.outcome <> 'shadow')"
    )


def _load_exposures(
    db: duckdb.DuckDBPyConnection,
    store: Store | None,
    rules: Sequence[Rule],
    settings: Settings,
    as_of: datetime,
    before_run: int | None,
) -> None:
    rows = store.ledger.exposures_since(_reach_back(rules, settings, as_of), before_run=before_run) if store else ()
    load_rows(db, "exposure_read", _EXPOSURE, rows)
    db.execute(
        "CREATE OR REPLACE TABLE exposure AS SELECT k.addr, p.cust, coalesce(r.present_name, e.rule) AS rule_id, e.occurrence, e.topic, "
        "e.class, e.local_date, e.counts FROM exposure_read AS e LEFT JOIN rule_name AS r USING (rule) "
        "LEFT JOIN address_key AS k ON k.key = e.address_key "
        "LEFT JOIN person AS p ON p.customer_id = e.customer_id WHERE k.addr IS NOT NULL OR p.cust IS NOT NULL"
    )


def _reach_back(rules: Sequence[Rule], settings: Settings, as_of: datetime) -> date:
    """The oldest local date that a cap or a `repeat_after` still looks at, two days of zones added."""
    caps = [cap.days for caps in (settings.caps.all, *settings.caps.topics.values()) for cap in caps]
    repeats = [months * 31 + days for months, days in (calendar(rule.repeat_after) for rule in rules)]
    return (as_of - timedelta(days=max([1, *caps, *repeats]) + 2)).date()


def _load_suppressions(db: duckdb.DuckDBPyConnection, store: Store | None, secret: str) -> None:
    """`suppression` by address, and `erased_person`: who was erased under the id they have, whatever their address."""
    load_rows(db, "suppression_read", _SUPPRESSION, store.suppressions.rows() if store else ())
    db.execute("CREATE OR REPLACE TABLE erased_person (cust INTEGER)")
    if db.execute("SELECT count(*) FROM suppression_read WHERE kind = 'erased'").fetchall()[0][0]:
        db.execute(
            "INSERT INTO erased_person SELECT p.cust FROM person AS p SEMI JOIN suppression_read AS s ON s.kind = 'erased' "
            f"AND s.address_key = {CUSTOMER_KEY_SQL.format(customer_id='p.customer_id')}",
            {"secret": secret},
        )
    db.execute(
        "CREATE OR REPLACE TABLE suppression AS SELECT k.addr, s.kind, s.topic, s.until FROM suppression_read AS s "
        "JOIN address_key AS k ON k.key = s.address_key"
    )
