"""Random companies with the dirt real tables have, drawn around the instants at which a rule's answer changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from trigger_oracle import Remembered

Row = dict[str, Any]

MICROSECOND, DAY = timedelta(microseconds=1), timedelta(days=1)
WINDOW_DAYS = (1, 7, 14, 21, 30, 90)
"""Windows the rules use: events lie exactly this old, and a microsecond to either side."""

ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Pacific/Auckland",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Santiago",
    "Africa/Cairo",
    "America/Havana",
    "Mars/Olympus",
    None,
    "",
)
"""The last but three put the clock forward at midnight; then an unknown zone and two missing ones."""

EVENTS = (
    "login",
    "Login",
    " LOGIN ",
    "report_shared",
    "Report_Shared",
    "checkout_started",
    "checkout_completed",
    "ping",
)

MOMENTS = (
    datetime(2026, 11, 22, 9),
    datetime(2028, 2, 29, 13, 0, 0, 1),
    datetime(2026, 3, 29, 1, 30),  # London's clocks went forward half an hour ago
    datetime(2026, 9, 26, 14),  # Auckland's go forward at this instant
    datetime(2027, 2, 28, 23, 59, 59, 999999),
)

TEXTS = (
    None,
    "Bitte KÜNDIGEN.",
    "kundigen!",
    "unkündigen",
    "Refund, please: it is\nTOO  slow",
    "too_slow",
    "not too\tsłow",
    "Re-fund",
    "Das war in der Straße, STRASSE",
    "Σίσυφος",
    "ΣΊΣΥΦΟΣ",
    "cre\u0301me bru\u0302lée",
    "it's 100%",
)
"""What people write to support: with accents, composed or not, capitals, and words within words."""


class RandomWorld:
    """Draws all tables of one company; the same seed gives the same company."""

    def __init__(self, seed: int, customers: int = 40) -> None:
        self.random = Random(seed)
        self.as_of = MOMENTS[seed % len(MOMENTS)]
        self.workspace_zone = self.random.choice(["UTC", "Europe/London", "Pacific/Auckland"])
        self.ids = [f"c{number:02}" for number in range(customers)]
        self.tables: dict[str, list[Row]] = {
            "customers": [self._customer(number) for number in range(customers)],
            "events": self._events(),
            "subscriptions": self._subscriptions(),
        }
        self.tables |= self._billing()
        self.tables |= {
            "subscription_changes": self._changes(),
            "responses": [self._response(number) for number in range(customers * 2)],
            "tickets": [self._ticket(number) for number in range(customers * 2)],
        }
        self.remembered = self._remembered(seed)

    # ── values ──────────────────────────────────────────────────────────────────────────────────────────────────

    def near(self, *days: int) -> datetime:
        """An instant around `as_of` minus one of `days`: exactly then, a microsecond off, or some time off."""
        r = self.random
        moment = self.as_of - r.choice(days or WINDOW_DAYS) * DAY
        return moment + r.choice([timedelta(), MICROSECOND, -MICROSECOND, r.randint(-20, 20) * timedelta(hours=1)])

    def past(self, days: int = 120) -> datetime:
        return self.as_of - timedelta(seconds=self.random.randint(0, days * 86_400))

    def future(self, days: int = 120) -> datetime:
        return self.as_of + timedelta(seconds=self.random.randint(0, days * 86_400))

    def sometimes(self, share: float, make: Callable[[], Any]) -> Any:
        return make() if self.random.random() < share else None

    def date_like(self, mode: str, *days: int) -> date | datetime:
        """A date-like value near `as_of` minus `days`, as the column keeps them: dates, instants, or either."""
        kind = self.random.choice(["date", "instant"]) if mode == "mixed" else mode
        moment = self.near(*days)
        return moment.date() if kind == "date" else moment

    # ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _customer(self, number: int) -> Row:
        r = self.random
        email = r.choice(
            [
                f"c{number}@example.com",
                f"C{number}@Example.com ",
                "team@example.com",
                "Team@example.COM",
                None,
                "two@at@example.com",
                f"c{number}@example.com",
            ]
        )
        return {
            "customer_id": f"c{number:02}",
            "email": email,
            "timezone": r.choice(ZONES),
            "plan": r.choice(["free", "pro", None]),
            "signed_up_at": self.sometimes(
                0.95, lambda: r.choice([self.near(), self.past(400), self.near(), self.future(5)])
            ),
            "born_on": self.sometimes(0.9, self._birthday),
            "checked_at": self.sometimes(0.9, lambda: self.near(0, 180, 365, 400, 800)),
        }

    def _birthday(self) -> date:
        r = self.random
        return r.choice(
            [
                date(2024, 2, 29),
                date(1996, 2, 29),
                date(2020, 12, 31),
                self.as_of.date(),
                (self.as_of - r.randint(0, 9000) * DAY).date(),
            ]
        )

    def _events(self) -> list[Row]:
        r = self.random
        rows: list[Row] = []
        for customer in [*self.ids, "stranger"]:
            count = r.choice([0, 1, 3, 6, 12])
            rows += [self._event(customer, len(rows) + number) for number in range(count)]
        for row in r.sample(rows, len(rows) // 4):
            rows.append(r.choice([self._repeated, self._same_id, self._broken])(row))
        r.shuffle(rows)
        return rows

    def _event(self, customer: str, number: int) -> Row:
        r = self.random
        at = r.choice([self.near(), self.near(), self.past(), self.future(3), self.as_of, self.as_of - MICROSECOND])
        return {
            "customer_id": customer,
            "name": r.choice(EVENTS),
            "at": at,
            "event_id": r.choice([f"e{number}", f"e{number}", None, ""]),
            "value_minor": r.choice([None, 0, 250, 1999, -300]),
            "note": r.choice([None, "a", "b"]),
        }

    def _repeated(self, row: Row) -> Row:
        return dict(row)

    def _same_id(self, row: Row) -> Row:
        """The same event told again, of another time or under another name."""
        shifted = self.random.choice([3600, -3600, 5 * 86_400, -5 * 86_400, 1])
        return {**row, "at": row["at"] + timedelta(seconds=shifted), "name": self.random.choice(EVENTS)}

    def _broken(self, row: Row) -> Row:
        """A row without something it needs; under a known id it may be the earliest and must not win."""
        earlier = {**row, "at": row["at"] - timedelta(minutes=1)}
        return earlier | self.random.choice([{"customer_id": None}, {"name": None}, {"name": "  "}, {"at": None}])

    def _subscriptions(self) -> list[Row]:
        r = self.random
        self.mode = r.choice(["date", "instant", "mixed"])
        rows: list[Row] = []
        for customer in self.ids:
            rows += [self._subscription(customer, len(rows) + n) for n in range(r.choice([0, 1, 1, 1, 2, 3]))]
        return rows

    def _subscription(self, customer: str, number: int) -> Row:
        r, mode = self.random, self.mode
        ended = self.sometimes(0.4, lambda: self.date_like(mode, 0, 1, 30, 60, -1))
        return {
            "subscription_id": f"s{number:02}",
            "customer_id": customer,
            "status": r.choice(
                ["active", "active", "trialing", "past_due", "unpaid", "Paused", "canceled", "incomplete", None]
            ),
            "plan": r.choice(["pro", "team", None]),
            "interval": r.choice(["month", "Month", "year", "week", "day", "moon", None]),
            "amount_minor": r.choice([900, 2900, None]),
            "next_amount_minor": r.choice([None, 3100]),
            "currency": r.choice(["EUR", "USD", None]),
            "started_at": self.sometimes(0.9, lambda: r.choice([self.past(500), self.past(60), self.near(0, 1)])),
            "trial_end": self.sometimes(0.4, lambda: self.date_like(mode, 0, -1, -3, -14, 1, 3, 7)),
            "current_period_end": self.sometimes(0.5, lambda: self.date_like(mode, 0, -1, -7, -30, 1)),
            "cancel_at_period_end": r.choice([False, False, False, True, None]),
            "cancel_requested_at": self.sometimes(0.15, lambda: self.near(0, 1)),
            "ended_at": ended,
            "cancel_reason": r.choice([None, "payment_failed", "too_expensive"]),
            "anchor_date": self.sometimes(0.8, self._anchor_date),
            "collection_paused": r.choice([False, False, False, True, None]),
        }

    def _anchor_date(self) -> date | datetime:
        r = self.random
        mode = r.choice(["date", "instant"]) if self.mode == "mixed" else self.mode
        day = r.choice(
            [
                date(2024, 2, 29),
                date(2025, 1, 31),
                date(2026, 1, 30),
                date(2025, 7, 31),
                date(2024, 12, 31),
                (self.as_of - r.randint(-40, 900) * DAY).date(),
            ]
        )
        return day if mode == "date" else datetime.combine(day, time(r.randint(0, 23), r.choice([0, 30]), 5, 6))

    # ── billing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _billing(self) -> dict[str, list[Row]]:
        r = self.random
        invoices = [self._invoice(r.choice(self.ids), number) for number in range(len(self.ids) * 2)]
        r.shuffle(invoices)
        return {
            "invoices": invoices,
            "payment_failures": [row for one in invoices for row in self._failures(one)],
            "payment_methods": [self._card(r.choice(self.ids), number) for number in range(len(self.ids) * 2)],
            "refunds": [
                self._money_back(number, "kind", "full", "partial", "requested_full", None) for number in range(8)
            ],
            "disputes": [
                self._money_back(number, "status", "open", "won", "lost", None)
                | {"closed_at": self.sometimes(0.5, lambda: self.near(0, 1, 3))}
                for number in range(6)
            ],
        }

    def _invoice(self, customer: str, number: int) -> Row:
        r = self.random
        failed = r.choice([*(self.near(0, 1, 3, 7) for _ in range(6)), self.near(7, 14), self.past(20), self.past(120)])
        own = [row["subscription_id"] for row in self.tables["subscriptions"] if row["customer_id"] == customer]
        return {
            "invoice_id": f"i{number:02}",
            "customer_id": customer,
            "subscription_id": r.choice([*own, None, None, None, "s-strange"]),
            "status": r.choice([*["open"] * 7, "paid", "void", "uncollectible", "Uncollectible", None]),
            "amount_minor": r.choice([900, 900, 2900, 2900, 400, 400, 0, None]),
            "currency": r.choice(["EUR", "EUR", "EUR", "EUR", "USD", "USD", "JPY", None]),
            "failed_at": self.sometimes(0.95, lambda: failed),
            "last_failed_at": self.sometimes(0.6, lambda: failed + r.choice([0, 2, 5, 30]) * DAY),
            "paid_at": self.sometimes(0.1, lambda: self.near(0, 1)),
            "attempt_count": r.choice([1, 2, None]),
            "decline_code": self._code(),
            "hosted_invoice_url": r.choice([None, f"https://pay.example.com/i{number:02}"]),
            "billing_reason": r.choice(
                [
                    *["subscription_cycle"] * 6,
                    "subscription_update",
                    None,
                    "renewal",
                    "subscription_create",
                    "manual",
                ]
            ),
            "collection_method": r.choice([None, *["charge_automatically"] * 6, "send_invoice"]),
            "livemode": r.choice([*[True] * 6, None, False]),
            "number": r.choice([None, f"R-{number}"]),
            "product": r.choice([None, "Boards"]),
            "next_attempt_at": self.sometimes(0.7, lambda: r.choice([self.near(0), self.future(5), self.past(5)])),
            "processing_since": self.sometimes(0.1, lambda: r.choice([failed, self.near(0, 1, 3)])),
            "stops_on": self.sometimes(0.5, lambda: self.date_like(self.mode, 0, 1, -1, -7, -14)),
            "known_since": self.sometimes(
                0.5, lambda: r.choice([failed, failed + 7 * DAY, failed + 7 * DAY + MICROSECOND])
            ),
        }

    def _code(self) -> str | None:
        return self.random.choice(
            [
                "insufficient_funds",
                "generic_decline",
                " Expired_Card",
                "incorrect_cvc",
                "lost_card",
                "authentication_required",
                "stop_payment_order",
                "fraudulent",
                "duplicate_transaction",
                "testmode_decline",
                "never_heard_of",
                "",
                None,
                None,
            ]
        )

    def _signals(self) -> Row:
        """What one try says of itself; most say little."""
        r = self.random
        words = [None, "do_not_try_again", "confirm_card_data", "TRY_AGAIN_LATER", "03", "21", "R0", "r3", "24", "99"]
        return {
            "network_advice_code": self.sometimes(0.2, lambda: r.choice(words)),
            "advice_code": self.sometimes(0.3, lambda: r.choice(words)),
            "outcome_reason": self.sometimes(
                0.2,
                lambda: r.choice(["highest_risk_level", "previously_declined_do_not_retry", "of_its_own", "lost_card"]),
            ),
            "decline_code": self._code(),
            "error_code": self.sometimes(
                0.3, lambda: r.choice(["card_declined", "expired_card", "lock_timeout", "unheard_of", "lost_card"])
            ),
            "card_country": r.choice([None, "DE", "IN", "in ", "US"]),
            "last4": r.choice([None, "0341", "9995"]),
        }

    def _failures(self, invoice: Row) -> list[Row]:
        """Some tries of an invoice, all at different instants; some after the run."""
        r, first = self.random, invoice["failed_at"]
        if first is None or r.random() < 0.4:
            return []
        offsets = sorted(r.sample(range(12 * 24), r.randint(1, 5)))
        return [
            {
                "invoice_id": invoice["invoice_id"],
                "at": first + timedelta(hours=hours),
                **self._signals(),
            }
            for hours in offsets
        ]

    def _card(self, customer: str, number: int) -> Row:
        r = self.random
        months = self.as_of.year * 12 + self.as_of.month - 1 + r.choice([-1, 0, 0, 0, 1, 1, 2, 13])
        year, month = divmod(months, 12)
        return {
            "payment_method_id": f"p{number:02}",
            "customer_id": customer,
            "brand": r.choice(["visa", "mastercard", None]),
            "last4": r.choice([f"{4000 + number}", f"{4000 + number}", "0341", None]),
            "exp_month": r.choice([month + 1, month + 1, month + 1, month + 1, month + 1, 13, None]),
            "exp_year": r.choice([year, year, year % 100, year % 100, None]),
            "is_default": r.choice([True, True, True, False, None]),
            "added_at": r.choice(
                [*(self.past(200) for _ in range(3)), self.past(6), self.near(0, 1, 3), self.future(3), None]
            ),
            "auto_updated_at": self.sometimes(0.15, lambda: self.near(0, 1, 3, 3)),
        }

    def _money_back(self, number: int, column: str, *words: str | None) -> Row:
        return {
            "customer_id": self.random.choice(self.ids),
            "invoice_id": f"i{number:02}",
            "amount_minor": 500,
            "at": self.random.choice([self.past(60), self.near(0)]),
            column: self.random.choice(words),
        }

    def _remembered(self, seed: int) -> Remembered:
        """What the state would know of these invoices, and how the company has set it up."""
        r, invoices = self.random, [row["invoice_id"] for row in self.tables["invoices"]]
        addresses = sorted({email.strip().lower() for row in self.tables["customers"] if (email := row["email"])})
        return Remembered(
            first_run_at=self.as_of - r.choice([0, 1, 4, 500]) * DAY,
            on_hold={*r.sample(invoices, 4)},
            mails={one: r.choice([1, 4, 5, 6]) for one in r.sample(invoices, 16)},
            refused={*r.sample(addresses, 4)},
            pay_page=r.choice([None, "https://pay.example.com/all"]) if seed else "https://pay.example.com/all",
        )

    # ── changes, answers and tickets ────────────────────────────────────────────────────────────────────────────

    def _changes(self) -> list[Row]:
        r = self.random
        known = [row["subscription_id"] for row in self.tables["subscriptions"]]
        rows = [
            {
                "subscription_id": r.choice([*known, "s-strange"]),
                "at": r.choice([self.near(0, 1, 30), self.past(60), self.future(3)]),
                "from_plan": r.choice(["pro", "team", None]),
                "to_plan": r.choice(["pro", "solo", None]),
                "from_amount_minor": r.choice([900, 2900, 5900, None]),
                "to_amount_minor": r.choice([0, 900, 2900, None]),
            }
            for _ in known * 2
        ]
        return [*rows, *r.sample(rows, len(rows) // 8)]

    def _response(self, number: int) -> Row:
        r = self.random
        return {
            "response_id": f"r{number:02}",
            "customer_id": r.choice([*self.ids, "stranger"]),
            "survey": r.choice(["nps", "NPS", " Nps ", "csat", "csat", None]),
            "score": r.choice([0, 1, 3, 6, 7, 9, 10, 10, 11, -1, None]),
            "reason": r.choice([None, "price", " Price", "too slow", "other"]),
            "comment": r.choice([None, "no"]),
            "at": r.choice([self.past(60), self.near(0, 1), self.future(3)]),
        }

    def _ticket(self, number: int) -> Row:
        r = self.random
        opened = r.choice([self.near(0, 1, 3, 7), self.past(30), self.future(2)])
        return {
            "ticket_id": f"t{number:02}",
            "customer_id": r.choice([*self.ids, "stranger"]),
            "opened_at": self.sometimes(0.97, lambda: opened),
            "closed_at": self.sometimes(0.5, lambda: r.choice([self.near(0, 1, 7), opened + 2 * DAY, opened])),
            "priority": r.choice(["low", None]),
            "text": r.choice(TEXTS),
        }
