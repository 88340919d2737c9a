"""Who gets the few places in an inbox: caps per address, and `daily_limit` per rule.

In this order, each on what the one before left open:

1. of several ladders a rule with `repeat_after` would start today for one customer, the one with the earliest anchor;
2. caps that earlier exposures alone fill (`cap`, the shortest full window named);
3. `daily_limit`: per rule and local date of sending, newest anchors first, both arms and earlier runs counted. It
   comes before the contest, so what it refuses takes no place from others;
4. the contest of this run's messages for one address: uncapped ones first, then by priority, earlier anchor, rule id.
   Who finds a window full is `outranked` by the best placed message in it.

A cap of n in w days holds for every w consecutive local dates. `less_often` halves n, but leaves at least one. Shadow
rules are judged in their place and take none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.marking import mark

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_ONE_START = """
SELECT o.*, CASE WHEN NOT o.climbing AND r.repeat_days IS NOT NULL AND row_number() OVER (
           PARTITION BY o.rule_no, o.cust, o.climbing, r.repeat_days IS NULL ORDER BY o.anchor, o.occurrence) > 1
       THEN 'repeat_too_soon' END::planning.reason AS reason, NULL AS detail
FROM planning.open o JOIN planning.rule r USING (rule_no)
"""

_CONTENDER = """
CREATE TABLE planning.contender AS
SELECT o.cand, o.rule_no, p.addr, o.local_date, r.topic, r.uncapped, r.shadow, x.addr IS NOT NULL AS sparing,
       (NOT r.uncapped AND EXISTS (FROM planning.cap WHERE topic IS NULL))
       OR r.topic IN (SELECT topic FROM planning.cap WHERE topic IS NOT NULL) AS limited
FROM planning.open o
JOIN planning.rule r USING (rule_no)
JOIN planning.step t USING (rule_no, step_no)
JOIN person p ON p.cust = o.cust
LEFT JOIN (SELECT DISTINCT addr, topic FROM suppression WHERE kind = 'less_often' AND topic IS NULL) x
       ON x.addr = p.addr
