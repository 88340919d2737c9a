"""The `sql` trigger: a query of the company's own, on files and on a server alike."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, Candidate, Engine, make_engine, project, rule

from engine.errors import Problem, SetupError

AS_OF = datetime(2026, 11, 22, 9)

TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [{"customer_id": name, "plan": "pro", "since": date(2026, 1, 1)} for name in ("ann", "bob")],
    "events": [
        {"customer_id": "ann", "name": "login", "at": datetime(2026, 11, 1), "event_id": "e1"},
        {"customer_id": "ann", "name": "login", "at": datetime(2026, 11, 20), "event_id": "e2"},
        {"customer_id": "ann", "name": "login", "at": datetime(2026, 11, 21), "event_id": "e2"},
        {"customer_id": "bob", "name": "100%", "at": datetime(2026, 11, 20), "event_id": "e3"},
        {"customer_id": "stranger", "name": "login", "at": datetime(2026, 11, 20), "event_id": "e4"},
    ],
}


@pytest.fixture(scope="module", params=["csv", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """One where queries run in DuckDB and one where they run on the server."""
    return make_engine(request.param, request)


@pytest.fixture(scope="module")
def folder(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(engine.name)
    engine.load(TABLES, folder)
    return folder


def placed(engine: Engine, query: str) -> str:
    """`{customers}` and `{events}` by the names they have there: the contract's, or on a server the company's own."""
    on_server = engine.name == "postgres"
    names = {table: engine.place(table).removeprefix("table: ") if on_server else table for table in TABLES}
    return query.format(**names)


def loaded(engine: Engine, folder: Path, query: str, more: str = "") -> Any:
    text = rule("r", "sql: {query: q.sql}", more)
    return project(engine, TABLES, text, folder, files={"rules/q.sql": placed(engine, query)})


def found(
    engine: Engine, folder: Path, query: str, as_of: datetime = AS_OF, more: str = ""
) -> dict[str, list[Candidate]]:
    return Answer(loaded(engine, folder, query, more), as_of, further="all")["r"]


def refused(engine: Engine, folder: Path, query: str) -> Problem:
    with pytest.raises(SetupError) as raised:
        found(engine, folder, query)
    (problem,) = raised.value.problems
    assert problem.path == "rules/q.sql"
    return problem


LAST = """
select customer_id, 'seen' as occurrence, max(at) as anchor, count(*) as times
from {events} where at < :as_of group by customer_id
"""


def test_the_query_sees_the_instant_of_the_run(engine: Engine, folder: Path) -> None:
    assert found(engine, folder, LAST)["ann"][0].anchor.date() >= date(2026, 11, 20)
    assert found(engine, folder, LAST, datetime(2026, 11, 2))["ann"][0].anchor == datetime(2026, 11, 1)
    assert set(found(engine, folder, LAST, datetime(2026, 11, 2))) == {"ann"}


def test_as_of_may_stand_anywhere_and_casts_are_left_alone(engine: Engine, folder: Path) -> None:
    query = """
    -- nothing after :as_of counts
    select customer_id, ':as_of' as occurrence, :as_of::date as anchor, '10:30' as clock, '100% :x' as text
    from {customers} where :as_of >= '2026-01-01'::timestamp
    """
    assert found(engine, folder, query)["bob"] == [
        Candidate(":as_of", datetime(2026, 11, 22), None, {"clock": "10:30", "text": "100% :x"})
    ]


def test_a_query_need_not_name_the_instant(engine: Engine, folder: Path) -> None:
    query = "select customer_id, 'x' as occurrence, since as anchor from {customers} where plan like 'p%'"
    assert set(found(engine, folder, query)) == {"ann", "bob"}


def test_a_semicolon_at_the_end_and_common_tables_are_fine(engine: Engine, folder: Path) -> None:
    query = """with seen as (select customer_id, max(at) as anchor from {events} where at < :as_of group by 1)
    select customer_id, 'x' as occurrence, anchor from seen union all
    select customer_id, 'y' as occurrence, since as anchor from {customers} ; -- that is all
    """
    assert [one.occurrence for one in found(engine, folder, query)["bob"]] == ["x", "y"]


def test_slices_and_times_of_day_are_no_parameters(engine: Engine, folder: Path) -> None:
    query = """
    select customer_id, 'x' as occurrence, timestamp '2026-11-01 10:30:00' at time zone 'UTC' as anchor
    from {customers} where (array['a', 'b', 'c'])[1:2] = array['a', 'b']
    """
    assert found(engine, folder, query)["ann"][0].anchor == datetime(2026, 11, 1, 10, 30)


def test_column_names_may_be_written_in_any_case(engine: Engine, folder: Path) -> None:
    query = 'select customer_id as "Customer_Id", \'x\' as "OCCURRENCE", since as anchor from {customers}'
    assert set(found(engine, folder, query)) == {"ann", "bob"}


def test_rows_without_occurrence_anchor_or_known_customer_are_no_candidates(engine: Engine, folder: Path) -> None:
    query = """
    select 'ann' as customer_id, cast(null as varchar) as occurrence, :as_of as anchor
    union all select 'bob', 'x', null union all select 'stranger', 'x', :as_of union all select null, 'x', :as_of
    """
    assert found(engine, folder, query) == {}


def test_the_same_occurrence_twice_is_one_candidate(engine: Engine, folder: Path) -> None:
    """Joins multiply rows; the message key knows a customer and an occurrence only once. The earliest anchor stands."""
    query = """
    select customer_id, 'x' as occurrence, timestamp '2026-11-02 00:00:00' as anchor, 'second' as label from {customers}
    union all select customer_id, 'x', timestamp '2026-11-01 00:00:00', 'first' from {customers}
    """
    for ones in found(engine, folder, query).values():
        assert ones == [Candidate("x", datetime(2026, 11, 1), None, {"label": "first"})]


def test_facts_may_be_used_in_where(engine: Engine, folder: Path) -> None:
    assert set(found(engine, folder, LAST, more="where: fact.times >= 2")) == {"ann"}


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("select customer_id, 'x' as occurrence from {customers}", "HF608", ["no column anchor"]),
        ("select 1 as one", "HF608", ["customer_id", "occurrence", "anchor"]),
        ("delete from {customers}", "HF607", ["not a single SELECT"]),
        ("select 1; select 2", "HF607", ["not a single SELECT"]),
        ("", "HF607", ["not a single SELECT"]),
        ("-- only a comment", "HF607", ["not a single SELECT"]),
        ("select customer_id,\n  from from {customers}", "HF607", ["from"]),
        ("select customer_id, 'x' as occurrence, nothere as anchor from {customers}", "HF607", ["nothere"]),
        ("select customer_id, 'x' as occurrence, since as anchor from nowhere", "HF607", ["nowhere"]),
        ("select customer_id, 'x' as occurrence, :until as anchor from {customers}", "HF607", [":until"]),
        ("select customer_id, 'x' as occurrence, 'soon' as anchor from {customers}", "HF607", ["anchor"]),
        (
            "select 'ann' as customer_id, 'x' as occurrence, 1 / cast(plan as integer) as anchor from {customers}",
            "HF607",
            ["pro"],
        ),
    ],
)
def test_a_query_that_cannot_be_used_is_refused_in_plain_words(
    engine: Engine, folder: Path, query: str, code: str, words: list[str]
) -> None:
    problem = refused(engine, folder, query)
    assert problem.code == code
    for word in words:
        assert word in f"{problem}", str(problem)
    assert "\n" not in problem.found


def test_a_syntax_error_has_its_place(engine: Engine, folder: Path) -> None:
    assert refused(engine, folder, "select customer_id,\n  'x' as as occurrence from {customers}").line == 2


def test_a_query_cannot_write(engine: Engine, folder: Path) -> None:
    if engine.name == "postgres":
        refused(
            engine,
            folder,
            "with gone as (delete from {customers} returning *) "
            "select customer_id, 'x' as occurrence, :as_of as anchor from gone",
        )
    assert set(found(engine, folder, LAST)) == {"ann", "bob"}


@pytest.mark.parametrize("engine", ["csv", "duckdb", "sqlite"], indirect=True)
def test_a_table_that_is_not_mapped_is_named_as_such(engine: Engine, folder: Path) -> None:
    problem = refused(engine, folder, "select customer_id, 'x' as occurrence, at as anchor from invoices")
    assert problem.code == "HF605"
    assert problem.found == "the query reads the table invoices, which is not mapped"
    assert "warehouse.tables.invoices" in problem.expected


@pytest.mark.parametrize("engine", ["csv", "duckdb", "sqlite"], indirect=True)
def test_repeated_events_count_once_in_a_query_too(engine: Engine, folder: Path) -> None:
    assert found(engine, folder, LAST)["ann"][0].facts == {"times": 2}
    assert found(engine, folder, LAST)["ann"][0].anchor == datetime(2026, 11, 20)


def test_a_missing_query_file_is_refused_when_the_rule_is_read(engine: Engine, folder: Path) -> None:
    with pytest.raises(SetupError) as raised:
        project(engine, TABLES, rule("r", "sql: {query: p.sql}"), folder, files={"rules/q.sql": "select 1"})
    assert raised.value.problems[0].suggestion == '"q.sql"'
