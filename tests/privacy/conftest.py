from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "run"))  # the company of the daily runs
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tasks"))  # and that of the tasks

from privacy_company import PrivacyCompany


@pytest.fixture(params=["sqlite", "postgresql"])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivacyCompany]:
    """A company that knows Ann by mail, task, click, event and consent, and Bob as well."""
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else "sqlite:///state.db"
    made = PrivacyCompany.opened_at(tmp_path, url)
    yield made
    made.store.close()
