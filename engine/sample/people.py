"""Who the customers are: where they live, when they signed up, and how far they got with the product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from engine.sample.company import MARKETS, Market, utc_of
from engine.sample.stream import Stream

Course = Literal["free", "trial", "paying"]
"""Never tried a paid plan; tried one and let it lapse (or is trying it now); bought one after the trial."""


@dataclass(frozen=True)
class Person:
    """What stays the same about a customer. Instants are naive UTC."""

    customer_id: str
    market: Market
    first_name: str
    name: str
    email: str
    locale: str
    signed_up_at: datetime
    signed_up_on: date
    course: Course
    consent: bool | None
    consent_source: str | None

    def stream(self, topic: str) -> Stream:
        """This customer's own draws for one topic."""
        return Stream(f"{self.customer_id}/{topic}")


def person(number: int, today: date) -> Person:
    """Customer `number` (from 1), who signed up before `today` in UTC and within the last three years.

    The smaller of two draws makes recent sign-ups likelier: the company grows.
    """
    customer_id = f"C{number:05d}"
    draws = Stream(f"{customer_id}/person")
    market = draws.weighted(MARKETS)
    given, family = draws.pick(market.given), draws.pick(market.family)
    minute = draws.between(7 * 60, 22 * 60)
    signed_up_on = today - timedelta(days=1 + min(draws.below(1098), draws.below(1600)))
    if utc_of(market.timezone, signed_up_on, minute) >= datetime.combine(today, time(0)):
        signed_up_on -= timedelta(days=1)
    return Person(
        customer_id=customer_id,
        market=market,
        first_name=given[0],
        name=f"{given[0]} {family[0]}",
        email=f"{given[1]}.{family[1]}.{number}@example.com",
        locale=draws.weighted(market.locales),
        signed_up_at=utc_of(market.timezone, signed_up_on, minute),
        signed_up_on=signed_up_on,
        course=draws.weighted((("free", 29), ("trial", 26), ("paying", 45))),
        consent=draws.weighted(((True, 89), (False, 8), (None, 3))),
        # Some accounts were taken over from an older system that did not note where the consent came from.
        consent_source=draws.weighted((("sign-up form", 93), (None, 7))),
    )
