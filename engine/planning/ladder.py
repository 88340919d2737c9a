"""Which step of its ladder a candidate stands on today, worked out afresh from facts and settled steps.

A step's **due date** is the local date of the anchor plus `after` or minus `before`, or the local date on which the
step before was settled plus `wait`. Its **due instant** is the first sending time in the customer's zone, on an
allowed day, on or after the due date and not before the anchor (for hours and minutes: not before anchor or settling
plus that time). Lateness counts from the local date of the due instant, for a first step not before `repeat_after`
allows it; time the rule or the run had to wait for something else is taken off (`WAITING`).

The current step is the newest one that is due before the horizon or settled. Older due steps that nothing settled are
superseded. A step whose message was stopped at the gate is settled, but a `wait` after it counts from the step before
it, as if the stopped step were not in the ladder.

In a rule about accounts every recipient climbs a ladder of their own; when it began, for the goal and for
`repeat_after`, is when anybody of the account was first written to.
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
SELECT cand, coalesce(bit_or(1::BIGINT << step_no) FILTER (own), 0) AS done,
       coalesce(bit_or(1::BIGINT << step_no) FILTER (own AND how = 'stopped'), 0) AS stopped, bool_or(own) AS settled,
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
    FROM sourced s LEFT JOIN planning.done w ON w.cand = s.cand AND w.step_no = s.source AND w.own
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
# `passed` = bits of the due steps before `newest` that nothing settled. The dates are those of `newest`.
_POSITION = """
CREATE TABLE planning.position AS
WITH reached AS (
    SELECT cand, bit_or(1::BIGINT << step_no) AS steps,
           coalesce(bit_or(1::BIGINT << step_no) FILTER (done), 0) AS done,
           coalesce(bit_or(1::BIGINT << step_no) FILTER (done OR due_at < {horizon}), 0) AS reached,
           planning.highest(reached) AS newest,
           arg_max(due_at, step_no) FILTER (due_at < {horizon}) AS due_at,
           arg_max(due_date, step_no) FILTER (due_at < {horizon}) AS due_date
    FROM planning.rung GROUP BY cand
)
SELECT cand, newest, reached & ~done & ((1::BIGINT << greatest(newest, 0)) - 1) AS passed,
       planning.lowest(steps & ~done & ~((1::BIGINT << (newest + 1)) - 1)) AS ahead,
       newest >= 0 AND (done >> greatest(newest, 0)) & 1 = 0 AS current, due_at, due_date
FROM reached
"""

# For a current step the step after it, whose due date may end it; otherwise the step that comes next.
_FOLLOWING = """
CREATE TABLE planning.following AS
SELECT g.cand, g.due_at, g.due_date
FROM planning.rung g JOIN planning.position p USING (cand)
WHERE g.due_at IS NOT NULL AND g.step_no = CASE WHEN p.current THEN p.newest + 1 ELSE p.ahead END
"""

_WAITED = """
CREATE TABLE planning.waited AS
SELECT l.cand, s.step_no,
       d.waited_s + CASE WHEN d.reason IN ({waiting}) THEN (epoch_us({as_of}) - epoch_us(d.decided_at)) // 1000000
                         ELSE 0 END AS waited_s
FROM planning.ladder l
JOIN last_decision d ON d.rule_no = l.rule_no AND d.cust = l.cust AND d.occurrence = l.occurrence
JOIN planning.step s ON s.rule_no = l.rule_no AND s.step_id = d.step_id
"""

_STORED = """
CREATE TABLE planning.stored AS
SELECT l.cand FROM planning.ladder l
SEMI JOIN seen e ON e.rule_no = l.rule_no AND e.cust = l.cust AND e.occurrence = l.occurrence
"""

# The local date on which the customer's last ladder of the rule began.
_BEGAN = """
CREATE TABLE planning.began AS
SELECT rule_no, cust, max(began) AS began
FROM (
    SELECT z.rule_no, z.cust, min(z.local_date) AS began
    FROM settled z
    JOIN planning.rule r ON r.rule_no = z.rule_no AND r.repeat_days IS NOT NULL
    SEMI JOIN planning.ladder l ON l.rule_no = z.rule_no AND l.cust = z.cust
    WHERE z.how IN ('sent', 'held_out')
    GROUP BY z.rule_no, z.cust, z.occurrence)
