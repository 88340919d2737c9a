"""Values only settings and rules have: caps, quiet hours, senders, the guard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from engine.addresses import AddressError, parse_address
from engine.currencies import exponent
from engine.project.durations import Duration
from engine.project.faults import Fault
from engine.project.types import Line, Number, Share, StrictModel, read_list, read_time

LONGEST_CAP_DAYS = 366


@dataclass(frozen=True)
class Cap:
    """At most `limit` exposures within any `days` consecutive local dates."""

    limit: int
    days: int

    def __str__(self) -> str:
        return f"{self.limit}/{Duration(self.days, 'days')}"


def read_cap(value: object) -> Cap:
    """`2/7 days`; weeks count as seven days."""
    if isinstance(value, Cap):
        return value
    shape = re.fullmatch(r"([1-9][0-9]{0,3})\s*/\s*(\S.*)", str(value))
    if shape is None:
        raise Fault("HF208", f'"{value}" is not a cap', 'expected messages per days, such as "2/7 days"')
    window = Duration.parse(shape[2])
    if window.unit not in {"days", "weeks"} or not 1 <= window.elapsed.days <= LONGEST_CAP_DAYS:
        raise Fault("HF208", f'"{value}" is not a cap', f"expected days or weeks, 1 to {LONGEST_CAP_DAYS} days in all")
    return Cap(int(shape[1]), window.elapsed.days)


@dataclass(frozen=True)
class QuietHours:
    """Local times at which nothing leaves: `start` inclusive to `end` exclusive, over midnight if `end` is smaller."""

    start: time
    end: time


def read_quiet_hours(value: object) -> QuietHours | None:
    """`21:00-08:00`, or None for `off`."""
    if value is None or isinstance(value, QuietHours):
        return value
    shape = re.fullmatch(r"(\S+?)\s*[-–]\s*(\S+)", str(value))  # noqa: RUF001 - word processors write the long dash
    if str(value) == "off":
        return None
    if shape is None:
        raise Fault("HF207", f'"{value}" is not quiet hours', 'expected "21:00-08:00" or off')
    start, end = read_time(shape[1]), read_time(shape[2])
    if start == end:
        raise Fault("HF207", f'"{value}" begins when it ends', "expected two times that differ, or off")
    return QuietHours(start, end)


class Guard(StrictModel):
    """When a rule that suddenly writes to many is held for a person's approval."""

    share: Share = 0.2
    first_run: int = Field(default=500, ge=1)
    growth: Annotated[Number, Field(ge=1)] = 3.0
    floor: int = Field(default=100, ge=0)


def read_off(value: object) -> object:
    """The word `off` as None."""
    return None if value == "off" else value


def _read_sender(text: str) -> str:
    address = parseaddr(text)[1]
    if not re.fullmatch(r"[^\s@<>\",;]+@[^\s@<>\",;]+\.[^\s@<>\",;.]+", address) or text.count("@") != 1:
        raise Fault("HF206", f'"{text}" is not an e-mail address', 'expected "Name <name@example.com>"')
    return text


def _read_recipient(text: str) -> str:
    try:
        return parse_address(text)
    except AddressError:
        raise Fault("HF206", f'"{text}" is not an e-mail address', "expected name@example.com") from None


def _read_recipients(text: str) -> str:
    """An address, or `@example.com` for everybody of a domain."""
    return _read_recipient(f"x{text}").removeprefix("x") if text.startswith("@") else _read_recipient(text)


class Sender(StrictModel):
    """Who a class of mail comes from."""

    from_: Annotated[Line, AfterValidator(_read_sender)] = Field(alias="from")
    reply_to: Annotated[Line, AfterValidator(_read_sender)] | None = None


class NoteSettings(StrictModel):
    """Keys of a channel that reaches the company's own people or systems, and no customer."""


def _read_currency(text: str) -> str:
    if not text.isupper() or exponent(text) is None:
        raise Fault("HF213", f'"{text}" is not a currency', "expected three letters of ISO 4217, such as EUR")
    return text


def _read_country(text: str) -> str:
    if not re.fullmatch("[A-Z]{2}", text) or text == "UK":
        guess = {"UK": '"GB"'}.get(text.upper(), f'"{text.upper()}"' if re.fullmatch("[A-Za-z]{2}", text) else None)
        raise Fault("HF215", f'"{text}" is not a country', "expected two capital letters of ISO 3166, or EU", guess)
    return text


def _read_public_url(text: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", text):
        raise Fault(
            "HF216", f'"{text}" cannot stand at the front of links', "expected https://host or https://host/path"
        )
    return text.rstrip("/")


def _read_locale(text: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}([-_]([A-Z][a-z]{3}|[A-Z]{2}|[0-9]{3}))*", text):
        raise Fault("HF132", f'"{text}" is not a locale', "expected a language such as en or de-AT")
    return text


def read_network(value: object) -> IPv4Network | IPv6Network:
    """One address, or a network such as `10.0.0.0/8`."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value))
    except ValueError:
        raise Fault(
            "HF132", f'"{value}" is not an address', "expected an IP address, or a network such as 10.0.0.0/8"
        ) from None


Caps = tuple[
    Annotated[Cap, PlainValidator(read_cap), WithJsonSchema({"type": "string", "examples": ["2/7 days"]})], ...
]
QuietHoursOrOff = Annotated[
    QuietHours | None,
    PlainValidator(read_quiet_hours),
    WithJsonSchema({"type": "string", "examples": ["21:00-08:00", "off"]}),
]
GuardOrOff = Annotated[Guard | None, BeforeValidator(read_off)]
Currency = Annotated[str, AfterValidator(_read_currency)]
Country = Annotated[str, AfterValidator(_read_country)]
PublicUrl = Annotated[str, AfterValidator(_read_public_url)]
Locale = Annotated[str, AfterValidator(_read_locale)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(read_network), WithJsonSchema({"type": "string"})]
Recipient = Annotated[str, AfterValidator(_read_recipient)]
Recipients = Annotated[tuple[Annotated[str, AfterValidator(_read_recipients)], ...], BeforeValidator(read_list)]
