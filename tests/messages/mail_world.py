"""A small workspace with templates, for tests that render."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.errors import SetupError
from engine.messages import Mail, Renderer, Sender, Templates, Workspace, load_templates

NOW = datetime(2026, 11, 23, 9, 0)
KEY = "c0ffee" + "0" * 58
WORKSPACE = Workspace("Acme", "en", "EUR", "Europe/London", "1 Road, Town", "https://mail.example.com")
SENDERS = {
    "marketing": Sender.of("Acme <hello@example.com>", "hello@example.com"),
    "service": Sender.of("Acme Billing <billing@example.com>"),
}
LAYOUT = """<html lang="{{ lang }}" dir="{{ dir }}"><head><title>{{ subject }}</title></head><body>
{% block body %}{% endblock %}
<p>{{ workspace.postal_address }} <a href="{{ links.unsubscribe }}">x</a> <a href="{{ links.preferences }}">y</a></p>
</body></html>"""


@dataclass(frozen=True)
class Row:
    """What rendering reads of an outbox row."""

    values_json: str = "{}"
    template: str = "m"
    class_: str = "service"
    recipient: str = "ann@example.com"
    zone: str = "Europe/Berlin"
    key: str = KEY
    snapshot_sha: str = "s"


def front(body: str, subject: str = "Hello", **more: str) -> str:
    """A mail.html with front matter."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in {"subject": subject, **more}.items()]
    return "---\n" + "\n".join(lines) + "\n---\n" + body


def load(files: Mapping[str, str], default_locale: str = "en") -> Templates:
    """Files given by their path below templates/."""
    return load_templates({f"templates/{path}": text for path, text in files.items()}, default_locale=default_locale)


def load_mail(body: str, subject: str = "Hello", **more: str) -> Templates:
    """One mail named m."""
    return load({"layouts/base.html": LAYOUT, "m/mail.html": front(body, subject, **more)})


def problems(files: Mapping[str, str]) -> list[str]:
    """`path:line CODE` of everything wrong with these files."""
    try:
        load(files)
    except SetupError as error:
        return [f"{one.place.removeprefix('templates/')} {one.code}" for one in error.problems]
    return []


def body_problems(body: str, subject: str = "Hello") -> list[str]:
    """Codes of everything wrong with a mail's body; the body begins on line 4."""
    return [
        one.rsplit(" ", 1)[1] for one in problems({"layouts/base.html": LAYOUT, "m/mail.html": front(body, subject)})
    ]


def renderer(templates: Templates, workspace: Workspace = WORKSPACE) -> Renderer:
    return Renderer(lambda sha: templates, workspace, SENDERS, ["secret"])


def render(templates: Templates, customer: Mapping[str, object] | None = None, *, fact: Mapping[str, object] | None = None,
           **row: str) -> Mail:  # fmt: skip
    """The mail m for a customer."""
    values = {"customer": dict(customer or {}), "fact": dict(fact or {})}
    return renderer(templates).render(Row(json.dumps(values), **row), NOW)


def html_of(body: str, customer: Mapping[str, object] | None = None, **fact: object) -> str:
    """What a mail's body comes out as."""
    return render(load_mail(body), customer, fact=fact).html
