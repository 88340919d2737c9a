"""SendGrid's event webhook.

Verified is the raw body, with the official package: ECDSA over the timestamp and the body. SendGrid repeats what was
not acknowledged for a day, so an old signature is normal and a repeated event harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from sendgrid.helpers.eventwebhook import EventWebhook

from engine.addresses import AddressError, parse_address
from engine.errors import UnavailableError
from engine.inbound.base import Rejected, Webhook
from engine.inbound.bodies import check_age, id_of, instant_of, kind_of, malformed, parse, text_of
from engine.project.settings import Settings
from engine.store import RawEvent, address_key

OLDEST = timedelta(hours=48)
NEWEST = timedelta(minutes=10)  # ahead of our clock

_HEADER = "x-twilio-email-event-webhook-"
_TIMESTAMP = re.compile(r"[0-9]{1,11}")


class SendGridWebhook(Webhook):
    """Believed is what fits one of `public_keys`, during a rotation the old and the new one of each account.

    `secret`: what addresses are hashed with.
    """

    name = "sendgrid"

    def __init__(self, public_keys: Sequence[str], secret: str) -> None:
        self._public_keys, self._secret = public_keys, secret

    @classmethod
    def from_settings(cls, settings: Settings, *, live: bool) -> Self:
        """With the verification keys of all sendgrid channels."""
        channels = [settings.channels[name] for name, kind in settings.uses.items() if kind == "sendgrid"]
        keys = [key.reveal() for channel in channels for key in channel.events_key]
        return cls(keys, settings.signing_secret(live=live))

    @property
    def is_heard(self) -> bool:
        """Once a sendgrid channel names its key."""
        return bool(self._public_keys)

    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> list[RawEvent]:
        """A list of events; each is kept or set aside by itself."""
        text = text_of(body)
        signature, timestamp = (headers.get(_HEADER + name) for name in ("signature", "timestamp"))
        _verify(text, signature, timestamp, self._public_keys, now)
        events = parse(text)
        if not isinstance(events, list):
            raise Rejected(400, "not a list of events")
        return [_raw(one, self._secret) for one in events]


# Whose word it is.


def _verify(text: str, signature: str | None, timestamp: str | None, public_keys: Sequence[str], now: datetime) -> None:
    if not signature or not timestamp:
        raise Rejected(401, "not signed")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Rejected(401, "the timestamp is not a number of seconds")
    if not any(_is_signed(text, signature, timestamp, key) for key in public_keys):
        raise Rejected(401, "the signature does not fit")
    check_age(timestamp, now, OLDEST, NEWEST)


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


def _raw(event: Any, secret: str) -> RawEvent:
    """One event to keep; a malformed one with what is wrong with it."""
    body = json.dumps(event, separators=(",", ":"))  # in ASCII: nothing a database could refuse
    try:
        return _read(event, body, secret)
    except ValueError as fault:
        return malformed(body, str(fault))


def _read(event: Any, body: str, secret: str) -> RawEvent:
    if not isinstance(event, Mapping):
        raise ValueError("not a mapping")  # noqa: TRY004 - as all that is malformed
    name, timestamp = id_of(event.get("sg_event_id")), event.get("timestamp")
    if name is None:
        raise ValueError("no sg_event_id")
    happened_at = None if timestamp is None else instant_of(timestamp)
    return RawEvent(name, kind_of(event.get("event")), happened_at, body, _address_key(event, secret))


def _address_key(event: Mapping[str, Any], secret: str) -> str | None:
    """None for what is no address: the event may still be about a message of ours."""
    try:
        return address_key(secret, parse_address(str(event.get("email") or "")))
    except AddressError:
        return None
