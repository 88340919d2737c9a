"""What customers bought and paid: trials, renewals, failed charges, moves to another plan, cancellations.

Every account is lived through period by period up to the instant of the export; what lies behind that instant is
unknown to the tables, as it would be in life.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from engine.sample.company import DECLINES, HARD, price_minor
from engine.sample.people import Person
from engine.sample.records import (
    Dispute,
    Invoice,
    PaymentFailure,
    PaymentMethod,
    Refund,
    Subscription,
    SubscriptionChange,
)
from engine.sample.stream import Stream

TRIAL_DAYS = 14
GIVE_UP_DAYS = 14
"""A bill unpaid this long ends the subscription."""
RETRY_DAYS = (0, 3, 5, 7)
"""Days after the due date on which the card is charged again while the bill is open."""
KEPT_DAYS = 400
"""Bills older than this are not in the export."""

FAILED_PERCENT = 8
RECOVERED_PERCENT = 75
CANCELLED_PERCENT = {"month": 3, "year": 16}
"""Chance per period to ask for the end."""
MOVED_PERCENT = {"month": 1, "year": 6}
"""Chance per period to move from one paid plan to the other."""


class Fate(NamedTuple):
    """What becomes of one bill. `code` None: the charge goes through at once."""

    code: str | None
    refused_for_good: bool
    """Whether the bank refuses the card for good from the second try on."""
    paid_after: timedelta | None
    """None: never."""


STORIES: dict[str, tuple[int, Fate]] = {
    "C00017": (3, Fate("insufficient_funds", False, None)),
    "C00020": (1, Fate("expired_card", False, None)),
    "C00006": (2, Fate("lost_card", False, None)),
    "C00021": (1, Fate("authentication_required", False, None)),
    "C00019": (1, Fate("stop_payment_order", False, None)),
    "C00049": (12, Fate("do_not_honor", False, None)),
    "C00080": (8, Fate("insufficient_funds", False, timedelta(days=7, hours=2))),
    "C00046": (17, Fate("card_not_supported", False, None)),
    "C00051": (1, Fate("fraudulent", False, None)),
    "C00060": (3, Fate("account_closed", False, None)),
}
"""Customers whose first bill fell due so many days before the export and failed: whatever the day, somebody gets each
kind of mail about a failed payment, and the last two, suspected of fraud and without an address, become tasks."""


LEAVERS = {"C00066": timedelta(hours=36), "C00064": timedelta(hours=33)}
"""Customers who asked for the end of their plan so long before the export: whatever the day, somebody just did."""

MOVERS = {"C00069": timedelta(hours=34), "C00119": timedelta(hours=38)}
"""Customers who moved from the team plan to the smaller one so long before the export."""


@dataclass
class Account:
    """All billing rows of one customer, and the days between which they had a paid plan."""

    subscriptions: list[Subscription] = field(default_factory=list)
    changes: list[SubscriptionChange] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    failures: list[PaymentFailure] = field(default_factory=list)
    cards: list[PaymentMethod] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    @property
    def current(self) -> Subscription | None:
        """The subscription in service, if there is one."""
        return next((s for s in reversed(self.subscriptions) if s.ended_at is None), None)

    @property
    def bought_minor(self) -> int | None:
        """What a period of the first subscription cost when it was bought."""
        if not self.subscriptions:
            return None
        first = self.subscriptions[0]
        moves = (change for change in self.changes if change.subscription_id == first.subscription_id)
        return next((move.from_amount_minor for move in moves), first.amount_minor)

    def serves(self, at: datetime) -> bool:
        """Whether a subscription was in service at that instant."""
        return any(s.started_at <= at and (s.ended_at is None or at < s.ended_at) for s in self.subscriptions)


def add_months(day: date, months: int) -> date:
    """The same day `months` later, clamped to the month's end."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def live_through(person: Person, now: datetime) -> Account:
    """The account of one customer as the export shows it at `now` (exclusive, naive UTC)."""
    account = Account()
    if person.course == "free":
        return account
    draws = person.stream("billing")
    if person.customer_id in STORIES:
        days, fate = STORIES[person.customer_id]
        first_bill_on = now.date() - timedelta(days=days)
        started_at = datetime.combine(first_bill_on - timedelta(days=TRIAL_DAYS), person.signed_up_at.time())
        _Plan(person, account, draws, now, fate).run(started_at, first_bill_on, number=1)
        return account
    trial_end = person.signed_up_on + timedelta(days=TRIAL_DAYS)
    if trial_end >= now.date() or person.course == "trial":
        account.subscriptions.append(_trial(person, trial_end, draws, now))
        return account
    _Plan(person, account, draws, now).run(person.signed_up_at, trial_end, number=1)
    last = account.subscriptions[-1]
    if last.cancel_reason == "cancellation_requested" and last.ended_at and draws.chance(9):
        again = last.ended_at + timedelta(days=draws.between(20, 120))
        if again < now:
            _Plan(person, account, draws, now).run(again, again.date(), number=2)
    return account


