"""How a stage decides: it judges the open rows; those with a reason are written down, the rest stay open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.tables import OPEN

if TYPE_CHECKING:
    import duckdb


def mark(db: duckdb.DuckDBPyConnection, judged: str) -> None:
    """Move rows to `decision`, or keep them in `planning.open`.

    `judged` is a SELECT of the columns `OPEN`, a `reason` (NULL = still open) and a `detail`. Every row it yields is
    kept exactly once, so a stage must yield each open row exactly once.
    """
    db.execute(f"CREATE OR REPLACE TABLE planning.judged AS SELECT {OPEN}, reason, detail FROM ({judged})")
    write(db, f"SELECT {OPEN}, reason, detail FROM planning.judged WHERE reason IS NOT NULL")
    db.execute(f"CREATE OR REPLACE TABLE planning.open AS SELECT {OPEN} FROM planning.judged WHERE reason IS NULL")
    db.execute("DROP TABLE planning.judged")


def write(db: duckdb.DuckDBPyConnection, judged: str, outcome: str = "v.outcome") -> None:
    """Write decisions for all rows of `judged`; `outcome` is an SQL expression for reasons that belong to none."""
    db.execute(f"""
        INSERT INTO decision BY NAME
        SELECT j.rule_no, j.cust, j.occurrence, j.anchor, j.step_no, s.step_id, {outcome} AS outcome, j.reason,
               j.detail, j.not_before, j.expires_at, j.local_date, j.due_date, j.arm, j.template, s.channel, j.waited_s
        FROM ({judged}) j
        JOIN planning.rule r USING (rule_no)
        LEFT JOIN planning.step s ON s.rule_no = j.rule_no AND s.step_no = j.step_no
        LEFT JOIN planning.verdict v ON v.reason = j.reason::planning.reason
    """)
