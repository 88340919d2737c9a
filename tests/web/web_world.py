"""A project on the web, with a few messages in its state, and its pages asked for without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from engine import Project
from engine.messages import Links, Purpose
from engine.store import Start, Store
from engine.store.tables import message, metadata
from engine.web import make_app

NOW = datetime(2026, 11, 23, 9, 0)

CONFIG = """
workspace:
  name: Corner Shop
  timezone: Europe/London
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse:
  url: duckdb://
  max_age: {events: off}
  tables:
    customers: {path: customers.csv}
    events: {path: events.csv}
sender:
  marketing: {from: "Shop <hello@example.com>"}
  service: {from: "Shop <billing@example.com>"}
quiet_hours: off
guard: off
"""

MAIL = """---
subject: We miss you
preheader: Come back
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello, <a href="https://shop.example.com/boards?a=1&amp;b=2">look</a>
<a class='x>y' href='http://shop.example.com/help'>help</a> <a href="mailto:us@example.com">write</a></p>
<p>{{ workspace.postal_address }}</p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p></body></html>
"""


def rule(name: str, days: int, **keys: str) -> str:
    """A rule about people who have been silent for so many days."""
    more = "".join(f"{key}: {value}\n" for key, value in keys.items())
    return (
        f"rule: {name}\nstatus: active\n{more}trigger:\n"
        f"  inactivity: {{for: {days} days, event: login}}\nsteps:\n  - send: m\n"
    )


RULES = {
    "quiet.yaml": rule("quiet", 30, topic="win-back"),
    "tips.yaml": rule("tips", 60, topic="tips"),
    "bill.yaml": rule("bill", 90, **{"topic": "payment", "class": "service", "ground": "contract"}),
    "draft.yaml": rule("draft", 30, topic="never-shown").replace("active", "draft"),
}


@dataclass
class Clock:
    """An instant that tests move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Web:
    """A project, its state and its application."""

    folder: Path
    url: str
    config: str = CONFIG
    rules: dict[str, str] = field(default_factory=lambda: dict(RULES))
    clock: Clock = field(default_factory=Clock)
    peer: str = "203.0.113.7"

    def __post_init__(self) -> None:
        for name, text in self.rules.items():
            self._write(f"rules/{name}", text)
        self._write("config.yaml", self.config)
        self._write("templates/m/mail.html", MAIL)
        self._write("customers.csv", "customer_id,email,timezone,country\nann,ann@example.com,,\n")
        self._write("events.csv", "customer_id,name,at\nann,login,2026-04-01 10:00:00\n")
        self.project = Project.load(self.folder)
        self.store = Store.open(self.url)
        self.links = Links("https://mail.example.com", [self.project.settings.signing_secret(live=False)])
        self._app: FastAPI | None = None

    def _write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    @property
    def app(self) -> FastAPI:
        """The application, made when it is first asked for."""
        if self._app is None:
            self._app = make_app(self.project, self.store, self.clock)
        return self._app

    def restart(self) -> None:
        """A fresh application, whose visitors have all their calls left."""
        self._app = None

    def plan(self, customer: str = "ann", locale: str | None = None, **change: object) -> str:
        """A planned message for a customer; its key."""
        if self.store.runs.latest("daily", NOW.date()) is None:
            self.store.snapshots.save("s", {})
        run = self.store.runs.begin("daily", NOW.date(), NOW, NOW + timedelta(days=1), "s", NOW)
        key = sha256(customer.encode()).hexdigest()
        values = {"customer": {"name": customer, "locale": locale}}
        row = {
            "key": key, "rule": "quiet", "customer_id": customer, "occurrence": "o", "step": "m",
            "recipient": f"{customer}@example.com", "address_key": f"key-{customer}", "channel": "email",
            "template": "m", "class": "marketing", "topic": "win-back", "arm": "treated", "zone": "Europe/Berlin",
            "not_before": NOW, "expires_at": None, "values_json": json.dumps(values),
            "account_id": "",
        } | change  # fmt: skip
        self.store.ledger.write_chunk(run.id, run.cursor + "+", [], [], [], [tuple(row.values())])
        return key

    def send(self, key: str, at: datetime) -> None:
        """As if the message had left at an instant."""
        claimed = self.store.outbox.claim(at, 100, "test", 60.0)
        starts = [Start(one.id, one.token) for one in claimed if one.key == key]
        assert starts
        self.store.outbox.record([], starts, "test", at, 60.0)

    def path(self, purpose: Purpose, key: str) -> str:
        """Where a link of a message leads, below the public URL."""
        return self.links.url(purpose, key).removeprefix("https://mail.example.com")

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request and its answer."""
        return run(self.asking(method, path, **options))

    async def asking(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The same, among others at once."""
        transport = httpx.ASGITransport(self.app, client=(options.pop("peer", self.peer), 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://mail.example.com") as client:
            return await client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.ask("GET", path, **options)

    def post(self, path: str, data: Any = None, **options: Any) -> httpx.Response:
        """POST of a form."""
        return self.ask("POST", path, data=data, **options)

    def suppressed(self, customer: str = "ann") -> set[tuple[str, str | None, date | None]]:
        """(kind, topic, until) of what stands against mail to a customer."""
        return {(one.kind, one.topic, one.until) for one in self.store.suppressions.of(f"key-{customer}")}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        with self.store._database.read() as connection:
            return {
                table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
                for table in metadata.sorted_tables
            }

    def message_id(self, key: str) -> int:
        """The id of a message."""
        with self.store._database.read() as connection:
            return connection.execute(select(message.c.id).where(message.c.key == key)).scalar_one()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)
