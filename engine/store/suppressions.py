"""Suppressions: whom we must not write to, kept by a keyed hash of the address so that they outlive its erasure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import TextIO

from sqlalchemy import Connection, Row, delete, func, select, update

from engine.store import bulk
from engine.store.bulk import Bulk
from engine.store.connect import FETCH_ROWS, Database
from engine.store.tables import suppression

KINDS = ("unsubscribed", "bounced", "complained", "erased", "not_until", "less_often")
COLUMNS = ("address", "address_key", "kind", "topic", "until", "source", "at")
# What a spreadsheet would take for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = (*_FORMULA, "'")  # the quote as well, so that reading back is unambiguous


def address_key(secret: str, address: str) -> str:
    """The keyed hash of a canonical address: SHA-256 of the secret, 0x1f and the address, as 64 hex digits.

    In DuckDB: `sha256(secret || chr(31) || address)`.
    """
    return sha256(f"{secret}\x1f{address}".encode()).hexdigest()


#: `customer_key` in DuckDB's SQL, with the secret as $secret.
CUSTOMER_KEY_SQL = "sha256($secret || chr(31) || 'customer' || chr(31) || {customer_id})"


def customer_key(secret: str, customer_id: str) -> str:
    """The keyed hash of a customer's id, by which the erased are known; no address has the same one."""
    return sha256(f"{secret}\x1fcustomer\x1f{customer_id}".encode()).hexdigest()


@dataclass(frozen=True)
class Suppression:
    """One word against writing to an address."""

    address_key: str
    #: None once the person was erased.
    address: str | None
    #: unsubscribed, bounced, complained, erased, not_until or less_often.
    kind: str
    #: None: all topics.
    topic: str | None
    #: For `not_until`: the first local date on which mail is welcome again.
    until: date | None
    source: str
    at: datetime

    @classmethod
    def of(
        cls,
        secret: str,
        address: str,
        kind: str,
        source: str,
        at: datetime,
        topic: str | None = None,
        until: date | None = None,
    ) -> Suppression:
        """For a canonical address."""
        return cls(address_key(secret, address), address, kind, topic, until, source, at)


_ENTRIES = Bulk(
    suppression,
    ("address_key", "kind", "topic", "address", "until", "source", "at"),
    on_conflict="ON CONFLICT DO NOTHING",
)


class Suppressions:
    """The list; unique per address, kind and topic. An entry added twice keeps its first source and instant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[Suppression]) -> int:
        """Add entries; how many were new. A later `until` replaces an earlier one."""
        wanted = list(entries)
        rows = [(e.address_key, e.kind, e.topic or "", e.address, e.until, e.source, e.at) for e in wanted]
        with self._database.write() as connection:
            added = bulk.insert(connection, _ENTRIES, rows, {}).stored
            for entry in wanted:
                if entry.until is not None:
                    _postpone(connection, entry)
        return added

    def remove(self, key: str, kind: str | None = None, topic: str | None = None) -> int:
        """Remove an address's entries, or those of one kind and topic; how many went."""
        gone = delete(suppression).where(suppression.c.address_key == key)
        if kind is not None:
            gone = gone.where(suppression.c.kind == kind)
        if topic is not None:
            gone = gone.where(suppression.c.topic == topic)
        with self._database.write() as connection:
            return connection.execute(gone).rowcount

    def of(self, key: str) -> list[Suppression]:
        """An address's entries."""
        query = select(suppression).where(suppression.c.address_key == key)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(suppression.c.kind, suppression.c.topic))]

    def listed(self) -> Iterator[Suppression]:
        """All entries, in order of address."""
        order = (func.coalesce(suppression.c.address, ""), suppression.c.address_key, suppression.c.kind)
        query = select(suppression).order_by(*order, suppression.c.topic)
        with self._database.read() as connection:
            for batch in connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions():
                yield from map(_entry, batch)

    def rows(self) -> Iterator[bulk.Row]:
        """(address_key, kind, topic or None, until as text or None) of all, for planning."""
        columns = (suppression.c.address_key, suppression.c.kind, func.nullif(suppression.c.topic, ""))
        query = select(*columns, self._database.as_text(suppression.c.until))
        with self._database.read() as connection:
            for batch in connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions():
                yield from map(tuple, batch)


def _postpone(connection: Connection, entry: Suppression) -> None:
    same = (
        suppression.c.address_key == entry.address_key,
        suppression.c.kind == entry.kind,
        suppression.c.topic == (entry.topic or ""),
    )
    connection.execute(update(suppression).where(*same, suppression.c.until < entry.until).values(until=entry.until))


def _entry(row: Row[tuple[object, ...]]) -> Suppression:
    values = dict(row._mapping)
    return Suppression(**(values | {"topic": values["topic"] or None}))


def read_csv(
    lines: Iterable[str], secret: str, canonical: Callable[[str], str | None], source: str, at: datetime
) -> tuple[list[Suppression], list[tuple[int, str]]]:
    """Entries from a CSV with a heading line, and (line number, what is wrong) for each row left out.

    Columns: `address` (or `email`), or `address_key` alone; optional `kind` (unsubscribed), `topic`, `until`
    (YYYY-MM-DD), `source`. `canonical` gives an address's canonical form, None when it is not one.
    """
    reader = csv.DictReader(lines)
    entries, problems = [], []
    for row in reader:
        try:
            entries.append(_parsed(row, secret, canonical, source, at))
        except ValueError as error:
            problems.append((reader.line_num, str(error)))
    return entries, problems


def _parsed(
    row: Mapping[str, str | None], secret: str, canonical: Callable[[str], str | None], source: str, at: datetime
) -> Suppression:
    cells = {(name or "").strip().lower(): _unquoted(str(cell or "").strip()) for name, cell in row.items()}
    kind = cells.get("kind") or "unsubscribed"
    if kind not in KINDS:
        raise ValueError(f'unknown kind "{kind}"; expected {", ".join(KINDS)}')
    until = date.fromisoformat(cells["until"]) if cells.get("until") else None
    if (kind == "not_until") != (until is not None):
        raise ValueError("`until` belongs to kind not_until, and to no other")
    written = cells.get("address") or cells.get("email") or ""
    address = canonical(written) if written else None
    if written and address is None:
        raise ValueError(f'"{written}" is not an e-mail address')
    key = address_key(secret, address) if address else cells.get("address_key", "")
    if len(key) != 64:
        raise ValueError("neither an address nor an address_key of 64 digits")
    return Suppression(key, address, kind, cells.get("topic") or None, until, cells.get("source") or source, at)


def write_csv(entries: Iterable[Suppression], file: TextIO) -> int:
    """Write entries as `read_csv` reads them; how many. Cells a spreadsheet would run are quoted with `'`."""
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    written = 0
    for entry in entries:
        written += 1
        writer.writerow({name: cell_text(value) for name, value in asdict(entry).items()})
    return written


def cell_text(value: object) -> str:
    """A value as a cell of a CSV; what a spreadsheet would take for a formula is quoted with `'`."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_QUOTED) else text


def _unquoted(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_QUOTED) else cell
