from __future__ import annotations

from datetime import date, datetime, timedelta

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import AS_OF, CATALOG, COLUMNS, CONDITIONS, ROWS, truth
from project_world import RULE, load_rule

from engine.errors import Problem, SetupError
from engine.project.expressions import Expression, parse


def sql_of(expression: Expression) -> tuple[str, dict[str, object]]:
    bound: dict[str, object] = {}

    def bind(value: object) -> str:
        bound[f"b{len(bound)}"] = value
        return f"$b{len(bound) - 1}"

    def column(namespace: str, name: str) -> str:
        return f'"{namespace}_{name}"' if namespace else f'"{name}"'

    return expression.to_sql(column, lambda rule: f'"sent_{rule}"', bind, AS_OF), bound


@pytest.fixture(scope="module")
def people() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    types = {"text": "VARCHAR", "number": "BIGINT", "bool": "BOOLEAN", "instant": "TIMESTAMP", "date": "DATE"}
    db.execute(
        f"CREATE TABLE people (no INTEGER, {', '.join(f'{name} {types[kind]}' for name, kind in COLUMNS.items())})"
    )
    for no, row in enumerate(ROWS):
        db.execute(f"INSERT INTO people VALUES (?{', ?' * len(row)})", [no, *row.values()])
    return db


@settings(max_examples=200, derandomize=True, deadline=None)
@given(CONDITIONS)
def test_the_sql_says_what_a_reader_of_the_text_would(people: duckdb.DuckDBPyConnection, condition: str) -> None:
    expression = parse(condition, "r.yaml", 1, 1)
    assert [problem for problem in expression.check(CATALOG) if problem.severity == "error"] == []
    sql, bound = sql_of(expression)
    found = people.execute(f"SELECT {sql} FROM people ORDER BY no", bound).fetchall()
    assert [row[0] for row in found] == [truth(expression.root, row) for row in ROWS]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(CONDITIONS)
def test_the_sql_reads_for_another_parser_and_holds_no_literal(condition: str) -> None:
    sql, bound = sql_of(parse(condition, "r.yaml", 1, 1))
    parsed = sqlglot.parse_one(sql, read="duckdb")
    # nullif(…, 0) and the microseconds of a day are ours; everything a person wrote is bound.
    assert {literal.this for literal in parsed.find_all(sqlglot.exp.Literal)} <= {"0", "86400000000"}
    assert {place.name for place in parsed.find_all(sqlglot.exp.Placeholder)} == set(bound)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_conjuncts_are_the_parts_that_must_all_hold(left: str, right: str) -> None:
    whole = parse(f"({left}) and ({right})", "r.yaml", 1, 1)
    parts = whole.conjuncts()
    for row in ROWS:
        values = [truth(part.root, row) for part in parts]
        both = False if False in values else None if None in values else True
        assert both == truth(whole.root, row)
    for part in parts:
        assert parse(part.text, "r.yaml", 1, 1).to_sql(*_plain()) == part.to_sql(*_plain())


def _plain() -> tuple:
    return (lambda namespace, name: f"{namespace}.{name}", str, repr, AS_OF)


def test_a_conjuncts_text_and_place_are_its_own() -> None:
    expression = parse("plan = 'pro'\n  and (a = 1 or b = 2) and not c", "r.yaml", 5, 10)
    assert [part.text for part in expression.conjuncts()] == ["plan = 'pro'", "(a = 1 or b = 2)", "not c"]
    (problem,) = expression.conjuncts()[1].check({"": {"a": "number", "plan": "text", "c": "bool"}})
    assert problem.place == "r.yaml:6:17"


def test_an_expression_knows_what_it_reads() -> None:
    expression = parse(
        "Plan = 'x' and subscription.plan = 'y' and fact.n > 1 and sent('a') or not sent('b')", "r", 1, 1
    )
    assert expression.columns == {("", "plan"), ("subscription", "plan"), ("fact", "n")}
    assert expression.sent == {"a", "b"}


def test_an_expression_is_a_value() -> None:
    assert parse("a = 1", "r", 1, 1) == parse("a = 1", "r", 1, 1)
    assert len({parse("a = 1", "r", 1, 1), parse("a = 1", "r", 1, 1), parse("a = 1", "r", 2, 1)}) == 2


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a = 1 or b = 2 and c = 3", "(a = 1) or ((b = 2) and (c = 3))"),
        ("not a = 1 and b = 2", "(not (a = 1)) and (b = 2)"),
        ("a + b * c - d > -e", "(((a + (b * c)) - d) > (-e))"),
        ("a - b - c = 0", "((a - b) - c) = 0"),
        ("a between 1 and 2 and b = 3", "(a between 1 and 2) and (b = 3)"),
        ("not a in (1) or b", "(not (a in (1))) or b"),
        ("a is not null and b is null", "(a is not null) and (b is null)"),
        ("NOT a LIKE 'x' AND b NOT IN (1, 2)", "(not (a like 'x')) and (b not in (1, 2))"),
        ("a != 1", "a <> 1"),
        ("-a * b < c / -2", "((-a) * b) < (c / (-2))"),
    ],
)
def test_operators_bind_as_in_sql(text: str, read: str) -> None:
    assert parse(text, "r", 1, 1).to_sql(*_plain()) == parse(read, "r", 1, 1).to_sql(*_plain())


