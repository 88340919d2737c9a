"""A shop of forty customers in a folder, and the command line run on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from engine.cli.root import app

DAY = date(2026, 5, 2)
"""The date of the first run: thirty customers have been silent for a month then, ten were here yesterday."""

CONFIG = """
workspace:
  name: Corner Shop
  timezone: Europe/London
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse:
  max_age: {events: 1000 days}
  tables:
    customers: {path: customers.csv}
    events: {path: events.csv}
sender:
  marketing: {from: "Shop <hello@example.com>"}
quiet_hours: off
guard: off
"""

QUIET = """rule: quiet
description: Nobody home for 30 days.
status: active
trigger:
  inactivity: {for: 30 days, event: login}
where: plan = 'pro'
steps:
  - send: we-miss-you
"""

FRESH = """rule: fresh
description: A word after the first day.
status: active
priority: 90
trigger:
  date: {column: customers.signed_up_at}
steps:
  - after: 1 day
    send: hello
"""

MAIL = """---
subject: {subject}
preheader: A word from the shop
---
<html lang="{{{{ lang }}}}" dir="{{{{ dir }}}}"><body>
<div style="display:none">{{{{ preheader }}}}</div>
<p>Dear {{{{ customer.name }}}}</p>
<p>{{{{ workspace.postal_address }}}}</p>
<p><a href="{{{{ links.unsubscribe }}}}">Unsubscribe</a> <a href="{{{{ links.preferences }}}}">Preferences</a></p>
</body></html>
"""

SMTP = CONFIG + "channels:\n  email: {use: smtp, host: 127.0.0.1, port: 1}\n"


@dataclass
class Shop:
    """A project folder and its commands."""

    folder: Path

    def run(self, *words: str) -> Result:
        """`holdfast -C FOLDER WORDS`, without a terminal."""
        return CliRunner().invoke(app, ["-C", str(self.folder), *words], prog_name="holdfast")

    def json(self, *words: str, code: int = 0) -> Any:
        """The JSON document a command prints."""
        result = self.run(*words, "--format", "json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def first_run(self, *words: str) -> Result:
        """The run of `DAY`, delivered then."""
        return self.run("run", "--as-of", DAY.isoformat(), *words)

    def write(self, path: str, text: str) -> None:
        """Write one file of the folder."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    @property
    def mails(self) -> list[Path]:
        """What was delivered."""
        return sorted((self.folder / "outbox").glob("*.eml"))


def make_shop(folder: Path, ids: Mapping[int, str] | None = None) -> Shop:
    """Thirty silent customers, every third of them on the free plan, and ten who were here yesterday."""
    shop = Shop(folder)
    customers, events = ["customer_id,email,name,plan,signed_up_at"], ["customer_id,name,at"]
    for number in range(40):
        customer = (ids or {}).get(number, f"c{number:02d}")
        silent = number < 30
        plan = "free" if number % 3 == 2 else "pro"
        signed_up = DAY - timedelta(days=400) if number < 38 else DAY - timedelta(days=1)
        customers.append(f'"{customer}",c{number:02d}@example.com,Customer {number},{plan},{signed_up}T08:00:00Z')
        last = datetime(2026, 4, 1, 7) if silent else datetime(2026, 5, 1, 7)
        events.append(f'"{customer}",login,{last.isoformat()}Z')
    shop.write("customers.csv", "\n".join(customers) + "\n")
    shop.write("events.csv", "\n".join(events) + "\n")
    shop.write("config.yaml", CONFIG)
    shop.write("rules/quiet.yaml", QUIET)
    shop.write("rules/fresh.yaml", FRESH)
    shop.write("templates/we-miss-you/mail.html", MAIL.format(subject="We miss you"))
    shop.write("templates/hello/mail.html", MAIL.format(subject="Good to have you"))
    return shop
