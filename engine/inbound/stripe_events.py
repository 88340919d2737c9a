"""Stripe's event webhook.

Verified is the raw body, with the official package: HMAC-SHA256 over the timestamp and the body. The package measures
age against the wall clock and takes any instant in the future, so it is asked about the signature alone, and the
timestamp is measured here: at most five minutes old, and at most five minutes ahead. Stripe signs again whenever it
repeats an event, for up to three days; a request that somebody else repeats within the five minutes is harmless,
because an event is kept once.

An event is kept under its own id, with the exact text it came in. Kept and acknowledged, but never applied, are events
of the other mode (test or live) and of accounts that are not ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from stripe import SignatureVerificationError, WebhookSignature

from engine.inbound.base import Rejected, Webhook
from engine.inbound.bodies import check_age, id_of, instant_of, kind_of, malformed, parse, text_of
from engine.project.settings import Settings
from engine.store import RawEvent

TOLERANCE = timedelta(seconds=300)  # between their clock and ours, either way
NEWEST = timedelta(minutes=10)  # how far ahead of our clock an event may have been created


class StripeWebhook(Webhook):
    """Believed is what fits one of `secrets`, while the endpoint's secret is being rolled the old and the new one.

    `accounts`: the connected accounts that are ours, or our own. An event that names no account is always ours: Stripe
    leaves the name out for the very account whose endpoint, and so whose secret, this is. One that names an account
    comes from a connected account, and those count only when they are listed.
    """

    name = "stripe"

    def __init__(self, secrets: Sequence[str], accounts: Sequence[str], *, livemode: bool) -> None:
        self._secrets, self._accounts, self._livemode = secrets, accounts, livemode

    @classmethod
    def from_settings(cls, settings: Settings, *, live: bool) -> Self:  # noqa: ARG003 - plug-ins share one signature
        """As `stripe` says; which of Stripe's modes is heard does not depend on where mail goes."""
        stripe = settings.stripe
        secrets = [secret.reveal() for secret in stripe.webhook_secret]
        return cls(secrets, stripe.account, livemode=stripe.livemode)

    @property
    def is_heard(self) -> bool:
        """Once there is a `webhook_secret`."""
        return bool(self._secrets)

    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> list[RawEvent]:
        """One event. A malformed one is set aside; what each kind means is for who applies them."""
        text = text_of(body)
        _verify(text, headers.get("stripe-signature"), self._secrets, now)
        event = parse(text)
        if not isinstance(event, Mapping):
            raise Rejected(400, "not an event")
        return [self.raw(event, text, now)]

    def raw(self, event: Mapping[str, Any], text: str, now: datetime) -> RawEvent:
        """An event to keep, however it was come by. `text`: its JSON."""
        try:
            return self._read(event, text, now)
        except ValueError as fault:
            return malformed(text, str(fault))

    def _read(self, event: Mapping[str, Any], text: str, now: datetime) -> RawEvent:
        name = id_of(event.get("id"))
        if name is None:
            raise ValueError("no id")
        kind, created = kind_of(event.get("type")), instant_of(event.get("created"))
        state, detail = self._state(event, created, now)
        return RawEvent(name, kind, created, text, about=_about(event.get("data")), state=state, detail=detail)

    def _state(
        self, event: Mapping[str, Any], created: datetime, now: datetime
    ) -> tuple[Literal["new", "ignored", "quarantined"], str | None]:
        if event.get("livemode") is not self._livemode:
            return "ignored", "of test mode" if self._livemode else "of live mode"
        if event.get("account") is not None and event["account"] not in self._accounts:
            return "ignored", "of an account that stripe.account does not name"
        if created > now + NEWEST:
            return "quarantined", "dated in the future"
        return "new", None


def _verify(text: str, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    if not header:
        raise Rejected(400, "not signed")
    if not any(_is_signed(text, header, secret) for secret in secrets):
        raise Rejected(400, "the signature does not fit")
    check_age(_timestamp(header), now, TOLERANCE, TOLERANCE)


def _is_signed(text: str, header: str, secret: str) -> bool:
    try:
        return header.isascii() and WebhookSignature.verify_header(text, header, secret, tolerance=None)
    except SignatureVerificationError:
        return False


def _timestamp(header: str) -> str:
    """That of a header that fits; of several the first, which is the one the package verifies."""
    return next(value for key, _, value in (part.partition("=") for part in header.split(",")) if key == "t")


def _about(data: object) -> str | None:
    """The customer's id, where the object is one or names one; or named one until now, as a detached card did."""
    if not isinstance(data, Mapping):
        return None
    found, before = data.get("object"), data.get("previous_attributes")
    if isinstance(found, Mapping) and found.get("object") == "customer":
        return id_of(found.get("id"))
    for one in (found, before):
        named = one.get("customer") if isinstance(one, Mapping) else None
        if ident := id_of(named.get("id") if isinstance(named, Mapping) else named):
            return ident
    return None
