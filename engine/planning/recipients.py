"""How many people of an account a rule about accounts writes to: at most `at_most` about one occurrence.

Whoever got a step of it before stays. The others follow in the order of their ids, as far as places are left; somebody
who may not be written to takes none. Decided before the caps, so that who is chosen hangs on the account alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.marking import mark

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_JUDGED = """
WITH reached AS (
    SELECT DISTINCT z.rule_no, z.cust, z.occurrence
    FROM settled z JOIN planning.rule r USING (rule_no)
    WHERE r.at_most IS NOT NULL AND z.own AND z.how IN ('sent', 'held_out')
), taken AS (
    SELECT e.rule_no, p.account_id, e.occurrence, count(*) AS people
    FROM reached e JOIN person p USING (cust)
    GROUP BY ALL
), placed AS (
    SELECT o.cand, r.at_most, e.cust IS NOT NULL AS stays, coalesce(t.people, 0) + row_number() OVER (
               PARTITION BY o.rule_no, p.account_id, o.occurrence, e.cust IS NULL ORDER BY p.customer_id) AS place
    FROM planning.open o
    JOIN planning.rule r USING (rule_no)
    JOIN person p ON p.cust = o.cust
    LEFT JOIN reached e ON e.rule_no = o.rule_no AND e.cust = o.cust AND e.occurrence = o.occurrence
    LEFT JOIN taken t ON t.rule_no = o.rule_no AND t.account_id = p.account_id AND t.occurrence = o.occurrence
    WHERE r.at_most IS NOT NULL
)
SELECT o.*, CASE WHEN NOT x.stays AND x.place > x.at_most THEN 'at_most' END::planning.reason AS reason,
       CASE WHEN reason IS NOT NULL THEN CAST(x.at_most AS VARCHAR) END AS detail
FROM planning.open o LEFT JOIN placed x USING (cand)
"""


def choose_recipients(db: duckdb.DuckDBPyConnection, _options: PlanOptions) -> None:
    """Decide who of an account's people comes first, where a rule limits their number."""
    if db.execute("SELECT count(*) FROM planning.rule WHERE at_most IS NOT NULL").fetchall()[0][0]:
        mark(db, _JUDGED)
