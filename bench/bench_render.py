"""Rendering: ours against Jinja2, with the same values and formats.

    python bench/bench_render.py [MAILS]

**The shipped mails.** Their HTML from templates put together at load, against Jinja2 working through layouts, imports and
gettext for every message in the same sandbox (`tests/messages/layered.py`; tests hold both to the same bytes), and the
same with styles put into the tags for every message. All mails in English and Russian, each as often. Goals: 4 and 6
times as fast.

**A whole mail.** The plain way is what one would write by hand: an autoescaping, strict environment with a layout, an HTML and a text
template, a subject, Babel for the date and itsdangerous for two links; no sandbox, no checks, no bounds. Ours does all
of that and hands back a checked mail. CPU seconds, interleaved.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/messages"))

from babel.dates import format_date
from delivery_world import LAYOUT, MAIL, NOW, message_rows, renderer
from itsdangerous import URLSafeSerializer
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from layered import Layered

from engine.messages import load_templates
from engine.messages.bounds import rendering
from engine.messages.inlining import inlined
from engine.messages.made_up import made_up
from engine.messages.values import Values

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


def shipped(tag: str) -> dict[str, list[Callable[[], str]]]:
    """By way: one function for each shipped mail that makes its HTML once. The last way puts styles into the tags, too."""
    root = Path(__file__).resolve().parents[1]
    files = {str(path.relative_to(root)): path.read_text("utf-8") for path in (root / "templates").rglob("*.*")}
    templates, jinja = load_templates(files, default_locale="en"), Layered(files, tag)
    ways: dict[str, list[Callable[[], str]]] = {"put together at load": [], "layered Jinja2": [], "and inlined": []}
    for mail in templates.mails.values():
        context = values_of(mail.names, tag)
        own = mail.choose(tag)[0].composed.html
        layered = jinja.template(mail.default.path.removeprefix("templates/"))
        page = filled(own, context, tag).replace("<head>", "<head><style>p { margin: 0 }</style>", 1)
        ways["put together at load"].append(partial(filled, own, context, tag))
        ways["layered Jinja2"].append(partial(filled, layered, context, tag))
        ways["and inlined"].append(lambda make=ways["layered Jinja2"][-1], page=page: make() + inlined(page))
    return ways


def values_of(names: Collection[tuple[str, str]], tag: str) -> dict[str, object]:
    """What a mail's templates see."""
    made = made_up(names, {}, NOW, tag)
    spaces = {space: Values(space, made.get(space, {})) for space in ("customer", "fact", "subscription")}
    links = {"unsubscribe": "https://mail.example.com/u/x", "preferences": "https://mail.example.com/p/x"}
    workspace = {"name": "Acme", "postal_address": "1 Road, Town", "public_url": "", "currency": "EUR"}
    return {
        **spaces, "links": Values("links", links), "workspace": Values("workspace", workspace), "lang": tag, "dir": "ltr",
        "subject": "A subject", "preheader": "A preheader",
    }  # fmt: skip


def filled(template: Template, context: dict[str, object], tag: str) -> str:
    """One mail's HTML."""
    rendering.begin(locale=tag, zone="Europe/London", currency="EUR", right_to_left=False)
    return "".join(template.root_render_func(template.new_context(context)))


def compare_shipped() -> None:
    """Print the ratios."""
    for tag in ("en", "ru"):
        ways = shipped(tag)
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(7):
            for name, makers in ways.items():
                begun = time.process_time()
                for make in makers:
                    for _ in range(10):
                        make()
                spent[name].append((time.process_time() - begun) / len(makers) / 10)
        base = statistics.median(spent["put together at load"])
        for name, seconds in spent.items():
            once = statistics.median(seconds)
            print(f"{tag}: {name:22} {once * 1e6:7.0f} CPU us/mail {once / base:6.1f} x")


def main() -> None:
    compare_shipped()
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