GROUP BY rule_no, cust
"""

# The ends of a step are gathered in local time first, so that one conversion serves all of them.
_JUDGED = f"""
WITH placed AS (
    SELECT l.*, p.current, p.newest, p.passed, p.due_at,
           CASE WHEN p.current THEN p.due_date ELSE f.due_date END AS due_date,
           CASE WHEN p.current THEN f.due_at END AS next_at, CASE WHEN p.current THEN f.due_date END AS next_date,
           CASE WHEN p.current THEN p.newest WHEN p.ahead >= 0 THEN p.ahead ELSE r.steps - 1 END AS step_no,
           p.current OR p.ahead >= 0 AS unfinished, coalesce(h.settled, false) AS settled, h.first_exposed_at,
           r.include, r.held, r.goal_ends, r.day_shift,
           CASE WHEN p.current AND h.first_exposed_at IS NULL
                THEN (b.began + to_months(r.repeat_months) + to_days(r.repeat_days))::DATE END AS repeat_date
    FROM planning.ladder l
    JOIN planning.rule r USING (rule_no)
    JOIN planning.position p USING (cand)
    LEFT JOIN planning.past h USING (cand)
    LEFT JOIN planning.following f USING (cand)
    LEFT JOIN planning.began b ON b.rule_no = l.rule_no AND b.cust = l.cust
), counted AS (
    SELECT c.*, t.kind, t.elapsed, t.within_months, t.within_days, t.within_elapsed, t.own_within,
           coalesce(w.waited_s, 0) AS waited_s, NOT c.settled AND e.cand IS NULL AS untouched,
           c.include AND c.step_no = 0 AS endless,
           CASE WHEN c.repeat_date > c.due_date
                THEN c.repeat_date + c.day_shift[isodow(c.repeat_date)] + t.send_at END AS repeat_slot,
           greatest(c.due_date, repeat_slot::DATE, CASE WHEN endless THEN z.today END) AS late_from
    FROM placed c
    JOIN planning.step t USING (rule_no, step_no)
    JOIN planning.zone_today z USING (zone_no)
    LEFT JOIN planning.waited w ON c.current AND w.cand = c.cand AND w.step_no = c.step_no
    LEFT JOIN planning.stored e ON e.cand = c.cand
), bounded AS (
    SELECT *,
           CASE WHEN current THEN least(
               (late_from + to_months(within_months) + to_days(within_days + 1 + round(waited_s / 86400)::INTEGER)),
               CASE WHEN kind = 'before' AND elapsed IS NULL THEN anchor_local::DATE::TIMESTAMP END,
               CASE WHEN NOT own_within AND next_date > due_date THEN next_date::TIMESTAMP END) END AS local_end,
           CASE WHEN current THEN least(
               CASE WHEN kind = 'before' AND elapsed IS NOT NULL THEN anchor END,
               CASE WHEN NOT own_within AND next_date <= due_date THEN next_at END) END AS other_end
    FROM counted
), ending AS (
    SELECT b.*, {utc("u", "b.repeat_slot")} AS repeat_at,
           greatest(b.due_at, repeat_at, CASE WHEN b.endless THEN {{as_of}} END) AS late_from_at,
           least({utc("e", "b.local_end")}, b.other_end,
                 CASE WHEN b.current THEN late_from_at + b.within_elapsed + to_seconds(b.waited_s) END) AS expires_at
    FROM bounded b
    {at_local("e", "b.zone_no", "b.local_end")}
    {at_local("u", "b.zone_no", "b.repeat_slot")}
)
SELECT cand, rule_no, cust, occurrence, anchor, step_no,
       CASE WHEN current THEN greatest(due_at, repeat_at) END AS due_at, due_date, expires_at, waited_s,
       untouched AND passed = 0 AS fresh, first_exposed_at IS NOT NULL AS climbing,
       (failing_steps >> step_no) & 1 = 1 AS failing, NULL::TIMESTAMP AS not_before, NULL::DATE AS local_date,
       NULL::VARCHAR AS arm, NULL::VARCHAR AS template,
       CASE WHEN NOT unfinished THEN 'already_sent'
            WHEN NOT current AND NOT settled THEN 'not_due'
            WHEN current AND expires_at <= {{as_of}} AND untouched THEN 'existing'
            WHEN ended OR (goal_ends AND goal_at >= first_exposed_at) THEN 'ended'
            WHEN NOT current THEN 'not_due'
            WHEN expires_at <= {{as_of}} THEN 'too_late'
            WHEN repeat_at >= {{horizon}} THEN 'repeat_too_soon'
            ELSE held END::planning.reason AS reason,
       NULL::VARCHAR AS detail
FROM ending
"""

# A ladder that has ended or never began leaves its older steps alone, and a held rule does not move at all.
# A row whose passed steps are superseded today is fresh no more: something of it is settled now.
_SUPERSEDED = """
SELECT l.cand, l.rule_no, l.cust, l.occurrence, l.anchor, g.step_no, g.due_date,
       'superseded'::planning.reason AS reason, NULL AS detail, NULL AS not_before, NULL AS expires_at,
       NULL AS local_date, NULL AS arm, NULL AS template, 0 AS waited_s
FROM planning.rung g
JOIN planning.position p USING (cand)
JOIN planning.ladder l USING (cand)
JOIN planning.rule r ON r.rule_no = l.rule_no
JOIN planning.judged x USING (cand)
WHERE (p.passed >> g.step_no) & 1 = 1 AND x.reason NOT IN ('existing', 'ended') IS NOT FALSE AND r.held IS NULL
"""


def climb(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Decide who has nothing to get today because of the ladder itself."""
    recognise(db)
    moments = {"as_of": instant(options.as_of), "horizon": instant(options.horizon)}
    waiting = ", ".join(f"'{reason}'" for reason in WAITING)
    for statement in (_PAST, _RUNG, _POSITION, _FOLLOWING, _WAITED, _STORED, _BEGAN):
        db.execute(statement.format(waiting=waiting, **moments))
    mark(db, _JUDGED.format(**moments))
    write(db, _SUPERSEDED)
    for table in ("ladder", "done", "past", "rung", "position", "following", "waited", "stored", "began"):
        db.execute(f"DROP TABLE planning.{table}")
