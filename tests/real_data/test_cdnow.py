"""CDNOW (real purchases 1997-98): the published figures, by configuration alone, on every kind of warehouse."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from engine import Project
from tests.real_data.cdnow_project import gz_relation, into_postgres, into_sqlite, write_project

WINDOWS_DAYS = (30, 60, 90, 180)
PUBLISHED = {
    date(1998, 7, 1): [2_223, 2_130, 2_060, 1_845],
    date(1997, 10, 1): [2_192, 2_062, 1_949, 1_639],
}
"""Customers of the sample without a purchase for so many days, as the data set's README counts them."""

SPENT = """rule: spent-100
status: draft
trigger: {inactivity: {for: 30 days}}
where: fact.spent >= 10000
facts: {spent: {sum: purchase, within: 1000 days}}
steps: [{send: hello}]
"""
RULES = {
    f"quiet-{days}": f"rule: quiet-{days}\nstatus: active\ntrigger: {{inactivity: {{for: {days} days}}}}\nsteps: [{{send: hello}}]\n"
    for days in WINDOWS_DAYS
} | {"spent-100": SPENT}


@pytest.fixture(params=["duckdb", "sqlite", "postgres"])
def sample(request: pytest.FixtureRequest, shared_data: Path, tmp_path: Path) -> Project:
    """The sample of 2,357 customers."""
    path = shared_data / "cdnow" / "cdnow_sample.csv.gz"
    url, table = "duckdb://", gz_relation(path)
    if request.param == "sqlite":
        into_sqlite(path, tmp_path / "shop.db")
        url, table = "sqlite:///shop.db", "purchases"
    if request.param == "postgres":
        url, table = request.getfixturevalue("postgres_url"), "purchases"
        into_postgres(path, url)
    return Project.load(write_project(tmp_path, url, table, RULES, id_column="master_id"))


def test_inactive_customers_are_as_many_as_published(sample: Project) -> None:
    for as_of, published in PUBLISHED.items():
        plan = sample.plan(as_of)
        found = plan.db.execute("SELECT rule_no, count(*) FROM candidate GROUP BY 1 ORDER BY 1").fetchall()
        counted = {plan.rules[number].id: count for number, count in found}
        assert [counted[f"quiet-{days}"] for days in WINDOWS_DAYS] == published
        reports = plan.evaluation.warehouse.reports
        assert (reports["customers"].rows, reports["events"].rows) == (2_357, 6_919)
        assert (reports["customers"].quarantined, reports["events"].set_aside) == (0, 0)
        plan.close()


def test_ids_keep_their_zeros(sample: Project) -> None:
    plan = sample.plan(date(1998, 7, 1), rules=["quiet-30"])
    ids = sorted(customer for (customer,) in plan.db.execute("SELECT customer_id FROM person").fetchall())
    plan.close()
    assert ids[0] == "00004"
    assert {len(customer) for customer in ids} == {5}


def test_amounts_are_added_up_to_the_cent(sample: Project, shared_data: Path) -> None:
    """Exact repeats count once; the expected figure is worked out from the file with decimals."""
    plan = sample.plan(date(1998, 7, 1), rules=["spent-100"])
    found = plan.db.execute("SELECT count(*) FROM candidate").fetchall()[0][0]
    plan.close()
    purchases = (
        f"SELECT DISTINCT master_id, date, amount_usd FROM {gz_relation(shared_data / 'cdnow' / 'cdnow_sample.csv.gz')}"
    )
    spent = (
        f"SELECT master_id, sum(amount_usd::DECIMAL(18, 2)) AS spent, max(date) AS last FROM ({purchases}) GROUP BY 1"
    )
    expected = duckdb.sql(f"SELECT count(*) FROM ({spent}) WHERE spent >= 100 AND last <= '1998-06-01'").fetchall()[0][
        0
    ]
    assert found == expected > 500
