"""A column of addresses read in bulk gives exactly what `parse_address` gives for each."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.addresses import AddressError, parse_address
from engine.warehouse.address_columns import parse_addresses, unread, with_parsed
from engine.warehouse.shapes import Column
from engine.warehouse.sources import RawColumn
from engine.warehouse.tables import Kind
from tests.warehouse.warehouse_world import World, broken, staged

CORPUS = [
    "ann@example.com", " Ann@Example.COM ", "ann+tag@example.com", "a.b-c_d@sub.example.co.uk", "x@1.2.3.com",
    "o'brien@example.ie", "ann@bücher.example", "ann@BÜCHER.example", "ann@xn--bcher-kva.example", "ann@xn--a.example",
    "ann@münchen.de", "ann@例え.jp", "ann@example.K", "\u212aelvin@example.com", "ann@ex\u00e4mple", "josé@example.com",
    "ann@faß.de", "ann@\u200bexample.com", "ann\u00a0@example.com", "\tann@example.com", "ann@example.com\n",
    "ann@example.com,bob@example.com", '"ann" <ann@example.com>', "<ann@example.com>", '"a@b"@example.com',
    "ann(comment)@example.com", "ann@@example.com", "ann@b@example.com", "ann", "@example.com", "ann@", "ann@example",
    "ann@.example.com", "ann@example.com.", "ann@-example.com", "ann@example-.com", "ann@exa_mple.com",
    "ann..b@example.com", ".ann@example.com", "ann.@example.com", "ann@[192.0.2.1]", "ann@192.0.2.1", "a@b.c", "a@b.co",
    "a@b.c0", "a@b.0c", "x" * 64 + "@example.com", "x" * 65 + "@example.com", "a@" + "y" * 63 + ".com",
    "a@" + "y" * 64 + ".com", "a@" + "y" * 63 + "." + "z" * 63 + "." + "w" * 57 + ".com",
    "a@" + ("y" * 63 + ".") * 3 + "w" * 59 + ".com", "a@" + ("y" * 63 + ".") * 3 + "w" * 60 + ".com", "ü" * 250 + "@example.com", "a@" + "ü" * 60 + ".com",
    "a b@example.com", "ann@exam ple.com", "ann@example.com;", "mailto:ann@example.com", "ann@example.com\x00", "\u0000",
]  # fmt: skip


def one_by_one(text: str) -> str | None:
    """What delivery makes of it."""
    try:
        return parse_address(text)
    except AddressError:
        return None


EMAIL = Column("email", RawColumn("email", "VARCHAR", "VARCHAR"), Kind.ADDRESS)
DB = duckdb.connect()


def in_bulk(texts: list[str]) -> list[str | None]:
    """What a column of a table is read as."""
    DB.execute(
        "CREATE OR REPLACE TABLE t AS SELECT unnest(?) AS email, unnest(?) AS n", [texts, list(range(len(texts)))]
    )
    parse_addresses(DB, unread(EMAIL), "t AS r")
    reading = EMAIL.reading("UTC")
    steps = ", ".join(f"{sql} AS {name}" for name, sql in reading.steps.items())
    stepped = f"(SELECT *, {steps} FROM {with_parsed('t', [EMAIL])} AS r)"
    rows = DB.execute(f"SELECT {reading.value} FROM {stepped} ORDER BY n").fetchall()
    return [address for (address,) in rows]


def test_the_corpus_is_read_in_bulk_as_one_by_one() -> None:
    assert dict(zip(CORPUS, in_bulk(CORPUS), strict=True)) == {text: one_by_one(text) for text in CORPUS}


ATOMS = st.text(st.sampled_from("abzAZ09.-_+'@ üßKé\t\n,;<>\"()[]\\\u200d"), max_size=12)
LABELS = st.sampled_from(
    ["example", "xn--bcher-kva", "XN--a", "bücher", "B", "a" * 63, "b" * 64, "-x", "x-", "", "1", "ß"]
)
DOMAINS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
AT_SIGNS = st.sampled_from(["@", "@", "@", "", "@@"])
ENDS = st.sampled_from([".com", ".de", ".K", ".c0m", "", ".", ".com ", " "])
NEARLY = st.tuples(ATOMS, AT_SIGNS, DOMAINS, ENDS).map("".join)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.one_of(NEARLY, NEARLY, st.text(max_size=20), st.emails(), st.sampled_from(CORPUS)), min_size=1, max_size=40
    )
)
def test_any_texts_are_read_in_bulk_as_one_by_one(texts: list[str]) -> None:
    assert in_bulk(texts) == [one_by_one(text) for text in texts]


def test_addresses_of_customers_on_every_kind_of_warehouse(world: World) -> None:
    texts = [text for text in CORPUS if "\0" not in text]  # PostgreSQL has no such text
    world.add(
        "customers",
        {"customer_id": "VARCHAR", "email": "VARCHAR"},
        [[f"c{n:02}", text] for n, text in enumerate(texts)],
    )
    with world.open() as warehouse:
        rows = staged(warehouse, "customers")
        set_aside = {(row, value) for row, _, value in broken(warehouse.issues("customers"))}
    assert [row["address"] for row in rows] == [one_by_one(text) for text in texts]
    invalid = {(f"c{n:02}", text) for n, text in enumerate(texts) if one_by_one(text) is None}
    assert set_aside == invalid
    assert {row["customer_id"] for row in rows if row["address_state"] == "invalid"} == {row for row, _ in invalid}


def test_no_address_is_not_a_broken_one(world: World) -> None:
    world.add(
        "customers",
        {"customer_id": "VARCHAR", "email": "VARCHAR"},
        [["a", None], ["b", ""], ["c", "  "], ["d", "a@b.co"]],
    )
    with world.open() as warehouse:
        assert [row["address_state"] for row in staged(warehouse, "customers")] == ["none", "none", "none", "ok"]
        assert warehouse.issues("customers") == []


def test_customers_who_share_an_address_share_its_number(world: World) -> None:
    people = [
        ["a", "Team@Example.com"],
        ["b", "team@example.com "],
        ["c", "x@bücher.example"],
        ["d", "x@xn--bcher-kva.example"],
        ["e", "e@example.com"],
    ]
    world.add("customers", {"customer_id": "VARCHAR", "email": "VARCHAR"}, people)
    with world.open() as warehouse:
        numbers = {row["customer_id"]: row["addr"] for row in staged(warehouse, "customers")}
    assert numbers["a"] == numbers["b"] != numbers["e"] != numbers["c"] == numbers["d"]