def test_a_doubled_quote_is_a_quote() -> None:
    assert sql_of(parse("name = 'it''s'", "r", 1, 1))[1] == {"b0": "it's"}


def test_literals_are_bound_with_their_types() -> None:
    text = "a in (1, -2, 2.5, 1e3) and b = true and c > date '2026-01-31' and d = '2026-01-31'"
    assert list(sql_of(parse(text, "r", 1, 1))[1].values()) == [
        1,
        -2,
        2.5,
        1000.0,
        True,
        datetime(2026, 1, 31),
        "2026-01-31",
    ]


@pytest.mark.parametrize("payload", ["'; DROP TABLE people; --", "x' or '1'='1", "$b0", "%s", "\\'", "\x00"])
def test_a_text_reaches_the_engine_only_as_a_bound_value(payload: str) -> None:
    quoted = "'" + payload.replace("'", "''") + "'"
    sql, bound = sql_of(parse(f"plan = {quoted}", "r", 1, 1))
    assert (sql, bound) == ('("plan" = $b0)', {"b0": payload})


@pytest.mark.parametrize("days", [0, 1, 29, 30, 31, 365, -1, -30, 36_525])
def test_days_since_counts_whole_elapsed_days(people: duckdb.DuckDBPyConnection, days: int) -> None:
    sql, bound = sql_of(parse("days_since(at) = 0", "r", 1, 1))
    count = sql.removeprefix("(").rsplit(" = ", 1)[0]
    microsecond = timedelta(microseconds=1)
    for at, expected in [
        (AS_OF - timedelta(days=days), days),
        (AS_OF - timedelta(days=days) + microsecond, days - 1),
        (AS_OF - timedelta(days=days) - microsecond, days),
    ]:
        value = people.execute(
            f"SELECT {count} FROM (SELECT $at::TIMESTAMP AS at)", {"at": at, "b0": bound["b0"]}
        ).fetchone()
        assert value == (expected,)


def test_no_arithmetic_can_fail(people: duckdb.DuckDBPyConnection) -> None:
    largest = 2**63 - 1
    for text, expected in [
        (f"n + {largest} > 0", True),
        (f"n * {largest} * {largest} > 0", True),
        ("n / 0 > 0", None),
        ("n / (n - n) = 1", None),
    ]:
        sql, bound = sql_of(parse(text, "r", 1, 1))
        assert people.execute(f"SELECT {sql} FROM (SELECT $n::BIGINT AS n)", {"n": largest, **bound}).fetchone() == (
            expected,
        )


# Checks that wait for the tables


def check(text: str, **catalog: object) -> list[Problem]:
    return parse(text, "r", 1, 1).check({"": {**COLUMNS}, "fact": {"amount": "number"}, "subscription": {}} | catalog)


KNOWN = ", ".join(sorted(COLUMNS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "contry = 'DE'",
            'r:1:1: unknown column "contry"; expected ' + KNOWN + '. Did you mean "country"? [HF417]',
        ),
        ("fact.amout > 1", 'r:1:1: unknown fact "amout"; expected amount. Did you mean "amount"? [HF417]'),
        ("subscription.plan = 'x'", 'r:1:1: unknown column of subscriptions "plan"; there are none here. [HF417]'),
        (
            "plan = pro",
            'r:1:8: unknown column "pro"; expected ' + KNOWN + ". [HF417]",
        ),
        ("mrr = '5'", "r:1:7: '5' is text, not a number; both sides must be of one type. [HF418]"),
        ("'a' = mrr", "r:1:7: mrr is a number, not text; both sides must be of one type. [HF418]"),
        (
            "signed_up_at > '2026-01-01'",
            "r:1:16: '2026-01-01' is text, not an instant; a day is written date '2026-01-31'. [HF418]",
        ),
        ("plan in ('a', 5)", "r:1:15: 5 is a number, not text; both sides must be of one type. [HF418]"),
        ("mrr between 1 and 'x'", "r:1:19: 'x' is text, not a number; both sides must be of one type. [HF418]"),
        ("coalesce(plan, 0) = 'x'", "r:1:16: 0 is a number, not text; both sides must be of one type. [HF418]"),
        ("mrr like 'a%'", "r:1:1: mrr is a number; expected text. [HF418]"),
        ("lower(mrr) = 'a'", "r:1:7: mrr is a number; expected text. [HF418]"),
        (
            "signed_up_at - 30 > 0",
            "r:1:1: signed_up_at is an instant; expected a number; days between two times come from days_since(column)."
            " [HF418]",
        ),
        ("days_since(plan) > 3", "r:1:12: plan is text; days_since() takes a date or instant. [HF418]"),
        ("plan and consent", "r:1:1: plan is text; expected a condition. [HF419]"),
        ("mrr", "r:1:1: a number where a condition belongs; expected a comparison or a true-or-false column. [HF419]"),
        ("consent < true", "r:1:1: < between true and false; expected = or <>. [HF418]"),
    ],
)
def test_what_the_columns_forbid_is_said_with_its_place(text: str, said: str) -> None:
    assert [str(problem) for problem in check(text)] == [said]


