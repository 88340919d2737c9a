"""Warehouses of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.warehouse_world import ENGINES, World


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty warehouse of each kind in turn."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "duckdb://"
    return World(request.param, tmp_path, url)


@pytest.fixture
def files(tmp_path: Path) -> World:
    """A folder of CSV files."""
    return World("csv", tmp_path)
