"""A company with failed payments in CSV files, what its state remembers of them, and the commands run on it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from engine.api import Project
from engine.cli.root import app
from engine.dunning import Report, read_cases, report
from engine.dunning.open_cases import OpenCase, open_cases
from engine.store import Store, Suppression
from engine.store.tables import message
from engine.store.tables import run as runs

AS_OF = datetime(2026, 6, 30, 9)
SINCE = datetime(2026, 4, 1)
BEGAN = datetime(2026, 6, 1, 7)
"""The first run: what failed more than seven days before it is too old."""

CONFIG = """
workspace:
  name: Corner Shop
  timezone: UTC
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse:
  tables:
    customers: {path: customers.csv}
TABLES
sender:
  marketing: {from: "Shop <hello@example.com>"}
  service: {from: "Shop <billing@example.com>", reply_to: billing@example.com}
dunning: {retry_window: 28 days}
guard: off
"""

RULE = """rule: payment-GROUP
description: Failed, for a reason of the kind GROUP.
status: active
class: service
ground: contract
topic: payment
trigger:
  payment_failed: {group: GROUP}
MORE
steps:
  - id: first
    after: 3 days
    send: bill
  - id: second
    after: 7 days
    send: bill
    send_within: 60 days
"""

MAIL = """---
subject: Your bill
preheader: It is open
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Dear customer</p><p>{{ workspace.postal_address }}</p></body></html>
"""

CODES = {
    "soft": "insufficient_funds", "details": "incorrect_number", "hard": "lost_card", "fraud": "fraudulent",
    "authentication": "authentication_required", "wish-to-stop": "revocation_of_authorization",
    "nobody": "testmode_decline",
}  # fmt: skip

Row = Mapping[str, object]


@dataclass(frozen=True)
class Sent:
    """One exposure: a mail that left, one that was stopped (`cancelled`), or a customer held out (arm `control`)."""

    invoice: str
    group: str
    step: str
    at: datetime
    arm: str = "treated"
    state: str = "accepted"
    rule: str = ""

    @property
    def customer(self) -> str:
        return f"c-{self.invoice}"


def on(day: str, hour: str = "08:00") -> datetime:
    """`06-03` of the year."""
    return datetime.fromisoformat(f"2026-{day} {hour}")


def invoice(name: str, failed: datetime | None, *, group: str = "soft", amount: int = 1000, **more: object) -> Row:
    """An invoice of a customer of its own, open unless it says otherwise."""
    paid = more.get("paid_at")
    status = "paid" if paid else "open"
    return {
        "invoice_id": name, "customer_id": f"c-{name}", "subscription_id": f"s-{name}", "status": status,
        "amount_minor": amount, "currency": "EUR", "failed_at": failed, "decline_code": CODES[group],
        "paid_minor": amount if paid else None, **more,
    }  # fmt: skip


def write_table(folder: Path, table: str, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
        sink = csv.DictWriter(file, names)
        sink.writeheader()
        sink.writerows(rows)


@dataclass
class Company:
    """A project folder."""

    folder: Path

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["-C", str(self.folder), *words], prog_name="holdfast")

    def json(self, *words: str) -> Any:
        result = self.run("dunning", *words, "--as-of", AS_OF.isoformat(), "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def text(self, *words: str) -> str:
        result = self.run("dunning", *words, "--as-of", AS_OF.isoformat())
        assert result.exit_code == 0, result.output
        return result.stdout

    def store(self) -> Store:
        return Store.open("sqlite:///holdfast.db", self.folder)

    def report(self, since: datetime = SINCE, until: datetime = AS_OF) -> Report:
        return self.look(since, until)[0]

    def look(self, since: datetime = SINCE, until: datetime = AS_OF) -> tuple[Report, dict[str, OpenCase]]:
        """The report, and the open cases by invoice."""
        project = Project.load(self.folder)
        store = project.find_store()
        try:
            with read_cases(project, store, AS_OF, since) as cases:
                held_out = [rule.id for rule in cases.rules if rule.holdout]
                found = report(cases.db, AS_OF, since, until, held_out)
                return found, {one.invoice_id: one for one in open_cases(cases.db)}
        finally:
            if store:
                store.close()


def make_company(
    folder: Path, tables: Mapping[str, Sequence[Row]], *, groups: Mapping[str, str] | None = None
) -> Company:
    """A project with these tables; a customer for each invoice unless `customers` is there. `groups`: what the rule of
    each group says besides."""
    folder.mkdir(parents=True, exist_ok=True)
    given = dict(tables)
    ids = dict.fromkeys(str(row["customer_id"]) for row in given.get("invoices", ()))
    given.setdefault("customers", [{"customer_id": one, "email": f"{one}@example.com"} for one in ids or ["nobody"]])
    for table, rows in given.items():
        write_table(folder, table, rows)
    places = "\n".join(f"    {table}: {{path: {table}.csv}}" for table in given if table != "customers")
    (folder / "config.yaml").write_text(CONFIG.replace("TABLES", places))
    (folder / "rules").mkdir(exist_ok=True)
    for group, more in (groups if groups is not None else {"soft": "", "hard": ""}).items():
        (folder / f"rules/{group}.yaml").write_text(RULE.replace("GROUP", group).replace("MORE\n", more))
    (folder / "templates/bill").mkdir(parents=True, exist_ok=True)
    (folder / "templates/bill/mail.html").write_text(MAIL)
    return Company(folder)


def remember(company: Company, *sent: Sent, complained: Sequence[str] = ()) -> None:
    """Let the state know of a first run at `BEGAN` and of these exposures; these customers reported the mail as spam."""
    with company.store() as store:
        fill(store, *sent, complained=complained)


def fill(store: Store, *sent: Sent, complained: Sequence[str] = ()) -> None:
    """The same for a state that is open, of either kind."""
    store.snapshots.save("sha", {})
    run = store.runs.begin("daily", BEGAN.date(), BEGAN, BEGAN + timedelta(days=1), "sha", BEGAN)
    settled, exposed, messages = [], [], []
    for one in sent:
        key = (one.rule or f"payment-{one.group}", one.customer, f"{one.invoice}:{one.group}", one.step)
        how = "held_out" if one.arm == "control" else "sent"
        settled.append((*key, one.at.date(), how, one.at, ""))
        exposed.append((*key, f"key-{one.customer}", "payment", "service", one.arm, one.at.date(), one.at, ""))
        if one.arm != "control":
            messages.append((
                "/".join(key), *key, f"{one.customer}@example.com", f"key-{one.customer}", "email", "bill",
                "service", "payment", one.arm, "UTC", one.at, None, "{}", "",
            ))  # fmt: skip
    store.ledger.write_chunk(run.id, "z", [], settled, exposed, messages)
    store.suppressions.add([
        Suppression(f"key-c-{name}", f"c-{name}@example.com", "complained", None, None, "test", on("06-29", "00:00"))
        for name in complained
    ])  # fmt: skip
    with store._database.write() as connection:
        for one in sent:
            same = (message.c.occurrence == f"{one.invoice}:{one.group}", message.c.step == one.step)
            connection.execute(message.update().where(*same).values(state=one.state))
        connection.execute(runs.update().values(state="finished"))
