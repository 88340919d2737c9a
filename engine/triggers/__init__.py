"""All triggers. A new one is one file here and one line in the registry, or an entry point `holdfast.triggers`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from engine.project.rules import TriggerUse
from engine.triggers.base import Condition, Found, Lookup, Needs, Shared, Trigger
from engine.triggers.cancellation_scheduled import CancellationScheduled
from engine.triggers.cancelled import Cancelled
from engine.triggers.card_expiring import CardExpiring
from engine.triggers.date import Date
from engine.triggers.downgrade import Downgrade
from engine.triggers.event import Event
from engine.triggers.inactivity import Inactivity
from engine.triggers.milestone import Milestone
from engine.triggers.onboarding import Onboarding
from engine.triggers.payment_failed import PaymentFailed, PaymentFailedParams
from engine.triggers.payment_lost import PaymentLost
from engine.triggers.renewal_approaching import RenewalApproaching
from engine.triggers.sql import Sql
from engine.triggers.survey_score import SurveyScore
from engine.triggers.ticket import Ticket
from engine.triggers.trial_ending import TrialEnding
from engine.triggers.unused_feature import UnusedFeature
from engine.triggers.usage_drop import UsageDrop

BUILT_IN: tuple[type[Trigger], ...] = (
    CancellationScheduled, Cancelled, CardExpiring, Date, Downgrade, Event, Inactivity, Milestone, Onboarding,
    PaymentFailed, PaymentLost, RenewalApproaching, Sql, SurveyScore, Ticket, TrialEnding, UnusedFeature, UsageDrop,
)  # fmt: skip

__all__ = [
    "BUILT_IN", "Condition", "Found", "Lookup", "Needs", "Shared", "Trigger", "finds_cases", "mails_open_cases",
    "triggers",
]  # fmt: skip


@cache
def triggers() -> Mapping[str, Trigger]:
    """Every trigger by its name: ours, and those other packages offer."""
    found = [trigger() for trigger in BUILT_IN]
    found += [entry.load()() for entry in entry_points(group="holdfast.triggers")]
    return {trigger.name: trigger for trigger in found}


def finds_cases(use: TriggerUse) -> bool:
    """Whether what it finds are failed payments, still open or lost."""
    return triggers()[use.name].needs(use.params).cases


def mails_open_cases(use: TriggerUse) -> bool:
    """Whether it is for the mails about failed payments that are still open, which `dunning.max_mails` counts."""
    return isinstance(use.params, PaymentFailedParams) and use.params.handled_by == "mail"
