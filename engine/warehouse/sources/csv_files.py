"""CSV files: the heading is read here, the rows by DuckDB, strictly and all as text.

A heading says which character separates the columns and what they are called, so nothing about a file is guessed from
its rows. Files of one table may differ in the order of their columns, and later ones may have more of them.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Problem, SetupError
from engine.warehouse.sql import literal

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")

_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_LINE, _LONGEST_HEADING = 20_000_000, 65_536  # bytes; a longer line is a broken file
_SAMPLE_ROWS = 10_000

_FAULTS = (
    (r"Expected Number of Columns: (\d+) Found: (\d+)", r"\2 values in a row; expected \1, as in the first line"),
    (r"unterminated quote", "a quoted value does not end where it should; a quote inside one is written twice"),
    (r"not utf-8 encoded|Invalid unicode", "bytes that are not UTF-8; expected the file in UTF-8"),
    (r"Maximum line size", f"a line longer than {_LONGEST_LINE:,} bytes"),
    (r"invalid state", "rows that do not follow from one another; expected one kind of line end and closed quotes"),
)
"""What DuckDB says, and what it means."""


@dataclass(frozen=True)
class Heading:
    """How a file is separated, and its columns in their order."""

    delimiter: str
    columns: tuple[str, ...]


def read_heading(path: Path, name: str) -> Heading:
    """The first line. `name` is the file's name for people. Raises SetupError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            start = stream.read(_LONGEST_HEADING)
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(name, None, f"cannot be read: {error}") from error
    text = start.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.strip("\r\n"):
        raise _fault(name, 1, "an empty file", "expected a first line with the names of the columns")
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if len(line) == len(text) and len(start) == _LONGEST_HEADING:
        raise _fault(name, 1, f"a first line longer than {_LONGEST_HEADING:,} bytes")
    return _heading(name, line)


def _heading(name: str, line: str) -> Heading:
    if "\ufffd" in line or "\0" in line:
        raise _fault(name, 1, "bytes that are not UTF-8", "expected the file in UTF-8")
    unquoted = re.sub(r'"[^"]*"', "", line)
    delimiter = max(_DELIMITERS, key=unquoted.count)
    try:
        columns = _split(line, delimiter)
    except csv.Error as error:  # DuckDB reads past such a heading without a word, and past the rows with it
        raise _fault(name, 1, "a quoted name does not end where it should") from error
    folded = [column.casefold() for column in columns]
    for column in columns:
        if not column:
            raise _fault(name, 1, "a column without a name", "expected a name for each column")
        if folded.count(column.casefold()) > 1:
            raise _fault(name, 1, f'the column "{column}" twice', "expected each name once, whatever its case")
    return Heading(delimiter, tuple(columns))


def _split(line: str, delimiter: str) -> list[str]:
    columns = [column.strip() for column in next(csv.reader([line], delimiter=delimiter, strict=True))] or [""]
    return columns[:-1] if len(columns) > 1 and not columns[-1] else columns


def rows_of(files: Sequence[tuple[Path, Heading]]) -> str:
    """SQL of a relation with the rows of all files, every value text or NULL; columns a file lacks are NULL."""
    groups: dict[Heading, list[Path]] = {}
    for path, heading in files:
        groups.setdefault(heading, []).append(path)
    selects = [f"SELECT * FROM {_read_csv(paths, heading)}" for heading, paths in groups.items()]
    return f"({' UNION ALL BY NAME '.join(selects)})"


def _read_csv(paths: Sequence[Path], heading: Heading) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in heading.columns)
    return (
        f"read_csv([{', '.join(literal(str(path)) for path in paths)}], header = true, nullstr = '', "
        f"auto_detect = false, hive_partitioning = false, delim = {literal(heading.delimiter)}, quote = '\"', "
        f"escape = '\"', max_line_size = {_LONGEST_LINE}, columns = {{{columns}}})"
    )


def sample_of(path: Path, heading: Heading) -> str:
    """SQL of a relation with the first rows of one file."""
    return f"(SELECT * FROM {_read_csv([path], heading)} LIMIT {_SAMPLE_ROWS})"


def fault_in_rows(error: Exception, names: dict[str, str]) -> SetupError | None:
    """What a failed reading means, with file and line; None when it is not about rows. `names`: by path."""
    text = str(error)
    path = re.search(r"file = (.+)", text)
    if path is None or path[1].strip() not in names:
        return None
    line = re.search(r"CSV Error on Line: (\d+)", text)
    found = next(
        (match.expand(meaning) for pattern, meaning in _FAULTS if (match := re.search(pattern, text))),
        text.splitlines()[0],
    )
    return _fault(names[path[1].strip()], int(line[1]) if line else None, *found.split("; ", 1))


def _fault(name: str, line: int | None, found: str, expected: str = "") -> SetupError:
    return SetupError(Problem(name, line, None, "HF601", found, expected))
