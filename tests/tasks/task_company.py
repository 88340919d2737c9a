"""A company that calls its silent customers instead of writing to them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from run_company import Company
from typer.testing import CliRunner, Result

from engine.cli.root import app
from engine.delivery import DeliveryReport
from engine.sending import send_due

NOTE = """---
title: Call {{ customer.name | default("a customer") }}
assignee: "{{ customer.manager | default('') }}"
due_in: 3 days
---
Silent for {{ fact.days_inactive }} days, plan {{ customer.plan | default("none") }}.
"""
RULE = """rule: valuable
status: active
owner: sales@acme.com
trigger:
  inactivity: {for: 30 days, event: login}
steps:
  - send: call
    channel: task
"""


class TaskCompany(Company):
    """The company of the daily runs with a template for tasks."""

    @classmethod
    def opened(cls, folder: Path) -> TaskCompany:
        company = cls(folder)
        company.rules = {"valuable.yaml": RULE}
        company.customer("ann", name="Ann Lee", plan="pro", manager="kim@acme.com")
        company.customer("bob", email="", name="=Bob()", plan="pro", manager="")
        for customer in ("ann", "bob"):
            company.event(customer, "login", datetime(2026, 4, 1, 10))
        return company

    def write(self) -> None:
        super().write()
        note = self.folder / "templates" / "call" / "note.txt"
        note.parent.mkdir(exist_ok=True)
        note.write_text(NOTE)

    def deliver(self, at: datetime) -> DeliveryReport:
        return send_due(self.project(), self.store, clock=lambda: at)

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["-C", str(self.folder), *arguments], prog_name="holdfast")

    def json(self, *arguments: str) -> Any:
        result = self.command(*arguments, "--format", "json")
        return json.loads(result.stdout)
