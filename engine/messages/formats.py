"""Amounts, numbers and dates in the language of the mail. Every function here is pure; Babel knows the customs.

Values come from a stored row, so dates may arrive as text: `2026-01-31` is a date, `2026-01-31T09:00:00` (or with a
blank in the middle) an instant in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from gettext import c2py
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import NumberPattern, format_decimal, get_currency_symbol, parse_pattern

from engine.currencies import exponent
from engine.messages.locales import babel_locale

Style = Literal["short", "medium", "long", "full"]
STYLES: tuple[Style, ...] = ("short", "medium", "long", "full")


class FormatError(ValueError):
    """A value that cannot be shown in the asked-for way; the message names the value."""


@lru_cache(maxsize=8192)
def money(amount_minor: int, currency: str, locale: str) -> str:
    """An exact amount: 123450 EUR in `de` is `1.234,50 €`; 500 JPY is ¥500; 1234 KWD has three decimals.

    `amount_minor` counts the currency's minor unit by ISO 4217; nothing is ever rounded.
    """
    decimals = exponent(currency)
    if decimals is None:
        raise FormatError(f'"{currency}" is not a currency code')
    value = Decimal(amount_minor).scaleb(-decimals)
    code = currency.strip().upper()
    lettered = get_currency_symbol(code, babel_locale(locale))[-1].isalpha()
    shown: str = _currency_pattern(locale, decimals, lettered).apply(
        value, babel_locale(locale), currency=code, currency_digits=False
    )
    return shown


@lru_cache(maxsize=512)
def _currency_pattern(locale: str, decimals: int, lettered: bool) -> NumberPattern:
    text = babel_locale(locale).currency_formats["standard"].pattern
    if lettered:  # CLDR's currency spacing, which Babel leaves out: "KWD 1.234", not "KWD1.234"
        text = text.replace("¤#", "¤\N{NO-BREAK SPACE}#").replace("¤0", "¤\N{NO-BREAK SPACE}0")
    pattern = parse_pattern(text)
    pattern.frac_prec = (decimals, decimals)
    return pattern


def whole_number(value: object) -> int:
    """`value` as an int; a fraction, a text that is no number, or a bool is refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = decimal_number(value)
    if number != number.to_integral_value():
        raise FormatError(f"{value} is not a whole number of the currency's minor unit")
    return int(number)


def decimal_number(value: object) -> Decimal:
    """`value` as a finite Decimal, exactly as it prints."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise FormatError(f'"{value}" is not a number')
    try:
        number = Decimal(str(value).strip())
    except ArithmeticError:
        raise FormatError(f'"{value}" is not a number') from None
    if not math.isfinite(number) or number.adjusted() > 30:
        raise FormatError(f'"{value}" is not a number that can be shown')
    return number


@lru_cache(maxsize=8192)
def number(value: Decimal, locale: str) -> str:
    """A plain number with the language's separators, at most three decimals."""
    return format_decimal(value, locale=babel_locale(locale))


@lru_cache(maxsize=8192)
def date_text(day: date, style: Style, locale: str) -> str:
    """A calendar date, in one of Babel's four styles."""
    return format_date(day, style, babel_locale(locale))


@lru_cache(maxsize=8192)
def datetime_text(local: datetime, style: Style, locale: str) -> str:
    """A local date and time. `local` carries no zone: it is what the customer's clock shows."""
    return format_datetime(local, style, locale=babel_locale(locale))


@lru_cache(maxsize=8192)
def local_time(value: object, zone: str) -> datetime:
    """An instant (naive UTC, or its ISO text) as a naive local time in `zone`."""
    moment = _parsed(value)
    if not isinstance(moment, datetime):
        raise FormatError(f'"{value}" is a date without a time')
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@lru_cache(maxsize=8192)
def local_date(value: object, zone: str) -> date:
    """A date as it is; an instant as the date the customer's calendar shows."""
    moment = _parsed(value)
    return local_time(moment, zone).date() if isinstance(moment, datetime) else moment


def _parsed(value: object) -> date:
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        raise FormatError(f'"{value}" is not a date')
    text = value.strip()
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        raise FormatError(f'"{value}" is not a date') from None


@lru_cache(maxsize=8192)
def plural_category(value: Decimal, locale: str) -> str:
    """CLDR's word for a number in a language: one, few, many, other …"""
    return str(babel_locale(locale).plural_form(value))


@lru_cache(maxsize=8192)
def gettext_form(value: Decimal, rule: str) -> int:
    """Which form serves a number by a catalogue's rule, such as `(n != 1)`. A fraction counts as its whole part."""
    return int(_rule(rule)(int(abs(value))))


@lru_cache(maxsize=64)
def _rule(rule: str) -> Callable[[int], int]:
    return c2py(rule)
