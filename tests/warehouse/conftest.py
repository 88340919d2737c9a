"""Warehouses of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.warehouse_world import ENGINES, TYPED, World


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty warehouse of each kind in turn."""
    return _world(request, tmp_path)


@pytest.fixture(params=TYPED)
def typed_world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty warehouse of each kind whose columns have types."""
    return _world(request, tmp_path)


def _world(request: pytest.FixtureRequest, folder: Path) -> World:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "duckdb://"
    return World(request.param, folder, url)


@pytest.fixture
def files(tmp_path: Path) -> World:
    """A folder of CSV files."""
    return World("csv", tmp_path)
