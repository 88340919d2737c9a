"""One mail, and each kind of channel with the other side it talks to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "delivery"))

from fake_sendgrid import FakeSendGrid
from smtp_servers import SmtpServer

from engine.addresses import Mailbox
from engine.channels import CHANNELS, Session
from engine.messages.mail import Mail

MAIL = Mail(
    message_key="ab" * 32,
    sender=Mailbox("Acme Ünit", "hello@example.com"),
    to=Mailbox("Ann Lee", "ann@example.com"),
    reply_to=Mailbox("", "help@example.com"),
    subject="Grüße, „Ann“ & co",
    preheader="pre",
    html="<p>Hällo</p>\n<p>.</p>\n" + "x" * 3000,
    text="Hällo\n.\n..two dots\nשלום\n",
    message_id="<abab@example.com>",
    date=datetime(2026, 11, 23, 9, 0, 5),
    headers=(
        ("List-Unsubscribe", "<https://mail.example.com/u/x>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ),
)
CUSTOM_ARGS = {"message": "17", "attempt": "42", "install": "f00d"}


@pytest.fixture
def mail() -> Mail:
    return MAIL


@dataclass
class World:
    """An open session and what arrived on the other side, as (recipient, subject) pairs."""

    name: str
    session: Session
    arrived: Callable[[], list[str]]


@pytest.fixture(params=sorted(CHANNELS))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Every registered channel in turn; a new one must be given its other side here."""
    monkeypatch.setenv("TEST_API_KEY", "key")
    name = request.param
    with ExitStack() as stack:
        settings, arrived = _other_side(name, stack, tmp_path)
        channel = CHANNELS[name]
        session = channel.open(channel.Settings.model_validate(settings), tmp_path, 5.0)
        stack.callback(session.close)
        yield World(name, session, arrived)


def _other_side(name: str, stack: ExitStack, folder: Path) -> tuple[dict[str, Any], Callable[[], list[str]]]:
    if name == "outbox_dir":
        return {"path": "out"}, lambda: [path.name for path in (folder / "out").glob("*.eml")]
    if name == "smtp":
        smtp = stack.enter_context(SmtpServer())
        settings = {"host": "127.0.0.1", "port": smtp.port, "security": "none"}
        return settings, lambda: [one.recipient for one in smtp.arrived]
    if name == "sendgrid":
        api = stack.enter_context(FakeSendGrid())
        return {"api_key": "${TEST_API_KEY}", "api_url": api.url}, lambda: api.recipients
    raise NotImplementedError(f"{name}: say here how its other side is made")
