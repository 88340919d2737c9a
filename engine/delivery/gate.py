"""The gate: the last word before a message is sent. Every message that leaves has passed `judge`, shortly before.

Whatever goes wrong here means *do not send*: an exception holds the message back, it never lets it through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from engine.addresses import AddressError, parse_address
from engine.delivery.options import Recheck
from engine.project.settings_values import QuietHours
from engine.store import GateRow, OutboxMessage

Verdict = Literal["send", "suppressed", "expired", "cancelled", "postpone", "paused", "held"]

#: What stops whom. Erasure stops everybody; legal mail is stopped by nothing else.
_STOPS_SERVICE = frozenset({"bounced", "complained"})


ASK_AGAIN_AFTER = timedelta(minutes=5)
"""A message about which nobody could be asked waits this long."""


@dataclass(frozen=True)
class Judgement:
    """What is to be done with a message, and why.

    `send` it; stop it for good (`suppressed`, `expired`, `cancelled`); `postpone` it until an instant; leave it as it
    is (`paused`); or hold it for this delivery because it could not be judged (`held`).
    """

    verdict: Verdict
    reason: str = ""
    until: datetime | None = None


SEND = Judgement("send")


def judge(
    message: OutboxMessage,
    row: GateRow | None,
    recheck: Recheck,
    quiet_hours: QuietHours | None,
    now: datetime,
    *,
    reaches_customer: bool = True,
) -> Judgement:
    """Whether a claimed message may leave at `now`.

    `row`: what the state knows about it at this moment. `recheck`: what the tables say. What does not reach the
    customer needs no address, and of all that customers can say only erasure stops it. A paused rule may be tested:
    it may be paused because of its mail.
    """
    try:
        return _judge(message, row, recheck, quiet_hours, now, reaches_customer)
    except Exception as fault:  # noqa: BLE001 - fail closed, whatever it was
        return Judgement("held", f"{type(fault).__name__}: {fault}"[:300])


def _judge(
    message: OutboxMessage,
    row: GateRow | None,
    recheck: Recheck,
    quiet_hours: QuietHours | None,
    now: datetime,
    reaches_customer: bool,
) -> Judgement:
    if row is None or row.state != "claimed" or row.token != message.token:
        return Judgement("paused", "claimed by another")
    if reason := _suppression(message, row, now, reaches_customer):
        return Judgement("suppressed", reason)
    if row.expired:
        return Judgement("expired", "expired")
    if row.paused or (row.rule_paused and not message.is_test):
        return Judgement("paused", "rule_paused")
    if reason := recheck.untrue.get(message.id) or (_unusable(message.recipient) if reaches_customer else None):
        return Judgement("cancelled", reason)
    unsure = recheck.unsure.get(message.id)
    put_off = Judgement("postpone", unsure, now + ASK_AGAIN_AFTER) if unsure else None
    ends_at = quiet_until(now, message.zone, quiet_hours) if quiet_hours and reaches_customer else None
    return Judgement("postpone", "quiet_hours", ends_at) if ends_at else put_off or SEND


def _unusable(recipient: str) -> str | None:
    try:
        return None if parse_address(recipient) == recipient else "invalid_address"
    except AddressError:
        return "invalid_address"


def _suppression(message: OutboxMessage, row: GateRow, now: datetime, reaches_customer: bool) -> str | None:
    """The kind of suppression that stops this message. Preferences about how often are the planner's business."""
    for kind, topic, until in row.suppressions:
        if kind == "erased":
            return kind
        if message.class_ == "legal" or not reaches_customer:
            continue
        if kind in _STOPS_SERVICE:
            return kind
        if kind == "unsubscribed" and (message.class_ == "marketing" or topic):
            return kind
        if kind == "not_until" and message.class_ == "marketing" and _is_ahead(until, now, message.zone):
            return kind
    return None


def _is_ahead(until: date | None, now: datetime, zone: str) -> bool:
    return until is None or until > local_date(now, zone)


def local_date(now: datetime, zone: str) -> date:
    """The date the customer's calendar shows at an instant (naive UTC)."""
    return _local(now, zone).date()


def quiet_until(now: datetime, zone: str, hours: QuietHours) -> datetime | None:
    """When the quiet hours that hold at `now` end, as naive UTC; None outside them.

    An end that the clocks jump over becomes the first instant after the jump; of an end that comes twice, the first.
    """
    local = _local(now, zone)
    clock = local.time()
    if hours.start < hours.end:
        is_quiet = hours.start <= clock < hours.end
    else:
        is_quiet = clock >= hours.start or clock < hours.end
    if not is_quiet:
        return None
    ends_on = local.date() if clock < hours.end else local.date() + timedelta(days=1)
    ends_at = datetime.combine(ends_on, hours.end, ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
    return ends_at if ends_at > now else now + timedelta(hours=1)


def _local(now: datetime, zone: str) -> datetime:
    return now.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
