"""All triggers. A new one is one file here and one line in the registry, or an entry point `holdfast.triggers`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from engine.triggers.base import Condition, Found, Lookup, Needs, Shared, Trigger
from engine.triggers.cancelled import Cancelled
from engine.triggers.card_expiring import CardExpiring
from engine.triggers.date import Date
from engine.triggers.event import Event
from engine.triggers.inactivity import Inactivity
from engine.triggers.onboarding import Onboarding
from engine.triggers.payment_failed import PaymentFailed
from engine.triggers.payment_lost import PaymentLost
from engine.triggers.renewal_approaching import RenewalApproaching
from engine.triggers.sql import Sql
from engine.triggers.trial_ending import TrialEnding
from engine.triggers.unused_feature import UnusedFeature

BUILT_IN: tuple[type[Trigger], ...] = (
    Cancelled, CardExpiring, Date, Event, Inactivity, Onboarding, PaymentFailed, PaymentLost, RenewalApproaching, Sql,
    TrialEnding, UnusedFeature,
)  # fmt: skip

__all__ = ["BUILT_IN", "Condition", "Found", "Lookup", "Needs", "Shared", "Trigger", "triggers"]


@cache
def triggers() -> Mapping[str, Trigger]:
    """Every trigger by its name: ours, and those other packages offer."""
    found = [trigger() for trigger in BUILT_IN]
    found += [entry.load()() for entry in entry_points(group="holdfast.triggers")]
    return {trigger.name: trigger for trigger in found}