@pytest.mark.parametrize(
    "text",
    [
        "CONSENT",
        "Mrr > 1",
        "renews_on > signed_up_at",
        "signed_up_at < date '2026-01-01'",
        "not consent",
        "days_since(renews_on) < -3",
    ],
)
def test_what_the_columns_allow_passes(text: str) -> None:
    assert check(text) == []


def test_a_namespace_nobody_has_described_is_not_checked() -> None:
    assert parse("fact.anything = 1 and whatever", "r", 1, 1).check({}) == []


LOSSES = [
    ("country <> 'DE'", "coalesce(country, '') <> 'DE'"),
    ("country not in ('DE', 'AT')", "coalesce(country, '') not in ('DE', 'AT')"),
    ("not country = 'DE'", "coalesce(country, '') = 'DE'"),
    ("lower(country) <> 'de'", "lower(coalesce(country, '')) <> 'de'"),
    ("country not like 'D%'", "coalesce(country, '') not like 'D%'"),
    ("mrr <> 0", "(mrr is null or mrr <> 0)"),
    ("not mrr = 0", "(mrr is not null and mrr = 0)"),
    ("mrr not between 1 and 5", "(mrr is null or mrr not between 1 and 5)"),
]


@pytest.mark.parametrize(("text", "kept"), LOSSES)
def test_a_comparison_that_loses_nulls_is_a_warning_that_says_how_to_write_it(text: str, kept: str) -> None:
    (problem,) = check(text)
    assert (problem.severity, problem.code) == ("warning", "HF420")
    assert f"write {kept} to keep them" in problem.expected


@pytest.mark.parametrize(("text", "kept"), LOSSES)
def test_what_the_warning_proposes_keeps_customers_without_a_value(text: str, kept: str) -> None:
    negated = text.startswith("not ")
    written = text.removeprefix("not ")
    proposed = parse(f"not {kept}" if negated else kept, "r", 1, 1)
    nobody: dict[str, object] = dict.fromkeys(COLUMNS)
    assert truth(parse(text, "r", 1, 1).root, nobody) is None
    assert truth(proposed.root, nobody) is True
    for row in ROWS:
        if row["country"] is not None and row["mrr"] is not None:
            assert truth(proposed.root, row) == truth(
                parse(f"not ({written})" if negated else written, "r", 1, 1).root, row
            )


@pytest.mark.parametrize(
    "text",
    ["country = 'DE'", "mrr > 5", "coalesce(country, '') <> 'DE'", "country is null or country <> 'DE'",
     "country is not null and not country in ('DE')", "not country <> 'DE'", "5 <> 6", "not sent('x')"],
)  # fmt: skip
def test_who_tests_for_null_or_asks_for_a_value_is_not_warned(text: str) -> None:
    assert check(text) == []


def test_a_warning_of_a_rule_does_not_stop_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SECRET", "x")
    (warning,) = load_rule(RULE + "where: country <> 'DE'\n").warnings
    assert warning.place == "rules/case.yaml:6:8"


@pytest.mark.parametrize(
    ("text", "place"), [("a ==1", "r:7:12"), ("a = 1 and\n  b ==1", "r:8:5"), ("  a ==1", "r:7:14")]
)
def test_a_fault_is_placed_from_where_the_text_begins(text: str, place: str) -> None:
    with pytest.raises(SetupError) as refused:
        parse(text, "r", 7, 10)
    assert refused.value.problems[0].place == place


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_depth_is_bounded_in_brackets_and_in_sums(brackets: int, sums: int) -> None:
    fits = max(brackets + 1, 1) <= 30
    text = "(" * brackets + "vip" + ")" * brackets
    assert _reads(text) == fits
    assert _reads("1" + " + 1" * sums + " > 0") == (sums + 2 <= 30)


def _reads(text: str) -> bool:
    try:
        parse(text, "r", 1, 1)
    except SetupError:
        return False
    return True


def test_a_hundred_conditions_in_a_row_are_not_deep() -> None:
    assert _reads(" and ".join(["vip"] * 390))


def test_dates_of_every_kind_of_year_are_read() -> None:
    assert sql_of(parse("a = date '2028-02-29'", "r", 1, 1))[1] == {
        "b0": datetime.combine(date(2028, 2, 29), datetime.min.time())
    }
