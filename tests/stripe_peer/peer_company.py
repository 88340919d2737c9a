"""A company whose customers pay through localstripe."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import stripe
from typer.testing import CliRunner

from engine import Project
from engine.cli.root import app
from engine.clock import utc_now
from engine.run import daily_run
from engine.sending import send_due

KEY, SECRET = "sk_test_peer", "whsec_peer"
DECLINED_AFTER_3DS = "4000008260003178"

CONFIG = """
workspace: {name: Corner Shop, timezone: UTC, postal_address: "1 Road, Town", public_url: "https://mail.example.com"}
warehouse:
  tables:
    customers: {source: stripe}
    subscriptions: {source: stripe}
    invoices: {source: stripe}
    payment_failures: {source: stripe}
    payment_methods: {source: stripe}
sender:
  service: {from: "Shop <billing@example.com>"}
  marketing: {from: "Shop <hello@example.com>"}
quiet_hours: off
guard: off
stripe: {api_key: "${STRIPE_KEY}", webhook_secret: "${STRIPE_SECRET}", livemode: false, api_url: "ADDRESS"}
dunning: {stripe_emails: off, pay_page: "https://shop.example/pay"}
"""
MAIL = """---
subject: 'SUBJECT'
preheader: 'About your bill'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello,</p><p>{{ workspace.postal_address }}</p></body></html>
"""
FAILED = """rule: failed
status: active
class: service
ground: contract
topic: payment
trigger: {payment_failed: {}}
steps:
  - {id: first, after: 3 days, send: failed}
  - {id: second, after: 7 days, send: again}
---
rule: settled
status: active
class: service
ground: contract
topic: receipts
trigger: {date: {column: invoices.paid_at}}
where: fact.failed_at is not null and sent('failed')
steps:
  - {id: thanks, after: 0 days, send: settled, send_within: 5 days}
"""


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    give_up_s = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except OSError:
            pass
        assert time.monotonic() < give_up_s, "it did not happen"
        time.sleep(0.05)


class PeerCompany:
    """`client` is the official one, pointed at localstripe."""

    def __init__(self, folder: Path, address: str, client: stripe.StripeClient) -> None:
        self.folder, self.address, self.client = folder, address, client
        (folder / "rules").mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG.replace("ADDRESS", address))
        (folder / "rules/payments.yaml").write_text(FAILED)
        for name in ("failed", "again", "settled"):
            (folder / f"templates/{name}").mkdir(parents=True)
            (folder / f"templates/{name}/mail.html").write_text(MAIL.replace("SUBJECT", name))
        self.project = Project.load(folder)
        self.store = self.project.open_store()
        self.began = utc_now()

    def subscriber(self, name: str) -> tuple[str, str]:
        """(customer, subscription) of somebody who has paid once."""
        v1 = self.client.v1
        customer = v1.customers.create({"email": f"{name}@example.com"})
        self.use_card(customer.id, "4242424242424242")
        product = v1.products.create({"name": "Team", "type": "service"})
        plan = v1.plans.create({"product": product.id, "amount": 2900, "currency": "eur", "interval": "month"})
        made = v1.subscriptions.create({"customer": customer.id, "items": [{"plan": plan.id}]})
        return customer.id, made.id

    def use_card(self, customer: str, number: str) -> None:
        """Make a card the customer's default."""
        card: Any = {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}}
        method = self.client.v1.payment_methods.create(card)
        self.client.v1.payment_methods.attach(method.id, {"customer": customer})
        self.client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})

    def fail_renewal(self, customer: str, subscription: str) -> str:
        """A renewal whose payment the bank declines after the customer has confirmed it; the invoice."""
        self.use_card(customer, DECLINED_AFTER_3DS)
        invoice = self.client.v1.invoices.create({"customer": customer, "subscription": subscription})
        self.client.v1.invoices.pay(invoice.id)
        intent = self.client.v1.payment_intents.retrieve(
            str(self.client.v1.invoices.retrieve(invoice.id).to_dict()["payment_intent"])
        )
        with pytest.raises(HTTPError, match="Payment Required"):  # the bank's no
            self.post(
                f"/v1/payment_intents/{intent.id}/_authenticate", client_secret=intent.client_secret, success="true"
            )
        return invoice.id

    def post(self, path: str, **fields: object) -> None:
        """A call the official client does not have."""
        request = urllib.request.Request(
            self.address + path, data=json.dumps(fields).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()

    def kinds(self) -> list[str]:
        """Events that were kept, by kind."""
        with self.store._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT kind FROM inbound_event WHERE state <> 'ignored' ORDER BY id")
            return [str(row[0]) for row in rows]

    def day(self, number: int) -> list[str]:
        """The run so many days after the beginning, and the delivery that follows; the subjects that left."""
        now = self.at(number)
        daily_run(self.project, self.store, "daily", now.date(), now, now)
        left: list[str] = []
        send_due(
            self.project,
            self.store,
            clock=lambda: now,
            planned_at=now,
            on_mail=lambda one, mail: left.append(mail.subject),
        )
        return left

    def plan_only(self, number: int) -> None:
        """The run of a day without its delivery."""
        now = self.at(number)
        daily_run(self.project, self.store, "daily", now.date(), now, now)

    def deliver(self, number: int, minutes: int = 30) -> list[str]:
        """The delivery alone, so long after the day's run."""
        left: list[str] = []
        at = self.at(number) + timedelta(minutes=minutes)
        send_due(self.project, self.store, clock=lambda: at, on_mail=lambda one, mail: left.append(mail.subject))
        return left

    def at(self, number: int) -> datetime:
        """The instant of a day's run."""
        return self.began.replace(hour=23, minute=0, second=0, microsecond=0) + timedelta(days=number)

    def stopped(self) -> list[str]:
        """Why planned messages were not sent."""
        with self.store._database.read() as connection:
            return [
                str(row[0])
                for row in connection.exec_driver_sql("SELECT reason FROM message WHERE state = 'cancelled'")
            ]

    def report(self, number: int) -> Any:
        """`holdfast dunning --format json` of a day."""
        as_of = f"{self.at(number):%Y-%m-%dT%H:%M}Z"
        words = ["-C", str(self.folder), "dunning", "--format", "json", "--as-of", as_of]
        result = CliRunner().invoke(app, words, prog_name="holdfast")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
