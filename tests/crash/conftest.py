from __future__ import annotations

import os
from pathlib import Path

import pytest
from crash_world import Children, make_project

KILLS = int(os.environ.get("HOLDFAST_KILLS", "8"))


@pytest.fixture(scope="session")
def kills() -> int:
    """How often each test kills; `make test-crash` asks for the full number."""
    return KILLS


@pytest.fixture(scope="session")
def children() -> Children:
    return Children()


@pytest.fixture
def folder_project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", "{use: outbox_dir, path: outbox}")


@pytest.fixture(scope="session")
def freezes() -> int:
    """How often a worker is frozen longer than its lease; each takes seven seconds."""
    return 50 if KILLS > 100 else 1


@pytest.fixture(scope="session")
def stride() -> int:
    """Die at every commit and call, or at some of them."""
    return 1 if KILLS > 100 else 61
