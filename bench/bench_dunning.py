"""A day's plan of a million open invoices against that of as many silences, in the same run.

    python bench/bench_dunning.py [--customers 1000000] [--pairs 3]

Each pair plans both in processes of their own, in turn, and measures their CPU seconds: everything from reading the
tables to the decisions, with ladders of four steps. Goal: at most 2 times.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from engine import Project

AS_OF = datetime(2026, 11, 22, 9)
GOAL = 2.0

CONFIG = """
workspace: {{name: Bench, timezone: Europe/London, postal_address: "1 Road, Town", public_url: "https://mail.example.com"}}
warehouse:
  url: duckdb:///bench.duckdb
  max_age: {{events: off}}
  tables:
    customers: {{table: customers}}
{tables}
sender: {{service: {{from: "B <b@example.com>"}}, marketing: {{from: "B <b@example.com>"}}}}
guard: off
"""
PAYMENTS = ("invoices", "payment_failures", "payment_methods", "disputes")
HEAD = "rule: bench\nstatus: active\nclass: service\nground: contract\ntopic: payment\ntrigger: {trigger}\n"
STEPS = "steps:\n" + "".join(f"  - {{id: d{day}, after: {day} days, send: mail}}\n" for day in (3, 7, 10, 12))
MAIL = """---
subject: 'Hello'
preheader: 'Hello'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello</p><p>{{ workspace.postal_address }}</p></body></html>
"""
RULES = {"payments": "{payment_failed: {}}", "silences": "{inactivity: {for: 10 days}}"}


def make(folder: Path, customers: int) -> None:
    """Both companies' tables: every customer has an open failed invoice and has been silent for ten to twenty days."""
    with duckdb.connect(str(folder / "bench.duckdb")) as db:
        db.execute(f"""
            CREATE TABLE customers AS SELECT 'c' || i AS customer_id, 'c' || i || '@example.com' AS email,
                ['Europe/London', 'America/New_York', 'Asia/Tokyo', 'Pacific/Auckland'][1 + i % 4] AS timezone
            FROM range({customers}) AS t(i)""")
        db.execute(f"""
            CREATE TABLE events AS SELECT 'c' || i AS customer_id, 'login' AS name,
                TIMESTAMP '2026-11-12 08:00:00' - to_seconds((i * 7919) % 864000) AS "at" FROM range({customers}) AS t(i)""")
        db.execute(f"""
            CREATE TABLE invoices AS SELECT 'in' || i AS invoice_id, 'c' || i AS customer_id, 's' || i AS subscription_id,
                'open' AS status, 1000 + i % 9000 AS amount_minor, ['EUR', 'USD', 'JPY'][1 + i % 3] AS currency,
                TIMESTAMP '2026-11-22 08:00:00' - to_seconds((i * 7919) % 604800) AS failed_at,
                'subscription_cycle' AS billing_reason, 'charge_automatically' AS collection_method, true AS livemode,
                'https://pay.example.com/' || i AS hosted_invoice_url, 1 AS attempt_count FROM range({customers}) AS t(i)""")
        codes = "['insufficient_funds', 'expired_card', 'do_not_honor', 'authentication_required', 'lost_card', 'generic_decline']"
        db.execute(f"""
            CREATE TABLE payment_failures AS SELECT 'in' || i AS invoice_id,
                TIMESTAMP '2026-11-22 08:00:00' - to_seconds((i * 7919) % 604800 // (1 + k)) AS "at",
                {codes}[1 + i % 6] AS decline_code, NULL::VARCHAR AS advice_code
            FROM range({customers}) AS t(i), range(2) AS u(k) WHERE k = 0 OR i % 2 = 0""")
        db.execute(f"""
            CREATE TABLE payment_methods AS SELECT 'pm' || i AS payment_method_id, 'c' || i AS customer_id, '4242' AS last4,
                true AS is_default, TIMESTAMP '2025-01-01' AS added_at FROM range({customers}) AS t(i)""")
        db.execute(f"""
            CREATE TABLE disputes AS SELECT 'c' || i AS customer_id, 'in' || i AS invoice_id, 100 AS amount_minor,
                TIMESTAMP '2026-11-01' AS "at", 'dispute' AS kind, 'open' AS status
            FROM range({customers // 1000}) AS t(i)""")
    for name, trigger in RULES.items():
        home = folder / name
        (home / "rules").mkdir(parents=True)
        (home / "templates/mail").mkdir(parents=True)
        (home / "bench.duckdb").symlink_to(folder / "bench.duckdb")
        tables = PAYMENTS if name == "payments" else ("events",)
        mapped = "\n".join(f"    {table}: {{table: {table}}}" for table in tables)
        (home / "config.yaml").write_text(CONFIG.format(tables=mapped))
        (home / "rules/bench.yaml").write_text(HEAD.format(trigger=trigger) + STEPS)
        (home / "templates/mail/mail.html").write_text(MAIL)


def plan(home: Path) -> tuple[float, int]:
    """CPU seconds of one plan, and how many candidates it decided about."""
    before = _cpu_s()
    made = Project.load(home).plan(AS_OF)
    candidates = sum(number for *_, number in made.counts())
    spent = _cpu_s() - before
    made.close()
    return spent, candidates


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--customers", type=int, default=1_000_000)
    asked.add_argument("--pairs", type=int, default=3)
    asked.add_argument("--plan", type=Path)
    given = asked.parse_args()
    if given.plan:
        print(*plan(given.plan))
        return
    with TemporaryDirectory() as folder:
        make(Path(folder), given.customers)
        ratios = []
        for _ in range(given.pairs):
            spent = {name: _in_a_process(Path(folder) / name) for name in RULES}
            (payments, cases), (silences, quiet) = spent["payments"], spent["silences"]
            ratios.append(payments / silences)
            print(
                f"payments {payments:.1f} s ({cases:,} cases), silences {silences:.1f} s ({quiet:,}): {ratios[-1]:.2f}"
            )
        print(f"median {statistics.median(ratios):.2f}, goal at most {GOAL}")


def _in_a_process(home: Path) -> tuple[float, int]:
    command = [sys.executable, __file__, "--plan", str(home)]
    seconds, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(count)


if __name__ == "__main__":
    main()
