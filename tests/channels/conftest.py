"""Every registered channel in turn, open and with its other side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "delivery"))  # where the fake servers live

from channel_world import MAIL, World, other_side

from engine.channels import CHANNELS
from engine.messages.mail import Mail


@pytest.fixture
def mail() -> Mail:
    return MAIL


@pytest.fixture(params=sorted(CHANNELS))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Every registered channel in turn; a new one must be given its other side here."""
    monkeypatch.setenv("TEST_API_KEY", "key")
    name = request.param
    with ExitStack() as stack:
        settings, arrived = other_side(name, stack, tmp_path)
        channel = CHANNELS[name]
        session = channel.open(channel.Settings.model_validate(settings), tmp_path, 5.0)
        stack.callback(session.close)
        yield World(name, session, arrived)
