"""What goes in and out of the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple


class OutboxMessage(NamedTuple):
    """A claimed message: all that is needed to check, render and send it."""

    id: int
    #: SHA-256 of (rule, resend, subject, occurrence, step, recipient); unique for ever.
    key: str
    #: The claim's fencing token; give it back with every word about this message.
    token: int
    #: None for a test.
    run_id: int | None
    rule: str
    customer_id: str
    occurrence: str
    step: str
    recipient: str
    address_key: str
    channel: str
    template: str
    snapshot_sha: str
    class_: str
    topic: str
    arm: str
    #: IANA zone of the customer.
    zone: str
    not_before: datetime
    expires_at: datetime | None
    #: JSON: the values the template reads.
    values_json: str
    #: Earlier attempts that count towards giving up.
    attempts: int
    #: Workers that died while they had it in hand: 1 for all that a dead worker had claimed, more for one that was
    #: being prepared alone when its worker died.
    deaths: int
    #: Asked for by hand, to an address of the project's own people.
    is_test: bool


@dataclass(frozen=True)
class Start:
    """A claimed message that is about to be sent."""

    message_id: int
    token: int


@dataclass(frozen=True)
class Wait:
    """A claimed message that shall not leave before a later instant."""

    message_id: int
    token: int
    until: datetime


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, or what evidence said later."""

    message_id: int
    token: int
    attempt_id: int
    #: A word for the attempt: accepted, refused, not_sent, in_doubt …
    result: str
    #: The message's new state.
    state: str
    provider_id: str | None = None
    detail: str | None = None
    #: For `retry_wait` and `planned`; None means at once.
    next_attempt_at: datetime | None = None
    #: False when this try shall not bring the message nearer to giving up (throttled, channel down).
    counts: bool = True


@dataclass(frozen=True)
class Recorded:
    """What `record` stored."""

    #: Message id to the id of its new attempt. Only these may be sent.
    attempts: dict[int, int]
    #: Messages whose token was old or whose state had moved on; nothing about them changed.
    stale: frozenset[int]


@dataclass(frozen=True)
class Stop:
    """A message that will not be sent, for a reason."""

    message_id: int
    #: suppressed, expired, cancelled or failed.
    state: str
    reason: str
    #: The customer's date on which it was stopped; `wait` counts from it.
    local_date: date
    #: The claim's token; None stops it whoever has claimed it.
    token: int | None = None
