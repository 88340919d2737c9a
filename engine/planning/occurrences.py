"""Which candidates are the ones we know, before any ladder is laid.

Corrected data may give yesterday's case another occurrence text: a re-import moves the last login by an hour over
midnight, or purges it, or a renewal moves by a day. Such a candidate takes over the occurrence it had, with the whole
ladder, so nothing is sent again:

- `past` (occurrences resting on a past instant): an occurrence never settled or stored counts as new only if the
  instant it rests on is not before the `as_of` of the run that last settled a step for this rule and customer. An
  unknown instant is older than any. Otherwise the candidate takes the occurrence and anchor settled last.
- `opened` (conditions without an instant; occurrences end in the date of the run): the occurrence settled last is still
  the one until `repeat_after` has passed since its date; without a `repeat_after` it never ends.
- `near_date` (occurrences ending in `:YYYY-MM-DD`): a settled one of the same prefix at most one day away is the same.
  The new anchor holds.

When several candidates become one occurrence, the one that bears it by itself stays, else the newest anchor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.local_time import at_instant, local

if TYPE_CHECKING:
    import duckdb

# Occurrences are compared by their 64-bit hash within one rule and customer: whole texts cost twice the time.
_KNOWN = """
CREATE TABLE planning.known AS
SELECT z.rule_no, z.cust, hash(z.occurrence) AS occurrence, bit_or(1::BIGINT << s.step_no) FILTER (z.own) AS done
FROM settled z LEFT JOIN planning.step s ON s.rule_no = z.rule_no AND s.step_id = z.step_id
GROUP BY ALL
"""

_MET = "CREATE TABLE planning.met AS SELECT DISTINCT rule_no, cust FROM planning.known"

# Far before its first step or long after its last, a candidate of a customer nobody has met needs no local time to be
# decided. These are most of all candidates, so they are named by a condition and stay where they lie.
_FAR = """CASE WHEN r.steps = 0 THEN NULL WHEN c.anchor > r.early_after THEN 'not_due'::planning.reason
               WHEN c.anchor < r.late_before THEN 'existing'::planning.reason END"""

# What was ever decided about before is late, not left out: it takes the long way.
_SORTED = f"""
CREATE TABLE planning.sorted AS
SELECT c.rowid AS cand, c.rule_no, c.cust, c.occurrence, c.anchor, c.rests_at, c.ended, c.goal_at, c.failing_steps,
       k.cust IS NOT NULL AS known, m.cust IS NOT NULL AS met,
       CASE WHEN r.steps = 0 OR k.done & r.all_steps = r.all_steps THEN 'already_sent'::planning.reason END AS plain,
       {_FAR} IS NOT NULL AS far
FROM candidate c
JOIN planning.rule r USING (rule_no)
LEFT JOIN planning.known k
  ON k.rule_no = c.rule_no AND k.cust = c.cust AND k.occurrence = hash(c.occurrence)
LEFT JOIN planning.met m ON m.rule_no = c.rule_no AND m.cust = c.cust
LEFT JOIN planning.late e ON e.cand = c.rowid
WHERE {_FAR} IS NULL OR m.cust IS NOT NULL OR e.cand IS NOT NULL
"""

_LATE = f"""
CREATE TABLE planning.late AS
SELECT c.rowid AS cand
FROM candidate c JOIN planning.rule r USING (rule_no)
SEMI JOIN seen e ON e.rule_no = c.rule_no AND e.cust = c.cust AND e.occurrence = c.occurrence
WHERE {_FAR} = 'existing'
"""

_PLAIN = f"""
CREATE VIEW planning.plain AS
SELECT c.rule_no, c.cust, c.occurrence, c.anchor, {_FAR} AS reason
FROM candidate c JOIN planning.rule r USING (rule_no)
WHERE reason IS NOT NULL AND c.rowid NOT IN (SELECT cand FROM planning.sorted WHERE far)
UNION ALL
SELECT rule_no, cust, occurrence, anchor, plain FROM planning.sorted WHERE plain IS NOT NULL
"""

_STRANGER = """
CREATE TABLE planning.stranger AS
SELECT c.cand, c.rule_no, c.cust, c.occurrence, c.anchor, c.rests_at, coalesce(r.survives, 'past') AS survives,
       r.repeat_months, r.repeat_days
