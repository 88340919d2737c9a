"""A company whose billing is Stripe's: what was heard is kept in its state, and its rules read it from there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stripe_things import NOW, Thing

from engine import Project
from engine.billing import apply_stripe_events
from engine.inbound.stripe_events import StripeWebhook
from engine.run import daily_run
from engine.sending import send_due
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

CONFIG = """
workspace: {name: Corner Shop, timezone: Europe/London, postal_address: "1 Road, Town", public_url: "https://mail.example.com"}
warehouse:
  tables:
    customers: CUSTOMERS
    subscriptions: {source: stripe}
    invoices: {source: stripe}
    payment_failures: {source: stripe}
    payment_methods: {source: stripe}
    refunds: {source: stripe}
    disputes: {source: stripe}
sender:
  marketing: {from: "Shop <hello@example.com>"}
  service: {from: "Shop <billing@example.com>"}
schedules: {daily: "09:00"}
quiet_hours: off
guard: off
dunning: {recheck: off, stripe_emails: off}
"""

MAIL = """---
subject: 'About {{ fact.amount_minor | money(fact.currency) }}'
preheader: 'A payment'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>{{ fact.group }} {{ fact.last4 | default("") }} {{ fact.product | default("") }}
{{ fact.open_invoices }} {{ fact.invoice_numbers | default("") }} {% if fact.new_card_last4 %}not {{ fact.new_card_last4 }}{% endif %}
<a href="{{ fact.pay_url | default("https://shop.example/pay") }}">Pay</a></p><p>{{ workspace.postal_address }}</p></body></html>
"""
SETTLED = """---
subject: 'Paid'
preheader: 'Thank you'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>All is well.</p><p>{{ workspace.postal_address }}</p></body></html>
"""
MAILS = dict.fromkeys(("first", "second", "third", "final", "note"), MAIL) | {"settled": SETTLED, "lost": SETTLED}

_HEAD = "rule: {id}\nstatus: active\nclass: service\nground: contract\ntopic: payment\n"
RULES = {
    "soft.yaml": _HEAD.format(id="soft")
    + """trigger: {payment_failed: {group: soft}}
steps:
  - {id: soft-1, after: 3 days, send: first}
  - {id: soft-2, after: 7 days, send: second}
  - {id: soft-final, after: 12 days, send: final, where: fact.days_left >= 2}
""",
    "card.yaml": _HEAD.format(id="card")
    + """trigger: {payment_failed: {group: [details, hard, authentication]}}
steps:
  - {id: card-1, after: 2 hours, send: first}
  - {id: card-2, after: 3 days, send: second}
  - {id: card-3, after: 7 days, send: third}
""",
    "stop.yaml": _HEAD.format(id="stop")
    + """trigger: {payment_failed: {group: wish-to-stop}}
steps:
  - {id: stop-1, after: 2 hours, send: note}
""",
    "settled.yaml": _HEAD.format(id="settled").replace("payment", "receipts")
    + """trigger: {date: {column: invoices.paid_at}}
where: fact.failed_at is not null and (sent('soft') or sent('card'))
steps:
  - {id: thanks, after: 0 days, send: settled, send_within: 3 days}
""",
}

FROM_STRIPE = tuple(name for name in TABLES if name in
                    {"subscriptions", "invoices", "payment_failures", "payment_methods", "refunds", "disputes"})  # fmt: skip


class StripeCompany:
    """One folder, one state. `own` maps our customer ids to Stripe's; without it, customers come from Stripe too."""

    def __init__(
        self, folder: Path, own: dict[str, str] | None = None, *, rules: dict[str, str] | None = None, more: str = ""
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        customers = "{source: stripe}"
        if own is not None:
            customers = "{path: customers.csv}"
            rows = "".join(f"{ours},{ours}@shop.example,{theirs}\n" for ours, theirs in own.items())
            (folder / "customers.csv").write_text("customer_id,email,stripe_customer_id\n" + rows)
        (folder / "config.yaml").write_text(CONFIG.replace("CUSTOMERS", customers) + more)
        for name, text in (RULES if rules is None else rules).items():
            (folder / "rules").mkdir(exist_ok=True)
            (folder / "rules" / name).write_text(text)
        for name, text in MAILS.items():
            place = folder / "templates" / name / "mail.html"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        self.project = Project.load(folder)
        self.store = self.project.open_store()
        self._webhook = StripeWebhook([], (), livemode=True)

    def hear(self, events: Iterable[Thing], now: datetime = NOW) -> None:
        """As if the events had come by webhook: kept, then applied."""
        self.store.inbound.keep("stripe", [self._webhook.raw(one, json.dumps(one), now) for one in events], now)
        apply_stripe_events(self.store)

    def tables(
        self, as_of: datetime = NOW, names: Iterable[str] = ("customers", *FROM_STRIPE)
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows rules would see, sorted."""
        warehouse = Warehouse(self.project.settings, self.folder, as_of)
        try:
            warehouse.stage_customers([])
            found = {"customers": _rows(warehouse, "customer_id, address", "t_customers")}
            for name in names:
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

    def day(self, as_of: datetime, *, send: bool = True) -> list[str]:
        """The daily run of that date and the delivery after it; "customer: step" of what left."""
        daily_run(self.project, self.store, "daily", as_of.date(), as_of, as_of)
        sent: list[str] = []
        if send:
            send_due(
                self.project,
                self.store,
                clock=lambda: as_of,
                planned_at=as_of,
                on_mail=lambda one, mail: sent.append(f"{one.customer_id}: {one.step}"),
            )
        return sorted(sent)

    def days(self, first: datetime, count: int) -> dict[str, list[str]]:
        """What left on each of so many days in a row, days without mail left out."""
        left = {f"{day:%m-%d}": self.day(day) for day in (first + timedelta(days=number) for number in range(count))}
        return {day: mails for day, mails in left.items() if mails}

    def why_not(self) -> dict[str, int]:
        """Messages that were stopped, by reason."""
        with self.store._database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT reason, count(*) FROM message WHERE reason IS NOT NULL GROUP BY 1"
            )
            return {str(reason): int(number) for reason, number in rows}


def _rows(warehouse: Warehouse, columns: str, table: str) -> list[dict[str, Any]]:
    answer = warehouse.db.execute(f"SELECT {columns} FROM {table} ORDER BY ALL")
    names = [one[0] for one in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
