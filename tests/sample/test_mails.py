from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from engine.messages import Mail, Renderer, Sender, Templates, Workspace, load_templates
from engine.sample.project import project_root
from tests.sample.rows import rows_of

FACTS = {
    "signed_up_at": "2026-11-20T18:09:00", "invites": 2, "reports": 0, "last_used_at": "2026-08-02T10:00:00",
    "last_event_at": "2026-11-07T12:00:00", "days_inactive": 45, "trial_ends_on": "2026-11-27", "plan": "team",
    "event_at": "2026-11-21T10:00:00", "reports_shared": 21, "reports_left": 4, "ended_on": "2026-10-22",
    "renews_on": "2026-12-22", "amount_minor": 44100, "next_amount_minor": 49000, "currency": "EUR",
    "open_invoices": 2, "last4": "4242", "pay_url": "https://pay.example.com/I1", "stops_on": "2026-12-04",
    "failed_at": "2026-11-19T08:00:00", "next_attempt_at": "2026-11-25T08:00:00", "paid_at": "2026-11-21T08:00:00",
    "invoice_numbers": "CL-1, CL-2", "number": "CL-1", "product": "Corkline Team", "new_card_last4": "1881",
    "outcome": "cancelled", "brand": "visa", "expires_on": "2026-12-31", "next_charge_on": "2027-01-04",
    "ends_on": "2026-12-12", "years": 2, "projects": 41, "score": 9,
}  # fmt: skip
NOW = datetime(2026, 11, 22, 9)
MAY_BE_MISSING = (
    "last_used_at", "plan", "next_amount_minor", "last4", "pay_url", "stops_on", "next_attempt_at", "invoice_numbers",
    "number", "product", "new_card_last4", "brand", "next_charge_on", "projects",
)  # fmt: skip
SERVICE = ("payment/", "renewal/")
NOTHING_TO_DO = ("payment/settled", "milestones/anniversary", "milestones/one-hundred")


@dataclass(frozen=True)
class Row:
    template: str
    class_: str
    recipient: str
    values_json: str
    zone: str = "Europe/London"
    key: str = "ab" * 32
    snapshot_sha: str = "sample"
    rule: str = "rule"
    step: str = "step"
    customer_id: str = "C1"
    occurrence: str = "I1:soft"
    topic: str = "payment"


def project_templates() -> Templates:
    root = project_root()
    paths = [path for path in (root / "templates").rglob("*") if path.is_file()]
    files = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths}
    return load_templates(files, default_locale="en")


TEMPLATES = project_templates()
NAMES = sorted(TEMPLATES.mails)
RENDERER = Renderer(
    templates_of=lambda _: TEMPLATES,
    workspace=Workspace("Corkline", "en", "EUR", "Europe/London", "12 Sample Street", "https://mail.example.com"),
    senders={"marketing": Sender.of("hello@example.com"), "service": Sender.of("billing@example.com")},
    secrets=["only for tests"],
)


def class_of(name: str) -> str:
    return "service" if name.startswith(SERVICE) else "marketing"


def values_of(name: str, customer: Mapping[str, object], facts: Mapping[str, object]) -> Row:
    values = json.dumps({"customer": customer, "fact": facts, "subscription": {"status": "active"}})
    return Row(name, class_of(name), "kim@example.com", values)


