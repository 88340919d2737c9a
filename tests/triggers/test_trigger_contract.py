"""What every trigger promises, on every engine: the same candidates, facts of the types it declares, plain refusals.

A new trigger joins by a rule in `small_world.RULES` and its candidates in `EXPECTED`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from small_world import AS_OF, EXPECTED, MEMORY, QUERY, RULES, TABLES
from trigger_world import Answer, CsvFiles, Engine, problems, project, rule

from engine.triggers import triggers

TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float, Decimal),
    "bool": (bool,),
    "instant": (datetime,),
    "date": (date,),
}


def query_file(engine: Engine) -> dict[str, str]:
    place = engine.place("events").removeprefix("table: ") if engine.name == "postgres" else "events"
    return {"rules/logins.sql": QUERY.format(events=place)}


@pytest.fixture(scope="module")
def answer(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder = tmp_path_factory.mktemp(engine.name)
    engine.load(TABLES, folder)
    loaded = project(engine, TABLES, RULES, folder, files=query_file(engine))
    return Answer(loaded, AS_OF, further="all", memory=MEMORY)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_finds_the_same_on_every_engine(answer: Answer, name: str) -> None:
    found = answer[name]
    assert {customer: len(ones) for customer, ones in found.items()} == dict.fromkeys(EXPECTED[name], 1)
    for customer, expected in EXPECTED[name].items():
        (one,) = found[customer]
        assert replace(one, facts={fact: one.facts[fact] for fact in expected.facts}) == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_facts_have_the_types_it_declares(answer: Answer, name: str) -> None:
    declared = answer.fact_types(name)
    for one in (one for ones in answer[name].values() for one in ones):
        assert {*one.facts} == {*declared}
        for fact, value in one.facts.items():
            kinds = TYPES[declared[fact]]
            assert value is None or (isinstance(value, kinds) and _exactly(value, declared[fact])), (fact, value)


def _exactly(value: object, kind: str) -> bool:
    """A bool is an int and a datetime a date to Python, not to us."""
    return isinstance(value, bool) == (kind == "bool") and isinstance(value, datetime) == (kind == "instant")


@pytest.mark.parametrize("name", EXPECTED)
def test_every_fact_of_its_own_has_a_value_for_somebody(answer: Answer, name: str) -> None:
    use = next(rule.trigger for rule in answer.evaluation.rules if rule.id == name)
    ones = [one for ones in answer[name].values() for one in ones]
    for fact in triggers()[use.name].facts(use.params):
        assert any(one.facts[fact] is not None for one in ones) or (name, fact) == ("busy", "last_used_at")


@pytest.mark.parametrize("name", EXPECTED)
def test_each_condition_holds_for_one_row_and_fails_for_another(answer: Answer, name: str) -> None:
    """So that a condition turned round, or left out, cannot pass. What is read can already be narrowed down."""
    narrowed = {"an open failed invoice", "found by logins.sql"}
    for text, (holding, failing) in answer.held(name).items():
        assert holding, text
        assert failing or text in narrowed, text


def test_every_registered_trigger_is_under_this_contract() -> None:
    assert set(re.findall(r"trigger: \{(\w+)", RULES)) == set(triggers())


@pytest.mark.parametrize("name", triggers())
def test_its_docstring_is_a_manual_with_a_rule_that_loads(name: str, tmp_path: Path) -> None:
    trigger = triggers()[name]
    text = dedent(type(trigger).__doc__ or "")
    example = "\n".join(line for line in text.splitlines() if line.startswith("        "))
    assert f"{name}:" in example
    assert re.search(r"\b(Holds|gives|One candidate)\b", text)
    assert trigger.about
    written = re.sub(r"send: \S+", "send: m", dedent(example))
    steps = "" if "steps:" in written else "steps: [{send: m}]\n"
    files = {"rules/near-limit.sql": "select 1"}
    loaded = project(CsvFiles(), ["customers"], f"rule: example\n{written}\n{steps}", tmp_path, files=files)
    assert loaded.rules[0].trigger.name == name


RULES_READ = project(CsvFiles(), ["customers"], RULES, Path(), files=query_file(CsvFiles())).rules


def parts_needed() -> list[tuple[str, str, str | None]]:
    """(rule, table, column) of all it cannot do without; column None: the table itself."""
    found: list[tuple[str, str, str | None]] = []
    for one in RULES_READ:
        for table, columns in triggers()[one.trigger.name].needs(one.trigger.params).required.items():
            found += [(one.id, table, column) for column in columns]
            found += [(one.id, table, None)] if table != "customers" else []
    return found


@pytest.mark.parametrize(("name", "table", "column"), parts_needed())
def test_a_missing_part_is_refused_by_name(name: str, table: str, column: str | None, tmp_path: Path) -> None:
    from engine.errors import SetupError

    needs = next(triggers()[one.trigger.name].needs(one.trigger.params) for one in RULES_READ if one.id == name)
    engine = CsvFiles()
    tables = {each: TABLES[each] for each in {"customers", *needs.required, *needs.optional}}
    tables[table] = [{key: value for key, value in row.items() if key != column} for row in TABLES[table]]
    if column is None:
        del tables[table]
    engine.load(tables, tmp_path)
    only = next(document for document in RULES.split("---\n") if f"rule: {name}\n" in document)
    loaded = project(engine, tables, f"# the first line\n{only}", tmp_path, files=query_file(engine))
    try:
        found = [problem for problem in problems(loaded, AS_OF) if problem.severity == "error"]
    except SetupError as error:  # a column the table itself cannot do without
        found = list(error.problems)
        assert {problem.code for problem in found} == {"HF604"}
        assert str(column) in found[0].found
        return
    (problem,) = found
    assert (problem.code, problem.place) == ("HF606" if column else "HF605", "rules/r.yaml:2")
    assert f"rule {name}:" in problem.found
    assert table in problem.found
    assert not column or f'"{column}"' in problem.found


def test_every_candidate_is_named_once(answer: Answer) -> None:
    """Planning and the message key rest on (rule, customer, occurrence)."""
    counted = "SELECT rule_no, cust, occurrence FROM candidate GROUP BY ALL HAVING count(*) > 1"
    assert answer.evaluation.db.execute(counted).fetchall() == []


def test_a_rule_with_every_default_needs_no_more_than_it_says(tmp_path: Path) -> None:
    """Optional tables and columns may be missing: the facts from them are empty."""
    engine = CsvFiles()
    bare: dict[str, list[dict[str, Any]]] = {
        "customers": [{"customer_id": "ann", "signed_up_at": datetime(2026, 1, 1)}],
        "events": [{"customer_id": "ann", "name": "login", "at": datetime(2026, 9, 1)}],
        "subscriptions": [{"subscription_id": "s", "customer_id": "ann", "trial_end": date(2026, 12, 1)}],
        "invoices": [
            {
                "invoice_id": "i",
                "customer_id": "ann",
                "failed_at": datetime(2026, 11, 20),
                "amount_minor": 5,
                "currency": "EUR",
            }
        ],
    }
    engine.load(bare, tmp_path)
    rules = "---\n".join(
        [
            rule("trial", "trial_ending: {}", steps="[{before: 1 day, send: m}]"),
            rule("unpaid", "payment_failed: {}"),
            rule("renewal", "renewal_approaching: {}", steps="[{before: 1 day, send: m}]"),
            rule("quiet", "inactivity: {for: 1 day}"),
        ]
    )
    answer = Answer(project(engine, bare, rules, tmp_path), AS_OF)
    assert answer["trial"]["ann"][0].facts == {"trial_ends_on": date(2026, 12, 1), "plan": None}
    assert answer["unpaid"]["ann"][0].facts["last4"] is None
    assert answer["unpaid"]["ann"][0].occurrence == "i:soft"
    assert answer["renewal"] == {}  # without a period end, an anchor date and an interval nobody knows when
    assert answer["quiet"]["ann"][0].occurrence == "2026-09-01"
