"""One mail, and the other side of each kind of channel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fake_sendgrid import FakeSendGrid
from hook_server import HookServer
from smtp_servers import SmtpServer

from engine.addresses import Mailbox
from engine.channels import Session
from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.project.durations import Duration
from engine.store import Store

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
NOTE = Note(
    message_key="ab" * 32, rule="valuable", step="call", customer_id="ann", occurrence="2026-11-01",
    class_="marketing", topic="win-back", title="Call Ann Lee", text="She pays 120 a month.\n",
    values={"customer": {"name": "Ann Lee"}}, assignee="kim@acme.com", due_in=Duration(2, "days"),
    local_date=date(2026, 11, 23),
)  # fmt: skip
CUSTOM_ARGS = {"message": "17", "attempt": "42", "install": "f00d"}


@dataclass
class World:
    """An open session and what arrived on the other side, as (recipient, subject) pairs."""

    name: str
    session: Session
    arrived: Callable[[], list[str]]


def other_side(
    name: str, stack: ExitStack, folder: Path, store: Store
) -> tuple[dict[str, Any], Callable[[], list[str]]]:
    if name == "outbox_dir":
        return {"path": "out"}, lambda: [path.name for path in (folder / "out").glob("*.eml")]
    if name == "smtp":
        smtp = stack.enter_context(SmtpServer())
        settings = {"host": "127.0.0.1", "port": smtp.port, "security": "none"}
        return settings, lambda: [one.recipient for one in smtp.arrived]
    if name == "sendgrid":
        api = stack.enter_context(FakeSendGrid())
        return {"api_key": "${TEST_API_KEY}", "api_url": api.url}, lambda: api.recipients
    if name == "webhook":
        hook = stack.enter_context(HookServer())
        settings = {"url": hook.url, "secret": "${TEST_API_KEY}", "allow": ["127.0.0.1"]}
        return settings, lambda: [str(body["title"]) for body in hook.bodies]
    if name == "task":
        return {}, lambda: [one.title for one in store.tasks.listed()]
    raise NotImplementedError(f"{name}: say here how its other side is made")
