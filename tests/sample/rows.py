"""Reading the sample's tables back."""

from __future__ import annotations

import csv
from datetime import date
from functools import cache
from pathlib import Path

TODAY = date(2026, 11, 22)


@cache
def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    """All rows of a table; `events` is the months in their order."""
    files = sorted((folder / "events").glob("*.csv")) if table == "events" else [folder / f"{table}.csv"]
    rows: list[dict[str, str]] = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return rows
