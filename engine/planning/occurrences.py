"""Which candidates are the ones we know, before any ladder is laid.

Corrected data may give yesterday's case another occurrence text: a re-import moves the last login by an hour over
midnight, or purges it, or a renewal moves by a day. Such a candidate takes over the occurrence it had, with the whole
ladder, so nothing is sent again:

- `past` (occurrences resting on a past instant): an occurrence never settled or stored counts as new only if the
  instant it rests on is not before the `as_of` of the run that last settled a step for this rule and customer. An
  unknown instant is older than any. Otherwise the candidate takes the occurrence and anchor settled last.
- `near_date` (occurrences ending in `:YYYY-MM-DD`): a settled one of the same prefix at most one day away is the same.
  The new anchor holds.

When several candidates become one occurrence, the one that bears it by itself stays, else the newest anchor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.local_time import at_instant, instant, local
from engine.planning.marking import write

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_KNOWN = """
CREATE TABLE planning.known AS
SELECT c.rowid AS cand, c.rule_no, bit_or(CASE WHEN s.step_no IS NULL THEN 0 ELSE 1::BIGINT << s.step_no END) AS done
FROM candidate c
JOIN settled z ON z.rule_no = c.rule_no AND z.cust = c.cust AND z.occurrence = c.occurrence
LEFT JOIN planning.step s ON s.rule_no = z.rule_no AND s.step_id = z.step_id
GROUP BY ALL
"""

_STRANGER = """
CREATE TABLE planning.stranger AS
SELECT c.rowid AS cand, c.rule_no, c.cust, c.occurrence, c.anchor, c.rests_at,
       coalesce(r.survives = 'near_date', false) AS near_date
FROM candidate c
JOIN planning.rule r USING (rule_no)
SEMI JOIN settled z ON z.rule_no = c.rule_no AND z.cust = c.cust
ANTI JOIN planning.known k ON k.cand = c.rowid
WHERE r.survives IN ('past', 'near_date') OR (r.survives IS NULL AND c.rests_at IS NOT NULL)
"""

# The settled occurrence each stranger becomes; one that counts as new yields no row.
_TAKEN = """
CREATE TABLE planning.taken AS
WITH last_settled AS (
    SELECT z.rule_no, z.cust, z.occurrence, z.anchor, z.settled_at
    FROM settled z SEMI JOIN planning.stranger n ON n.rule_no = z.rule_no AND n.cust = z.cust
    QUALIFY row_number() OVER (
        PARTITION BY z.rule_no, z.cust ORDER BY z.settled_at DESC, z.anchor DESC, z.occurrence DESC) = 1
), same_date AS (
    SELECT n.cand, z.occurrence
    FROM planning.stranger n
    JOIN settled z ON z.rule_no = n.rule_no AND z.cust = n.cust AND left(z.occurrence, -11) = left(n.occurrence, -11)
    WHERE n.near_date
      AND abs(try_cast(right(z.occurrence, 10) AS DATE) - try_cast(right(n.occurrence, 10) AS DATE)) <= 1
    QUALIFY row_number() OVER (PARTITION BY n.cand ORDER BY z.settled_at DESC, z.occurrence DESC) = 1
), becomes AS (
    SELECT n.cand, n.rule_no, n.cust, z.occurrence, z.anchor, n.anchor AS own_anchor, n.occurrence AS own_occurrence
    FROM planning.stranger n JOIN last_settled z ON z.rule_no = n.rule_no AND z.cust = n.cust
    ANTI JOIN seen e ON e.rule_no = n.rule_no AND e.cust = n.cust AND e.occurrence = n.occurrence
    WHERE NOT n.near_date AND (n.rests_at IS NULL OR n.rests_at < z.settled_at)
    UNION ALL
    SELECT n.cand, n.rule_no, n.cust, z.occurrence, n.anchor, n.anchor, n.occurrence
    FROM planning.stranger n JOIN same_date z USING (cand)
)
SELECT b.cand, b.occurrence, b.anchor,
       c.cust IS NULL AND row_number() OVER (
           PARTITION BY b.rule_no, b.cust, b.occurrence ORDER BY b.own_anchor DESC, b.own_occurrence DESC) = 1 AS stays
