"""A thousand damaged CSV files: read whole or refused, never a traceback, a long wait or a row lost in silence."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from random import Random

import duckdb

from engine.errors import HoldfastError
from engine.warehouse.shapes import shape_of
from engine.warehouse.sources.duck import DuckSource
from engine.warehouse.staging import Staging
from engine.warehouse.tables import TABLES
from tests.warehouse.warehouse_world import AS_OF, settings_of

FILES, LONGEST_S = 1_000, 2.0

VALUES = (
    "", " ", "a", "1", "007", "-3", "x@y.de", "two\nlines", 'say "hi"', "a,b", "a;b", "Zoë", "\ufeff", "\u202e", "'", '"', "\\", "\\N",
    "2026-01-01", "2026-13-45", "1769854500", "NaN", "null", "true", "=1+1", "\t", "\x00", "\x1a", "1e999", "9" * 40, "é" * 300,
)  # fmt: skip
COLUMNS = ("customer_id", "name", "plan", "locale", "consent", "signed_up_at", "note")


def sound(random: Random) -> bytes:
    """A sound file, in some dialect."""
    columns = ["customer_id", *random.sample(COLUMNS[1:], random.choice([0, 1, 2, 3]))]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=random.choice(",,,;\t|"), quoting=random.choice([0, 0, 1]),
                        lineterminator=random.choice(["\n", "\n", "\r\n"]))  # fmt: skip
    writer.writerow(columns)
    for number in range(random.choice([0, 1, 3, 30])):
        writer.writerow([f"c{number}", *(random.choice(VALUES) for _ in columns[1:])])
    return text.getvalue().encode()


def damaged(content: bytes, random: Random) -> bytes:
    """The same with a few bytes lost, added, doubled, swapped or replaced."""
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        at, to = sorted((random.randint(0, len(content)), random.randint(0, len(content))))
        piece = random.choice(
            [
                b'"',
                b",",
                b";",
                b"\n",
                b"\r",
                b"\r\n",
                b"\x00",
                b"\xff\xfe",
                b"\xe9",
                b"\\",
                b"\xef\xbb\xbf",
                b'""',
                b"'",
                b" ",
            ]
        )
        content = random.choice([
            lambda at=at, piece=piece: content[:at] + piece + content[at:],
            lambda at=at, to=to: content[:at] + content[min(to, at + 3):],
            lambda at=at, to=to: content[:to] + content[at:to][:50] + content[to:],
            lambda at=at, piece=piece: content[:at] + piece + content[at + len(piece):],
            lambda at=at: content[:at],
        ])()  # fmt: skip
    return content


def rows_in(content: bytes) -> int | None:
    """Rows below the heading as Python's own reader sees them, or None where even that is not clear."""
    text = content.decode("utf-8").removeprefix("\ufeff")
    heading = text.splitlines()[0]
    delimiter = max(",;\t|", key=heading.count)
    if '"' in heading or delimiter not in heading:  # in a single column an empty line is a row without a value
        return None
    return sum(1 for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row) - 1


class Reader:
    """Stages customers the way a warehouse does, with everything that does not depend on the file made once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, settings_of({"customers": {"path": "customers.csv"}})
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET threads = 1")
        self.db.execute(
            "CREATE TABLE known_zone (zone VARCHAR); CREATE TABLE currency_digits (currency VARCHAR, digits INT)"
        )

    def read(self, content: bytes) -> tuple[int, int] | HoldfastError:
        """(rows offered, rows accounted for), or the refusal."""
        (self.folder / "customers.csv").write_bytes(content)
        tables = self.settings.warehouse.tables
        try:
            source = DuckSource("duckdb://", self.folder, tables, self.db)
            shape = shape_of(
                "customers", tables["customers"], source.describe("customers", TABLES["customers"].columns)
            )
            staging = Staging(self.db, source, AS_OF, "EUR")
            staging.stage(shape, shape.columns, "t")
        except HoldfastError as error:
            return error
        report = staging.reports["customers"]
        used = self.db.execute("SELECT count(*) FROM t").fetchall()[0][0]
        return report.rows, used + report.set_aside + report.repeated


def test_damaged_files_are_read_whole_or_refused(tmp_path: Path) -> None:
    random = Random(20260601)
    reader = Reader(tmp_path)
    refused = accepted = compared = 0
    for number in range(FILES):
        content = damaged(sound(random), random)
        began = time.perf_counter()
        found = reader.read(content)
        assert time.perf_counter() - began < LONGEST_S * 5, content  # wall time of a shared machine
        if isinstance(found, HoldfastError):
            assert "customers" in str(found), (number, content, found)
            refused += 1
            continue
        accepted += 1
        assert found[0] == found[1], (number, content)
        expected = rows_in(content)
        if expected is not None:
            compared += 1
            assert found[0] == expected, (number, content)
    assert refused > FILES // 10
    assert compared > FILES // 10, accepted
