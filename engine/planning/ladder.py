"""Which step of its ladder a candidate stands on today, worked out afresh from facts and settled steps.

A step's **due date** is the local date of the anchor plus `after` or minus `before`, or the local date on which the
step before was settled plus `wait`. Its **due instant** is the first sending time in the customer's zone, on an
allowed day, on or after the due date and not before the anchor (for hours and minutes: not before anchor or settling
plus that time). Lateness counts from the local date of the due instant.

The current step is the newest one that is due before the horizon or settled. Older due steps that nothing settled are
superseded. A step whose message was stopped at the gate is settled, but a `wait` after it counts from the step before
it, as if the stopped step were not in the ladder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.local_time import at_instant, at_local, instant, local, utc
from engine.planning.marking import mark, write
from engine.planning.occurrences import recognise
from engine.planning.reasons import WAITING

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_PAST = """
CREATE TABLE planning.past AS
SELECT cand, coalesce(bit_or(1::BIGINT << step_no), 0) AS done,
       coalesce(bit_or(1::BIGINT << step_no) FILTER (how = 'stopped'), 0) AS stopped,
       min(settled_at) FILTER (how IN ('sent', 'held_out')) AS first_exposed_at
FROM planning.done GROUP BY cand
"""

# `source` is the settled step that a step counts from; -1 = the anchor. Unknown bases stay NULL: not due.
_RUNG = f"""
CREATE TABLE planning.rung AS
WITH sourced AS (
    SELECT l.cand, l.zone_no, l.anchor, l.anchor_local, s.rule_no, s.step_no, s.kind, s.months, s.days, s.elapsed,
           s.send_at, r.day_shift, (coalesce(p.done, 0) >> s.step_no) & 1 = 1 AS done,
           CASE WHEN s.kind = 'wait'
                THEN planning.highest(((1::BIGINT << s.step_no) - 1) & ~coalesce(p.stopped, 0::BIGINT))
                WHEN s.kind = 'after' AND r.include AND s.step_no > 0 THEN 0
                ELSE -1 END AS source
    FROM planning.ladder l
    JOIN planning.step s USING (rule_no)
    JOIN planning.rule r USING (rule_no)
    LEFT JOIN planning.past p USING (cand)
), based AS (
    SELECT s.*, CASE WHEN source < 0 THEN s.anchor_local::DATE ELSE w.local_date END AS base_date,
           CASE WHEN source < 0 THEN s.anchor ELSE w.settled_at END + s.elapsed AS elapsed_at
    FROM sourced s LEFT JOIN planning.done w ON w.cand = s.cand AND w.step_no = s.source
), dated AS (
    SELECT b.*, CASE WHEN b.elapsed IS NULL THEN (b.base_date + to_months(b.months) + to_days(b.days))::DATE
                     ELSE {local("z", "b.elapsed_at")}::DATE END AS first_date,
           CASE WHEN b.elapsed IS NOT NULL THEN b.elapsed_at
                WHEN b.source < 0 AND b.kind <> 'before' THEN b.anchor END AS not_before,
           CASE WHEN b.elapsed IS NOT NULL THEN {local("z", "b.elapsed_at")} ELSE b.anchor_local END::DATE AS floor_date
    FROM based b
    {at_instant("z", "b.zone_no", "b.elapsed_at")}
), tried AS (
    SELECT *, CASE WHEN floor_date = first_date AND not_before IS NOT NULL THEN first_date + send_at END AS first_slot
    FROM dated
), shifted AS (
    SELECT t.*, t.first_date + coalesce({utc("f", "t.first_slot")} < t.not_before, false)::INTEGER AS open_date
    FROM tried t
    {at_local("f", "t.zone_no", "t.first_slot")}
), slotted AS (
    SELECT *, open_date + day_shift[isodow(open_date)] AS due_date FROM shifted
)
SELECT s.cand, s.step_no, s.done, s.due_date, {utc("d", "(s.due_date + s.send_at)")} AS due_at
FROM slotted s
{at_local("d", "s.zone_no", "(s.due_date + s.send_at)")}
"""

# `newest` = the step the ladder stands on (-1 = none yet), `ahead` = the next unsettled one after it (-1 = none),
# `passed` = bits of the due steps before `newest` that nothing settled.
_POSITION = """
CREATE TABLE planning.position AS
WITH reached AS (
    SELECT cand, bit_or(1::BIGINT << step_no) AS steps,
           coalesce(bit_or(1::BIGINT << step_no) FILTER (done), 0) AS done,
           coalesce(bit_or(1::BIGINT << step_no) FILTER (done OR due_at < {horizon}), 0) AS reached,
           planning.highest(reached) AS newest
    FROM planning.rung GROUP BY cand
)
SELECT cand, newest, reached & ~done & ((1::BIGINT << greatest(newest, 0)) - 1) AS passed,
       planning.lowest(steps & ~done & ~((1::BIGINT << (newest + 1)) - 1)) AS ahead,
       newest >= 0 AND (done >> greatest(newest, 0)) & 1 = 0 AS current
