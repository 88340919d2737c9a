"""A state with planned messages, and what delivery needs beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock

from engine.channels import CHANNELS, Answer, Place, Result
from engine.delivery import Candidates, DeliveryOptions, OpenChannel, Parts, Recheck, StillTrue
from engine.messages import Mail, Renderer, Sender, Workspace, load_templates
from engine.project.settings_values import QuietHours
from engine.store import OutboxMessage, Store

NOW = datetime(2026, 11, 23, 9, 0)
SHA = "snapshot"
FILES = {
    "templates/quiet/mail.html": "---\nsubject: Hello {{ customer.name }}\n---\n<p>Hi {{ customer.name }}, "
    "{{ links.unsubscribe }} {{ links.preferences }} {{ workspace.postal_address }}</p>"
}


def renderer() -> Renderer:
    loaded = load_templates(FILES, default_locale="en")
    workspace = Workspace("Acme", "en", "EUR", "Europe/London", "1 Road, Town", "https://mail.example.com")
    sender = Sender.of("Acme <hello@example.com>")
    return Renderer(lambda sha: loaded, workspace, {"marketing": sender, "service": sender}, ["secret"])


def plan(store: Store, customers: Iterable[str], **change: object) -> None:
    """One planned message for each customer; `change` replaces columns."""
    with suppress(Exception):
        store.snapshots.save(SHA, {})
    run = store.runs.begin("daily", date(2026, 11, 23), NOW, NOW + timedelta(days=1), SHA, NOW)
    rows, settlings, exposures = [], [], []
    rule = str(change.get("rule", "quiet"))
    for customer in customers:
        key = sha256(f"{rule} {customer} {change.get('step', '')}".encode()).hexdigest()
        row = {
            "key": key, "rule": rule, "customer_id": customer, "occurrence": "o", "step": "quiet",
            "recipient": f"{customer}@example.com", "address_key": f"key-{customer}", "channel": "email", "template": "quiet",
            "class": "marketing", "topic": "win-back", "arm": "treated", "zone": "Europe/Berlin", "not_before": NOW,
            "expires_at": None, "values_json": json.dumps({"customer": {"name": customer}}),
            "account_id": "",
        } | change  # fmt: skip
        rows.append(tuple(row.values()))
        settlings.append((rule, customer, "o", row["step"], date(2026, 11, 23), "sent", NOW, ""))
        exposures.append((rule, customer, "o", row["step"], f"key-{customer}", row["topic"], row["class"], "treated",
                          date(2026, 11, 23), NOW, ""))  # fmt: skip
    store.ledger.write_chunk(run.id, run.cursor + "+", [], settlings, exposures, rows)


@dataclass
class Desk:
    """A channel that answers as told and remembers. `answers(customer, n-th try)`; made for many threads."""

    answers: Callable[[str, int], Answer] = lambda customer, n: Answer(Result.ACCEPTED, "id")
    calls: list[str] = field(default_factory=list)
    args: list[Mapping[str, str]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    lock: Lock = field(default_factory=Lock)

    def send(self, mail: Mail, custom_args: Mapping[str, str]) -> Answer:
        customer = mail.to.address.partition("@")[0]
        with self.lock:
            self.calls.append(customer)
            self.args.append(custom_args)
            number = self.calls.count(customer)
        self.before()
        return self.answers(customer, number)

    def close(self) -> None:
        pass


def nothing_changed(due: Candidates, now: datetime) -> Recheck:
    return Recheck()


def no_quiet_hours(message: OutboxMessage) -> QuietHours | None:
    return None


def parts(
    desk: Desk | None = None,
    *,
    now: datetime = NOW,
    live: bool = True,
    still_true: StillTrue = nothing_changed,
    quiet_hours: Callable[[OutboxMessage], QuietHours | None] = no_quiet_hours,
    channels: Mapping[str, OpenChannel] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Parts:
    opened = channels or {"email": OpenChannel(lambda: desk or Desk(), live=live)}
    return Parts(opened, renderer().render, still_true, quiet_hours, clock or (lambda: now))


def options(**change: float) -> DeliveryOptions:
    given: dict[str, float] = {"concurrency": 4, "rate_per_s": 10_000, "timeout_s": 5.0} | change
    return DeliveryOptions(**given)  # type: ignore[arg-type]


def through_sendgrid(url: str, timeout_s: float = 5.0) -> Mapping[str, OpenChannel]:
    """The real channel against a fake server. TEST_API_KEY must be set."""
    channel = CHANNELS["sendgrid"]
    settings = channel.Settings.model_validate({"api_key": "${TEST_API_KEY}", "api_url": url})
    return {"email": OpenChannel(lambda: channel.open(settings, Place(Path(), timeout_s)), live=True)}


def through_folder(folder: Path) -> Mapping[str, OpenChannel]:
    channel = CHANNELS["outbox_dir"]
    settings = channel.Settings.model_validate({"path": "out"})
    return {"email": OpenChannel(lambda: channel.open(settings, Place(folder, 5.0)), live=False)}


def states(store: Store) -> dict[str, str]:
    """Customer -> state of the message."""
    found = {}
    for customer in _customers(store):
        for message in store.history_of(customer).messages:
            found[customer] = message.state
    return found


def _customers(store: Store) -> list[str]:
    from sqlalchemy import select

    from engine.store.tables import message

    with store._database.read() as connection:
        return list(connection.execute(select(message.c.customer_id).order_by(message.c.id)).scalars())
