"""Companies with failed payments: one whose billing is Stripe's and kept in its state, and one with plain rows."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from stripe_things import NOW, Thing, when

from engine import Project
from engine.billing import apply_stripe_events
from engine.delivery import DeliveryReport
from engine.dunning import Report, read_cases, report
from engine.inbound.stripe_events import StripeWebhook
from engine.messages import Mail
from engine.run import daily_run
from engine.sending import send_due
from engine.store import OutboxMessage, Suppression
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

CONFIG = """
workspace: {name: Corner Shop, timezone: Europe/London, postal_address: "1 Road, Town", public_url: "https://mail.example.com"}
warehouse:
  tables:
TABLES
sender:
  marketing: {from: "Shop <hello@example.com>"}
  service: {from: "Shop <billing@example.com>"}
schedules: {daily: "09:00"}
quiet_hours: off
guard: off
"""
SILENT = "dunning: {recheck: off, stripe_emails: off}\n"
"""Webhooks alone are trusted."""

MAIL = """---
subject: 'About {{ fact.amount_minor | money(fact.currency) }}'
preheader: 'A payment'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><i hidden style="display:none">{{ preheader }}</i>
<p>{{ fact.group }} {{ fact.last4 | default("") }} {{ fact.product | default("") }}
{{ fact.open_invoices }} {{ fact.invoice_numbers | default("") }} {% if fact.new_card_last4 %}not {{ fact.new_card_last4 }}{% endif %}
<a href="{{ fact.pay_url | default("https://shop.example/pay") }}">Pay</a></p><p>{{ workspace.postal_address }}</p></body></html>
"""
SETTLED = """---
subject: 'Paid'
preheader: 'Thank you'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><i hidden style="display:none">{{ preheader }}</i>
<p>All is well.</p><p>{{ workspace.postal_address }}</p></body></html>
"""
MAILS = dict.fromkeys(("first", "second", "third", "final", "note"), MAIL) | {"settled": SETTLED, "lost": SETTLED}
NOTE = "---\ntitle: '{{ fact.why }}'\n---\n{{ fact.amount_minor | money(fact.currency) }}\n"

HEAD = "rule: {id}\nstatus: active\nclass: service\nground: contract\ntopic: payment\n"
RULES = {
    "soft.yaml": HEAD.format(id="soft")
    + """trigger: {payment_failed: {group: soft}}
steps:
  - {id: soft-1, after: 3 days, send: first}
  - {id: soft-2, after: 7 days, send: second}
  - {id: soft-final, after: 12 days, send: final, where: fact.days_left >= 2}
""",
    "card.yaml": HEAD.format(id="card")
    + """trigger: {payment_failed: {group: [details, hard, authentication]}}
steps:
  - {id: card-1, after: 2 hours, send: first}
  - {id: card-2, after: 3 days, send: second}
  - {id: card-3, after: 7 days, send: third}
""",
    "stop.yaml": HEAD.format(id="stop")
    + """trigger: {payment_failed: {group: wish-to-stop}}
steps:
  - {id: stop-1, after: 2 hours, send: note}
""",
    "settled.yaml": HEAD.format(id="settled").replace("payment", "receipts")
    + """trigger: {date: {column: invoices.paid_at}}
where: fact.failed_at is not null and (sent('soft') or sent('card'))
steps:
  - {id: thanks, after: 0 days, send: settled, send_within: 3 days}
""",
}
PERSON = {
    "person.yaml": HEAD.format(id="person") + """trigger: {payment_failed: {handled_by: person}}
existing: include
steps:
  - {id: look, after: 0 days, send: call, channel: task}
""",
}  # fmt: skip
"""What nobody may be mailed about becomes a task, titled with the reason."""

FROM_STRIPE = tuple(name for name in TABLES if name in
                    {"subscriptions", "invoices", "payment_failures", "payment_methods", "refunds", "disputes"})  # fmt: skip
SHIPPED = (
    "payment-failed.yaml", "payment-for-a-person.yaml", "payment-lost.yaml", "payment-settled.yaml", "renewal.yaml",
)  # fmt: skip
"""Rules about payments, and the one they hold back."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Letter:
    """A mail that left."""

    customer: str
    step: str
    to: str
    subject: str
    text: str


