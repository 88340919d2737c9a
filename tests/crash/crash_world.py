"""A project that is killed while it works, and the process that works on it.

Children come from a fork server that has everything imported already, so that a kill costs a fraction of a second and
hits the work, not the start of Python.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

CUSTOMERS = 120
DAY = date(2026, 5, 2)
AS_OF = datetime(2026, 5, 2, 8)
CONCURRENCY = 4

CONFIG = """
workspace:
  name: Crash Test
  timezone: Europe/London
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
  secret: ${{HOLDFAST_SECRET}}
state: {{url: "sqlite:///state.db"}}
warehouse:
  url: duckdb://
  max_age: {{events: off}}
  tables:
    customers: {{path: customers.csv}}
    events: {{path: events.csv}}
sender:
  marketing: {{from: "Crash <hello@example.com>"}}
quiet_hours: off
guard: off
caps: {{all: [1/1 day]}}
channels:
  email: {channel}
delivery: {{concurrency: {concurrency}, rate_per_s: 2000, timeout: 5 s}}
"""

RULES = """rule: quiet
status: active
priority: 60
holdout: 10%
trigger:
  inactivity: {for: 30 days, event: login}
steps:
  - send: note
---
rule: unused
status: active
trigger:
  unused_feature: {feature: export, for: 20 days}
steps:
  - send: note
"""

MAIL = """---
subject: Hello {{ customer.customer_id }}
preheader: Hello
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello</p><p>{{ workspace.postal_address }}</p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p></body></html>
"""


def make_project(folder: Path, channel: str) -> Path:
    """A project with customers who are all due for one of two rules; both together are more than the cap allows."""
    (folder / "rules").mkdir(parents=True)
    (folder / "templates" / "note").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(channel=channel, concurrency=CONCURRENCY))
    (folder / "rules" / "rules.yaml").write_text(RULES)
    (folder / "templates" / "note" / "mail.html").write_text(MAIL)
    names = [f"c{number:04d}" for number in range(CUSTOMERS)]
    rows = [f"{name},{name}@example.com,2025-06-01" for name in names]
    (folder / "customers.csv").write_text("\n".join(["customer_id,email,signed_up_at", *rows]) + "\n")
    events = [f"{name},login,2026-04-{1 + number % 20:02d} 10:00:00" for number, name in enumerate(names)]
    (folder / "events.csv").write_text("\n".join(["customer_id,name,at", *events]) + "\n")
    return folder


def copy_project(source: Path, target: Path) -> Path:
    """A project of its own with the same files and state."""
    shutil.copytree(source, target)
    return target


def work(folder: str, part: str) -> None:
    """What a child does: the daily run, or the delivery of what it planned. Small chunks make many commits."""
    os.environ["HOLDFAST_SECRET"] = "s" * 40
    import engine.recording
    from engine import Project
    from engine.run import daily_run
    from engine.sending import send_due

    engine.recording._CHUNK_ROWS = 12
    project = Project.load(folder)
    with project.open_store() as store:
        if part == "run":
            daily_run(project, store, "daily", DAY, AS_OF, AS_OF)
        else:
            send_due(project, store, clock=lambda: AS_OF, planned_at=AS_OF)


class Children:
    """Starts children and kills them."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["engine.cli", "engine.run", "engine.sending", "crash_world"])

    def finish(self, folder: Path, part: str) -> None:
        """Let a child work to its end."""
        child = self._context.Process(target=work, args=(str(folder), part))
        child.start()
        child.join(120)
        assert child.exitcode == 0, f"{part} ended with {child.exitcode}"

    def kill(self, folder: Path, part: str, after_s: float) -> bool:
        """Start a child and kill it, without warning, after `after_s`. False when it had ended by then."""
        child = self._context.Process(target=work, args=(str(folder), part))
        child.start()
        child.join(after_s)
        if child.exitcode is not None:
            assert child.exitcode == 0, f"{part} ended with {child.exitcode}"
            return False
        with suppress(ProcessLookupError):  # it ended this very moment
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        return bool(child.exitcode)


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """What the state holds."""
    with sqlite3.connect(folder / "state.db") as state:
        return state.execute(query).fetchall()


def decided(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything a run decides, without what differs between two runs of the same thing (row ids, clock times)."""
    return {
        "decisions": rows(folder, "SELECT rule, customer_id, occurrence, step, outcome, reason, detail, waited_s FROM decision ORDER BY 1, 2, 3, 4"),
        "settled": rows(folder, "SELECT rule, customer_id, occurrence, step, local_date, how FROM settled_step ORDER BY 1, 2, 3, 4"),
        "exposures": rows(folder, "SELECT rule, customer_id, occurrence, step, arm, local_date FROM exposure ORDER BY 1, 2, 3, 4"),
        "messages": rows(folder, "SELECT key, rule, customer_id, recipient, not_before, values_json FROM message ORDER BY 1"),
        "runs": rows(folder, "SELECT schedule, local_date, n, state FROM run"),
        "counts": rows(folder, "SELECT rule, outcome, reason, n FROM run_count ORDER BY 1, 2, 3"),
    }  # fmt: skip
