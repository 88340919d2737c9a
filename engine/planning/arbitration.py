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

from typing import TYPE_CHECKING, NamedTuple

from engine.planning.marking import mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from engine.planning.options import PlanOptions

_ONE_START = """
INSERT INTO planning.refused
SELECT o.cand, 'repeat_too_soon', NULL
FROM planning.open o JOIN planning.rule r USING (rule_no)
WHERE NOT o.climbing AND r.repeat_days IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY o.rule_no, o.cust ORDER BY o.anchor, o.occurrence) > 1
"""

# `limited` = some cap can stop the row. `topic_no` is the first cap of the row's topic, NULL without one.
_CONTENDER = """
CREATE TABLE planning.contender AS
SELECT o.cand, o.rule_no, p.addr, o.local_date, k.topic_no, r.uncapped, r.shadow, x.addr IS NOT NULL AS sparing,
       k.topic_no IS NOT NULL OR (NOT r.uncapped AND EXISTS (FROM planning.cap WHERE topic IS NULL)) AS limited
FROM planning.open o
ANTI JOIN planning.refused f USING (cand)
JOIN planning.rule r USING (rule_no)
JOIN planning.step t USING (rule_no, step_no)
JOIN person p ON p.cust = o.cust
LEFT JOIN (SELECT topic, min(cap_no) AS topic_no FROM planning.cap GROUP BY topic) k ON k.topic = r.topic
LEFT JOIN (SELECT DISTINCT addr FROM suppression WHERE kind = 'less_often' AND topic IS NULL) x ON x.addr = p.addr
WHERE t.reaches
"""

# Places taken: earlier exposures have no `place`, messages of this run have theirs in the contest.
_USED = """
CREATE TABLE planning.used AS
SELECT e.addr, k.topic_no, e.local_date, NULL::BIGINT AS place, NULL::USMALLINT AS rule_no
FROM exposure e
SEMI JOIN planning.contender c ON c.addr = e.addr AND c.limited
LEFT JOIN (SELECT topic, min(cap_no) AS topic_no FROM planning.cap GROUP BY topic) k ON k.topic = e.topic
WHERE e.counts
"""

_DAILY = """
INSERT INTO planning.refused
WITH sent_already AS (
    SELECT r.rule_no, e.local_date, count(*) AS sends
    FROM exposure e JOIN planning.rule r ON r.rule_id = e.rule_id
    WHERE e.counts AND r.daily_limit IS NOT NULL
    GROUP BY r.rule_no, e.local_date
)
SELECT o.cand, 'daily_limit', NULL
FROM planning.open o
ANTI JOIN planning.refused f USING (cand)
JOIN planning.rule r USING (rule_no)
JOIN person p ON p.cust = o.cust
LEFT JOIN sent_already a ON a.rule_no = o.rule_no AND a.local_date = o.local_date
WHERE r.daily_limit IS NOT NULL
QUALIFY coalesce(a.sends, 0) + row_number() OVER (
    PARTITION BY o.rule_no, o.local_date ORDER BY o.anchor DESC, p.customer_id, o.occurrence) > r.daily_limit
"""