FROM becomes b
LEFT JOIN candidate c ON c.rule_no = b.rule_no AND c.cust = b.cust AND c.occurrence = b.occurrence
"""

# Certain without any local time: most candidates of a rule that has run for a while.
_PLAIN = """
CREATE TABLE planning.plain AS
SELECT k.cand, CASE WHEN r.steps > 0 THEN r.steps - 1 END AS step_no, 'already_sent'::planning.reason AS reason
FROM planning.known k JOIN planning.rule r USING (rule_no)
WHERE k.done & ((1::BIGINT << r.steps) - 1) = (1::BIGINT << r.steps) - 1
UNION ALL
SELECT c.rowid, NULL, 'already_sent'
FROM candidate c JOIN planning.rule r USING (rule_no) ANTI JOIN planning.known k ON k.cand = c.rowid
WHERE r.steps = 0
UNION ALL
SELECT c.rowid, 0, 'not_due'
FROM candidate c JOIN planning.rule r USING (rule_no)
ANTI JOIN settled z ON z.rule_no = c.rule_no AND z.cust = c.cust
WHERE c.anchor + r.early_before > {horizon} AND r.steps > 0
UNION ALL
SELECT c.rowid, r.last_fixed, 'existing'
FROM candidate c JOIN planning.rule r USING (rule_no)
ANTI JOIN settled z ON z.rule_no = c.rule_no AND z.cust = c.cust
ANTI JOIN seen e ON e.rule_no = c.rule_no AND e.cust = c.cust AND e.occurrence = c.occurrence
WHERE c.anchor + r.late_after < {as_of}
"""

_LADDER = f"""
CREATE TABLE planning.ladder AS
WITH mapped AS (
    SELECT c.rowid AS cand, c.rule_no, c.cust, coalesce(t.occurrence, c.occurrence) AS occurrence,
           coalesce(t.anchor, c.anchor) AS anchor, c.ended, c.goal_at, c.failing_steps
    FROM candidate c
    LEFT JOIN planning.taken t ON t.cand = c.rowid
    ANTI JOIN planning.plain n ON n.cand = c.rowid
    WHERE coalesce(t.stays, true)
)
SELECT m.*, p.zone_no, {local("z", "m.anchor")} AS anchor_local
FROM mapped m
JOIN person p USING (cust)
{at_instant("z", "p.zone_no", "m.anchor")}
"""

_DONE = """
CREATE TABLE planning.done AS
SELECT l.cand, s.step_no, z.local_date, z.settled_at, z.how
FROM planning.ladder l
JOIN settled z ON z.rule_no = l.rule_no AND z.cust = l.cust AND z.occurrence = l.occurrence
LEFT JOIN planning.step s ON s.rule_no = z.rule_no AND s.step_id = z.step_id
"""


def recognise(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Decide the plain majority at once, and lay the others out in `planning.ladder` with what is `planning.done`."""
    as_of, horizon = instant(options.as_of), instant(options.horizon)
    for statement in (_KNOWN, _STRANGER, _TAKEN, _PLAIN.format(as_of=as_of, horizon=horizon), _LADDER, _DONE):
        db.execute(statement)
    write(
        db,
        """SELECT c.rule_no, c.cust, c.occurrence, c.anchor, n.step_no, n.reason, NULL AS detail,
                  NULL AS not_before, NULL AS expires_at, NULL AS local_date, NULL AS due_date, NULL AS arm,
                  NULL AS template, 0 AS waited_s
           FROM planning.plain n JOIN candidate c ON c.rowid = n.cand""",
    )
    for table in ("known", "stranger", "taken", "plain"):
        db.execute(f"DROP TABLE planning.{table}")
