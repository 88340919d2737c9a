from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_shop import Shop, make_shop


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SECRET", raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that has never run."""
    return make_shop(tmp_path / "shop")


@pytest.fixture(scope="session")
def _shop_that_ran(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = make_shop(tmp_path_factory.mktemp("ran") / "shop")
    result = made.first_run()
    assert result.exit_code == 0, result.output
    return made


@pytest.fixture
def ran(_shop_that_ran: Shop, tmp_path: Path) -> Shop:
    """A shop on the evening of its first run: twenty mails to silent customers and two to fresh ones have left."""
    return Shop(Path(shutil.copytree(_shop_that_ran.folder, tmp_path / "shop")))
