"""Rendering: ours against plain layered Jinja2 with the same layout, values and formats.

    python bench/bench_render.py [MAILS]

The plain way is what one would write by hand: an autoescaping, strict environment with a layout, an HTML and a text
template, a subject, Babel for the date and itsdangerous for two links; no sandbox, no checks, no bounds. Ours does all
of that and hands back a checked mail. CPU seconds, interleaved.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from babel.dates import format_date
from delivery_world import LAYOUT, MAIL, NOW, message_rows, renderer
from itsdangerous import URLSafeSerializer
from jinja2 import DictLoader, Environment, StrictUndefined

TEXT = """Hello {{ customer.name }}

Your last visit was on {{ fact.last_event_at | date }}. Your {{ customer.plan }} plan goes on as it is.

Open my boards <https://app.example.com/boards>

{{ workspace.name }}, {{ workspace.postal_address }}
Unsubscribe <{{ links.unsubscribe }}> Preferences <{{ links.preferences }}>
"""


class Row:
    """A message row without a store."""

    def __init__(self, row: tuple[object, ...]) -> None:
        self.key, self.template, self.snapshot_sha, self.class_ = row[0], row[8], "bench", row[9]
        self.recipient, self.zone, self.values_json = row[5], row[12], row[15]


def plainly(rows: list[Row]) -> Callable[[], None]:
    """The hand-written way."""
    subject_text = MAIL.split("\n")[1].removeprefix("subject: ").strip('"')
    body = MAIL.split("---\n", 2)[2]
    loader = DictLoader({"layouts/base.html": LAYOUT, "mail.html": body, "mail.txt": TEXT, "subject": subject_text})
    environment = Environment(loader=loader, autoescape=lambda name: name.endswith(".html"), undefined=StrictUndefined)
    environment.filters["date"] = lambda value: format_date(NOW.fromisoformat(value).date(), "long", "en")
    signers = [URLSafeSerializer("secret", salt=purpose) for purpose in ("u", "p")]
    html, text, subject = (environment.get_template(name) for name in ("mail.html", "mail.txt", "subject"))

    def run() -> None:
        for row in rows:
            values = json.loads(row.values_json)
            unsubscribe, preferences = (f"https://mail.example.com/{signer.dumps(row.key[:32])}" for signer in signers)
            context = {
                **values, "links": {"unsubscribe": unsubscribe, "preferences": preferences}, "lang": "en", "dir": "ltr",
                "workspace": {"name": "Acme", "postal_address": "1 Road, Town"}, "preheader": "Nothing was moved.",
            }  # fmt: skip
            context["subject"] = subject.render(context)
            html.render(context)
            text.render(context)

    return run


def ours(rows: list[Row]) -> Callable[[], None]:
    render = renderer().render

    def run() -> None:
        for row in rows:
            render(row, NOW)

    return run


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = [Row(row) for row in message_rows(count)]
    ways = {"plain layered Jinja2": plainly(rows), "ours": ours(rows)}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(7):
        for name, run in ways.items():
            begun = time.process_time()
            run()
            spent[name].append(time.process_time() - begun)
    for name, seconds in spent.items():
        print(f"{name:22} {statistics.median(seconds) / count * 1e6:7.0f} CPU us/mail")
    pairs = zip(spent["plain layered Jinja2"], spent["ours"], strict=True)
    print(f"ours is {statistics.median(plain / own for plain, own in pairs):.2f} x as fast")


if __name__ == "__main__":
    main()