FROM reached
"""

_STANDING = """
CREATE TABLE planning.standing AS
SELECT l.*, p.current, p.newest, p.passed, x.due_at, x.due_date, n.due_at AS next_at, n.due_date AS next_date,
       h.cand IS NOT NULL AS settled, h.first_exposed_at,
       CASE WHEN p.current THEN p.newest WHEN p.ahead >= 0 THEN p.ahead ELSE r.steps - 1 END AS step_no,
       p.current OR p.ahead >= 0 AS unfinished
FROM planning.ladder l
JOIN planning.rule r USING (rule_no)
JOIN planning.position p USING (cand)
LEFT JOIN planning.past h USING (cand)
LEFT JOIN planning.rung x ON x.cand = l.cand AND x.step_no = CASE WHEN p.current THEN p.newest ELSE p.ahead END
LEFT JOIN planning.rung n ON p.current AND n.cand = l.cand AND n.step_no = p.newest + 1
"""

# The bounds are gathered in local time, so that one conversion serves all of them.
_DUE = f"""
CREATE TABLE planning.due AS
WITH waiting AS (
    SELECT s.cand, d.waited_s + CASE WHEN d.reason IN ({{waiting}})
                                     THEN (epoch_us({{as_of}}) - epoch_us(d.decided_at)) // 1000000
                                     ELSE 0 END AS waited_s
    FROM planning.standing s
    JOIN planning.step t USING (rule_no, step_no)
    JOIN last_decision d
      ON d.rule_no = s.rule_no AND d.cust = s.cust AND d.occurrence = s.occurrence AND d.step_id = t.step_id
    WHERE s.current
), counted AS (
    SELECT s.*, t.kind, t.elapsed, t.send_at, t.within_months, t.within_days, t.within_elapsed, t.own_within,
           r.day_shift, r.repeat_months, r.repeat_days, coalesce(w.waited_s, 0) AS waited_s,
           CASE WHEN r.include AND s.step_no = 0 THEN greatest(s.due_date, z.today) ELSE s.due_date END AS late_from,
           CASE WHEN r.include AND s.step_no = 0 THEN greatest(s.due_at, {{as_of}}) ELSE s.due_at END AS late_from_at
    FROM planning.standing s
    JOIN planning.step t USING (rule_no, step_no)
    JOIN planning.rule r USING (rule_no)
    JOIN planning.zone_today z ON z.zone_no = s.zone_no
    LEFT JOIN waiting w USING (cand)
    WHERE s.current
), bounded AS (
    SELECT *, least(
               (late_from + to_months(within_months) + to_days(within_days + 1 + round(waited_s / 86400)::INTEGER)),
               CASE WHEN kind = 'before' AND elapsed IS NULL THEN anchor_local::DATE::TIMESTAMP END,
               CASE WHEN NOT own_within AND next_date > due_date THEN next_date::TIMESTAMP END) AS local_bound,
           least(
               late_from_at + within_elapsed + to_seconds(waited_s),
               CASE WHEN kind = 'before' AND elapsed IS NOT NULL THEN anchor END,
               CASE WHEN NOT own_within AND next_date <= due_date THEN next_at END) AS bound
    FROM counted
), others AS (
    SELECT rule_no, cust, max(began) AS began FROM (
        SELECT z.rule_no, z.cust, z.occurrence, min(z.local_date) AS began
        FROM settled z SEMI JOIN (SELECT * FROM bounded WHERE first_exposed_at IS NULL AND repeat_days IS NOT NULL) b
          ON b.rule_no = z.rule_no AND b.cust = z.cust
        WHERE z.how IN ('sent', 'held_out')
        GROUP BY z.rule_no, z.cust, z.occurrence)
    GROUP BY rule_no, cust
), repeating AS (
    SELECT b.cand, b.zone_no, (o.began + to_months(b.repeat_months) + to_days(b.repeat_days))::DATE AS first_date,
           b.due_date, b.day_shift, b.send_at
    FROM bounded b JOIN others o USING (rule_no, cust)
    WHERE b.first_exposed_at IS NULL AND b.repeat_days IS NOT NULL
), repeat_slot AS (
    SELECT cand, zone_no, first_date + day_shift[isodow(first_date)] + send_at AS slot
    FROM repeating WHERE first_date > due_date
), repeat_at AS (
    SELECT q.cand, {utc("u", "q.slot")} AS repeat_at
    FROM repeat_slot q {at_local("u", "q.zone_no", "q.slot")}
)
SELECT b.cand, b.waited_s, q.repeat_at, least({utc("e", "b.local_bound")}, b.bound) AS expires_at
FROM bounded b
LEFT JOIN repeat_at q USING (cand)
{at_local("e", "b.zone_no", "b.local_bound")}
"""

# A row whose passed steps are superseded today is fresh no more: something of it is settled now.
_STOOD = """
CREATE TABLE planning.stood AS
SELECT s.cand, s.rule_no, s.cust, s.occurrence, s.anchor, s.step_no, greatest(s.due_at, d.repeat_at) AS due_at,
       s.due_date, d.expires_at, coalesce(d.waited_s, 0) AS waited_s,
       NOT s.settled AND e.cust IS NULL AND s.passed = 0 AS fresh, s.first_exposed_at IS NOT NULL AS climbing,
       (s.failing_steps >> s.step_no) & 1 = 1 AS failing,
       NULL::TIMESTAMP AS not_before, NULL::DATE AS local_date, NULL::VARCHAR AS arm, NULL::VARCHAR AS template,
       CASE WHEN NOT s.unfinished THEN 'already_sent'
            WHEN NOT s.current AND NOT s.settled THEN 'not_due'
            WHEN s.current AND d.expires_at <= {as_of} AND NOT s.settled AND e.cust IS NULL THEN 'existing'
            WHEN s.ended OR (r.goal_ends AND s.goal_at >= s.first_exposed_at) THEN 'ended'
            WHEN NOT s.current THEN 'not_due'
            WHEN d.expires_at <= {as_of} THEN 'too_late'
            WHEN d.repeat_at >= {horizon} THEN 'repeat_too_soon'
            ELSE r.held END::planning.reason AS reason,
       NULL::VARCHAR AS detail
