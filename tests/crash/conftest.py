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
