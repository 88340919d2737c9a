from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_world import html_of, load_mail, render

from engine.currencies import exponent
from engine.messages import formats
from engine.messages.mail import RenderFailed


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "shown"),
    [
        (123450, "EUR", "de", "1.234,50\u00a0€"),
        (123450, "EUR", "en", "€1,234.50"),
        (500, "JPY", "en", "¥500"),
        (500, "JPY", "ja", "￥500"),
        (1234567, "KWD", "en", "KWD\u00a01,234.567"),
        (1234567, "KWD", "de", "1.234,567\u00a0KWD"),
        (1990, "ILS", "he", "\u200f19.90\u00a0\u200f₪"),
        (-5, "usd", "en", "-$0.05"),
        (0, "EUR", "fr", "0,00\u00a0€"),
        (9007199254740993, "EUR", "en", "€90,071,992,547,409.93"),  # 2^53 + 1: a float would lose the last cent
        (123456, "RSD", "en", "RSD\u00a01,234.56"),  # CLDR shows dinars without decimals; nothing may be rounded away
    ],
)
def test_money_is_exact_in_the_currency_and_language(amount: int, currency: str, locale: str, shown: str) -> None:
    assert formats.money(amount, currency, locale) == shown


@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF", "USD"]),
    st.sampled_from(["en", "de", "he", "fr", "ar"]),
)
def test_the_digits_of_an_amount_are_those_of_its_minor_unit(amount: int, currency: str, locale: str) -> None:
    digits = "".join(character for character in formats.money(amount, currency, locale) if character.isdigit())
    assert int(digits) == abs(amount)


def test_exponents_agree_with_the_published_lists(shared_data: Path) -> None:
    published = json.loads((shared_data / "billing" / "currency_minor_units.json").read_text())
    # MGA has a fifth as its minor unit on paper; payment providers count whole ariary, ISO 4217 counts two decimals.
    assert {code.upper() for code in published["zero_decimal"] if exponent(code) != 0} == {"MGA"}
    assert all(exponent(code) == 3 for code in published["three_decimal"])


def test_an_unknown_currency_fails_the_mail_and_not_the_engine() -> None:
    with pytest.raises(RenderFailed, match='"XYZ" is not a currency code'):
        html_of("{{ fact.a | money(fact.c) }}", a=5, c="XYZ")


@pytest.mark.parametrize("amount", [12.5, "12.5", "abc", True])
def test_an_amount_that_is_no_whole_number_fails_the_mail(amount: object) -> None:
    with pytest.raises(RenderFailed):
        html_of("{{ fact.a | money('EUR') }}", a=amount)


def test_dates_and_numbers_follow_the_language_of_the_mail() -> None:
    assert formats.date_text(date(2026, 2, 1), "long", "de") == "1. Februar 2026"
    assert formats.date_text(date(2026, 2, 1), "long", "en-GB") == "1 February 2026"
    assert formats.number(Decimal("1234567.5"), "de") == "1.234.567,5"
    assert "פברואר" in formats.date_text(date(2026, 2, 1), "long", "he")


def test_an_instant_is_shown_on_the_customers_own_clock() -> None:
    mail = render(
        load_mail("{{ fact.at | datetime }} {{ fact.at | date('short') }}"), fact={"at": "2026-01-31 23:30:00"}
    )
    assert "Feb 1, 2026, 12:30:00" in mail.html  # Berlin
    assert "2/1/26" in mail.html


def test_a_calendar_date_is_the_same_everywhere() -> None:
    assert "January 31, 2026" in html_of("{{ fact.on | date }}", on="2026-01-31")
    with pytest.raises(RenderFailed, match="without a time"):
        html_of("{{ fact.on | datetime }}", on="2026-01-31")


@pytest.mark.parametrize("text", ["0000-00-00", "31.01.2026", "2026-13-01", 1700000000])
def test_what_is_no_date_fails_the_mail(text: object) -> None:
    with pytest.raises(RenderFailed, match="is not a date"):
        html_of("{{ fact.on | date }}", on=text)


def test_local_dates_of_instants() -> None:
    assert formats.local_date(datetime(2026, 3, 29, 23, 30), "Europe/Berlin") == date(2026, 3, 30)
    assert formats.local_date("2026-03-29T12:00:00+02:00", "UTC") == date(2026, 3, 29)


@pytest.mark.parametrize(
    ("count", "shown"), [(1, "1 faktura"), (2, "2 faktury"), (5, "5 faktur"), (22, "22 faktury"), (1000, "1000 faktur")]
)
def test_plural_knows_the_forms_of_a_language(count: int, shown: str) -> None:
    from engine.messages.bounds import rendering
    from engine.messages.filters import plural

    rendering.begin(locale="pl", zone="UTC", currency="EUR", right_to_left=False)
    forms = {"one": "{n} faktura", "few": "{n} faktury", "many": "{n} faktur", "other": "{n} faktury"}
    assert plural(None, count, **forms).replace("\u00a0", "") == shown  # type: ignore[arg-type]


def test_plural_with_two_forms() -> None:
    body = "{{ fact.n | plural('one seat', '{n} seats') }}"
    assert "one seat" in html_of(body, n=1)
    assert "1,200 seats" in html_of(body, n=1200)
