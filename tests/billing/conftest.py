"""Each test its own company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from billing_company import StripeCompany


@pytest.fixture
def company(tmp_path: Path) -> Iterator[StripeCompany]:
    """A company all of whose tables come from Stripe."""
    made = StripeCompany(tmp_path / "company")
    yield made
    made.store.close()
