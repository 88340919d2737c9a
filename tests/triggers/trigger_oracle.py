"""What each trigger finds, worked out row by row in plain Python from the words of the rule reference alone.

Slow and simple on purpose: no SQL, no sharing, one customer at a time. Tables are the same dict rows the engines are
given. Answers are (occurrence, anchor, rests_at, facts) by customer id.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from unicodedata import combining, normalize
from zoneinfo import ZoneInfo, available_timezones

Row = dict[str, Any]
Answer = dict[str, list[tuple[str, datetime, datetime | None, dict[str, Any]]]]

DAY = timedelta(days=1)
ZONES = available_timezones()

GROUPS = {
    "insufficient_funds": "soft", "generic_decline": "soft", "incorrect_cvc": "details", "expired_card": "details",
    "stop_payment_order": "wish-to-stop", "authentication_required": "authentication", "lost_card": "hard",
    "fraudulent": "fraud", "highest_risk_level": "fraud", "previously_declined_do_not_retry": "hard",
    "duplicate_transaction": "soft", "testmode_decline": "soft", "lock_timeout": "soft", "card_declined": "soft",
}  # fmt: skip
"""The codes generated worlds use; any other says nothing, and where nothing else does either, it is soft."""
NOBODY, PERSON = {"testmode_decline", "lock_timeout"}, {"fraudulent", "highest_risk_level", "duplicate_transaction"}
ADVICE = {
    "do_not_try_again": "hard", "03": "hard", "21": "wish-to-stop", "r0": "wish-to-stop", "r3": "hard",
    "confirm_card_data": "details", "01": "details", "try_again_later": "soft", "24": "soft",
}  # fmt: skip
NOT_OVERRULED = {"fraud", "wish-to-stop"}
OVER = {"canceled", "incomplete", "incomplete_expired"}

OTHER_REASONS = {"subscription_create", "manual", "upcoming", "quote_accept", "automatic_pending_invoice_item_invoice"}
"""Stripe's words for invoices that are no renewals; a word nobody knows does not exclude."""


def is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def fold(name: str) -> str:
    return name.strip().casefold()


def days(text: str) -> timedelta:
    count, unit = text.split()
    return (
        int(count)
        * {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY}[
            unit.removesuffix("s")
        ]
    )


def holds(text: str | None, phrase: str) -> bool:
    """Whether a text holds a phrase as whole words, whatever their case and accents."""

    def words(of: str) -> list[str]:
        bare = "".join(one for one in normalize("NFD", of.casefold()) if not combining(one))
        return re.findall(r"[^\W_]+", bare)

    wanted, given = words(phrase), words(text or "")
    return any(given[place : place + len(wanted)] == wanted for place in range(len(given)))


def word(value: object) -> str:
    return str(value or "").strip().lower()


