from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "run"))  # the company of the daily runs

from task_company import TaskCompany

from engine.store import Store


@pytest.fixture
def company(tmp_path: Path) -> TaskCompany:
    """Ann (with an address and an account manager) and Bob (without either) have been silent since 1 April 2026."""
    return TaskCompany.opened(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/state.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    with Store.open(url) as opened:
        yield opened
