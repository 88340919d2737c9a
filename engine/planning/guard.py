"""Whether a rule would send so much that a person should look first.

A rule is held as a whole, both arms, when its sends exceed `growth` times the median of its last 14 runs, or `share`
of all customers, or `first_run` when it has never run; never for `floor` messages or fewer. What it held frees no
place for others in this run, because it may be released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.marking import mark

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_JUDGED = """
WITH usual AS (
    SELECT rule_no, median(sends) AS sends
    FROM (FROM rule_history QUALIFY row_number() OVER (PARTITION BY rule_no ORDER BY run_no DESC) <= 14)
    GROUP BY rule_no
), planned AS (
    SELECT rule_no, count(*) FILTER (arm <> 'control') AS sends FROM planning.open GROUP BY rule_no
), stopped AS (
    SELECT rule_no, n.sends
    FROM planned n JOIN planning.guard g USING (rule_no) LEFT JOIN usual u USING (rule_no)
    WHERE n.sends > g.floor
      AND (n.sends > g.share * {customers}
           OR CASE WHEN u.rule_no IS NULL THEN n.sends > g.first_run ELSE n.sends > g.growth * u.sends END)
)
SELECT o.*, CASE WHEN s.rule_no IS NOT NULL THEN 'held_for_review' END::planning.reason AS reason,
       s.sends || ' messages' AS detail
FROM planning.open o LEFT JOIN stopped s USING (rule_no)
"""


def stand_guard(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Hold rules that would send far more than usual."""
    if not db.execute("SELECT count(*) FROM planning.guard").fetchall()[0][0]:
        return
    mark(db, _JUDGED.format(customers=int(options.customers)))
