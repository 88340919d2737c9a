from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from run_company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Ann has been silent since 1 April 2026 at 10:00, Bob logged in on 30 April; both are in London."""
    shop = Company(tmp_path)
    shop.customer("ann")
    shop.customer("bob")
    shop.event("ann", "login", datetime(2026, 4, 1, 10))
    shop.event("bob", "login", datetime(2026, 4, 30, 10))
    return shop
