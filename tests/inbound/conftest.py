"""Every test that asks for `store` runs on SQLite and on PostgreSQL; `quick_store` is SQLite alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/state.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def quick_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/quick.db") as opened:
        yield opened