_CONTEST = """
CREATE TABLE planning.contest AS
WITH standing AS (FROM planning.contender c ANTI JOIN planning.refused f USING (cand))
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

_JUDGED = """
SELECT o.*, f.reason, f.detail FROM planning.open o LEFT JOIN planning.refused f USING (cand)
"""


class _Cap(NamedTuple):
    topic_no: int | None
    n: int
    window_days: int


def arbitrate(db: duckdb.DuckDBPyConnection, _options: PlanOptions) -> None:
    """Decide which open rows fit under the caps; the same whatever the order of rows and tables."""
    caps = [_Cap(*row) for row in db.execute("""
        SELECT CASE WHEN topic IS NOT NULL THEN min(cap_no) OVER (PARTITION BY topic) END, n, window_days
        FROM planning.cap ORDER BY cap_no""").fetchall()]  # fmt: skip
    db.execute("CREATE TABLE planning.refused (cand BIGINT, reason planning.reason, detail VARCHAR)")
    for statement in (_ONE_START, _CONTENDER, _USED):
        db.execute(statement)
    _find_full(db, caps, "planning.contender")
    db.execute("INSERT INTO planning.refused SELECT cand, 'cap', cap FROM planning.full")
    db.execute(_DAILY)
    _contest(db, caps)
    mark(db, _JUDGED)
    for table in ("contender", "used", "full", "contest", "refused"):
        db.execute(f"DROP TABLE planning.{table}")


def _find_full(db: duckdb.DuckDBPyConnection, caps: Sequence[_Cap], rows: str) -> None:
    """Fill `planning.full` with the `rows` that would overfill a window, given the places used so far.

    `cap` names the shortest full window, `rule_no` the best placed message of this run in any full one. The fullest
    window that holds a date ends on that date or on a later used one, so only those ends are tried.
    """
    ends = db.execute(f"""
        SELECT coalesce(greatest((SELECT max(local_date) FROM planning.used)
                               - (SELECT min(local_date) FROM {rows}), 0), 0) + 1""").fetchall()[0][0]
    windows = [_window(cap, later) for cap in caps for later in range(min(ends, cap.window_days))]
    named = " ".join(f"WHEN {full} THEN {name}" for _, full, name in windows)
    places = ", ".join(f"CASE WHEN {full} THEN min(u.place) FILTER ({inside}) END" for inside, full, _ in windows)
    db.execute(f"""
        CREATE OR REPLACE TABLE planning.full AS
        WITH facing AS (
            SELECT c.cand, any_value(c.addr) AS addr, CASE {named or "WHEN false THEN ''"} END AS cap,
                   least({places or "NULL::BIGINT"}, NULL) AS place
            FROM {rows} c JOIN planning.used u ON u.addr = c.addr
            WHERE c.limited
            GROUP BY c.cand, c.topic_no, c.uncapped, c.sparing
        )
        SELECT f.cand, f.cap, u.rule_no
        FROM facing f LEFT JOIN planning.used u ON u.addr = f.addr AND u.place = f.place
        WHERE f.cap IS NOT NULL""")


def _window(cap: _Cap, later: int) -> tuple[str, str, str]:
    """SQL for one window: which used places lie inside, whether it is full for a row, and the cap's name."""
    inside = f"""u.local_date <= c.local_date + {later} AND u.local_date > c.local_date + {later - cap.window_days}"""
    applies = "NOT c.uncapped"
    if cap.topic_no is not None:
        inside += f" AND u.topic_no = {cap.topic_no}"
        applies = f"c.topic_no = {cap.topic_no}"
    sparing = max(cap.n // 2, 1)
    unit = "day" if cap.window_days == 1 else "days"
    full = f"({applies} AND count(*) FILTER ({inside}) >= CASE WHEN c.sparing THEN {sparing} ELSE {cap.n} END)"
    name = f"CASE WHEN c.sparing THEN '{sparing}' ELSE '{cap.n}' END || '/{cap.window_days} {unit}'"
    return inside, full, name


def _contest(db: duckdb.DuckDBPyConnection, caps: Sequence[_Cap]) -> None:
    """Refuse the outranked. Places are given in rounds, the best row of every address at a time.

    Places only fill up, so a row that would overfill a window is out for good, and an address takes no more rounds than
    its caps have places. Rows that no cap can stop are accepted at once: none can be refused, and they count first.
    """
    db.execute(_CONTEST)
    accepted = "FROM planning.contest WHERE NOT limited"
    while db.execute("SELECT count(*) FROM planning.contest").fetchall()[0][0]:
        db.execute(f"CREATE OR REPLACE TABLE planning.accepted AS {accepted}")
        db.execute("""INSERT INTO planning.used
                      SELECT addr, topic_no, local_date, place, rule_no FROM planning.accepted WHERE NOT shadow""")
        db.execute("""CREATE OR REPLACE TABLE planning.contest AS
                      FROM planning.contest c ANTI JOIN planning.accepted a USING (cand)""")
        _find_full(db, caps, "planning.contest")
        db.execute("""INSERT INTO planning.refused SELECT f.cand, 'outranked', r.rule_id
                      FROM planning.full f JOIN planning.rule r USING (rule_no)""")
        db.execute("""CREATE OR REPLACE TABLE planning.contest AS
                      FROM planning.contest c ANTI JOIN planning.full f USING (cand)""")
        accepted = _BEST
    db.execute("DROP TABLE IF EXISTS planning.accepted")