def _trial(person: Person, trial_end: date, draws: Stream, now: datetime) -> Subscription:
    currency = person.market.currency
    plan = draws.weighted((("pro", 7), ("team", 3)))
    amount = price_minor(plan, "month", currency)
    ended_at = datetime.combine(trial_end, person.signed_up_at.time())
    over = ended_at < now
    return Subscription(
        subscription_id=f"S{person.customer_id[1:]}-1",
        customer_id=person.customer_id,
        status="canceled" if over else "trialing",
        plan=plan,
        interval="month",
        amount_minor=amount,
        next_amount_minor=amount,
        currency=currency,
        started_at=person.signed_up_at,
        trial_end=trial_end,
        current_period_end=None if over else trial_end,
        cancel_at_period_end=False,
        cancel_requested_at=None,
        ended_at=ended_at if over else None,
        cancel_reason="trial_ended" if over else None,
        anchor_date=trial_end,
    )


@dataclass(frozen=True)
class _End:
    """How and when a subscription ends, or that its end is asked for."""

    at: datetime | None
    reason: str | None
    requested_at: datetime | None = None


class _Plan:
    """One paid subscription, from its first bill to its end or the present."""

    def __init__(
        self, person: Person, account: Account, draws: Stream, now: datetime, fate: Fate | None = None
    ) -> None:
        self.person, self.account, self.draws, self.now, self.fate = person, account, draws, now, fate
        self.currency = person.market.currency
        self.plan = draws.weighted((("pro", 7), ("team", 3)))
        self.interval = draws.weighted((("month", 66), ("year", 34)))
        self.price = price_minor(self.plan, self.interval, self.currency)
        # One in four yearly customers still pays an older, lower price; the renewal mail must name the new one.
        self.amount = self.price * 9 // 10 if self.interval == "year" and draws.chance(25) else self.price
        self.whims = person.stream("moves")

    def run(self, started_at: datetime, first_bill_on: date, number: int) -> None:
        """Write all rows. The first charge falls on `first_bill_on`, the rest on the same day of later periods."""
        subscription_id = f"S{self.person.customer_id[1:]}-{number}"
        self._card(first_bill_on, number)
        step = 12 if self.interval == "year" else 1
        period = 0
        while True:
            due = datetime.combine(add_months(first_bill_on, period * step), started_at.time())
            if due >= self.now:
                end = _End(None, None)
                break
            next_due = datetime.combine(add_months(first_bill_on, (period + 1) * step), started_at.time())
            end = self._period(subscription_id, f"{number}{period:02d}", due, next_due)
            period += 1
            if end.reason:
                break
        self._subscription(subscription_id, started_at, first_bill_on, period * step, end)

    def _period(self, subscription_id: str, bill: str, due: datetime, next_due: datetime) -> _End:
        unpaid_until = self._bill(subscription_id, f"I{self.person.customer_id[1:]}-{bill}", due)
        if unpaid_until:
            return _End(unpaid_until, "payment_failed") if unpaid_until < self.now else _End(None, None)
        requested_at = self._leaves_at(due, next_due)
        if requested_at is None:
            self._move(subscription_id, due, next_due)
            return _End(None, None)
        if requested_at >= self.now:
            return _End(None, None)
        at_end = self.draws.chance(80)
        ended_at = next_due if at_end else requested_at
        end = _End(ended_at if ended_at < self.now else None, "cancellation_requested", requested_at)
        self._money_back(f"I{self.person.customer_id[1:]}-{bill}", end)
        return end

    def _leaves_at(self, due: datetime, next_due: datetime) -> datetime | None:
        """When the customer asks for the end, if they do so in this period."""
        if self.draws.chance(CANCELLED_PERCENT[self.interval]):
            return due + timedelta(days=self.draws.between(1, (next_due - due).days - 1), minutes=37)
        return self._told(LEAVERS, due, next_due)

    def _move(self, subscription_id: str, due: datetime, next_due: datetime) -> None:
        """Now and then somebody moves to the other plan; the next bill is the first to show it."""
        moves = self.whims.chance(MOVED_PERCENT[self.interval])
        drawn = due + timedelta(days=self.whims.between(1, (next_due - due).days - 1), minutes=self.whims.below(600))
        at = self._told(MOVERS, due, next_due) or (drawn if moves else None)
        if at is None or at >= self.now:
            return
        plan = "pro" if self.plan == "team" else "team"
        price = price_minor(plan, self.interval, self.currency)
        self.account.changes.append(SubscriptionChange(subscription_id, at, self.plan, plan, self.amount, price))
        self.plan, self.price, self.amount = plan, price, price

    def _told(self, stories: dict[str, timedelta], due: datetime, next_due: datetime) -> datetime | None:
        """The instant at which one of the stories has this customer act, if it lies in this period."""
        ago = stories.get(self.person.customer_id)
        return self.now - ago if ago and due < self.now - ago < next_due else None

    def _bill(self, subscription_id: str, invoice_id: str, due: datetime) -> datetime | None:
        """Write one bill; the instant the subscription dies of it, or None when it was or may yet be paid."""
        fate = self.fate or self._drawn()
        settles_at = None if fate.paid_after is None else due + fate.paid_after
        paid_at = settles_at if settles_at and settles_at < self.now else None
        if due >= self.now - timedelta(days=KEPT_DAYS):
            tries = self._tries(invoice_id, due, paid_at or self.now, fate)
            self.account.failures += tries
            self.account.invoices.append(self._invoice(subscription_id, invoice_id, due, paid_at, tries))
        return None if settles_at else due + timedelta(days=GIVE_UP_DAYS)

    def _drawn(self) -> Fate:
        failed = self.draws.chance(FAILED_PERCENT)
        codes = self.draws.weighted(DECLINES)
        recovered = self.draws.chance(RECOVERED_PERCENT)
        paid_after = timedelta(days=self.draws.between(0, GIVE_UP_DAYS - 1), hours=self.draws.between(3, 20))
        code, refused_for_good = self.draws.pick(codes), self.draws.chance(10)
        if not failed:
            return Fate(None, False, timedelta(0))
        return Fate(code, refused_for_good, paid_after if recovered else None)

    def _tries(self, invoice_id: str, due: datetime, until: datetime, fate: Fate) -> list[PaymentFailure]:
        """Failed charges before `until`."""
        if fate.code is None:
            return []
        moments = (due + timedelta(days=day) for day in RETRY_DAYS)
        codes = (fate.code, *[HARD[0] if fate.refused_for_good else fate.code] * (len(RETRY_DAYS) - 1))
        return [
            PaymentFailure(invoice_id, at, reason, "confirm_card_data" if reason == "expired_card" else None)
            for at, reason in zip(moments, codes, strict=True)
            if at < until
        ]

    def _invoice(
        self,
        subscription_id: str,
        invoice_id: str,
        due: datetime,
        paid_at: datetime | None,
        tries: list[PaymentFailure],
    ) -> Invoice:
        coming = (due + timedelta(days=day) for day in RETRY_DAYS)
        next_attempt_at = next((at for at in coming if at >= self.now), None)
        given_up = paid_at is None and self.now - due >= timedelta(days=GIVE_UP_DAYS)
        return Invoice(
            invoice_id=invoice_id,
            number=f"CL-{invoice_id[1:]}",
            customer_id=self.person.customer_id,
            subscription_id=subscription_id,
            product=f"Corkline {self.plan.title()}",
            status="paid" if paid_at else "uncollectible" if given_up else "open",
            amount_minor=self.amount,
            currency=self.currency,
            failed_at=tries[0].at if tries else None,
            last_failed_at=tries[-1].at if tries else None,
            paid_at=paid_at,
            next_attempt_at=None if paid_at else next_attempt_at,
            attempt_count=len(tries) + (1 if paid_at else 0),
            decline_code=tries[-1].decline_code if tries else None,
            hosted_invoice_url=f"https://pay.example.com/{invoice_id}",
            billing_reason="subscription_cycle",
            collection_method="charge_automatically",
            access_until=(due + timedelta(days=GIVE_UP_DAYS)).date() if tries and not paid_at else None,
        )

    def _subscription(self, subscription_id: str, started_at: datetime, anchor: date, months: int, end: _End) -> None:
        pending = bool(end.requested_at) and end.at is None
        unpaid = any(i.status == "open" and i.subscription_id == subscription_id for i in self.account.invoices)
        status = "canceled" if end.at else "past_due" if unpaid else "active"
        self.account.subscriptions.append(
            Subscription(
                subscription_id=subscription_id,
                customer_id=self.person.customer_id,
                status=status,
                plan=self.plan,
                interval=self.interval,
                amount_minor=self.amount,
                next_amount_minor=self.price,
                currency=self.currency,
                started_at=started_at,
                trial_end=anchor if subscription_id.endswith("-1") else None,
                current_period_end=None if end.at else add_months(anchor, months),
                cancel_at_period_end=pending,
                cancel_requested_at=end.requested_at,
                ended_at=end.at,
                cancel_reason=end.reason,
                anchor_date=anchor,
            )
        )

    def _card(self, day: date, number: int) -> None:
        years, month = self.draws.between(3, 5), self.draws.between(1, 12)
        self.account.cards.append(
            PaymentMethod(
                payment_method_id=f"P{self.person.customer_id[1:]}-{number}",
                customer_id=self.person.customer_id,
                brand=self.draws.weighted((("visa", 5), ("mastercard", 4), ("amex", 1))),
                last4=f"{self.draws.below(10_000):04d}",
                exp_month=month,
                exp_year=day.year + years,
                is_default=True,
                added_at=datetime.combine(day - timedelta(days=1), self.person.signed_up_at.time()),
            )
        )

    def _money_back(self, invoice_id: str, end: _End) -> None:
        """A few who leave at once get their money back or contest the charge: nobody to win back by mail."""
        asked, contested = self.draws.chance(30), self.draws.chance(5)
        if end.at is None or end.at != end.requested_at:
            return
        at = end.at + timedelta(hours=5)
        if at >= self.now:
            return
        if asked:
            self.account.refunds.append(
                Refund(self.person.customer_id, invoice_id, self.amount, at, "full", "succeeded")
            )
        elif contested:
            self.account.disputes.append(
                Dispute(self.person.customer_id, invoice_id, self.amount, at, "subscription_canceled", "open")
            )
