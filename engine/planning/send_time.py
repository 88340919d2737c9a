"""When a message may leave: allowed days and quiet hours in the customer's zone, which decide the date that counts.

A step leaves at its due instant, or at once when that is past. On a day that is not allowed it waits for the sending
time of the next allowed one, in quiet hours for their end. What could leave only after it has become too late is
decided now; what could leave only after the next run is left to that run, with the facts of its day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.local_time import at_instant, at_local, instant, local, utc
from engine.planning.marking import mark

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

# `calm_at` is the sending time moved out of the quiet hours.
_MACROS = """
CREATE OR REPLACE MACRO planning.quiet(moment, quiet_from, quiet_to) AS
    coalesce(CASE WHEN quiet_from < quiet_to THEN moment >= quiet_from AND moment < quiet_to
                  ELSE moment >= quiet_from OR moment < quiet_to END, false);
CREATE OR REPLACE MACRO planning.awake(moment, quiet_from, quiet_to) AS
    CASE WHEN planning.quiet(moment::TIME, quiet_from, quiet_to)
         THEN moment::DATE + (quiet_from >= quiet_to AND moment::TIME >= quiet_from)::INTEGER + quiet_to
         ELSE moment END;
CREATE OR REPLACE MACRO planning.allowed(moment, day_shift, calm_at) AS
    CASE WHEN day_shift[isodow(moment)] = 0 THEN moment
         ELSE moment::DATE + day_shift[isodow(moment)] + calm_at END;
"""

_JUDGED = f"""
WITH moved AS (
    SELECT o.*, p.zone_no, r.day_shift, r.quiet_from, r.quiet_to, greatest(o.due_at, {{as_of}}) AS ready_at,
           CASE WHEN planning.quiet(t.send_at, r.quiet_from, r.quiet_to) THEN r.quiet_to ELSE t.send_at END AS calm_at
    FROM planning.open o
    JOIN planning.rule r USING (rule_no)
    JOIN planning.step t USING (rule_no, step_no)
    JOIN person p ON p.cust = o.cust
), seen_locally AS (
    SELECT m.*, {local("z", "m.ready_at")} AS ready
    FROM moved m {at_instant("z", "m.zone_no", "m.ready_at")}
), settled_on AS (
    SELECT *, planning.allowed(
               planning.awake(planning.allowed(ready, day_shift, calm_at), quiet_from, quiet_to), day_shift, calm_at
           ) AS leaves
    FROM seen_locally
), timed AS (
    SELECT o.* REPLACE (
               CASE WHEN o.leaves = o.ready THEN o.ready_at
                    ELSE greatest(o.ready_at, {utc("u", "o.leaves")}) END AS not_before,
               o.leaves::DATE AS local_date)
    FROM settled_on o
    {at_local("u", "o.zone_no", "CASE WHEN o.leaves <> o.ready THEN o.leaves END")}
)
SELECT *, CASE WHEN not_before >= expires_at THEN CASE WHEN fresh THEN 'existing' ELSE 'too_late' END
               WHEN not_before >= {{horizon}} THEN 'not_due' END::planning.reason AS reason,
       NULL AS detail
FROM timed
"""


def set_send_time(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Fill `not_before` (UTC) and `local_date` of the open rows."""
    db.execute(_MACROS)
    mark(db, _JUDGED.format(as_of=instant(options.as_of), horizon=instant(options.horizon)))
