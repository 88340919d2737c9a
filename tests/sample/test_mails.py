from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest

from engine.messages import Mail, Renderer, Sender, Workspace, load_templates
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
    "outcome": "cancelled", "expires_on": "2026-12-31", "next_charge_on": "2027-01-04", "ends_on": "2026-12-12",
    "years": 2, "projects": 41, "score": 9,
}  # fmt: skip
NOW = datetime(2026, 11, 22, 9)
MAY_BE_MISSING = frozenset({
    "last_used_at", "plan", "next_amount_minor", "last4", "pay_url", "stops_on", "next_attempt_at", "invoice_numbers",
    "number", "product", "new_card_last4", "next_charge_on", "projects", "reports", "reports_left",
})  # fmt: skip
SERVICE = ("payment/", "renewal/", "price-rise/")
NOTHING_TO_DO = ("payment/settled", "milestones/anniversary", "milestones/one-hundred", "best-customers")
BUTTON = re.compile(r'<a href="[^"]*"[^>]*background: #0f6b62')


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


def project_files() -> dict[str, str]:
    root = project_root()
    paths = [path for path in (root / "templates").rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths}


TEMPLATES = load_templates(project_files(), default_locale="en")
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


def missing_from(name: str) -> list[str]:
    """The facts a mail reads that a customer may not have. Nobody is told of a new price without one."""
    reads = {column for space, column in TEMPLATES.values_needed(name) if space == "fact"} & MAY_BE_MISSING
    return sorted(reads - ({"next_amount_minor"} if name.startswith("price-rise/") else set()))


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_is_whole(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin Field", "locale": "en-GB"}, FACTS)
    assert 8 < len(made.subject) < 60
    assert 8 < len(made.preheader) < 80
    assert "!" not in made.subject
    assert len(BUTTON.findall(made.html)) == (name not in NOTHING_TO_DO)
    assert "Hello Robin," in made.text
    assert '<html lang="en" dir="ltr"' in made.html
    assert made.html.count("<h1") == (not name.startswith("payment/"))


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_reads_well_whatever_is_missing(name: str) -> None:
    may_be = missing_from(name)
    for kept in product((True, False), repeat=len(may_be)):
        given = FACTS | {fact: FACTS[fact] if keep else None for fact, keep in zip(may_be, kept, strict=True)}
        made = mail(name, {"first_name": None, "name": None, "locale": None}, given)
        everything = "\n".join((made.subject, made.preheader, made.text))
        assert "Hello,\n" in made.text
        assert not re.search(r"\bNone\b|\bnan\b|\{\{|\{%|<tbody></tbody>|<p[^>]*>\s*</p>", everything + made.html)
        assert not re.search(r"  | [.,;:]|[.!?,;:](?=[A-Z])|\n\n\n", re.sub(r" <\S*>", "", everything))


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_fetches_nothing(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    assert not re.search(r"@import|@font-face|<link|<img|url\(|src=", made.html)


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_told_apart_from_layout(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    for table in re.findall(r"<table[^>]*>", made.html):
        assert ('role="presentation"' in table) != ('class="details"' in table)
    assert made.html.count("<th ") == made.html.count('<th scope="row"')


def test_a_mail_from_right_to_left_stands_on_the_right() -> None:
    hebrew = load_templates(project_files(), default_locale="he")
    renderer = Renderer(lambda _: hebrew, RENDERER.workspace, RENDERER.senders, ["only for tests"])
    made = renderer.render(values_of("first-project/templates", {"first_name": "Kim", "locale": "he-IL"}, FACTS), NOW)
    assert '<html lang="he" dir="rtl"' in made.html
    assert 'align="left"' not in made.html
    assert "direction: ltr" not in made.html


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("text", "paper"),
    [
        ("#2b363a", "#ffffff"), ("#17262b", "#ffffff"), ("#17262b", "#f3f1ec"), ("#0f6b62", "#ffffff"),
        ("#5f6b70", "#ffffff"), ("#5f6b70", "#f3f1ec"), ("#ffffff", "#0f6b62"),
        ("#e6e8e6", "#1c2427"), ("#e6e8e6", "#12181a"), ("#f4f5f3", "#1c2427"), ("#7fd0c4", "#1c2427"),
        ("#7fd0c4", "#12181a"), ("#9dabae", "#12181a"), ("#9dabae", "#1c2427"),
    ],
)  # fmt: skip
def test_text_stands_out_in_light_and_dark(text: str, paper: str) -> None:
    layouts = "".join(made for path, made in project_files().items() if path.startswith("templates/layouts/"))
    assert text in layouts
    assert paper in layouts
    brighter, darker = sorted((luminance(text), luminance(paper)), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize(("plan", "named"), [("team", True), ("pro", False), (None, False)])
def test_the_smaller_plan_is_named_only_to_those_who_have_the_larger(plan: str | None, named: bool) -> None:
    made = mail("cancellation-scheduled/last-days", {"first_name": "Kim", "locale": "en"}, FACTS | {"plan": plan})
    assert ("smaller Pro plan" in made.text) == named
    assert ("smaller Pro plan" in made.html) == named


@pytest.mark.parametrize(("projects", "reports"), [(1, 0), (3, 1), (0, 4), (None, None)])
def test_an_anniversary_counts_only_what_was_done(projects: int | None, reports: int | None) -> None:
    facts = FACTS | {"years": 1, "projects": projects, "reports": reports}
    made = mail("milestones/anniversary", {"first_name": "Kim", "locale": "en"}, facts)
    assert made.subject == "One year with us. Thank you"
    assert ("Projects created" in made.text) == bool(projects)
    assert ("Reports shared" in made.text) == bool(reports)
    assert ("last twelve months" in made.text) == bool(projects or reports)


def test_a_higher_price_is_shown_beside_the_old_one() -> None:
    for name in ("price-rise/in-a-month", "price-rise/in-a-week"):
        made = mail(name, {"first_name": "Kim", "locale": "en-GB"}, FACTS)
        assert "Price so far: €441.00" in made.text
        assert "New price: €490.00" in made.text
        assert "cancel" in made.text


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_lead_to_the_same_places(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    links = set(re.findall(r'href="([^"]*)"', made.html))
    assert links == set(re.findall(r"<((?:https|mailto):\S+)>", made.text))


@pytest.mark.parametrize("name", NAMES)
def test_marketing_shows_the_way_out_and_service_sells_nothing(name: str) -> None:
    made = mail(name, {"first_name": "Robin", "name": "Robin", "locale": "en"}, FACTS)
    marketing = class_of(name) == "marketing"
    assert ("/u/" in made.html and "/p/" in made.text) == marketing
    assert "12 Sample Street" in made.html
    assert "12 Sample Street" in made.text
    if not marketing:
        assert not re.search(r"offer|discount|% off|half price|code|upgrade", made.text, re.IGNORECASE)


@pytest.mark.parametrize("locale", ["tlh", "fy-NL", "", None])
def test_who_reads_a_language_that_is_not_there_gets_english(locale: str | None) -> None:
    made = mail("welcome", {"first_name": "Kim", "name": "Kim", "locale": locale}, FACTS)
    assert '<html lang="en" dir="ltr"' in made.html
    assert "Hello Kim," in made.text


def test_translations_leave_no_english_behind() -> None:
    translated = [(name, tag) for name in NAMES for tag in TEMPLATES[name].translations]
    for name, tag in translated:
        made = mail(name, {"first_name": "Kim", "name": "Kim", "locale": tag}, FACTS)
        words = made.subject + made.preheader + made.text + re.sub(r"<[^>]*>", " ", made.html.partition("<body")[2])
        assert not re.search(r"\b(the|your|you|and|this|unsubscribe)\b", words, re.IGNORECASE)


def test_texts_for_translators_are_few_and_no_two_are_nearly_the_same() -> None:
    texts = {message.key for template in TEMPLATES.mails.values() for _, message in template.messages}
    words = [" ".join(re.findall(r"\w+", singular.lower())) for singular, _ in texts]
    assert len(texts) < 350
    assert sorted(set(words)) == sorted(words)


def test_every_sample_customer_can_be_welcomed(small: Path) -> None:
    for row in rows_of(small, "customers"):
        customer = {column: row[column] or None for column in ("first_name", "name", "locale")}
        assert mail("welcome", customer, FACTS).subject


def test_no_template_is_left_unused() -> None:
    rules = "".join(path.read_text("utf-8") for path in (project_root() / "rules").glob("*.yaml"))
    assert {name for name in NAMES if not re.search(rf"send: {name}\b(?!/)", rules)} == set()
