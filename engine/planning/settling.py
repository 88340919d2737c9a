"""What a run settles: the engine's only memory, written from the decisions.

Sends and shadow sends settle their step as `sent`, held-out ones as `held_out`, on the local date of sending; steps
that are too late or superseded as `skipped` and `superseded`, on the customer's local date of the run. A rule that is
held as a whole settles nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.marking import publish, write
from engine.planning.tables import OPEN

if TYPE_CHECKING:
    import duckdb

_OUTCOME = "CASE WHEN r.shadow THEN 'shadow' WHEN j.arm = 'control' THEN 'hold_out' ELSE 'send' END"

_SETTLING = """
INSERT INTO settling
SELECT d.rule_no, d.cust, d.occurrence, s.step_id,
       CASE WHEN d.outcome = 'hold_out' THEN 'held_out' WHEN d.reason = 'too_late' THEN 'skipped'
            WHEN d.reason = 'superseded' THEN 'superseded' ELSE 'sent' END,
       CASE WHEN d.outcome = 'skip' THEN z.today ELSE d.local_date END, d.anchor
FROM planning.decided d
JOIN planning.step s USING (rule_no, step_no)
JOIN planning.rule r USING (rule_no)
JOIN person p USING (cust)
JOIN planning.zone_today z USING (zone_no)
WHERE (d.outcome IN ('send', 'hold_out', 'shadow') OR d.reason IN ('too_late', 'superseded'))
  AND r.held IS NULL
  AND d.rule_no NOT IN (SELECT rule_no FROM planning.decided WHERE reason = 'held_for_review')
"""


def settle(db: duckdb.DuckDBPyConnection) -> None:
    """Write what is still open as winners, then `settling`, and make `decision` readable."""
    write(db, f"SELECT {OPEN}, 'due' AS reason, NULL AS detail FROM planning.open", outcome=_OUTCOME)
    db.execute(_SETTLING)
    publish(db)
