"""Every registered channel in turn, open and with its other side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "delivery"))  # where the fake servers live

from channel_world import MAIL, NOTE, World, other_side

from engine.channels import CHANNELS, Place
from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.store import Store


@pytest.fixture
def mail() -> Mail:
    return MAIL


@pytest.fixture
def content(world: World) -> Mail | Note:
    """What the world's channel carries."""
    return MAIL if CHANNELS[world.name].reaches_customer else NOTE


@pytest.fixture(params=sorted(CHANNELS))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Every registered channel in turn; a new one must be given its other side here."""
    monkeypatch.setenv("TEST_API_KEY", "key")
    name = request.param
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(f"sqlite:///{tmp_path}/state.db"))
        settings, arrived = other_side(name, stack, tmp_path, store)
        channel = CHANNELS[name]
        session = channel.open(channel.Settings.model_validate(settings), Place(tmp_path, 5.0, store))
        stack.callback(session.close)
        yield World(name, session, arrived)
