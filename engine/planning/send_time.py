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

_QUIET = """coalesce(CASE WHEN quiet_from < quiet_to THEN {time} >= quiet_from AND {time} < quiet_to
                       ELSE {time} >= quiet_from OR {time} < quiet_to END, false)"""

# `calm_at` is the sending time moved out of the quiet hours. Quiet hours over midnight end on the next date for
# whoever is before midnight.
_JUDGED = f"""
WITH moved AS (
    SELECT o.*, p.zone_no, r.day_shift, r.quiet_from, r.quiet_to, greatest(o.due_at, {{as_of}}) AS ready_at,
           CASE WHEN {_QUIET.format(time="t.send_at")} THEN r.quiet_to ELSE t.send_at END AS calm_at
    FROM planning.open o
    JOIN planning.rule r USING (rule_no)
    JOIN planning.step t USING (rule_no, step_no)
    JOIN person p ON p.cust = o.cust
), ready AS (
    SELECT m.*, {local("z", "m.ready_at")} AS ready
    FROM moved m {at_instant("z", "m.zone_no", "m.ready_at")}
), on_a_day AS (
    SELECT *, day_shift[isodow(ready)] AS days,
           CASE WHEN days = 0 THEN ready ELSE ready::DATE + days + calm_at END AS day
    FROM ready
), awake AS (
    SELECT *, day::TIME AS asks_at,
           CASE WHEN {_QUIET.format(time="asks_at")}
                THEN day::DATE + (quiet_from >= quiet_to AND asks_at >= quiet_from)::INTEGER + quiet_to
                ELSE day END AS awake
    FROM on_a_day
), settled_on AS (
    SELECT *, day_shift[isodow(awake)] AS more_days,
           CASE WHEN more_days = 0 THEN awake ELSE awake::DATE + more_days + calm_at END AS leaves
    FROM awake
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
    mark(db, _JUDGED.format(as_of=instant(options.as_of), horizon=instant(options.horizon)))
