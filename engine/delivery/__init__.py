"""Sending what the outbox holds: claim, gate, attempt, call, classify."""

from engine.delivery.gate import Judgement, judge
from engine.delivery.options import (
    Candidates,
    DeliveryOptions,
    DeliveryReport,
    Failure,
    OpenChannel,
    Parts,
    Progress,
    Recheck,
    StillTrue,
)
from engine.delivery.pipeline import deliver
from engine.delivery.redirection import Redirection, marked
from engine.delivery.signals import stop_on_signals

__all__ = [
    "Candidates",
    "DeliveryOptions",
    "DeliveryReport",
    "Failure",
    "Judgement",
    "OpenChannel",
    "Parts",
    "Progress",
    "Recheck",
    "Redirection",
    "StillTrue",
    "deliver",
    "judge",
    "marked",
    "stop_on_signals",
]
