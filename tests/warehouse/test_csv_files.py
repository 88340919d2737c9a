"""CSV as people really send it: read whole, or refused with table or file, line and reason; never in part."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from engine.errors import HoldfastError, SetupError, UnavailableError
from tests.warehouse.warehouse_world import World, report_of, staged

GOOD = b"customer_id,name,plan\na,Ann,pro\nb,Bob,free\n"
ROWS = [("a", "Ann", "pro"), ("b", "Bob", "free")]


def read(
    folder: Path, files: dict[str, bytes] | bytes, path: str | None = None, **mapping: object
) -> list[tuple[object, ...]]:
    """Customers (id, name, plan) of these files."""
    contents = {"customers.csv": files} if isinstance(files, bytes) else files
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    world = World("csv", folder, tables={"customers": {"path": path or next(iter(contents))} | mapping})
    with world.open() as warehouse:
        rows = staged(warehouse, "customers")
        assert report_of(warehouse, "customers").rows == len(rows) + report_of(warehouse, "customers").set_aside
    return [(row["customer_id"], row.get("name"), row.get("plan")) for row in rows]


ACCEPTED = {
    "plain": GOOD,
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "CRLF": GOOD.replace(b"\n", b"\r\n"),
    "CR": GOOD.replace(b"\n", b"\r"),
    "no final newline": GOOD.rstrip(b"\n"),
    "blank lines": GOOD.replace(b"\n", b"\n\n"),
    "semicolons": GOOD.replace(b",", b";"),
    "tabs": GOOD.replace(b",", b"\t"),
    "bars": GOOD.replace(b",", b"|"),
    "everything quoted": b'"customer_id","name","plan"\n"a","Ann","pro"\n"b","Bob","free"\n',
    "spaces in the heading": b" customer_id , name , plan \na,Ann,pro\nb,Bob,free\n",
    "a comma at every end": b"customer_id,name,plan,\na,Ann,pro,\nb,Bob,free,\n",
    "columns in another order": b"plan,customer_id,name\npro,a,Ann\nfree,b,Bob\n",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_usual_kinds_of_csv_are_read(tmp_path: Path, case: str) -> None:
    assert read(tmp_path, ACCEPTED[case]) == ROWS


def test_values_with_newlines_quotes_and_separators(tmp_path: Path) -> None:
    text = b'customer_id,name,plan\r\na,"Ann\r\nthe ""first""",pro\r\nb,"B, ob\n","fr;ee"\r\n'
    assert read(tmp_path, text) == [("a", 'Ann\r\nthe "first"', "pro"), ("b", "B, ob\n", "fr;ee")]


def test_a_separator_in_quoted_column_names(tmp_path: Path) -> None:
    assert read(tmp_path, b'customer_id;"a,b,c,d";name;plan\na;1;Ann;pro\n') == [("a", "Ann", "pro")]


def test_compressed_files(tmp_path: Path) -> None:
    assert read(tmp_path, {"customers.csv.gz": gzip.compress(GOOD)}) == ROWS
    assert read(tmp_path, {"customers.tsv.gz": gzip.compress(GOOD.replace(b",", b"\t"))}) == ROWS


def test_files_of_one_table_may_differ_in_order_separator_and_further_columns(tmp_path: Path) -> None:
    files = {
        "c/1.csv": GOOD, "c/2.csv": b"plan;name;customer_id\r\npro;Cy;c\r\n", "c/3.csv.gz": gzip.compress(b"customer_id\nd\n"),
        "c/4.csv": b"shoe,customer_id\nleft,e\n", "c/5.csv": b"customer_id,name,plan\n",
    }  # fmt: skip
    assert read(tmp_path, files, "c/*.csv*") == [*ROWS, ("c", "Cy", "pro"), ("d", None, None), ("e", None, None)]


