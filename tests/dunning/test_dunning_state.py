"""What the state gives to the report, on both of its databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dunning_company import AS_OF, Sent, fill, on

from engine.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "sqlite:///state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with Store.open(url, tmp_path) as opened:
        yield opened


def test_exposures_come_with_what_became_of_their_message(store: Store) -> None:
    fill(
        store, Sent("a", "soft", "first", on("06-04")), Sent("b", "soft", "first", on("06-05"), state="cancelled"),
        Sent("c", "soft", "first", on("06-06"), arm="control"), Sent("d", "hard", "first", on("06-06")),
        Sent("e", "soft", "first", on("05-01")), Sent("f", "soft", "first", AS_OF),
        complained=["a"],
    )  # fmt: skip
    rows = sorted(store.cases.exposures({"payment-soft"}, on("06-01").date(), AS_OF))
    assert [(row[1], row[2], *row[3:5], row[6], row[7], bool(row[8])) for row in rows] == [
        ("c-a", "a:soft", "first", "treated", "accepted", "key-c-a", True),
        ("c-b", "b:soft", "first", "treated", "cancelled", "key-c-b", False),
        ("c-c", "c:soft", "first", "control", None, "key-c-c", False),
    ]
    assert [row[5] for row in rows] == [f"2026-06-0{day} 08:00:00.000000" for day in (4, 5, 6)]


def test_complaint_before_the_mail_is_not_about_it(store: Store) -> None:
    fill(store, Sent("a", "soft", "first", on("06-29", "12:00")), complained=["a"])
    assert [bool(row[8]) for row in store.cases.exposures({"payment-soft"}, on("06-01").date(), AS_OF)] == [False]
