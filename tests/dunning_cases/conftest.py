"""The edge cases of failed payments, each as a story with the end a careful merchant expects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "billing"))  # companies whose billing is Stripe's

from billing_company import PERSON, RULES, StripeCompany
from stripe_server import StripeServer


@pytest.fixture
def company(tmp_path: Path) -> Iterator[StripeCompany]:
    """All its tables come from Stripe; what nobody may be mailed about becomes a task."""
    made = StripeCompany(tmp_path / "company", rules=RULES | PERSON)
    yield made
    made.store.close()


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[StripeCompany]:
    """The rules and templates that come with Holdfast, for customers who have a table of their own."""
    own = {f"ann-{number}": f"cus_{number}" for number in range(5)}
    made = StripeCompany(tmp_path / "shipped", own, shipped=True)
    yield made
    made.store.close()


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """A stand-in for Stripe's API, and the key to ask it with."""
    monkeypatch.setenv("STRIPE_KEY", "rk_live_1")
    with StripeServer() as server:
        yield server