FROM planning.sorted c JOIN planning.rule r USING (rule_no)
WHERE c.met AND NOT c.known AND r.steps > 0
  AND (r.survives IN ('past', 'near_date', 'opened') OR (r.survives IS NULL AND c.rests_at IS NOT NULL))
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
    WHERE n.survives = 'near_date'
      AND abs(try_cast(right(z.occurrence, 10) AS DATE) - try_cast(right(n.occurrence, 10) AS DATE)) <= 1
    QUALIFY row_number() OVER (PARTITION BY n.cand ORDER BY z.settled_at DESC, z.occurrence DESC) = 1
), becomes AS (
    SELECT n.cand, n.rule_no, n.cust, z.occurrence, z.anchor, n.anchor AS own_anchor, n.occurrence AS own_occurrence
    FROM planning.stranger n JOIN last_settled z ON z.rule_no = n.rule_no AND z.cust = n.cust
    ANTI JOIN seen e ON e.rule_no = n.rule_no AND e.cust = n.cust AND e.occurrence = n.occurrence
    WHERE CASE n.survives
          WHEN 'past' THEN n.rests_at IS NULL OR n.rests_at < z.settled_at
          WHEN 'opened' THEN coalesce(try_cast(right(n.occurrence, 10) AS DATE)
              < try_cast(right(z.occurrence, 10) AS DATE) + to_months(n.repeat_months) + to_days(n.repeat_days), true)
          ELSE false END
    UNION ALL
    SELECT n.cand, n.rule_no, n.cust, z.occurrence, n.anchor, n.anchor, n.occurrence
    FROM planning.stranger n JOIN same_date z USING (cand)
)
SELECT b.cand, b.occurrence, b.anchor,
       c.cust IS NULL AND row_number() OVER (
           PARTITION BY b.rule_no, b.cust, b.occurrence ORDER BY b.own_anchor DESC, b.own_occurrence DESC) = 1 AS stays
FROM becomes b
LEFT JOIN planning.sorted c ON c.rule_no = b.rule_no AND c.cust = b.cust AND c.occurrence = b.occurrence
"""

_LADDER = f"""
CREATE TABLE planning.ladder AS
WITH mapped AS (
    SELECT c.* REPLACE (coalesce(t.occurrence, c.occurrence) AS occurrence, coalesce(t.anchor, c.anchor) AS anchor)
    FROM planning.sorted c LEFT JOIN planning.taken t USING (cand)
    WHERE c.plain IS NULL AND coalesce(t.stays, true)
)
SELECT m.cand, m.rule_no, m.cust, m.occurrence, m.anchor, m.ended, m.goal_at, m.failing_steps, p.zone_no,
       {local("z", "m.anchor")} AS anchor_local
FROM mapped m
JOIN person p USING (cust)
{at_instant("z", "p.zone_no", "m.anchor")}
"""

_DONE = """
CREATE TABLE planning.done AS
SELECT l.cand, s.step_no, z.local_date, z.settled_at, z.how, z.own
FROM planning.ladder l
JOIN settled z ON z.rule_no = l.rule_no AND z.cust = l.cust AND z.occurrence = l.occurrence
LEFT JOIN planning.step s ON s.rule_no = z.rule_no AND s.step_id = z.step_id
"""


def recognise(db: duckdb.DuckDBPyConnection) -> None:
    """Decide the plain majority at once, and lay the others out in `planning.ladder` with what is `planning.done`."""
    for statement in (_KNOWN, _MET, _LATE, _SORTED, _PLAIN, _STRANGER, _TAKEN, _LADDER, _DONE):
        db.execute(statement)
    for table in ("known", "met", "late", "stranger", "taken"):
        db.execute(f"DROP TABLE planning.{table}")
