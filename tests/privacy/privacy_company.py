"""A company with traces of Ann everywhere a trace can be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from task_company import RULE, TaskCompany

from engine.privacy import DataProtection
from engine.store import address_key
from engine.store.tables import click, consent, inbound_event, link, message, metadata

DAY = date(2026, 5, 3)
MORNING = datetime(2026, 5, 3, 8, 30)
ANN, ADDRESS, NAME = "customer-4711", "ann.lee@mailhost.example", "Annabel Lee-Quist"
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
HELLO = """---
subject: We miss you, {{ customer.name }}
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello</p><p>{{ workspace.postal_address }}</p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p></body></html>
"""


class PrivacyCompany(TaskCompany):
    """Mails to a folder, tasks, and a birthday rule whose occurrence holds the customer's id."""

    @classmethod
    def opened_at(cls, folder: Path, url: str) -> PrivacyCompany:
        company = cls(folder)
        company.config += f"state: {{url: '{url}'}}\n"
        company.rules = {"quiet.yaml": QUIET, "valuable.yaml": RULE, "date.yaml": _BIRTHDAY}
        for customer_id, address, name in ((ANN, ADDRESS, NAME), ("bob", "bob@example.com", "Bob")):
            company.customer(
                customer_id, email=address, name=name, plan="pro", manager="", born="2026-05-02",
                consent="true", consent_at="2025-01-01", consent_source="sign-up form",
            )  # fmt: skip
            company.event(customer_id, "login", datetime(2026, 4, 1, 10))
        company.run(DAY)
        company.deliver(MORNING)
        company.leave_traces()
        return company

    def write(self) -> None:
        super().write()
        (self.folder / "templates/first/mail.html").write_text(HELLO)

    @property
    def protection(self) -> DataProtection:
        return DataProtection(self.project().settings, self.folder, self.store)

    @property
    def secret(self) -> str:
        return self.project().settings.signing_secret(live=False)

    def leave_traces(self) -> None:
        """What providers and pages would have left."""
        key = address_key(self.secret, ADDRESS)
        with self.store._database.write() as connection:
            (number,) = connection.execute(
                select(message.c.id).where(message.c.customer_id == ANN, message.c.rule == "quiet")
            ).scalars()
            event: dict[str, Any] = {
                "source": "sendgrid", "kind": "delivered", "received_at": MORNING, "body": f'{{"email": "{ADDRESS}"}}',
                "state": "applied", "message_id": None, "address_key": None, "detail": None,
            }  # fmt: skip
            for name, change in {
                "by-message": {"message_id": number, "detail": f"for {NAME}"}, "by-key": {"address_key": key},
                "by-words": {"state": "new", "body": f'{{"email": "{ADDRESS.upper()}"}}'},
            }.items():  # fmt: skip
                connection.execute(insert(inbound_event).values(event | {"event_id": name} | change))
            other = {"event_id": "bobs", "body": '{"email": "bob@example.com"}'}
            connection.execute(insert(inbound_event).values(event | other))
            for name, url in (("own", f"https://shop.example/pay/{ANN}?x=1"), ("all", "https://shop.example/pay")):
                connection.execute(insert(link).values(id=name, url=url))
                connection.execute(insert(click).values(message_id=number, link_id=name, at=MORNING, by_scanner=False))
            proof = {"topic": "", "given": False, "at": MORNING, "source": "preferences", "wording": "No more mail"}
            connection.execute(insert(consent).values(proof | {"address_key": key, "address": ADDRESS}))

    def cells(self) -> Iterator[tuple[str, str]]:
        """Every cell of every table as text, with where it stands."""
        with self.store._database.read() as connection:
            for table in metadata.sorted_tables:
                if table.name == "snapshot":  # rules and templates, which the company wrote
                    continue
                for row in connection.execute(select(table)):
                    yield from ((f"{table.name}.{name}", str(value)) for name, value in row._mapping.items())

    def traces(self) -> set[str]:
        """Where Ann's id, address or name still stands, in the state and in files."""
        marks = [mark.lower() for mark in (ANN, ADDRESS, NAME)]
        found = {place for place, text in self.cells() if any(mark in text.lower() for mark in marks)}
        own = {"customers.csv", "events.csv", "privacy_company.py"}
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name not in own and not path.name.startswith("state.db"):
                content = path.read_bytes().lower()
                found |= {path.name for mark in marks if mark.encode() in content}
        return found

    def day_after(self, days: int) -> list[tuple[str, str, str]]:
        """Run and deliver so many days later; (rule, outcome, reason) of what Ann is decided."""
        self.run(DAY + timedelta(days=days))
        self.deliver(MORNING + timedelta(days=days))
        return [(one.rule, one.outcome, one.reason) for one in self.store.history_of(ANN).decisions]


_BIRTHDAY = """rule: birthday
status: active
trigger:
  date: {column: customers.born}
steps:
  - after: 1 day
    send: first
    channel: task
"""