def test_a_very_long_value_is_read(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    assert read(tmp_path, f"customer_id,name,plan\na,{long},pro\nb,Bob,free\n".encode())[0][1] == long


def test_only_a_heading_is_an_empty_table(tmp_path: Path) -> None:
    assert read(tmp_path, b"customer_id,name,plan\n") == []
    assert read(tmp_path, b"customer_id,name,plan") == []


def test_a_single_column(tmp_path: Path) -> None:
    assert read(tmp_path, b"customer_id\na\nb\n") == [("a", None, None), ("b", None, None)]


REFUSED = {
    "empty file": (b"", 1, "an empty file"),
    "nothing but newlines": (b"\n\r\n\n", 1, "an empty file"),
    "an empty first line": (b"\n" + GOOD, 1, "a column without a name"),
    "a value too many": (GOOD + b"c,Cy,pro,7\n", 4, "4 values in a row; expected 3, as in the first line"),
    "a value too few": (b"customer_id,name,plan\na,Ann,pro\nb,Bob\nc,Cy,free\n", 3, "2 values in a row; expected 3"),
    "another separator below": (b"customer_id,name,plan\na;Ann;pro\n", 2, "1 values in a row; expected 3"),
    "a quote that never ends": (GOOD + b'c,"Cy,pro\nd,Di,free\n', 4, "a quoted value does not end where it should"),
    "a quote inside quotes": (b'customer_id,name,plan\na,"Ann "the first"",pro\n', 2, "a quoted value does not end"),
    "Latin-1 below": (GOOD + "c,Zoë,pro\n".encode("latin-1"), 4, "bytes that are not UTF-8"),
    "Latin-1 in the heading": ("customer_id,prénom\na,b\n".encode("latin-1"), 1, "bytes that are not UTF-8"),
    "UTF-16": (GOOD.decode().encode("utf-16"), 1, "bytes that are not UTF-8"),
    "a column twice": (b"customer_id,name,Name\na,b,c\n", 1, 'the column "name" twice'),
    "a column without a name": (b"customer_id,,plan\na,b,c\n", 1, "a column without a name"),
    "a quote in the heading": (b'""customer_id,name\na,Ann\n', 1, "a quoted name does not end where it should"),
    "a quote the heading leaves open": (b'customer_id,"name\na,Ann\n', 1, "a quoted name does not end where it"),
    "a heading without end": (b"customer_id," + b"x" * 70_000, 1, "a first line longer than 65,536 bytes"),
    "a line without end": (GOOD + b"c," + b"x" * 21_000_000 + b",pro\n", 4, "a line longer than 20,000,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_broken_files_are_refused_with_file_line_and_reason(tmp_path: Path, case: str) -> None:
    content, line, reason = REFUSED[case]
    with pytest.raises(SetupError) as caught:
        read(tmp_path, {"data/customers.csv": content})
    (problem,) = caught.value.problems
    assert (problem.path, problem.line, problem.code) == ("data/customers.csv", line, "HF601")
    assert reason in str(problem)


def test_a_broken_file_among_good_ones_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"^c/2\.csv:2: 2 values in a row; expected 3"):
        read(tmp_path, {"c/1.csv": GOOD, "c/2.csv": b"customer_id,name,plan\nc,Cy\n", "c/3.csv": GOOD}, "c/*.csv")


def test_the_text_of_a_broken_row_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        read(tmp_path, GOOD + b"c,secret@example.com\n")
    assert "secret" not in str(caught.value)


def test_mixed_line_ends_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"customers\.csv"):
        read(tmp_path, b"customer_id,name,plan\r\na,Ann,pro\nb,Bob,free\r\n")


def test_a_row_that_is_broken_far_below_is_found_by_its_line(tmp_path: Path) -> None:
    rows = "".join(f"c{number},Name {number},pro\n" for number in range(200_000))
    with pytest.raises(SetupError, match=r"customers\.csv:150003: 2 values"):
        read(tmp_path, ("customer_id,name,plan\n" + rows.replace("c150001,Name 150001,pro", "c150001,pro")).encode())


@pytest.mark.parametrize("content", [b"not compressed", gzip.compress(GOOD * 2000)[:-30], b""])
def test_a_broken_archive_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(HoldfastError, match=r"customers\.csv\.gz|customers cannot be read"):
        read(tmp_path, {"customers.csv.gz": content})


@pytest.mark.parametrize("pattern", ["nothing/*.csv", "customers.csv", "[abc].csv"])
def test_a_pattern_without_a_file_is_unavailable(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UnavailableError, match=r"warehouse\.tables\.customers: no file matches"):
        read(tmp_path, {}, pattern)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").mkdir()
    with pytest.raises(UnavailableError, match="no file matches"):
        read(tmp_path, {}, "*.csv")


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match=r'table customers has no column "customer_id".*custmer_id.*Did you mean "custmer_id"'
    ):
        read(tmp_path, b"custmer_id,name\na,Ann\n")


def test_a_renamed_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match=r'warehouse\.tables\.customers\.columns maps name to "nmae", which is not there'
    ):
        read(tmp_path, GOOD, columns={"name": "nmae"})


def test_a_file_without_the_id_column_sets_its_rows_aside(tmp_path: Path) -> None:
    """Counted and listed: an older export among newer ones."""
    files = {"c/1.csv": GOOD, "c/2.csv": b"name,plan\nCy,pro\nDi,pro\n"}
    assert read(tmp_path, files, "c/*.csv") == ROWS
    with World("csv", tmp_path, tables={"customers": {"path": "c/*.csv"}}).open() as warehouse:
        assert [issue.column for issue in warehouse.issues("customers")] == ["customer_id", "customer_id"]


def test_queries_find_files_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_bytes(GOOD)
    query = "select * from read_csv('data/x.csv', all_varchar = true)"
    with World("csv", tmp_path, tables={"customers": {"query": query}}).open() as warehouse:
        assert len(staged(warehouse, "customers")) == 2


@pytest.mark.parametrize(
    "query", ["select nonsense from nowhere", "select 1 as customer_id where", "delete from x", "select 1; select 2"]
)
def test_a_query_that_fails_names_its_table(tmp_path: Path, query: str) -> None:
    with pytest.raises(SetupError, match=r"warehouse\.tables\.customers cannot be read"):
        with World("csv", tmp_path, tables={"customers": {"query": query}}).open():
            pass