def mail(name: str, customer: Mapping[str, object], facts: Mapping[str, object]) -> Mail:
    return RENDERER.render(values_of(name, customer, facts), NOW)


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_is_whole(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin Field", "locale": "en-GB"}, FACTS)
    assert 8 < len(made.subject) < 60
    assert 8 < len(made.preheader) < 80
    assert "!" not in made.subject
    assert made.html.count("background-color:#0f6b62;border-radius") <= 1
    assert len(re.findall(r'<a href="[^"]*" style="display:inline-block', made.html)) == (name not in NOTHING_TO_DO)
    assert "Hello Robin," in made.text
    assert '<html lang="en" dir="ltr">' in made.html


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_survives_everything_that_may_be_missing(name: str) -> None:
    facts = FACTS | dict.fromkeys(MAY_BE_MISSING)
    made = mail(name, {"first_name": None, "name": None, "locale": None}, facts)
    assert "Hello," in made.text
    assert not re.search(
        r"  |\bNone\b|\bnan\b|\{\{", made.text.replace("    COMEBACK50", "").replace("    RETURN30", "")
    )


@pytest.mark.parametrize(("plan", "named"), [("team", True), ("pro", False), (None, False)])
@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_the_smaller_plan_is_named_only_to_those_who_have_the_larger(
    locale: str, plan: str | None, named: bool
) -> None:
    made = mail("cancellation-scheduled/why", {"first_name": "Kim", "locale": locale}, FACTS | {"plan": plan})
    assert bool(re.search("smaller Pro plan|kleineren Tarif Pro", made.text)) == named
    assert bool(re.search(r"smaller\s+Pro plan|kleineren Tarif Pro", made.html)) == named


@pytest.mark.parametrize(("projects", "reports"), [(1, 0), (3, 1), (0, 4), (None, None)])
@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_an_anniversary_counts_only_what_was_done(locale: str, projects: int | None, reports: int | None) -> None:
    made = mail("milestones/anniversary", {"first_name": "Kim", "locale": locale}, FACTS | {
        "years": 1, "projects": projects, "reports": reports,
    })  # fmt: skip
    assert ("1 " in made.text, "0 " in made.text) == (False, False)
    assert bool(re.search("project|Projekt", made.text)) == bool(projects)
    assert bool(re.search("report|Bericht", made.text)) == bool(projects and reports)


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_lead_to_the_same_places(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    links = set(re.findall(r'href="([^"]*)"', made.html))
    assert links == set(re.findall(r"(?:https|mailto):\S+", made.text))


@pytest.mark.parametrize("name", NAMES)
def test_marketing_shows_the_way_out_and_service_sells_nothing(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    marketing = class_of(name) == "marketing"
    assert ("/u/" in made.html and "/p/" in made.text) == marketing
    assert "12 Sample Street" in made.html
    assert "12 Sample Street" in made.text
    if not marketing:
        assert not re.search(r"offer|discount|% off|half price|code|upgrade", made.text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("locale", "language", "way", "greeting"),
    [
        ("de-AT", "de", "ltr", "Hallo Kim,"),
        ("he-IL", "he", "rtl", "שלום"),
        ("iw", "he", "rtl", "שלום"),
        ("fr-FR", "en", "ltr", "Hello Kim,"),
        ("ja", "en", "ltr", "Hello Kim,"),
    ],
)
def test_the_welcome_speaks_the_customers_language_or_else_english(
    locale: str, language: str, way: str, greeting: str
) -> None:
    made = mail("welcome", {"first_name": "Kim", "name": "Kim", "locale": locale}, FACTS)
    assert f'<html lang="{language}" dir="{way}">' in made.html
    assert greeting in made.text


def test_translations_leave_no_english_behind() -> None:
    translated = [(name, tag) for name in NAMES for tag in TEMPLATES[name].translations]
    assert len(translated) >= 4
    for name, tag in translated:
        made = mail(name, {"first_name": "Kim", "name": "Kim", "locale": tag}, FACTS)
        words = made.subject + made.preheader + made.text + re.sub(r"<[^>]*>", " ", made.html.partition("<body")[2])
        assert not re.search(r"\b(the|your|you|and|this|unsubscribe)\b", words, re.IGNORECASE)


def test_every_sample_customer_can_be_welcomed(small: Path) -> None:
    for row in rows_of(small, "customers"):
        customer = {column: row[column] or None for column in ("first_name", "name", "locale")}
        assert mail("welcome", customer, FACTS).subject


def test_no_template_is_left_unused() -> None:
    rules = "".join(path.read_text("utf-8") for path in (project_root() / "rules").glob("*.yaml"))
    assert {name for name in NAMES if not re.search(rf"send: {name}\b(?!/)", rules)} == set()
