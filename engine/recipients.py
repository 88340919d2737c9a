"""From accounts to their people: whom each rule about accounts may write to."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from engine.warehouse.accounts import SCHEMA
from engine.warehouse.sql import Bound, execute

NOBODY = "chr(31) || {}"
"""SQL for the id of whom an account without recipients is decided about; no customer's id has such a sign."""

_FOUND = (
    f"SELECT DISTINCT c.rule_no, a.customer_id AS account_id, a.zone_no FROM {SCHEMA}.candidate AS c "
    f"JOIN {SCHEMA}.person AS a USING (cust)"
)

_STAND_INS = f"""
    INSERT INTO person BY NAME
    SELECT CAST((SELECT count(*) FROM person) + row_number() OVER () - 1 AS INTEGER) AS cust,
        {NOBODY.format("account_id")} AS customer_id, account_id, 'nobody' AS address_state, zone_no
    FROM (SELECT DISTINCT account_id, zone_no FROM lonely)"""

_OF_STAND_INS = """
    INSERT INTO recipient SELECT l.rule_no, p.cust, l.account_id
    FROM lonely AS l JOIN person AS p ON p.account_id = l.account_id AND p.address_state = 'nobody'"""

_CANDIDATES = f"""
    INSERT INTO candidate SELECT c.rule_no, r.cust, c.* EXCLUDE (rule_no, cust)
    FROM {SCHEMA}.candidate AS c JOIN {SCHEMA}.person AS a USING (cust)
    JOIN recipient AS r ON r.rule_no = c.rule_no AND r.account_id = a.customer_id"""

_BYSTANDERS = f"""
    CREATE OR REPLACE TABLE bystander AS
    SELECT c.rule_no, p.cust, c.anchor FROM {SCHEMA}.candidate AS c JOIN {SCHEMA}.person AS a USING (cust)
    JOIN person AS p ON p.account_id = a.customer_id
    ANTI JOIN recipient AS r ON r.rule_no = c.rule_no AND r.cust = p.cust"""


def address(db: duckdb.DuckDBPyConnection, conditions: Mapping[int, str], bound: Bound) -> None:
    """One candidate for each recipient of an account that was found, and one for an account that has none.

    `conditions`: by number of the rules about accounts, SQL over the customer `p` for whether they are a recipient.
    An account without any is stood in for by a person without a name, so that its case is decided like any other.
    `bystander` are people of a found account who are no recipients: what the rule blocks is blocked for them too.
    """
    db.execute("CREATE OR REPLACE TABLE recipient (rule_no USMALLINT, cust INTEGER, account_id VARCHAR)")
    for number, holds in conditions.items():
        of_rule = f"SELECT account_id FROM ({_FOUND}) WHERE rule_no = {number}"
        insert = f"INSERT INTO recipient SELECT {number}, p.cust, p.account_id FROM person AS p"
        execute(db, f"{insert} WHERE p.account_id IN ({of_rule}) AND ({holds})", bound)
    lonely = f"SELECT * FROM ({_FOUND}) AS f ANTI JOIN recipient AS r USING (rule_no, account_id)"
    db.execute(f"CREATE OR REPLACE TABLE lonely AS {lonely}")
    for statement in (_STAND_INS, _OF_STAND_INS, _CANDIDATES, _BYSTANDERS):
        db.execute(statement)