FROM planning.standing s
JOIN planning.rule r USING (rule_no)
LEFT JOIN planning.due d USING (cand)
LEFT JOIN seen e ON s.current AND NOT s.settled
               AND e.rule_no = s.rule_no AND e.cust = s.cust AND e.occurrence = s.occurrence
"""

# A ladder that has ended or never began leaves its older steps alone, and a held rule does not move at all.
_SUPERSEDED = """
SELECT l.cand, l.rule_no, l.cust, l.occurrence, l.anchor, g.step_no, g.due_date,
       'superseded'::planning.reason AS reason, NULL AS detail, NULL AS not_before, NULL AS expires_at, NULL AS local_date, NULL AS arm, NULL AS template,
       0 AS waited_s
FROM planning.rung g
JOIN planning.position p USING (cand)
JOIN planning.ladder l USING (cand)
JOIN planning.rule r ON r.rule_no = l.rule_no
JOIN planning.stood x USING (cand)
WHERE (p.passed >> g.step_no) & 1 = 1 AND x.reason NOT IN ('existing', 'ended') IS NOT FALSE AND r.held IS NULL
"""


def climb(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Decide who has nothing to get today because of the ladder itself."""
    recognise(db)
    moments = {"as_of": instant(options.as_of), "horizon": instant(options.horizon)}
    waiting = ", ".join(f"'{reason}'" for reason in WAITING)
    for statement in (_PAST, _RUNG, _POSITION, _STANDING, _DUE, _STOOD):
        db.execute(statement.format(waiting=waiting, **moments))
    mark(db, "FROM planning.stood")
    write(db, _SUPERSEDED)
    for table in ("ladder", "done", "past", "rung", "position", "standing", "due", "stood"):
        db.execute(f"DROP TABLE planning.{table}")
