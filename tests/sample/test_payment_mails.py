"""What must hold for every mail about a payment, in every language, whatever is missing."""

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
LOCALES = ("en-GB", "de-DE")
OUTCOMES = ("cancelled", "unpaid", "paused", "written_off")
WHY = ("fraud_suspected", "no_address", "address_refused", "too_old", "needs_a_look")

PAY_URL = "https://pay.example.com/I1?a=1&b=2"
SUMS: dict[tuple[int, str], tuple[str, str]] = {
    (2900, "JPY"): ("¥2,900", "2.900 ¥"),
    (1250, "KWD"): ("KWD 1.250", "1,250 KWD"),
    (123456, "EUR"): ("€1,234.56", "1.234,56 €"),
    (4900, "USD"): ("US$49.00", "49,00 $"),
}
"""Amount and currency, and how English and German write it."""

ALWAYS: dict[str, object] = {"failed_at": "2026-11-19T08:00:00", "paid_at": "2026-11-27T10:00:00", "days_left": 12}
OPTIONAL: dict[str, object] = {
    "invoice_numbers": "CL-1, CL-2", "last4": "4242", "pay_url": PAY_URL, "product": "Corkline Team",
    "stops_on": "2026-12-03", "new_card_last4": "1881", "next_attempt_at": "2026-11-25T08:00:00",
}  # fmt: skip
DATES = {
    "stops_on": ("3 December 2026", "3. Dezember 2026"),
    "next_attempt_at": ("25 November 2026", "25. November 2026"),
}

NEVER = {
    "en": "fraud|stolen|lost|suspicious|suspect|insufficient|expired|declin|refus|offer|discount|upgrade|% off|urgent|"
    "immediate|last chance|final|act now|hurry|overdue|debt|delinquent|collection|warning|terminat|suspend",
    "de": "betrug|gestohlen|verloren|verdächtig|deckung|abgelaufen|abgelehnt|gesperrt|angebot|rabatt|dringend|sofort|"
    "umgehend|mahn|letzte|inkasso|schuld|warnung|kündig|werben",
}
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


def assert_fit(made: Mail, locale: str, facts: dict[str, object], url: object) -> None:
    """What holds for every mail about a payment."""
    everything = "\n".join((made.subject, made.preheader, made.text, words_of(made)))
    visible = re.sub(r"https://\S+", "", everything)
    letter = made.text.partition("\n--\n")[0]

    assert re.findall(r'href="([^"]*)"', made.html) == ([str(url).replace("&", "&amp;")] if url else [])
    assert re.findall(r"[a-z]+:/*\S+\.\S+", made.text) == ([url] if url else [])
    assert not re.search(NEVER[locale[:2]], visible, re.IGNORECASE)
    assert not [entry.code for entry in decline_codes() if "_" in entry.code and entry.code in everything]
    assert not re.search(r"\{\{|\{%|\bNone\b|\bnan\b|\(\)|!", everything)
    assert not re.search(r"  | [.,;:]|\n\n\n|\.\.|,,", letter)
    assert 8 < len(made.subject) <= 60
    assert 8 < len(made.preheader) < 90
    for line in letter.splitlines():
        assert line.startswith("https://") or " ".join(line.split()).removesuffix(":") in words_of(made)

    right = SUMS[facts["amount_minor"], facts["currency"]][locale == "de-DE"]  # type: ignore[index]
    sums = re.findall(re.escape(right) + r"(?![\d.,]*\d)", everything.replace("\N{NO-BREAK SPACE}", " "))
    assert right in letter.replace("\N{NO-BREAK SPACE}", " ")
    assert len(sums) == len(re.findall(r"[¥€$]|KWD", everything))
    assert re.findall(r"(?:ending in|Endziffern) (\d{4})", letter) == (["4242"] if facts.get("last4") else [])
    assert everything.count("4242") == 2 * bool(facts.get("last4"))  # once in each part
    assert "1881" not in everything


def test_each_group_has_its_ladder_and_its_outcome() -> None:
    others = {"payment/settled", "payment/card-expiring"}
    assert {name for name in NAMES if name.startswith("payment/")} == {*OPEN, *LOST, *others}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("payment/")])
def test_each_is_written_in_both_languages_with_a_text_part_of_its_own(name: str) -> None:
    assert set(TEMPLATES[name].translations) == {"de"}
    assert not any(variant.text_is_derived for variant in TEMPLATES[name].variants)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("payment/")])
