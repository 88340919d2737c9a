"""How a stage decides: it judges the open rows; those with a reason are written down, the rest stay open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.tables import OPEN

if TYPE_CHECKING:
    import duckdb


def mark(db: duckdb.DuckDBPyConnection, judged: str) -> None:
    """Move rows to the decisions, or keep them in `planning.open`.

    `judged` is a SELECT of the columns `OPEN`, a `reason` (NULL = still open) and a `detail`. Every row it yields is
    kept exactly once, so a stage must yield each open row exactly once.
    """
    db.execute(f"CREATE TABLE planning.judging AS SELECT {OPEN}, reason, detail FROM ({judged})")
    db.execute(f"""
        DROP TABLE IF EXISTS planning.judged;
        ALTER TABLE planning.judging RENAME TO judged;
        CREATE OR REPLACE VIEW planning.open AS SELECT {OPEN} FROM planning.judged WHERE reason IS NULL""")
    write(db, f"SELECT {OPEN}, reason, detail FROM planning.judged WHERE reason IS NOT NULL")


def write(db: duckdb.DuckDBPyConnection, judged: str, outcome: str = "v.outcome") -> None:
    """Write decisions for all rows of `judged`; `outcome` is an SQL expression for reasons that belong to none."""
    db.execute(f"""
        INSERT INTO planning.decided BY NAME
        SELECT j.cand, j.rule_no, j.cust, j.occurrence, j.anchor, j.step_no, {outcome} AS outcome, j.reason, j.detail,
               j.not_before, j.expires_at, j.local_date, j.due_date, j.arm, j.template, j.waited_s
        FROM ({judged}) j
        JOIN planning.rule r USING (rule_no)
        LEFT JOIN planning.verdict v ON v.reason = j.reason::planning.reason
    """)


_DECISION = """
CREATE VIEW decision AS
SELECT d.rule_no, d.cust, d.occurrence, d.anchor, d.step_no, s.step_id, d.outcome, d.reason, d.detail, d.not_before,
       d.expires_at, d.local_date, d.due_date, d.arm, d.template, s.channel, d.waited_s
FROM planning.decided d LEFT JOIN planning.step s USING (rule_no, step_no)
UNION ALL
SELECT d.rule_no, d.cust, d.occurrence, d.anchor, s.step_no, s.step_id,
       CASE WHEN d.reason = 'existing' THEN 'skip' ELSE 'wait' END::planning.outcome, d.reason,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, s.channel, 0
FROM planning.plain d
JOIN planning.rule r USING (rule_no)
LEFT JOIN planning.step s ON s.rule_no = d.rule_no AND s.step_no =
    CASE d.reason WHEN 'not_due' THEN 0 WHEN 'existing' THEN r.last_fixed ELSE r.steps - 1 END
"""


def any_open(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether anything is left to decide."""
    return bool(db.execute("SELECT 1 FROM planning.open LIMIT 1").fetchall())


def publish(db: duckdb.DuckDBPyConnection) -> None:
    """Show all decisions as one relation; those of the plain majority stay where they are, without a copy."""
    db.execute(_DECISION)
