"""SendGrid's event webhook: verified, read, kept. What the events mean is worked out later, from what was kept.

Verified is the raw body, with the official package: ECDSA over the timestamp and the body. SendGrid repeats what was
not acknowledged for a day, so an old signature is normal and a repeated event harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any

from sendgrid.helpers.eventwebhook import EventWebhook

from engine.addresses import AddressError, parse_address
from engine.errors import UnavailableError
from engine.store import RawEvent, Store, address_key

LARGEST_BODY = 1_048_576  # bytes; SendGrid posts up to 768 KB
DEEPEST = 20  # levels of lists and mappings
OLDEST = timedelta(hours=48)
NEWEST = timedelta(minutes=10)  # ahead of our clock
LONGEST_ID = 200  # characters of their id of an event
LONGEST_KIND = 60

_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_KIND = re.compile(r"[A-Za-z0-9_.-]+")
# A string, whose brackets do not count, or a bracket. Possessive, so that the time is linear.
_MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_EPOCH = datetime(1970, 1, 1)


class Rejected(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is not taken; nothing of it was kept. `status`: the HTTP status to answer with, a 4xx."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Received:
    """What one request held: events `stored` now, `repeated` ones known already, malformed ones `quarantined` now."""

    stored: int
    repeated: int
    quarantined: int


def receive(
    store: Store,
    body: bytes,
    signature: str | None,
    timestamp: str | None,
    public_keys: Sequence[str],
    secret: str,
    now: datetime,
) -> Received:
    """Keep all events of one request. When it returns they are on disk, and only then may the request be acknowledged.

    `signature`, `timestamp`: the headers X-Twilio-Email-Event-Webhook-Signature and -Timestamp. `public_keys`: those
    that are valid now, during a rotation the old and the new one. `secret`: what addresses are hashed with. `now`:
    naive UTC. Raises Rejected for what is not SendGrid's word, UnavailableError when it could not be kept.
    """
    if len(body) > LARGEST_BODY:
        raise Rejected(413, f"more than {LARGEST_BODY} bytes")
    text = _text(body)
    _verify(text, signature, timestamp, public_keys, now)
    events = [_raw(one, secret) for one in _listed(text)]
    known = {one.event_id: one for one in reversed(events)}  # of one id given twice in a request, the first
    kept = store.inbound.keep("sendgrid", known.values(), now)
    return Received(kept.stored, len(events) - kept.stored - kept.quarantined, kept.quarantined)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected(400, "not UTF-8") from None


# Whose word it is.


def _verify(text: str, signature: str | None, timestamp: str | None, public_keys: Sequence[str], now: datetime) -> None:
    if not signature or not timestamp:
        raise Rejected(401, "not signed")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Rejected(401, "the timestamp is not a number of seconds")
    if not any(_is_signed(text, signature, timestamp, key) for key in public_keys):
        raise Rejected(401, "the signature does not fit")
    age = now - (_EPOCH + timedelta(seconds=int(timestamp)))
    if age > OLDEST:
        raise Rejected(400, "signed more than 48 hours ago")
    if age < -NEWEST:
        raise Rejected(400, "signed in the future")


def _is_signed(text: str, signature: str, timestamp: str, public_key: str) -> bool:
    try:
        return bool(_webhook(public_key).verify_signature(text, signature, timestamp))
    except ValueError:  # a signature that is not base64
        return False


@lru_cache(maxsize=16)
def _webhook(public_key: str) -> Any:
    """The package's verifier. UnavailableError for a key that is none: the events come again when it is put right."""
    try:
        webhook = EventWebhook(public_key)
    except ValueError:
        webhook = None
    if webhook is None or not hasattr(webhook.public_key, "curve"):
        raise UnavailableError("an events_key of a sendgrid channel is not the verification key SendGrid shows")
    return webhook


# What it says.


def _listed(text: str) -> list[Any]:
    if _depth(text) > DEEPEST:
        raise Rejected(400, "nested too deeply")
    try:
        found = json.loads(text, object_pairs_hook=_mapping, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as fault:
        why = str(fault) if isinstance(fault, _DoubleKeyError) else "not JSON"
        raise Rejected(400, why) from None
    if not isinstance(found, list):
        raise Rejected(400, "not a list of events")
    return found


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


def _raw(event: Any, secret: str) -> RawEvent:
    """One event to keep; a malformed one with what is wrong with it, under a name made of its content."""
    body = json.dumps(event, separators=(",", ":"))  # in ASCII: nothing a database could refuse
    try:
        return _read(event, body, secret)
    except ValueError as fault:
        return RawEvent(
            f"sha256:{sha256(body.encode()).hexdigest()}", "", None, body, state="quarantined", detail=str(fault)
        )


def _read(event: Any, body: str, secret: str) -> RawEvent:
    if not isinstance(event, Mapping):
        raise ValueError("not a mapping")  # noqa: TRY004 - as all that is malformed
    return RawEvent(_event_id(event), _kind(event), _happened_at(event), body, _address_key(event, secret))


def _event_id(event: Mapping[str, Any]) -> str:
    found = event.get("sg_event_id")
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_ID or not found.isascii() or not found.isprintable():
        raise ValueError("no sg_event_id")
    return found


def _kind(event: Mapping[str, Any]) -> str:
    found = event.get("event")
    if not isinstance(found, str) or len(found) > LONGEST_KIND or not _KIND.fullmatch(found):
        raise ValueError("no word for what happened")
    return found


def _happened_at(event: Mapping[str, Any]) -> datetime | None:
    found = event.get("timestamp")
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise ValueError("a timestamp that is not a number")  # noqa: TRY004
    try:
        return datetime.fromtimestamp(found, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise ValueError("a timestamp outside the calendar") from None


def _address_key(event: Mapping[str, Any], secret: str) -> str | None:
    """None for what is no address: the event may still be about a message of ours."""
    try:
        return address_key(secret, parse_address(str(event.get("email") or "")))
    except AddressError:
        return None
