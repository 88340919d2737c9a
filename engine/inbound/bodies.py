"""Bodies of webhooks: bounded, UTF-8, JSON that has one meaning only, signed lately, with the few values all events have."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import isfinite
from typing import Any

from engine.inbound.base import Rejected
from engine.store import RawEvent

LARGEST_BODY = 1_048_576  # bytes; SendGrid posts up to 768 KB, Stripe far less
DEEPEST = 20  # levels of lists and mappings
LONGEST_ID = 200  # characters
LONGEST_KIND = 100  # Stripe has one of 70

_EPOCH = datetime(1970, 1, 1)
_KIND = re.compile(r"[A-Za-z0-9_.-]+")
# A string, whose brackets do not count, or a bracket. Possessive, so that the time is linear.
_MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def text_of(body: bytes) -> str:
    """A body as text. Raises Rejected for one that is too large or not UTF-8."""
    if len(body) > LARGEST_BODY:
        raise Rejected(413, f"more than {LARGEST_BODY} bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected(400, "not UTF-8") from None


def check_age(seconds: str, now: datetime, oldest: timedelta, newest: timedelta) -> None:
    """Raises Rejected for a signature of another time. `newest`: how far ahead of our clock theirs may be."""
    try:
        age = now - (_EPOCH + timedelta(seconds=int(seconds)))
    except (ValueError, OverflowError):
        raise Rejected(400, "signed at no instant") from None
    if age > oldest:
        raise Rejected(400, "signed too long ago")
    if age < -newest:
        raise Rejected(400, "signed in the future")


def parse(text: str) -> Any:
    """What JSON says. Raises Rejected for what two readers might understand differently, or only one could read."""
    if _depth(text) > DEEPEST:
        raise Rejected(400, "nested too deeply")
    try:
        return json.loads(text, object_pairs_hook=_mapping, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as fault:
        why = str(fault) if isinstance(fault, _DoubleKeyError) else "not JSON"
        raise Rejected(400, why) from None


def id_of(value: object) -> str | None:
    """An id of theirs; None for what can be none, or could not be stored."""
    fits = isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isascii() and value.isprintable()
    return str(value) if fits else None


def kind_of(value: object) -> str:
    """Their word for what happened. ValueError for what is no word."""
    if not isinstance(value, str) or len(value) > LONGEST_KIND or not _KIND.fullmatch(value):
        raise ValueError("no word for what happened")
    return value


def instant_of(seconds: object) -> datetime:
    """Seconds since 1970 as naive UTC. ValueError for what is no number of them."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise ValueError("a timestamp that is not a number")  # noqa: TRY004 - as all that is malformed
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise ValueError("a timestamp outside the calendar") from None


def malformed(body: str, why: str) -> RawEvent:
    """An event to set aside, under a name made of its content."""
    name = f"sha256:{sha256(body.encode()).hexdigest()}"
    return RawEvent(name, "", None, body, state="quarantined", detail=why)


def _depth(text: str) -> int:
    """How deep lists and mappings are nested; counting ends where it is too deep."""
    depth = deepest = 0
    for mark in _MARKS.finditer(text):
        sign = text[mark.start()]
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEEPEST:
                break
        elif sign != '"':
            depth -= 1
    return deepest


class _DoubleKeyError(ValueError):
    """A mapping that has a key twice: two readers would see two different events."""


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DoubleKeyError("a key written twice")
    return found


def _finite(word: str) -> float:
    number = float(word)
    if not isfinite(number):
        raise ValueError("a number without bounds")
    return number