class Company:
    """One folder, one state. `rules` and `tables` are what config.yaml and the rules' folder hold."""

    def __init__(self, folder: Path, tables: str, rules: Mapping[str, str] | None, more: str) -> None:
        self.folder = folder
        self.letters: list[Letter] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(CONFIG.replace("TABLES", tables) + more)
        self._write_templates()
        self.use(RULES if rules is None else rules)
        self.store = self.project.open_store()

    def use(self, rules: Mapping[str, str]) -> None:
        """These rules from now on."""
        shutil.rmtree(self.folder / "rules", ignore_errors=True)
        (self.folder / "rules").mkdir()
        for name, text in rules.items():
            (self.folder / "rules" / name).write_text(text)
        self.project = Project.load(self.folder)

    def day(self, as_of: datetime, *, send: bool = True) -> list[str]:
        """The daily run of that date and the delivery after it; "customer: step" of what left."""
        daily_run(self.project, self.store, "daily", as_of.date(), as_of, as_of)
        return self.send(as_of, planned_at=as_of) if send else []

    def on_day(self, number: float, hours: float = 2.5) -> list[str]:
        """That of so many days after the stories' first failure, at 11:30."""
        return self.day(when(number, hours))

    def on_days(self, *numbers: int) -> dict[int, list[str]]:
        """What left on each of these days, days without mail left out."""
        left = {number: self.on_day(number) for number in numbers}
        return {number: mails for number, mails in left.items() if mails}

    def days(self, first: datetime, count: int) -> dict[str, list[str]]:
        """What left on each of so many days in a row, days without mail left out."""
        left = {f"{day:%m-%d}": self.day(day) for day in (first + timedelta(days=number) for number in range(count))}
        return {day: mails for day, mails in left.items() if mails}

    def send(
        self, now: datetime, *, planned_at: datetime | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Deliver what is due. `meanwhile` happens while the provider is being called."""
        about_to: list[tuple[OutboxMessage, Mail]] = []

        def see(message: OutboxMessage, mail: Mail) -> None:
            about_to.append((message, mail))
            meanwhile()

        self.delivered: DeliveryReport = send_due(
            self.project, self.store, clock=lambda: now, planned_at=planned_at, on_mail=see
        )
        left = [_letter(self.folder / "outbox", message, mail) for message, mail in about_to]
        new = sorted((one for one in left if one is not None), key=lambda one: (one.customer, one.step))
        self.letters += new
        return [f"{one.customer}: {one.step}" for one in new]

    def text(self) -> str:
        """The last mail that left, on one line."""
        return " ".join(self.letters[-1].text.split())

    def why_not(self) -> dict[str, int]:
        """Messages that were stopped, by reason."""
        with self.store._database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT reason, count(*) FROM message WHERE reason IS NOT NULL GROUP BY 1"
            )
            return {str(reason): int(number) for reason, number in rows}

    def tasks(self) -> list[str]:
        """Tasks ever filed, "customer: why"."""
        return sorted(f"{one.customer_id}: {one.title}" for one in self.store.tasks.listed())

    def settled(self, customer: str) -> dict[str, str]:
        """What became of the customer's steps."""
        return {row.step: row.how for row in self.store.history_of(customer).settled}

    def refuse(self, address: str, kind: str, at: datetime, topic: str | None = None) -> None:
        """Somebody's word against mail to an address, such as `bounced`."""
        secret = self.project.settings.signing_secret(live=False)
        self.store.suppressions.add([Suppression.of(secret, address, kind, "test", at, topic)])

    def report(self, as_of: datetime) -> Report:
        """Of the 90 days until then."""
        held_out = [rule.id for rule in self.project.rules if rule.holdout]
        since = as_of - timedelta(days=90)
        with read_cases(self.project, self.store, as_of, since) as cases:
            return report(cases.db, as_of, since, as_of, held_out)

    def outcomes(self, as_of: datetime) -> dict[str, int]:
        """What became of the failed invoices, those outcomes left out that none had."""
        return {name: one.invoices for name, one in self.report(as_of).outcomes.items() if one.invoices}

    def tables(self, as_of: datetime = NOW, names: Iterable[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """The rows rules would see, sorted, of all billing tables unless `names` are given."""
        warehouse = Warehouse(self.project.settings, self.folder, as_of)
        try:
            warehouse.stage_customers([])
            found = {"customers": _rows(warehouse, "customer_id, address", "t_customers")}
            for name in names or FROM_STRIPE:
                if name != "customers":
                    columns = [column for column in warehouse.shapes[name].columns if column != "updated_at"]
                    warehouse.stage_rows(name, columns)
                    found[name] = _rows(warehouse, ", ".join(f'"{column}"' for column in columns), f"t_{name}")
            return found
        finally:
            warehouse.close()

    def table(self, name: str, as_of: datetime = NOW) -> list[dict[str, Any]]:
        """The rows of one table, sorted."""
        return self.tables(as_of, [name])[name]

    def _write_templates(self) -> None:
        files = {f"{name}/mail.html": text for name, text in MAILS.items()}
        files |= {"first/mail.de.html": MAIL, "call/note.txt": NOTE}
        for name, text in files.items():
            place = self.folder / "templates" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)


def _rows(warehouse: Warehouse, columns: str, table: str) -> list[dict[str, Any]]:
    answer = warehouse.db.execute(f"SELECT {columns} FROM {table} ORDER BY ALL")
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _letter(outbox: Path, message: OutboxMessage, mail: Mail) -> Letter | None:
    """What is in the outbox's file; None when no file was written."""
    file = outbox / f"{mail.message_key[:40]}.eml"
    if not file.exists():
        return None
    read = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = read.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    return Letter(
        message.customer_id,
        message.step,
        read["To"].addresses[0].addr_spec,
        read["Subject"],
        text.replace("\N{NO-BREAK SPACE}", " "),
    )


class StripeCompany(Company):
    """What Stripe said is kept in its state, and its rules read it from there.

    `own` maps our customer ids to Stripe's; without it, customers come from Stripe too. `shipped` takes the rules and
    templates about payments that come with Holdfast.
    """

    def __init__(
        self, folder: Path, own: dict[str, str] | None = None, *, rules: Mapping[str, str] | None = None,
        more: str = SILENT, shipped: bool = False,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        customers = "{source: stripe}"
        if own is not None:
            customers = "{path: customers.csv}"
            rows = "".join(f"{ours},{ours}@shop.example,Kim Lee,Kim,{theirs}\n" for ours, theirs in own.items())
            (folder / "customers.csv").write_text("customer_id,email,name,first_name,stripe_customer_id\n" + rows)
        if shipped:
            shutil.copytree(ROOT / "templates", folder / "templates")
            rules = {name: (ROOT / "rules" / name).read_text() for name in SHIPPED}
        tables = [f"    customers: {customers}", *(f"    {name}: {{source: stripe}}" for name in FROM_STRIPE)]
        self._webhook = StripeWebhook([], (), livemode=True)
        super().__init__(folder, "\n".join(tables), rules, more)

    def hear(self, events: Iterable[Thing], now: datetime = NOW) -> None:
        """As if the events had come by webhook: kept, then applied."""
        self.store.inbound.keep("stripe", [self._webhook.raw(one, json.dumps(one), now) for one in events], now)
        apply_stripe_events(self.store)

    def live(self, *events: Thing) -> None:
        """The events in this order, each heard a few seconds after it was made, or after the newest before it."""
        newest = 0
        for one in events:
            newest = max(newest, one["created"])
            self.hear([one], datetime(1970, 1, 1) + timedelta(seconds=newest + 5))


class RowsCompany(Company):
    """Its tables are CSV files: `tables` maps each to its rows, `customers` among them. See `write`."""

    def __init__(
        self, folder: Path, tables: Mapping[str, Sequence[Mapping[str, object]]], *,
        rules: Mapping[str, str] | None = None, more: str = "",
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        for name, rows in tables.items():
            self.write(name, rows)
        super().__init__(folder, "\n".join(f"    {name}: {{path: {name}.csv}}" for name in tables), rules, more)

    def write(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """The table as it is from now on."""
        with (self.folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            sink = csv.DictWriter(file, columns)
            sink.writeheader()
            sink.writerows(rows)
