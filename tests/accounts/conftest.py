"""A company of two owners and a member who have all been silent for a month, and one that is at work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from accounts_company import AccountsCompany


@pytest.fixture
def company(tmp_path: Path) -> Iterator[AccountsCompany]:
    made = AccountsCompany(tmp_path)
    made.account("acme", name="Acme Ltd", plan="team", mrr_minor=90000)
    made.account("busy", name="Busy & Co", plan="solo", mrr_minor=1000)
    made.person("ann")
    made.person("bob")
    made.person("cyd", role="member")
    made.person("dan", "busy")
    made.event("cyd", datetime(2026, 4, 1, 10))
    made.event("ann", datetime(2026, 3, 1, 10))
    made.event("dan", datetime(2026, 5, 1, 10))
    yield made
    made.store.close()
