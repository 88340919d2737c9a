"""The `card_expiring` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger
from engine.warehouse.zones import instant_of, local_span_of


class CardExpiringParams(TriggerParams):
    """No parameters: `card_expiring: {}`."""


class CardExpiring(Trigger):
    """Customers whose card will have expired when it is charged next.

        trigger:
          card_expiring: {}
        steps:
          - before: 30 days
            send: card/expires-soon

    Holds when the last valid day of the default card, the last day of its expiry month, comes before the coming period
    end of a subscription in service that is not set to cancel; a charge on that day itself still goes through. Of
    several default cards the newest counts. A year of two digits is one of this century. Another card, or the same
    one with a new expiry date, is another case.
    """

    name = "card_expiring"
    params = CardExpiringParams
    about = "the card and its expiry month"
    survives = "none"
    row_table = "payment_methods"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """Which card, how long it is valid, and the first charge after that."""
        return {"brand": "text", "last4": "text", "expires_on": "date", "next_charge_on": "date"}

    def defaults(self, params: Any) -> RuleDefaults:
        """The anchor lies ahead."""
        return RuleDefaults(anchored_on_date=True)

    def needs(self, params: Any) -> Needs:
        """Cards with their expiry, and the subscriptions they pay."""
        return Needs(
            required={"payment_methods": ("exp_month", "exp_year", "is_default"), "subscriptions": ()},
            optional={"payment_methods": ("brand", "last4", "added_at")},
        )

    def find(self, params: Any, look: Lookup) -> Found:
        """One candidate a customer: the card that is charged."""
        wall = "CAST(v.expires_on AS TIMESTAMP)"
        return Found(
            f"t_payment_methods AS r JOIN person AS p ON p.cust = r.cust JOIN {look.shared(_validity(look))} AS v "
            f"ON v.payment_method_id = r.payment_method_id {local_span_of(wall, 'p.zone_no', 'z')}",
            (
                Condition("it is the default card, the newest of several", "v.is_charged"),
                Condition(
                    "it is charged after its last valid day", "v.next_charge_on IS NOT NULL",
                    {"valid until": "v.expires_on", "next charge": "v.next_charge_on"},
                ),
            ),
            "r.payment_method_id || ':' || strftime(v.expires_on, '%Y-%m')", instant_of(wall, "z"),
            {
                "brand": lambda: look.column("r", "payment_methods", "brand", "VARCHAR"),
                "last4": lambda: look.column("r", "payment_methods", "last4", "VARCHAR"),
                "expires_on": lambda: "v.expires_on",
                "next_charge_on": lambda: "v.next_charge_on",
            },
        )  # fmt: skip


def _validity(look: Lookup) -> str:
    """Of each card: whether it is the one that is charged, its last valid day, and the first charge after that."""
    added = look.column("m", "payment_methods", "added_at", "TIMESTAMP")
    is_default = f"coalesce(m.is_default AND coalesce({added} < {look.now}, TRUE), FALSE)"
    year = "CASE WHEN m.exp_year < 100 THEN 2000 + m.exp_year WHEN m.exp_year >= 1970 THEN m.exp_year END"
    cards = (
        f"SELECT m.cust, m.payment_method_id, last_day(make_date({year}, m.exp_month, 1)) AS expires_on, "
        f"{is_default} AND row_number() OVER (PARTITION BY m.cust, {is_default} "
        f"ORDER BY {added} DESC NULLS LAST, m.payment_method_id DESC) = 1 AS is_charged FROM t_payment_methods AS m"
    )
    return (
        f"SELECT c.payment_method_id, c.is_charged, c.expires_on, min(s.renews_on) AS next_charge_on "
        f"FROM ({cards}) AS c LEFT JOIN t_subscriptions AS s ON s.cust = c.cust AND s.in_service "
        f"AND NOT s.set_to_cancel AND s.renews_on > c.expires_on GROUP BY ALL"
    )