def test_none_reads_why_the_bank_refused(name: str) -> None:
    words = {column for space, column in TEMPLATES.values_needed(name) if space == "fact"}
    assert not words & {"decline_code", "advice_code", "group", "why"}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", OPEN)
def test_a_mail_about_an_open_payment_reads_well_whatever_is_missing(name: str, locale: str) -> None:
    german = locale == "de-DE"
    for facts in combinations(OPTIONAL):
        for open_invoices, first_name in ((1, "Kim"), (2, None)):
            facts["open_invoices"] = open_invoices
            if open_invoices == 1 and facts["invoice_numbers"]:
                facts["invoice_numbers"] = "CL-1"
            made = mail(name, {"first_name": first_name, "name": first_name, "locale": locale}, facts)
            assert_fit(made, locale, facts, facts["pay_url"])
            letter = made.text.partition("\n--\n")[0]
            greeting, first, outlook = letter.split("\n\n")[:3]
            assert greeting == f"{'Hallo' if german else 'Hello'}{' Kim' if first_name else ''},"
            # The first sentence: sum, product or invoices, card.
            sentence = re.split(r"\.(?: |\Z)", first.replace("CL-", ""))[0]
            assert not facts["last4"] or "4242" in sentence
            if open_invoices == 1:
                assert not facts["product"] or "Corkline Team" in sentence
            else:
                assert ("2 Rechnungen" if german else "2 invoices") in sentence
                assert "Corkline Team" not in letter
            assert str(facts["invoice_numbers"] or "") in first
            # Then what happens, and when.
            assert not facts["stops_on"] or DATES["stops_on"][german] in outlook
            tells_next_attempt = (
                name.startswith(("payment/soft", "payment/details")) and name != "payment/details/final"
            )
            assert (DATES["next_attempt_at"][german] in outlook) == bool(
                facts["next_attempt_at"] and tells_next_attempt
            )
            other_card = "andere Karte hinterlegt" if german else "another card on your account"
            assert (other_card in first) == bool(facts["new_card_last4"] and "wish" not in name)
            assert ("inzwischen bezahlt" if german else "paid in the meantime") in letter


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", LOST)
def test_an_outcome_reads_well_whatever_is_missing(name: str, locale: str) -> None:
    optional = {key: OPTIONAL[key] for key in ("last4", "pay_url", "product")}
    for facts, outcome in product(combinations(optional), OUTCOMES):
        given = facts | {"outcome": outcome, "ended_on": "2026-12-03"}
        made = mail(name, {"first_name": "Kim", "name": "Kim", "locale": locale}, given)
        assert_fit(made, locale, given, None if outcome == "written_off" else facts["pay_url"])
        assert DATES["stops_on"][locale == "de-DE"] in made.text
        assert not facts["product"] or "Corkline Team" in made.text


@pytest.mark.parametrize("locale", LOCALES)
def test_thanks_ask_for_nothing(locale: str) -> None:
    for facts in combinations({"product": "Corkline Team", "number": "CL-1"}):
        made = mail("payment/settled", {"first_name": None, "name": None, "locale": locale}, facts)
        assert_fit(made, locale, facts, None)
        assert ("27. November 2026" if locale == "de-DE" else "27 November 2026") in made.text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_card_that_runs_out_is_told_by_its_last_digits_and_day(locale: str) -> None:
    for last4, brand, charged in product(("4242", None), ("visa", None), ("2026-12-04", None)):
        facts: dict[str, object] = {
            "last4": last4, "brand": brand, "expires_on": "2026-11-30", "next_charge_on": charged,
        }  # fmt: skip
        made = mail("payment/card-expiring", {"first_name": "Kim", "name": "Kim", "locale": locale}, facts)
        assert not re.search(NEVER[locale[:2]], made.text + made.subject, re.IGNORECASE)
        assert not re.search(r"  | [.,;:]|None|!", made.text)
        assert re.findall(r'href="([^"]*)"', made.html) == ["https://app.example.com/billing"]
        assert made.text.count("4242") == bool(last4)
        assert ("30. November 2026" if locale == "de-DE" else "30 November 2026") in made.subject


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", [*OPEN, "payment/settled"])
def test_a_subject_has_room_for_a_large_sum(name: str, locale: str) -> None:
    for amount_minor, currency in ((98_765_432, "JPY"), (9_876_543, "EUR"), (9_876_543, "KWD")):
        facts = (
            ALWAYS | OPTIONAL | {"amount_minor": amount_minor, "currency": currency, "open_invoices": 1, "number": None}
        )
        assert len(mail(name, {"first_name": None, "name": None, "locale": locale}, facts).subject) <= 60


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