def utc_date(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"


# ── local time ──────────────────────────────────────────────────────────────────────────────────────────────────────


def local(instant: datetime, zone: str) -> datetime:
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@cache
def first_instant(wall: datetime, zone: str) -> datetime:
    """The first instant at which a clock in `zone` shows `wall` or, where that time does not exist, the next one."""
    quarter = timedelta(minutes=15)
    probe = wall - timedelta(hours=15)
    probe += (wall - probe) % quarter
    while local(probe, zone) < wall:
        probe += quarter
    return probe if local(probe, zone) == wall else probe - (probe - datetime.min) % quarter  # clocks jump on quarters


def shift(day: date, interval: str, times: int) -> date:
    """`times` intervals after `day`, counted from `day` itself; the month's end where the day is missing."""
    if interval in {"day", "week"}:
        return day + times * (7 if interval == "week" else 1) * DAY
    months = day.month - 1 + times * (12 if interval == "year" else 1)
    year, month = day.year + months // 12, months % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


class Case(NamedTuple):
    """A failed invoice as its last try shows it. `last4` is that try's card."""

    group: str
    contact: str
    anchor: datetime
    last_try_at: datetime
    last4: str | None


class Remembered(NamedTuple):
    """What is known of failed payments besides the tables: the state's memory, and the settings of `dunning`."""

    first_run_at: datetime
    on_hold: set[str]
    mails: dict[str, int]
    refused: set[str]
    pay_page: str | None = None
    max_mails: int = 5
    adopt_days: int = 7
    retry_days: int = 14


class Oracle:
    """One world as of one instant. `workspace_zone` is that of customers without a (known) zone."""

    def __init__(
        self, tables: dict[str, list[Row]], as_of: datetime, workspace_zone: str, remembered: Remembered
    ) -> None:
        self.tables, self.as_of, self.workspace_zone, self.remembered = tables, as_of, workspace_zone, remembered
        self.customers = {row["customer_id"]: row for row in tables["customers"] if not is_empty(row["customer_id"])}
        self.events = self._events()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self, table: str) -> list[Row]:
        """Rows of known customers."""
        return [row for row in self.tables.get(table, []) if row["customer_id"] in self.customers]

    def zone(self, customer: str) -> str:
        zone = self.customers[customer].get("timezone")
        return zone if zone in ZONES else self.workspace_zone

    def address(self, customer: str) -> str | None:
        email = self.customers[customer].get("email")
        if is_empty(email) or email.count("@") != 1:
            return None
        return email.strip().lower()

    def moment(self, customer: str, value: date | datetime | str | None) -> datetime | None:
        """The instant of a date-like value: a bare date is that date's midnight where the customer lives."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        if value is None or isinstance(value, datetime):
            return value
        return first_instant(datetime.combine(value, time()), self.zone(customer))

    def day(self, customer: str, value: date | datetime | str) -> date:
        """The local date of a date-like value."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        return local(value, self.zone(customer)).date() if isinstance(value, datetime) else value

    def is_past(self, instant: datetime | None) -> bool:
        return instant is not None and instant < self.as_of

    def _events(self) -> dict[str, list[Row]]:
        """Each customer's events before the run, repeated ones once: the earliest of an id, else one of equal rows."""
        whole = [row for row in self.tables["events"]
                 if not (is_empty(row["customer_id"]) or is_empty(row["name"]) or row["at"] is None)]  # fmt: skip
        by_id: dict[str, Row] = {}
        kept: list[Row] = []
        for row in whole:
            if not is_empty(row.get("event_id")):
                known = by_id.get(row["event_id"])
                if known is None or row["at"] < known["at"]:
                    by_id[row["event_id"]] = row
            elif (folded := {**row, "name": fold(row["name"]), "event_id": None}) not in kept:
                kept.append(folded)
        found: dict[str, list[Row]] = {customer: [] for customer in self.customers}
        for row in [*by_id.values(), *kept]:
            if row["customer_id"] in found and self.is_past(row["at"]):
                found[row["customer_id"]].append(row)
        return found

    def times(self, customer: str, names: Sequence[str] = (), since: datetime | None = None) -> list[datetime]:
        """When these events (any, without names) happened, at or after `since`, in order."""
        return sorted(row["at"] for row in self.matching(customer, names, since))

    def matching(self, customer: str, names: Sequence[str] = (), since: datetime | None = None) -> list[Row]:
        folded = {fold(name) for name in names}
        return [row for row in self.events[customer]
                if (not names or fold(row["name"]) in folded) and (since is None or row["at"] >= since)]  # fmt: skip

    # ── subscriptions ───────────────────────────────────────────────────────────────────────────────────────────

    def in_service(self, row: Row) -> bool:
        started, ended = row.get("started_at"), self.moment(row["customer_id"], row.get("ended_at"))
        if started is not None and started >= self.as_of:
            return False
        if ended is not None:
            return ended >= self.as_of
        return (row.get("status") or "").lower() not in OVER

    def set_to_cancel(self, row: Row) -> bool:
        requested = row.get("cancel_requested_at")
        return requested < self.as_of if requested is not None else bool(row.get("cancel_at_period_end"))

    def renewal(self, row: Row) -> tuple[date, datetime] | None:
        """Local date and instant of the next renewal."""
        customer = row["customer_id"]
        end = self.moment(customer, row.get("current_period_end"))
        if end is not None and end >= self.as_of:
            return self.day(customer, row["current_period_end"]), end
        anchor, interval = row.get("anchor_date"), (row.get("interval") or "").strip().lower()
        if anchor is None or interval not in {"day", "week", "month", "year"}:
            return None
        zone, first = self.zone(customer), self.day(customer, anchor)
        instant = self.moment(customer, anchor)
        assert instant is not None
        wall = local(instant, zone).time() if isinstance(anchor, datetime) else time()
        times = 0
        while True:
            day = shift(first, interval, times)
            then = first_instant(datetime.combine(day, wall), zone)
            if then >= self.as_of:
                return day, then
            times += 1

    def subscribers(self) -> set[str]:
        return {row["customer_id"] for row in self.rows("subscriptions") if self.in_service(row)}

    # ── triggers ────────────────────────────────────────────────────────────────────────────────────────────────

    def scoped(self, everyone: bool) -> Iterable[str]:
        if everyone or "subscriptions" not in self.tables:
            return self.customers
        return self.subscribers()

    def inactivity(
        self, *, for_: str, event: Sequence[str] = (), min_events: int = 1, everyone: bool = False
    ) -> Answer:
        found: Answer = {}
        for customer in self.scoped(everyone):
            times = self.times(customer, event)
            if len(times) >= min_events and times and times[-1] <= self.as_of - days(for_):
                last = times[-1]
                facts = {
                    "last_event_at": last, "days_inactive": (self.as_of - last) // DAY, "events_before": len(times),
                }  # fmt: skip
                found[customer] = [(utc_date(last), last + days(for_), last, facts)]
        return found

    def unused_feature(
        self, *, feature: str, for_: str, active_within: str | None = None, active_event: Sequence[str] = (),
        min_active_events: int = 1, min_age: str | None = None, everyone: bool = False,
    ) -> Answer:  # fmt: skip
        found: Answer = {}
        for customer in self.scoped(everyone):
            uses = self.times(customer, (feature,))
            signed_up = self.customers[customer].get("signed_up_at")
            if uses and uses[-1] >= self.as_of - days(for_):
                continue
            if active_within:
                active = self.times(customer, active_event, self.as_of - days(active_within))
                if len(active) < min_active_events:
                    continue
            if min_age and not (signed_up is not None and signed_up <= self.as_of - days(min_age)):
                continue
            if not uses and not self.is_past(signed_up):
                continue
            last = uses[-1] if uses else None
            anchor = last + days(for_) if last else signed_up + (days(min_age) if min_age else timedelta())
            facts = {"feature": feature.strip().casefold(), "last_used_at": last}
            found[customer] = [(utc_date(last) if last else "never", anchor, last, facts)]
        return found

    def onboarding(self, *, event: Sequence[str], for_: str, within: str = "30 days", everyone: bool = False) -> Answer:
        found: Answer = {}
        for customer in self.scoped(everyone):
            signed_up = self.customers[customer].get("signed_up_at")
            if signed_up is None or self.times(customer, event):
                continue
            if self.as_of - days(within) <= signed_up <= self.as_of - days(for_):
                facts = {"event": " or ".join(map(fold, event)), "signed_up_at": signed_up}
                occurrence = "+".join(map(fold, event)) + ":" + utc_date(signed_up)
                found[customer] = [(occurrence, signed_up + days(for_), signed_up, facts)]
        return found

    def renewal_approaching(self, *, interval: str | None = None) -> Answer:
        found: Answer = {}
        for row in self.rows("subscriptions"):
            if not self.in_service(row) or self.set_to_cancel(row):
                continue
            if interval and (row.get("interval") or "").strip().lower() != interval:
                continue
            renewal = self.renewal(row)
            if renewal:
                day, instant = renewal
                facts = {"renews_on": day} | {
                    name: row.get(name) for name in ("plan", "amount_minor", "next_amount_minor", "currency")
                }
                _add(found, row, f"{row['subscription_id']}:{day}", instant, None, facts)
        return found

    def trial_ending(self) -> Answer:
        found: Answer = {}
        for row in self.rows("subscriptions"):
            customer, end = row["customer_id"], self.moment(row["customer_id"], row.get("trial_end"))
            if end is not None and end >= self.as_of and self.in_service(row):
                day = self.day(customer, row["trial_end"])
                facts = {"trial_ends_on": day, "plan": row.get("plan")}
                _add(found, row, f"{row['subscription_id']}:{day}", end, None, facts)
        return found

    def cancelled(self, *, reason: str = "any", exclude: Sequence[str] = ()) -> Answer:
        found: Answer = {}
        for row in self.rows("subscriptions"):
            customer, end = row["customer_id"], self.moment(row["customer_id"], row.get("ended_at"))
            if not self.is_past(end) or not self._left_for_good(row, end):
                continue
            involuntary = (row.get("cancel_reason") or "").lower() == "payment_failed"
            if reason != "any" and involuntary != (reason == "involuntary"):
                continue
            if "refund" in exclude and self._has(customer, "refunds", "kind", {"full", "requested_full"}):
                continue
            if "dispute" in exclude and self._has(customer, "disputes", "status", {"open", "lost"}):
                continue
            facts = {
                "ended_on": self.day(customer, row["ended_at"]), "plan": row.get("plan"),
                "cancel_reason": row.get("cancel_reason"), "involuntary": involuntary,
            }  # fmt: skip
            _add(found, row, f"{row['subscription_id']}:{utc_date(end)}", end, end, facts)
        return found

    def _left_for_good(self, row: Row, end: datetime | None) -> bool:
        """Whether no other subscription of this customer or address is in service, or started or ended later.

        Of two that ended at the same instant the one with the greater id stands for both.
        """
        address = self.address(row["customer_id"])
        for other in self.rows("subscriptions"):
            same = other["customer_id"] == row["customer_id"]
            if other is row or not (same or (address and self.address(other["customer_id"]) == address)):
                continue
            other_end = self.moment(other["customer_id"], other.get("ended_at"))
            if self.in_service(other):
                return False
            if self.is_past(other.get("started_at")) and other["started_at"] > end:
                return False
            if self.is_past(other_end) and (other_end, other["subscription_id"]) > (end, row["subscription_id"]):
                return False
        return True

    def _has(self, customer: str, table: str, column: str, words: set[str]) -> bool:
        return any(row["customer_id"] == customer and self.is_past(row["at"]) and row.get(column) in words
                   for row in self.rows(table))  # fmt: skip

    def event(self, *, name: str, within: str | None = None, unless: str | None = None, min_count: int = 1) -> Answer:
        found: Answer = {}
        since = self.as_of - days(within) if within else None
        for customer in self.customers:
            times = self.times(customer, (name,), since)
            if not times or len(times) < min_count:
                continue
            if unless and self.times(customer, (unless,), times[-1]):
                continue
            facts = {"event_at": times[-1], "count": len(times)}
            found[customer] = [(utc_date(times[-1]), times[-1], times[-1], facts)]
        return found

    def date(self, *, table: str, column: str, key: str, yearly: bool = False) -> Answer:
        found: Answer = {}
        for row in self.rows(table):
            customer, value = row["customer_id"], row.get(column)
            if value is None:
                continue
            day, instant = self.day(customer, value), self.moment(customer, value)
            if yearly:
                zone = self.zone(customer)
                wall = local(instant, zone).time() if isinstance(value, datetime) else time()
                years = [shift(day, "year", self.as_of.year - day.year + step) for step in (-1, 0, 1)]
                first, day = day, min(years, key=lambda one: abs(one - self.as_of.date()))
                if day <= first:  # the day itself is no anniversary
                    continue
                instant = first_instant(datetime.combine(day, wall), zone)
            _add(found, row, f"{row[key]}:{day}", instant, instant, {"on": day})
        return found

    # ── failed payments ─────────────────────────────────────────────────────────────────────────────────────────

    def payment_failed(
        self, *, group: Sequence[str] = (), min_amount_minor: int = 1, handled_by: str = "mail"
    ) -> Answer:
        found: Answer = {}
        cases: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows("invoices"):
            if self._is_open(row) and row["amount_minor"] >= min_amount_minor:
                cases.setdefault((row["customer_id"], row["currency"]), []).append(row)
        for (customer, currency), invoices in cases.items():
            invoices.sort(key=lambda row: (row["failed_at"], row["invoice_id"]))
            oldest, case = invoices[0], self._case(invoices[0])
            why = self._why(oldest, case)
            if (group and case.group not in group) or self._is_held(oldest, case):
                continue
            if handled_by == "person":
                if not why:
                    continue
            elif (
                case.contact != "mail"
                or case.group == "fraud"
                or self._is_too_old(oldest)
                or self._has_had_enough(oldest)
            ):
                continue
            coming, numbers = oldest["next_attempt_at"], [row["number"] for row in invoices if row["number"]]
            facts = {
                **self._case_facts(oldest, case, len(invoices)), "currency": currency, "open_invoices": len(invoices),
                "amount_minor": sum(row["amount_minor"] for row in invoices),
                "invoice_numbers": ", ".join(numbers) or None, "attempt_count": oldest["attempt_count"],
                "next_attempt_at": coming if coming and coming > self.as_of else None,
                "new_card_last4": self._new_card(oldest, case), "days_left": (self._stops_on(oldest) - self._today(customer)).days,
                "earlier_failures": self._earlier_failures(oldest),
            }  # fmt: skip
            if handled_by == "person":
                facts["why"] = why
            about = why if handled_by == "person" else case.group
            _add(found, oldest, f"{oldest['invoice_id']}:{about}", case.anchor, None, facts)
        return found

    def payment_lost(self, *, group: Sequence[str] = ()) -> Answer:
        found: Answer = {}
        losses: dict[tuple[str, str], list[tuple[datetime, Row, str, date]]] = {}
        for row in self.rows("invoices"):
            if not self._is_failed_renewal(row) or row["amount_minor"] < 1:
                continue
            outcome, lost_at, ended_on = self._outcome(row)
            if outcome:
                losses.setdefault((row["customer_id"], row["currency"]), []).append((lost_at, row, outcome, ended_on))
        for ones in losses.values():
            last = max(lost_at for lost_at, *_ in ones)
            same = [one for one in ones if one[0] == last]
            lost_at, row, outcome, ended_on = min(same, key=lambda one: (one[1]["failed_at"], one[1]["invoice_id"]))
            case = self._case(row)
            if case.contact != "mail" or case.group == "fraud" or (group and case.group not in group):
                continue
            if self._must_not_be_told(row, case) or self._has_subscribed_anew(row):
                continue
            facts = {
                **self._case_facts(row, case, 1), "currency": row["currency"], "amount_minor": row["amount_minor"],
                "outcome": outcome, "ended_on": ended_on,
            }  # fmt: skip
            _add(found, row, row["invoice_id"], lost_at, None, facts)
        return found

    def _has_subscribed_anew(self, row: Row) -> bool:
        return any(
            plan["customer_id"] == row["customer_id"] and plan["subscription_id"] != row["subscription_id"]
            and self.in_service(plan) and plan["started_at"] is not None and plan["started_at"] > row["failed_at"]
            for plan in self.rows("subscriptions")
        )  # fmt: skip

    def _outcome(self, row: Row) -> tuple[str | None, datetime, date]:
        """What became of a failed invoice, when, and on which date."""
        customer, plan = row["customer_id"], self._plan(row)
        later, on = row["failed_at"] + self.remembered.retry_days * DAY, self._stops_on(row)
        if plan and self._is_over(plan):
            if word(plan.get("cancel_reason")) != "payment_failed":
                return None, later, on
            if plan.get("ended_at") is None:
                return "cancelled", later, on
            end = self.moment(customer, plan["ended_at"])
            assert end is not None
            return "cancelled", end, self.day(customer, plan["ended_at"])
        if word(row["status"]) == "uncollectible":
            return "written_off", later, on
        if word(row["status"]) != "void" and plan and word(plan["status"]) in {"unpaid", "paused"}:
            return word(plan["status"]), later, on
        return None, later, on

    def _case_facts(self, row: Row, case: Case, open_invoices: int) -> dict[str, Any]:
        customer, plan, page = row["customer_id"], self._plan(row), self.remembered.pay_page
        stops_on, card = self._stops_on(row), self._default_card(customer)
        own = row["hosted_invoice_url"]
        return {
            "invoice_id": row["invoice_id"], "group": case.group,
            "last4": case.last4 or (card["last4"] if card else None),
            "pay_url": page if page and (open_invoices > 1 or own is None) else own,
            "product": row["product"] or (plan["plan"] if plan else None),
            "stops_on": stops_on if stops_on > self._today(customer) else None,
        }  # fmt: skip

    def _is_failed_renewal(self, row: Row) -> bool:
        paid, reason = row.get("paid_at"), row.get("billing_reason")
        if not self.is_past(row.get("failed_at")) or self.is_past(paid):
            return False
        if row["status"] == "paid" and paid is None:
            return False
        if reason in OTHER_REASONS or row.get("collection_method") == "send_invoice" or row.get("livemode") is False:
            return False
        return row.get("currency") is not None and row.get("amount_minor") is not None

    def _is_open(self, row: Row) -> bool:
        return self._is_failed_renewal(row) and word(row["status"]) not in {"void", "uncollectible"}

    def _plan(self, row: Row) -> Row | None:
        """The invoice's own subscription."""
        plans = [plan for plan in self.tables["subscriptions"] if plan["subscription_id"] == row["subscription_id"]]
        return plans[0] if plans else None

    def _is_over(self, plan: Row) -> bool:
        """By its end, whenever that was or will be; by its status word only where it has none."""
        end = self.moment(plan["customer_id"], plan.get("ended_at"))
        return end < self.as_of if end else word(plan["status"]) in OVER

    def _case(self, row: Row) -> Case:
        """The present group with its anchor, and what the last try says; without tries, what the invoice does."""
        tries = [one for one in self.tables["payment_failures"]
                 if one["invoice_id"] == row["invoice_id"] and self.is_past(one["at"])]  # fmt: skip
        tries.sort(key=lambda one: one["at"])
        last = [row["failed_at"], row["last_failed_at"], *(one["at"] for one in tries)]
        last_try_at = max(instant for instant in last if self.is_past(instant))
        if not tries:
            return Case(*self._said({"decline_code": row["decline_code"]}), row["failed_at"], last_try_at, None)
        groups = [self._said(one)[0] for one in tries]
        first = len(groups) - 1
        while first and groups[first - 1] == groups[-1]:
            first -= 1
        return Case(*self._said(tries[-1]), tries[first]["at"], last_try_at, tries[-1]["last4"])

    def _said(self, one: Row) -> tuple[str, str]:
        """The group of one try and whom to turn to."""
        codes = [word(one.get(name)) for name in ("outcome_reason", "decline_code", "error_code")]
        advice = [word(one.get(name)) for name in ("network_advice_code", "advice_code")]
        groups = [GROUPS[code] for code in codes if code in GROUPS]
        said = [group for group in groups if group in NOT_OVERRULED]
        said += [ADVICE[one] for one in advice if one in ADVICE] + groups + ["soft"]
        group = "authentication" if said[0] == "soft" and word(one.get("card_country")) == "in" else said[0]
        return group, "nobody" if NOBODY & {*codes} else "person" if PERSON & {*codes} else "mail"

    def _why(self, row: Row, case: Case) -> str | None:
        """Why a case is for a person."""
        email = self.customers[row["customer_id"]].get("email")
        address = self.address(row["customer_id"])
        reasons = {
            "fraud_suspected": case.group == "fraud", "needs_a_look": case.contact == "person",
            "too_old": self._is_too_old(row), "no_address": is_empty(email),
            "address_refused": address is None or address in self.remembered.refused,
        }  # fmt: skip
        return None if case.contact == "nobody" else next((why for why, holds in reasons.items() if holds), None)

    def _is_too_old(self, row: Row) -> bool:
        heard_at = row["known_since"] or self.remembered.first_run_at
        return row["failed_at"] < heard_at - self.remembered.adopt_days * DAY

    def _has_had_enough(self, row: Row) -> bool:
        return self.remembered.mails.get(row["invoice_id"], 0) >= self.remembered.max_mails

    def _must_not_be_told(self, row: Row, case: Case) -> bool:
        """On hold, disputed, being paid, or no customer yet."""
        customer, plan = row["customer_id"], self._plan(row)
        if row["invoice_id"] in self.remembered.on_hold:
            return True
        for one in self.rows("disputes"):
            if one["customer_id"] != customer or not self.is_past(one["at"]):
                continue
            closed = one["closed_at"]
            if one["status"] == "open" or (closed and closed >= self.as_of):
                return True
            if one["status"] == "lost" and (closed is None or row["failed_at"] < closed):
                return True
        if self.is_past(row["processing_since"]) and row["processing_since"] > case.last_try_at:
            return True
        trial_end = plan and self.moment(plan["customer_id"], plan["trial_end"])
        has_card = any(
            card["added_at"] is None or self.is_past(card["added_at"]) for card in self._cards(customer, whichever=True)
        )
        return bool(trial_end and not has_card and timedelta() <= row["failed_at"] - trial_end < 3 * DAY)

    def _is_held(self, row: Row, case: Case) -> bool:
        customer, plan = row["customer_id"], self._plan(row)
        if self._must_not_be_told(row, case) or (plan and (plan["collection_paused"] or self._is_over(plan))):
            return True
        for card in self._cards(customer, whichever=True):
            added, renewed = card["added_at"], card["auto_updated_at"]
            if card["is_default"] and self.is_past(added) and added > case.last_try_at:
                return True
            if self.is_past(renewed) and renewed > case.last_try_at and self.as_of - renewed < 3 * DAY:
                return True
        return False

    def _today(self, customer: str) -> date:
        return local(self.as_of, self.zone(customer)).date()

    def _stops_on(self, row: Row) -> date:
        customer = row["customer_id"]
        if row["stops_on"] is not None:
            return self.day(customer, row["stops_on"])
        return self.day(customer, row["failed_at"]) + self.remembered.retry_days * DAY

    def _new_card(self, row: Row, case: Case) -> str | None:
        """A card added between the first failure and the last, which another card than it caused."""
        cards = [card for card in self._cards(row["customer_id"], whichever=True)
                 if card["added_at"] and row["failed_at"] < card["added_at"] <= case.last_try_at
                 and None not in (card["last4"], case.last4) and card["last4"] != case.last4]  # fmt: skip
        newest = max(cards, key=lambda card: (card["added_at"], card["payment_method_id"]), default=None)
        return newest["last4"] if newest else None

    def _earlier_failures(self, row: Row) -> int:
        return sum(
            one["customer_id"] == row["customer_id"] and one["failed_at"] is not None
            and timedelta() < row["failed_at"] - one["failed_at"] <= 92 * DAY
            for one in self.tables["invoices"]
        )  # fmt: skip

    def _cards(self, customer: str, *, whichever: bool = False) -> list[Row]:
        """The cards called default, or `whichever`."""
        return [row for row in self.rows("payment_methods")
                if row["customer_id"] == customer and (whichever or row["is_default"])]  # fmt: skip

    def _default_card(self, customer: str) -> Row | None:
        """The newest where several are called so; one added at an unknown time is the oldest."""
        cards = [row for row in self._cards(customer) if row["added_at"] is None or self.is_past(row["added_at"])]
        return max(cards, key=lambda row: (row["added_at"] or datetime.min, row["payment_method_id"]), default=None)

    # ── cards ───────────────────────────────────────────────────────────────────────────────────────────────────

    def card_expiring(self) -> Answer:
        found: Answer = {}
        for customer in self.customers:
            card = self._default_card(customer)
            if card is None or card["exp_month"] not in range(1, 13) or card["exp_year"] is None:
                continue
            year = card["exp_year"] if card["exp_year"] > 99 else 2000 + card["exp_year"]
            last = date(year, card["exp_month"], monthrange(year, card["exp_month"])[1])
            charges = [self.renewal(row) for row in self.rows("subscriptions")
                       if row["customer_id"] == customer and self.in_service(row) and not self.set_to_cancel(row)]  # fmt: skip
            unpaid = [charge[0] for charge in charges if charge and charge[0] > last]
            if unpaid:
                facts = {
                    "brand": card["brand"], "last4": card["last4"], "expires_on": last, "next_charge_on": min(unpaid),
                }  # fmt: skip
                anchor = first_instant(datetime.combine(last, time()), self.zone(customer))
                _add(found, card, f"{card['payment_method_id']}:{last:%Y-%m}", anchor, None, facts)
        return found

    # ── subscriptions on their way down or out ──────────────────────────────────────────────────────────────────

    def cancellation_scheduled(self, *, anchor: str = "request") -> Answer:
        found: Answer = {}
        for row in self.rows("subscriptions"):
            if not self.in_service(row) or not self.set_to_cancel(row):
                continue
            customer, requested = row["customer_id"], row.get("cancel_requested_at")
            end = self.renewal(row)
            if row.get("ended_at") is not None:
                instant = self.moment(customer, row["ended_at"])
                assert instant is not None
                end = self.day(customer, row["ended_at"]), instant
            counts_from = requested if anchor == "request" else end and end[1]
            if counts_from is None:
                continue
            occurrence = f"{row['subscription_id']}:{utc_date(requested) if requested else 'unknown'}"
            facts = {"ends_on": end and end[0], "plan": row.get("plan")}
            _add(found, row, occurrence, counts_from, requested or row.get("started_at"), facts)
        return found

    def downgrade(self) -> Answer:
        found: Answer = {}
        for row in self.rows("subscriptions"):
            changes = [
                one for one in self.tables["subscription_changes"]
                if one["subscription_id"] == row["subscription_id"] and self.is_past(one["at"])
                and None not in (one["from_amount_minor"], one["to_amount_minor"])
                and one["from_amount_minor"] != one["to_amount_minor"]
            ]  # fmt: skip
            if not changes or not self.in_service(row):
                continue
            last = max(changes, key=lambda one: (one["at"], -one["to_amount_minor"], one["from_amount_minor"]))
            if last["to_amount_minor"] < last["from_amount_minor"]:
                names = ("from_plan", "to_plan", "from_amount_minor", "to_amount_minor")
                occurrence = f"{row['subscription_id']}:{utc_date(last['at'])}"
                _add(found, row, occurrence, last["at"], last["at"], {name: last[name] for name in names})
        return found

    # ── less and more of something ──────────────────────────────────────────────────────────────────────────────

    def usage_drop(
        self, *, event: Sequence[str], window: str, by: str = "50%", min_before: int = 4, everyone: bool = False
    ) -> Answer:
        found: Answer = {}
        today = local(self.as_of, self.workspace_zone).date()
        begin = first_instant(datetime.combine(today, time()), self.workspace_zone)
        for customer in self.scoped(everyone):
            now = len(self.times(customer, event, self.as_of - days(window)))
            before = len(self.times(customer, event, self.as_of - 2 * days(window))) - now
            if before >= min_before and Fraction(now) <= before * (1 - Fraction(by.removesuffix("%")) / 100):
                change = Decimal(100 * (now - before)) / before
                facts = {"before": before, "now": now, "change": int(change.quantize(Decimal(1), ROUND_HALF_UP))}
                found[customer] = [(f"{today}", begin, None, facts)]
        return found

    def milestone(self, *, months: int = 0, event: Sequence[str] = (), count: int = 0) -> Answer:
        found: Answer = {}
        for customer, row in self.customers.items():
            if event:
                times = self.times(customer, event)
                if len(times) >= count:
                    occurrence = "+".join(map(fold, event)) + f":{count}"
                    found[customer] = [(occurrence, times[count - 1], None, {"count": count})]
                continue
            signed_up = row.get("signed_up_at")
            if not self.is_past(signed_up):
                continue
            first, today = local(signed_up, self.zone(customer)).date(), self.as_of.date()
            dates = [(shift(first, "month", months * number), months * number) for number in range(1200 // months)]
            day, passed = min(dates, key=lambda one: (abs(one[0] - today), one[0]))
            if passed:
                anchor = first_instant(datetime.combine(day, time()), self.zone(customer))
                found[customer] = [(f"{passed} months", anchor, None, {"years": passed // 12, "months": passed})]
        return found

    # ── answers and tickets ─────────────────────────────────────────────────────────────────────────────────────

    def survey_score(self, *, survey: str, at_least: int = 0, at_most: int = 10, reason: Sequence[str] = ()) -> Answer:
        found: Answer = {}
        latest: dict[str, Row] = {}
        for row in self.rows("responses"):
            if (
                fold(row["survey"] or "") != fold(survey)
                or row["score"] not in range(11)
                or not self.is_past(row["at"])
            ):
                continue
            known = latest.get(row["customer_id"])
            if known is None or (row["at"], row["response_id"]) > (known["at"], known["response_id"]):
                latest[row["customer_id"]] = row
        for row in latest.values():
            if at_least <= row["score"] <= at_most and (not reason or fold(row["reason"] or "") in map(fold, reason)):
                facts = {
                    "score": row["score"], "reason": row["reason"] and row["reason"].strip(),
                    "comment": row["comment"], "answered_at": row["at"],
                }  # fmt: skip
                _add(found, row, row["response_id"], row["at"], None, facts)
        return found

    def ticket(
        self, *, open_for: str | None = None, closed_within: str | None = None, words: Sequence[str] = ()
    ) -> Answer:
        found: Answer = {}
        for row in self.rows("tickets"):
            opened, closed = row["opened_at"], row["closed_at"]
            if not self.is_past(opened) or (words and not any(holds(row["text"], word) for word in words)):
                continue
            anchor = opened
            if open_for:
                anchor = opened + days(open_for)
                if anchor > self.as_of or self.is_past(closed):
                    continue
            elif closed_within:
                anchor = closed
                if not self.is_past(closed) or closed < self.as_of - days(closed_within):
                    continue
            until = closed if self.is_past(closed) else self.as_of
            facts = {"ticket_id": row["ticket_id"], "days_open": (until - opened) // DAY}
            _add(found, row, row["ticket_id"], anchor, None, facts)
        return found

    # ── facts of rules ──────────────────────────────────────────────────────────────────────────────────────────

    def fact(self, customer: str, aggregate: str, names: Sequence[str], within: str | None = None) -> object:
        rows = self.matching(customer, names, self.as_of - days(within) if within else None)
        times = sorted(row["at"] for row in rows)
        return {
            "count": len(rows),
            "sum": sum(row.get("value_minor") or 0 for row in rows),
            "first": times[0] if times else None,
            "last": times[-1] if times else None,
            "distinct_days": len({utc_date(at) for at in times}),
        }[aggregate]


def _add(
    found: Answer, row: Row, occurrence: str, anchor: datetime, rests_at: datetime | None, facts: dict[str, Any]
) -> None:
    found.setdefault(row["customer_id"], []).append((occurrence, anchor, rests_at, facts))
