"""The `downgrade` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, utc_date


class DowngradeParams(TriggerParams):
    """No parameters: `downgrade: {}`."""


class Downgrade(Trigger):
    """Customers who pay less than before.

        trigger:
          downgrade: {}

    Holds when the last change of the amount of a subscription in service lowered it. Going back up ends the ladder,
    going further down begins another. Changes of the plan alone do not count.
    """

    name = "downgrade"
    params = DowngradeParams
    about = "the subscription and the UTC date of the change"
    row_table = "subscription_changes"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """What changed into what."""
        return {"from_plan": "text", "to_plan": "text", "from_amount_minor": "number", "to_amount_minor": "number"}

    def needs(self, params: Any) -> Needs:
        """Changes, and the subscriptions that say whose they are."""
        return Needs(
            required={"subscription_changes": ("at", "from_amount_minor", "to_amount_minor"), "subscriptions": ()},
            optional={"subscription_changes": ("from_plan", "to_plan")},
        )

    def find(self, params: Any, look: Lookup) -> Found:
        """One candidate a subscription: its last change."""

        def plan(name: str) -> str:
            return look.column("r", "subscription_changes", name, "VARCHAR")

        at = 'r."at"'
        return Found(
            f"{look.shared(_numbered(look))} AS r JOIN t_subscriptions AS s ON s.subscription_id = r.subscription_id "
            f"JOIN person AS p ON p.cust = s.cust",
            (
                Condition("the subscription is in service", "s.in_service"),
                Condition("it is the last change of the amount", "r.newest_ = 1", {"changed": at}),
                Condition(
                    "the amount fell", "r.to_amount_minor < r.from_amount_minor",
                    {"from": "r.from_amount_minor", "to": "r.to_amount_minor"},
                ),
            ),
            f"r.subscription_id || ':' || {utc_date(at)}", at,
            {
                "from_plan": lambda: plan("from_plan"), "to_plan": lambda: plan("to_plan"),
                "from_amount_minor": lambda: "r.from_amount_minor", "to_amount_minor": lambda: "r.to_amount_minor",
            },
            rests_at=at,
        )  # fmt: skip


def _numbered(look: Lookup) -> str:
    """Past changes of the amount, the newest of each subscription first; of one instant, the one to the least."""
    return (
        'SELECT c.*, row_number() OVER (PARTITION BY c.subscription_id ORDER BY c."at" DESC, c.to_amount_minor, '
        "c.from_amount_minor DESC) AS newest_ FROM t_subscription_changes AS c "
        f'WHERE c."at" < {look.now} AND c.from_amount_minor <> c.to_amount_minor'
    )
