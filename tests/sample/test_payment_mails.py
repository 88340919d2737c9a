"""What must hold for every mail about a payment, whatever is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import cycle, product

import pytest

from engine.messages import Mail
from engine.triggers.decline_codes import decline_codes
from tests.sample.test_mails import NAMES, NOW, RENDERER, TEMPLATES, mail, values_of

GROUPS = ("soft", "details", "hard", "authentication", "wish-to-stop")
OPEN = [
    *(f"payment/{group}/{stage}" for group in GROUPS[:-1] for stage in ("first", "reminder", "final")),
    "payment/wish-to-stop/first",
]
LOST = [f"payment/{group}/outcome" for group in GROUPS]
OUTCOMES = ("cancelled", "unpaid", "paused", "written_off")
WHY = ("fraud_suspected", "no_address", "address_refused", "too_old", "needs_a_look")

PAY_URL = "https://pay.example.com/I1?a=1&b=2"
SUMS: dict[tuple[int, str], str] = {
    (2900, "JPY"): "¥2,900", (1250, "KWD"): "KWD 1.250", (123456, "EUR"): "€1,234.56", (4900, "USD"): "US$49.00",
}  # fmt: skip
"""Amount and currency, and how English writes it."""

ALWAYS: dict[str, object] = {"failed_at": "2026-11-19T08:00:00", "paid_at": "2026-11-27T10:00:00", "days_left": 12}
OPTIONAL: dict[str, object] = {
    "invoice_numbers": "CL-1, CL-2", "last4": "4242", "pay_url": PAY_URL, "product": "Corkline Team",
    "stops_on": "2026-12-03", "new_card_last4": "1881", "next_attempt_at": "2026-11-25T08:00:00",
}  # fmt: skip

NEVER = (
    "fraud|stolen|lost|suspicious|suspect|insufficient|expired|declin|refus|offer|discount|upgrade|% off|urgent|"
    "immediate|last chance|final|act now|hurry|overdue|debt|delinquent|collection|warning|terminat|suspend"
)
"""Why the bank refused, pressure, and anything for sale."""


def combinations(optional: dict[str, object]) -> Iterator[dict[str, object]]:
    """Every choice of optional facts; the amounts take turns."""
    sums = cycle(SUMS)
    for chosen in product((True, False), repeat=len(optional)):
        amount_minor, currency = next(sums)
        given = {name: value if keep else None for keep, (name, value) in zip(chosen, optional.items(), strict=True)}
        yield ALWAYS | {"amount_minor": amount_minor, "currency": currency} | given


def words_of(made: Mail) -> str:
    """Everything a reader reads in the HTML part, on one line."""
    body = re.sub(r"<!--.*?-->|<head>.*?</head>", "", made.html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def letter_of(made: Mail) -> str:
    """The text part from the greeting to the regards."""
    return made.text[made.text.index("Hello") : made.text.index("Kind regards,")].strip()


def listed(made: Mail) -> dict[str, str]:
    """The small table of facts, as the text part shows it."""
    return dict(re.findall(r"^([A-Z][^.?!\n]*): (.+)$", letter_of(made), re.MULTILINE))


def assert_fit(made: Mail, facts: dict[str, object], url: object) -> None:
    """What holds for every mail about a payment."""
    everything = "\n".join((made.subject, made.preheader, made.text, words_of(made)))
    visible = re.sub(r"https://\S+", "", everything)
    letter = letter_of(made)

    assert re.findall(r'href="([^"]*)"', made.html) == ([str(url).replace("&", "&amp;")] if url else [])
    assert re.findall(r"[a-z]+:/*\S+\.[^\s>]+", made.text) == ([url] if url else [])
    assert not re.search(NEVER, visible, re.IGNORECASE)
    assert not [entry.code for entry in decline_codes() if "_" in entry.code and entry.code in everything]
    assert not re.search(r"\{\{|\{%|\bNone\b|\bnan\b|\(\)|!", everything)
    assert not re.search(r"  | [.,;:]|[.!?](?=[A-Z])|\n\n\n|\.\.|,,", re.sub(r" <\S*>", "", letter))
    assert 8 < len(made.subject) <= 60
    assert 8 < len(made.preheader) < 90
    for line in letter.splitlines():
        assert " ".join(line.partition(" <")[0].split()) in words_of(made)

    right = SUMS[facts["amount_minor"], facts["currency"]]  # type: ignore[index]
    sums = re.findall(re.escape(right) + r"(?![\d.,]*\d)", everything.replace("\N{NO-BREAK SPACE}", " "))
    assert right in letter.replace("\N{NO-BREAK SPACE}", " ")
    assert len(sums) == len(re.findall(r"[¥€$]|KWD", everything))
    assert listed(made).get("Last digits of the card") == facts.get("last4")
    assert everything.count("4242") == 2 * bool(facts.get("last4"))  # once in each part
    assert "1881" not in everything


def test_each_group_has_its_ladder_and_its_outcome() -> None:
    others = {"payment/settled", "payment/card-expiring"}
    assert {name for name in NAMES if name.startswith("payment/")} == {*OPEN, *LOST, *others}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("payment/")])
def test_none_reads_why_the_bank_refused(name: str) -> None:
    words = {column for space, column in TEMPLATES.values_needed(name) if space == "fact"}
    assert not words & {"decline_code", "advice_code", "group", "why"}


@pytest.mark.parametrize("name", OPEN)
def test_a_mail_about_an_open_payment_reads_well_whatever_is_missing(name: str) -> None:
    for facts in combinations(OPTIONAL):
        for open_invoices, first_name in ((1, "Kim"), (2, None)):
            facts["open_invoices"] = open_invoices
            if open_invoices == 1 and facts["invoice_numbers"]:
                facts["invoice_numbers"] = "CL-1"
            made = mail(name, {"first_name": first_name, "name": first_name, "locale": "en-GB"}, facts)
            assert_fit(made, facts, facts["pay_url"])
            letter = letter_of(made)
            assert letter.startswith("Hello Kim,\n" if first_name else "Hello,\n")
            assert ("added another card" in letter) == bool(facts["new_card_last4"] and "wish" not in name)
            assert "paid in the meantime" in letter
            assert_lists(name, listed(made), facts)


def assert_lists(name: str, shown: dict[str, str], facts: dict[str, object]) -> None:
    """The table says what is known: what it is for, when it was tried, and what happens when."""
    one = facts["open_invoices"] == 1
    tells_next_attempt = name.startswith(("payment/soft", "payment/details")) and name != "payment/details/final"
    assert shown.get("Product") == (facts["product"] if one else None)
    assert shown.get("Invoice") == (facts["invoice_numbers"] if one else None)
    assert shown.get("Invoices") == (None if one else facts["invoice_numbers"])
    assert shown.get("Number of invoices") == (None if one or facts["invoice_numbers"] else "2")
    assert shown["First attempt on"] == "19 November 2026"
    assert shown.get("Next attempt on") == (
        "25 November 2026" if tells_next_attempt and facts["next_attempt_at"] else None
    )
    assert shown.get("If unpaid, your subscription ends on") == ("3 December 2026" if facts["stops_on"] else None)


@pytest.mark.parametrize("name", LOST)
def test_an_outcome_reads_well_whatever_is_missing(name: str) -> None:
    optional = {key: OPTIONAL[key] for key in ("last4", "pay_url", "product")}
    for facts, outcome in product(combinations(optional), OUTCOMES):
        given = facts | {"outcome": outcome, "ended_on": "2026-12-03"}
        made = mail(name, {"first_name": "Kim", "name": "Kim", "locale": "en-GB"}, given)
        assert_fit(made, given, None if outcome == "written_off" else facts["pay_url"])
        assert "3 December 2026" in made.text
        assert listed(made).get("Product") == facts["product"]


def test_thanks_ask_for_nothing() -> None:
    for facts in combinations({"product": "Corkline Team", "number": "CL-1"}):
        made = mail("payment/settled", {"first_name": None, "name": None, "locale": "en-GB"}, facts)
        assert_fit(made, facts, None)
        assert "27 November 2026" in made.text
        assert listed(made).get("Invoice") == facts["number"]


def test_a_card_that_runs_out_is_told_by_its_last_digits_and_day() -> None:
    for last4, charged in product(("4242", None), ("2026-12-04", None)):
        facts: dict[str, object] = {"last4": last4, "expires_on": "2026-11-30", "next_charge_on": charged}
        made = mail("payment/card-expiring", {"first_name": "Kim", "name": "Kim", "locale": "en-GB"}, facts)
        assert not re.search(NEVER, made.text + made.subject, re.IGNORECASE)
        assert not re.search(r"  | [.,;:]|None|!", made.text)
        assert re.findall(r'href="([^"]*)"', made.html) == ["https://app.example.com/billing"]
        assert made.text.count("4242") == bool(last4)
        assert "30 November 2026" in made.subject


@pytest.mark.parametrize("name", [*OPEN, "payment/settled"])
def test_a_subject_has_room_for_a_large_sum(name: str) -> None:
    for amount_minor, currency in ((98_765_432, "JPY"), (9_876_543, "EUR"), (9_876_543, "KWD")):
        facts = (
            ALWAYS | OPTIONAL | {"amount_minor": amount_minor, "currency": currency, "open_invoices": 1, "number": None}
        )
        assert len(mail(name, {"first_name": None, "name": None, "locale": "en-GB"}, facts).subject) <= 60


@pytest.mark.parametrize("why", WHY)
def test_a_task_tells_a_person_what_to_look_at(why: str) -> None:
    for chosen in product((True, False), repeat=len(OPTIONAL)):
        given = {key: value if keep else None for keep, (key, value) in zip(chosen, OPTIONAL.items(), strict=True)}
        facts = given | ALWAYS | {
            "why": why, "amount_minor": 2900, "currency": "JPY", "open_invoices": 2, "attempt_count": 3,
            "earlier_failures": 1 if chosen[0] else 0,
        }  # fmt: skip
        note = RENDERER.note(values_of("payment/for-a-person", {"name": "Kim" if chosen[1] else None}, facts), NOW)
        assert "¥2,900" in note.title
        assert not re.search(r"None|\{\{|  ", note.title + note.text)
        reason, *facts_listed = note.text.strip("\n").split("\n\n")
        assert len(reason) > 80
        assert all(line.startswith("- ") and line.count(": ") <= 1 for line in facts_listed[0].splitlines())
        assert len(facts_listed[0].splitlines()) == 2 + chosen[0] + bool(facts["stops_on"]) + bool(facts["pay_url"])
        assert (PAY_URL in note.text) == bool(facts["pay_url"])