WHERE t.reaches
"""

# Places taken: earlier exposures have no `place`, messages of this run have theirs in the contest.
_USED = """
CREATE TABLE planning.used AS
SELECT e.addr, e.topic, e.local_date, NULL::BIGINT AS place, NULL::USMALLINT AS rule_no
FROM exposure e SEMI JOIN planning.contender c ON c.addr = e.addr AND c.limited
WHERE e.counts
"""

# The fullest window that holds a date ends on that date or on a later taken one; `later` runs over those ends.
_FULL = """
CREATE OR REPLACE TABLE planning.full AS
WITH facing AS (
    SELECT c.cand, c.addr, c.local_date, k.cap_no, k.topic, k.window_days,
           CASE WHEN c.sparing THEN greatest(k.n // 2, 1) ELSE k.n END AS n
    FROM (FROM {rows} c SEMI JOIN planning.used u ON u.addr = c.addr WHERE c.limited) c
    JOIN planning.cap k ON k.topic = c.topic OR (k.topic IS NULL AND NOT c.uncapped)
), windows AS (
    SELECT f.cand, f.cap_no, f.n, f.window_days, min(u.place) AS place, arg_min(u.rule_no, u.place) AS rule_no
    FROM facing f
    JOIN range(0, {ends}) e(later) ON e.later < f.window_days
    JOIN planning.used u ON u.addr = f.addr AND (f.topic IS NULL OR u.topic = f.topic)
     AND u.local_date <= f.local_date + e.later::INTEGER
     AND u.local_date > f.local_date + e.later::INTEGER - f.window_days
    GROUP BY f.cand, f.cap_no, f.n, f.window_days, e.later
    HAVING count(*) >= f.n
)
SELECT cand, arg_min(n || '/' || window_days || CASE window_days WHEN 1 THEN ' day' ELSE ' days' END, cap_no) AS cap,
       arg_min(rule_no, place) AS rule_no
FROM windows GROUP BY cand
"""

_CAPPED = """
SELECT o.*, CASE WHEN f.cand IS NOT NULL THEN 'cap' END::planning.reason AS reason, f.cap AS detail
FROM planning.open o LEFT JOIN planning.full f USING (cand)
"""

_DAILY = """
WITH sent_already AS (
    SELECT r.rule_no, e.local_date, count(*) AS sends
    FROM exposure e JOIN planning.rule r ON r.rule_id = e.rule_id
    WHERE e.counts AND r.daily_limit IS NOT NULL
    GROUP BY r.rule_no, e.local_date
), over AS (
    SELECT o.cand
    FROM planning.open o
    JOIN planning.rule r USING (rule_no)
    JOIN person p ON p.cust = o.cust
    LEFT JOIN sent_already a ON a.rule_no = o.rule_no AND a.local_date = o.local_date
    WHERE r.daily_limit IS NOT NULL
    QUALIFY coalesce(a.sends, 0) + row_number() OVER (
        PARTITION BY o.rule_no, o.local_date ORDER BY o.anchor DESC, p.customer_id, o.occurrence) > r.daily_limit
)
SELECT o.*, CASE WHEN v.cand IS NOT NULL THEN 'daily_limit' END::planning.reason AS reason, NULL AS detail
FROM planning.open o LEFT JOIN over v USING (cand)
"""

_CONTEST = """
CREATE TABLE planning.contest AS
WITH standing AS (FROM planning.contender c SEMI JOIN planning.open o USING (cand))
SELECT c.*, row_number() OVER (
           PARTITION BY c.addr
           ORDER BY c.uncapped DESC, r.priority DESC, o.anchor, r.name_rank, p.customer_id, o.occurrence) AS place
FROM standing c
JOIN (SELECT addr FROM standing GROUP BY addr HAVING count(*) > 1 AND bool_or(limited)) m ON m.addr = c.addr
JOIN planning.open o USING (cand)
JOIN planning.rule r ON r.rule_no = c.rule_no
JOIN person p ON p.cust = o.cust
"""

# Shadow rows take no place, so all of them before the best other row go with it.
_BEST = """
SELECT c.* FROM planning.contest c
JOIN (SELECT addr, min(place) FILTER (NOT shadow) AS best FROM planning.contest GROUP BY addr) b ON b.addr = c.addr
WHERE c.place <= b.best OR b.best IS NULL
"""

_OUTRANKED = """
SELECT o.*, CASE WHEN x.cand IS NOT NULL THEN 'outranked' END::planning.reason AS reason, r.rule_id AS detail
FROM planning.open o
LEFT JOIN planning.outranked x USING (cand)
LEFT JOIN planning.rule r ON r.rule_no = x.rule_no
"""


def arbitrate(db: duckdb.DuckDBPyConnection, _options: PlanOptions) -> None:
    """Decide which open rows fit under the caps; the same whatever the order of rows and tables."""
    mark(db, _ONE_START)
    db.execute(_CONTENDER)
    db.execute(_USED)
    _find_full(db, "planning.contender")
    mark(db, _CAPPED)
    mark(db, _DAILY)
    _contest(db)
    mark(db, _OUTRANKED)
    for table in ("contender", "used", "full", "contest", "outranked"):
        db.execute(f"DROP TABLE planning.{table}")


def _find_full(db: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Fill `planning.full` with the `rows` that would overfill a window, given the places used so far."""
    ends = db.execute(f"""
        SELECT coalesce(greatest((SELECT max(local_date) FROM planning.used)
                               - (SELECT min(local_date) FROM {rows}), 0), 0) + 1""").fetchall()[0][0]
    db.execute(_FULL.format(rows=rows, ends=ends))


def _contest(db: duckdb.DuckDBPyConnection) -> None:
    """Fill `planning.outranked`. Places are given in rounds, the best row of every address at a time.

    Places only fill up, so a row that would overfill a window is out for good, and an address takes no more rounds than
    its caps have places. Rows that no cap can stop are accepted at once: none can be refused, and they count first.
    """
    db.execute(_CONTEST)
    db.execute("CREATE TABLE planning.outranked (cand BIGINT, rule_no USMALLINT)")
    accepted = "FROM planning.contest WHERE NOT limited"
    while db.execute("SELECT count(*) FROM planning.contest").fetchall()[0][0]:
        db.execute(f"CREATE OR REPLACE TABLE planning.accepted AS {accepted}")
        db.execute("""INSERT INTO planning.used
                      SELECT addr, topic, local_date, place, rule_no FROM planning.accepted WHERE NOT shadow""")
        db.execute("""CREATE OR REPLACE TABLE planning.contest AS
                      FROM planning.contest c ANTI JOIN planning.accepted a USING (cand)""")
        _find_full(db, "planning.contest")
        db.execute("INSERT INTO planning.outranked SELECT cand, rule_no FROM planning.full")
        db.execute("""CREATE OR REPLACE TABLE planning.contest AS
                      FROM planning.contest c ANTI JOIN planning.full f USING (cand)""")
        accepted = _BEST
    db.execute("DROP TABLE IF EXISTS planning.accepted")
