"""A company of a few customers in a folder of CSV files, and its days."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from engine import Project
from engine.run import RunReport, daily_run
from engine.store import Store

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
caps: {all: [100/1 day]}
"""

MAIL = """---
subject: We miss you
preheader: Come back
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello</p><p>{{ workspace.postal_address }}</p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p></body></html>
"""

QUIET = """rule: quiet
status: active
trigger:
  inactivity: {for: 30 days, event: login}
repeat_after: 5 days
steps:
  - send: first
  - after: 14 days
    send: second
"""


@dataclass
class Company:
    """Customers, their events, and the project around them. `config`, `rules` and `events` may be changed between runs."""

    folder: Path
    customers: list[dict[str, str]] = field(default_factory=list)
    events: list[tuple[str, str, datetime]] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=lambda: {"quiet.yaml": QUIET})
    config: str = CONFIG
    templates: tuple[str, ...] = ("first", "second", "third")
    _store: Store | None = None

    def customer(self, customer_id: str, **columns: str) -> None:
        """Add a customer with an address of their own."""
        row = {
            "customer_id": customer_id,
            "email": f"{customer_id}@example.com",
            "timezone": "",
            "country": "",
            "plan": "",
        }
        self.customers.append(row | columns)

    def event(self, customer_id: str, name: str, at: datetime) -> None:
        """Add an event."""
        self.events.append((customer_id, name, at))

    def write(self) -> None:
        """Write the folder as it stands."""
        with (self.folder / "customers.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.customers[0]))
            writer.writeheader()
            writer.writerows(self.customers)
        with (self.folder / "events.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["customer_id", "name", "at"])
            rows.writerows((customer, name, at.isoformat(sep=" ")) for customer, name, at in self.events)
        (self.folder / "config.yaml").write_text(self.config)
        (self.folder / "rules").mkdir(exist_ok=True)
        for old in (self.folder / "rules").iterdir():
            old.unlink()
        for name, text in self.rules.items():
            (self.folder / "rules" / name).write_text(text)
        for template in self.templates:
            mail = self.folder / "templates" / template / "mail.html"
            mail.parent.mkdir(parents=True, exist_ok=True)
            mail.write_text(MAIL)

    def project(self) -> Project:
        """The project as it stands now."""
        self.write()
        return Project.load(self.folder)

    @property
    def store(self) -> Store:
        """The company's state, opened once."""
        if self._store is None:
            self._store = self.project().open_store()
        return self._store

    def run(self, day: date, **options: object) -> RunReport:
        """The daily run of `day`, at its scheduled instant."""
        project = self.project()
        as_of = project.instant(day)
        return daily_run(project, self.store, "daily", day, as_of, as_of, **options)  # type: ignore[arg-type]

    def run_days(self, first: date, count: int) -> list[RunReport]:
        """One run a day."""
        return [self.run(first + timedelta(days=number)) for number in range(count)]

    def messages(self) -> list[tuple[str, str, str]]:
        """(customer, rule, step) of every message ever planned that has not been withdrawn, in order."""
        names = sorted({customer["customer_id"] for customer in self.customers})
        found = [(name, message) for name in names for message in self.store.history_of(name).messages]
        return [(name, message.rule, message.step) for name, message in found if message.state != "cancelled"]

    def outcomes(self, report: RunReport) -> dict[tuple[str, str], int]:
        """(outcome, reason) to how many."""
        counts: dict[tuple[str, str], int] = {}
        for _, outcome, reason, number in report.counts:
            counts[outcome, reason] = counts.get((outcome, reason), 0) + number
        return counts
