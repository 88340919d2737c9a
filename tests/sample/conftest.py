"""The sample company's tables, written once per test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.sample import write_sample
from tests.sample.rows import TODAY


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five hundred customers as of `TODAY`."""
    folder = tmp_path_factory.mktemp("small")
    write_sample(folder, TODAY, customers=500)
    return folder


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five thousand."""
    folder = tmp_path_factory.mktemp("whole")
    write_sample(folder, TODAY)
    return folder
