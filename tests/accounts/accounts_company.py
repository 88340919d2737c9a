"""Companies with several people each, in a folder of CSV files: rules about the company, mail to its people."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from engine import Project
from engine.pipeline import Plan, Request
from engine.run import RunReport, daily_run
from engine.sending import send_due
from engine.store import Store
from engine.store.tables import message

DAY = date(2026, 5, 2)
"""Thirty days and some hours after the last login of anybody at Acme."""

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
TABLES
sender:
  marketing: {from: "Shop <hello@example.com>"}
  service: {from: "Shop <billing@example.com>"}
quiet_hours: off
guard: off
caps: {all: [100/1 day]}
"""

QUIET = """rule: quiet
about: account
recipients: {where: role = 'owner'}
status: active
trigger:
  inactivity: {for: 30 days, event: login}
steps:
  - send: first
  - wait: 3 days
    send: second
"""

MAIL = """---
subject: We miss you
preheader: Come back
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello MORE</p><p>{{ workspace.postal_address }}</p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p></body></html>
"""

Row = dict[str, object]


@dataclass
class AccountsCompany:
    """People of companies, what they did, and the project around them; everything may be changed between runs."""

    folder: Path
    tables: dict[str, list[Row]] = field(default_factory=lambda: {"customers": [], "accounts": [], "events": []})
    rules: dict[str, str] = field(default_factory=lambda: {"quiet.yaml": QUIET})
    config: str = CONFIG
    says: str = ""
    _store: Store | None = None

    def person(self, customer_id: str, account_id: str | None = "acme", role: str = "owner", **columns: object) -> None:
        """Add somebody with an address of their own."""
        mine: Row = {"customer_id": customer_id, "account_id": account_id, "role": role,
                     "email": f"{customer_id}@example.com"}  # fmt: skip
        self.tables["customers"].append(mine | columns)

    def account(self, account_id: str, **columns: object) -> None:
        """Add a company."""
        self.tables["accounts"].append({"account_id": account_id, **columns})

    def event(self, whose: str, at: datetime, name: str = "login", *, of_account: bool = False) -> None:
        """Add an event of a person, or of an account as a whole."""
        owner = {"customer_id": None, "account_id": whose} if of_account else {"customer_id": whose, "account_id": None}
        self.tables["events"].append({**owner, "name": name, "at": at.isoformat(sep=" ")})

    def row(self, table: str, **columns: object) -> None:
        """Add a row of any table."""
        self.tables.setdefault(table, []).append(columns)

    def change(self, customer_id: str, **columns: object) -> None:
        """Change somebody's row."""
        next(row for row in self.tables["customers"] if row["customer_id"] == customer_id).update(columns)

    def write(self) -> None:
        """Write the folder as it stands; tables without rows are not mapped, but for events."""
        mapped = [name for name, rows in self.tables.items() if rows or name == "events"]
        for name in mapped:
            _write_table(self.folder / f"{name}.csv", self.tables[name])
        tables = "\n".join(f"    {name}: {{path: {name}.csv}}" for name in mapped)
        (self.folder / "config.yaml").write_text(self.config.replace("TABLES", tables))
        (self.folder / "rules").mkdir(exist_ok=True)
        for old in (self.folder / "rules").iterdir():
            old.unlink()
        for name, text in self.rules.items():
            (self.folder / "rules" / name).write_text(text)
        for template in ("first", "second", "third"):
            mail = self.folder / "templates" / template / "mail.html"
            mail.parent.mkdir(parents=True, exist_ok=True)
            mail.write_text(MAIL.replace("MORE", self.says))

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

    def run(self, day: date = DAY, **options: object) -> RunReport:
        """The daily run of `day`, at its scheduled instant."""
        project = self.project()
        as_of = project.instant(day)
        return daily_run(project, self.store, "daily", day, as_of, as_of, **options)  # type: ignore[arg-type]

    def run_days(self, first: date, count: int) -> list[RunReport]:
        """One run a day."""
        return [self.run(first + timedelta(days=number)) for number in range(count)]

    def deliver(self, day: date = DAY) -> dict[str, int]:
        """Send what is due; how many were sent, and why others were not."""
        project = self.project()
        report = send_due(project, self.store, clock=lambda: project.instant(day))
        return dict(report.stopped) | ({"sent": report.sent} if report.sent else {})

    def planned(self) -> list[tuple[str, str, str]]:
        """(recipient's id, rule, step) of every message that has not been withdrawn or stopped."""
        columns = (message.c.customer_id, message.c.rule, message.c.step)
        query = select(*columns).where(message.c.state.not_in(("cancelled", "suppressed"))).order_by(*columns)
        with self.store._database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def plan(self, day: date = DAY, customer_ids: Sequence[str] | None = None) -> list[Mapping[str, object]]:
        """Every decision of a plan, nothing remembered of it."""
        project = self.project()
        request = Request(project.instant(day), "daily", project.rules, customer_ids=customer_ids)
        plan: Plan = project.decide(request, self.store)
        try:
            return list(plan.rows())
        finally:
            plan.close()

    def reasons(self, day: date = DAY) -> dict[tuple[str, str], str]:
        """(account, recipient) to the reason of their one decision."""
        return {(str(row["account_id"]), str(row["customer_id"])): str(row["reason"]) for row in self.plan(day)}


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["customer_id", "account_id", "name", "at"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
