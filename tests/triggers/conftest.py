"""Engines for the trigger tests, and one PostgreSQL database for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from trigger_world import ENGINES, Engine, make_engine


@pytest.fixture(scope="session")
def trigger_database(postgres_server: str) -> Iterator[str]:
    """URL of a database in which every world gets a schema of its own."""
    import psycopg

    name = f"triggers_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn; a world loaded again replaces the one before it."""
    return make_engine(request.param, request)
