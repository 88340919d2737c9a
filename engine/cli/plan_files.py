"""`plan --out`: one row for each decision, as .csv, .jsonl or .parquet, written whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TextIO

from engine.cli.command import RequestError
from engine.cli.wording import instant
from engine.warehouse.parquet import write_parquet

Row = Mapping[str, object]

COLUMNS = {
    "rule": "VARCHAR", "customer_id": "VARCHAR", "account_id": "VARCHAR", "occurrence": "VARCHAR", "anchor": "TIMESTAMP", "step": "VARCHAR",
    "outcome": "VARCHAR", "reason": "VARCHAR", "channel": "VARCHAR", "template": "VARCHAR", "arm": "VARCHAR",
    "not_before": "TIMESTAMP",
}  # fmt: skip
"""Columns of a decision, with their types in Parquet. Instants are UTC."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run (OWASP, "CSV Injection")."""


def require_known_kind(path: Path) -> None:
    """Raise RequestError for a file name whose ending we do not write."""
    if path.suffix not in _WRITERS:
        raise RequestError(f'--out "{path}": expected a name that ends in {", ".join(_WRITERS)}')


def write_decisions(path: Path, rows: Iterable[Row]) -> int:
    """Write the rows to a file of the kind its name ends in, replacing an older one; how many there were."""
    require_known_kind(path)
    unfinished = path.with_name(f".{path.name}.part")
    counted = _Counted(rows)
    try:
        _WRITERS[path.suffix](unfinished, counted)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return counted.count


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows, self.count = rows, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _csv(path: Path, rows: Iterable[Row]) -> None:
    with _opened(path) as file:
        sink = csv.writer(file, lineterminator="\n")
        sink.writerow(COLUMNS)
        sink.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)


def _cell(value: object) -> str:
    """Text that a spreadsheet shows and does not run: what begins like a formula gets a quote in front."""
    if value is None:
        return ""
    text = instant(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _jsonl(path: Path, rows: Iterable[Row]) -> None:
    with _opened(path) as file:
        for row in rows:
            cells = {
                name: instant(value) if isinstance(value, datetime) else value
                for name in COLUMNS
                for value in [row[name]]
            }
            file.write(json.dumps(cells, ensure_ascii=False) + "\n")


def _parquet(path: Path, rows: Iterable[Row]) -> None:
    write_parquet(path, COLUMNS, ([row[name] for name in COLUMNS] for row in rows))


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


_WRITERS: dict[str, Callable[[Path, Iterable[Row]], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
