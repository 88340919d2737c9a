"""The `trial_ending` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger


class TrialEndingParams(TriggerParams):
    """No parameters: `trial_ending: {}`."""


class TrialEnding(Trigger):
    """Subscriptions in their trial.

        trigger:
          trial_ending: {}
        steps:
          - before: 3 days
            send: trial/three-days

    Holds for a subscription in service whose `trial_end` is still to come. A trial that is extended gets new
    reminders around the new date.
    """

    name = "trial_ending"
    params = TrialEndingParams
    about = "the subscription and the local date on which the trial ends"
    survives = "near_date"
    row_table = "subscriptions"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """When it ends and which plan is tried."""
        return {"trial_ends_on": "date", "plan": "text"}

    def defaults(self, params: Any) -> RuleDefaults:
        """The anchor lies ahead."""
        return RuleDefaults(anchored_on_date=True)

    def needs(self, params: Any) -> Needs:
        """Subscriptions with a trial end."""
        return Needs(required={"subscriptions": ("trial_end",)}, optional={"subscriptions": ("plan",)})

    def find(self, params: Any, look: Lookup) -> Found:
        """One candidate a subscription."""
        return Found(
            "t_subscriptions AS r JOIN person AS p ON p.cust = r.cust",
            (
                Condition("the subscription is in service", "r.in_service"),
                Condition("its trial has not ended", f"r.trial_end >= {look.now}", {"trial ends": "r.trial_end_on"}),
            ),
            "r.subscription_id || ':' || strftime(r.trial_end_on, '%Y-%m-%d')", "r.trial_end",
            {
                "trial_ends_on": lambda: "r.trial_end_on",
                "plan": lambda: look.column("r", "subscriptions", "plan", "VARCHAR"),
            },
        )  # fmt: skip
