"""Who of the winners is held out as the control group, and which variant the others get.

Shares are drawn by SHA-256 of (salt, rule, customer), or account in rules about accounts, with the first id the rule ever had: stable between runs,
independent between rules, and unaffected by other customers or the order of rows. `draw` is the same hash in Python,
so anybody can check a draw:

    held out      draw(salt, origin, customer_id)  < share x 16^15
    globally      draw(salt, "*", customer_id)     < share x 16^15     (marketing only)
    variant       draw(salt, origin, step_id, customer_id) falls into its part of the cumulative shares
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.planning.marking import mark
from engine.planning.tables import hash_bound

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

GLOBAL = "*"
"""Takes the place of the rule id in the draw of the global holdout."""


def draw(*parts: str) -> int:
    """First 15 hex digits of SHA-256 over the parts joined by the unit separator, 0 to 16^15 - 1."""
    return int(hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15], 16)


def _drawn(*parts: str) -> str:
    """`draw` in SQL."""
    return f"('0x' || substr(sha256(concat_ws(chr(31), {', '.join(parts)})), 1, 15))::BIGINT"


_SUBJECT = "CASE WHEN r.by_account THEN p.account_id ELSE p.customer_id END"

_JUDGED = f"""
WITH drawn AS (
    SELECT o.cand, r.rule_no,
           coalesce({_drawn("v.salt", "r.origin", _SUBJECT)} < nullif(r.held_out_below, 0), false) AS by_rule,
           CASE WHEN r.class = 'marketing' AND v.everywhere > 0
                THEN {_drawn("v.salt", f"'{GLOBAL}'", _SUBJECT)} < v.everywhere ELSE false END AS by_all,
           CASE WHEN r.rule_no IN (SELECT rule_no FROM planning.variant)
                THEN {_drawn("v.salt", "r.origin", "t.step_id", _SUBJECT)} END AS lot
    FROM planning.open o
    JOIN planning.rule r USING (rule_no)
    JOIN planning.step t USING (rule_no, step_no)
    JOIN person p ON p.cust = o.cust
    CROSS JOIN planning.draw v
)
SELECT o.* REPLACE (
           CASE WHEN d.by_rule OR d.by_all THEN 'control' ELSE coalesce(v.name, 'treated') END AS arm,
           coalesce(v.send, t.send) AS template),
       NULL AS reason, NULL AS detail
FROM planning.open o
JOIN drawn d USING (cand)
JOIN planning.step t ON t.rule_no = o.rule_no AND t.step_no = o.step_no
LEFT JOIN planning.variant v
  ON v.rule_no = o.rule_no AND v.step_no = o.step_no AND d.lot >= v.from_hash AND d.lot < v.to_hash
"""


def draw_arms(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Fill `arm` and `template` of the open rows."""
    db.execute("CREATE TABLE planning.draw (salt VARCHAR, everywhere BIGINT)")
    db.execute("INSERT INTO planning.draw VALUES (?, ?)", [options.salt, hash_bound(options.holdout_global)])
    mark(db, _JUDGED)
    db.execute("DROP TABLE planning.draw")
