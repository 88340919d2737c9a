"""Every test that asks for `web` runs on SQLite; those that ask for `any_web` on PostgreSQL as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_world import Web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path / "project", f"sqlite:///{tmp_path}/state.db")
    yield made
    made.store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web]:
    url = f"sqlite:///{tmp_path}/state.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    made = Web(tmp_path / "project", url)
    yield made
    made.store.close()
