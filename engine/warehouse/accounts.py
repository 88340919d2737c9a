"""Accounts: the same tables seen with the account in the customer's place.

What rules about accounts look at lies in a schema of its own, under the names the customers' tables have: `cust` is
the account's number, `customer_id` its id, `c_…` its columns. A row belongs to an account if it carries its
`account_id`, or else if its customer is one of the account's people. So the SQL of a trigger holds for both.

An account is what the table `accounts` or any customer names; without such a table accounts have no columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from engine.warehouse.shapes import Shape
from engine.warehouse.sql import quote

SCHEMA = "of_account"
"""Where the tables of the accounts lie."""


@contextmanager
def seen_by_accounts(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within it, a table named without a schema is the accounts' where they have one, and is made for them."""
    db.execute(f"SET search_path = '{SCHEMA},main'")
    try:
        yield
    finally:
        db.execute("SET search_path = 'main'")


def accounts_select(shape: Shape | None, columns: list[str]) -> str:
    """Every account with the staged `columns` of its row, its zone, and whether anybody of it has an address."""
    own = "".join(f", a.{quote(name)} AS {quote('c_' + name)}" for name in columns)
    table, joins, zone, country = "", "", "0", "CAST(NULL AS VARCHAR)"
    if shape is not None:
        table = "UNION SELECT account_id FROM main.t_accounts_read"
        joins = "LEFT JOIN main.t_accounts_read AS a ON a.account_id = n.account_id"
        if "timezone" in columns:
            zone, joins = "coalesce(z.zone_no, 0)", f"{joins} LEFT JOIN zone_number AS z ON z.zone = a.timezone"
        country = "upper(a.country)" if "country" in columns else country
    return f"""
        WITH people AS (SELECT account_id, count(address) AS reachable FROM main.t_customers
                WHERE account_id IS NOT NULL GROUP BY 1),
            named AS (SELECT account_id FROM people {table})
        SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS cust, n.account_id AS customer_id,
            CAST(NULL AS VARCHAR) AS address, CAST(NULL AS INTEGER) AS addr,
            CASE WHEN q.reachable > 0 THEN 'ok' ELSE 'none' END AS address_state, {zone} AS zone_no,
            {country} AS country{own}
        FROM named AS n {joins} LEFT JOIN people AS q ON q.account_id = n.account_id"""


def rows_of_accounts(shape: Shape, rows: str, customer_column: str | None, account_column: str | None) -> str:
    """`rows` with the account they belong to.

    The columns are what the rows call `customer_id`: of customers, and of accounts where those are customers of Stripe.
    """
    members = []
    if customer_column:
        members.append(
            f"SELECT DISTINCT {customer_column} AS customer_id, account_id FROM main.t_customers "
            f"WHERE {customer_column} IS NOT NULL AND account_id IS NOT NULL"
        )
    if account_column:
        members.append(
            f"SELECT {account_column}, customer_id FROM {SCHEMA}.t_customers WHERE {account_column} IS NOT NULL"
        )
    account, join = "r.account_id" if shape.has("account_id") else "NULL", ""
    if members:
        account = f"coalesce({account}, m.account_id)"
        join = f"LEFT JOIN ({' UNION '.join(members)}) AS m(customer_id, account_id) ON m.customer_id = r.customer_id"
    return (
        f"(SELECT a.cust, a.zone_no, r.* FROM {rows} AS r {join} "
        f"JOIN {SCHEMA}.t_customers AS a ON a.customer_id = {account})"
    )


def members_on_server(customers: Shape, relation: str) -> str:
    """The account of every customer, for a statement that runs where `relation` is; of rows under one id the newest."""
    id_, account = (
        f"nullif(trim(CAST({quote(customers.columns[name].raw)} AS VARCHAR)), '')"
        for name in ("customer_id", "account_id")
    )
    dated = customers.has("updated_at")
    newest = f", {quote(customers.columns['updated_at'].raw)} AS updated_at" if dated else ""
    order = ", m.updated_at DESC NULLS LAST" if dated else ""
    return (
        f"(SELECT DISTINCT ON (m.customer_id) m.customer_id, m.account_id FROM (SELECT {id_} AS customer_id, "
        f"{account} AS account_id{newest} FROM {relation} AS c) AS m ORDER BY m.customer_id{order})"
    )
