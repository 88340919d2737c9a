"""What the delivery benchmarks send: a project of one small mail, and a state full of planned messages."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from engine.messages import Renderer, Sender, Templates, Workspace, load_templates
from engine.store import Store

NOW = datetime(2026, 11, 23, 9, 0)
SHA = "bench"

LAYOUT = """<!doctype html>
<html lang="{{ lang }}" dir="{{ dir }}"><head><meta charset="utf-8"><title>{{ subject }}</title></head>
<body><div style="display:none">{{ preheader }}</div>
<table role="presentation" width="100%"><tr><td style="padding:24px;font-family:Arial,sans-serif">
{% block body %}{% endblock %}
</td></tr></table>
<p style="font-size:12px">{{ workspace.name }}, {{ workspace.postal_address }}<br>
<a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p>
</body></html>
"""
MAIL = """---
subject: "{{ customer.name }}, your boards are where you left them"
preheader: Nothing was moved, and nothing is lost.
---
{% extends "layouts/base.html" %}
{% block body %}
<h1>Hello {{ customer.name }}</h1>
<p>Your last visit was on {{ fact.last_event_at | date }}. Your {{ customer.plan }} plan goes on as it is.</p>
<p><a href="https://app.example.com/boards">Open my boards</a></p>
{% endblock %}
"""


def templates() -> Templates:
    files = {"templates/layouts/base.html": LAYOUT, "templates/quiet/mail.html": MAIL}
    return load_templates(files, default_locale="en")


def renderer() -> Renderer:
    loaded = templates()
    workspace = Workspace("Acme", "en", "EUR", "Europe/London", "1 Road, Town", "https://mail.example.com")
    return Renderer(lambda sha: loaded, workspace, {"marketing": Sender.of("Acme <hello@example.com>")}, ["secret"])


def message_rows(count: int) -> list[tuple[object, ...]]:
    values = {
        "customer": {"name": "Ann Lee", "plan": "team", "locale": None},
        "fact": {"last_event_at": "2026-10-21 08:30:00"},
    }
    packed = json.dumps(values)
    return [
        (sha256(f"key {n}".encode()).hexdigest(), "quiet", f"c{n}", "2026-10-21", "quiet", f"c{n}@example.com", f"a{n}",
         "email", "quiet", "marketing", "win-back", "treated", "Europe/London", NOW, NOW + timedelta(days=3), packed, "")
        for n in range(count)
    ]  # fmt: skip


def filled_store(folder: Path, count: int) -> Store:
    store = Store.open(f"sqlite:///{folder}/state.db")
    store.snapshots.save(SHA, {})
    run = store.runs.begin("daily", date(2026, 11, 23), NOW, NOW + timedelta(days=1), SHA, NOW)
    store.ledger.write_chunk(run.id, "1", [], [], [], message_rows(count))
    return store
