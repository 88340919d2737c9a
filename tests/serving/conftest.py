from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.run.run_company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Ann has been silent since 1 April 2026."""
    shop = Company(tmp_path)
    shop.customer("ann")
    shop.event("ann", "login", datetime(2026, 4, 1, 7))
    shop.write()
    return shop
