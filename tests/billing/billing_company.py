"""A company whose billing is Stripe's: what was heard is kept in its state, and its rules read it from there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from stripe_things import NOW, Thing

from engine import Project
from engine.billing import apply_stripe_events
from engine.inbound.stripe_events import raw_event
from engine.store import Store
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

FROM_STRIPE = tuple(name for name in TABLES if name in
                    {"subscriptions", "invoices", "payment_failures", "payment_methods", "refunds", "disputes"})  # fmt: skip
