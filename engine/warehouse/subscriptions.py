"""What a subscription is as of an instant: in service, set to cancel, and when it renews next.

Instants decide; the `status` word decides only what instants cannot (a subscription without an end that is called
cancelled has ended at an unknown time).
"""

from __future__ import annotations

from datetime import datetime

from engine.warehouse.shapes import Shape
from engine.warehouse.sql import Bound, quote
from engine.warehouse.zones import instant_of, local_span_of

ENDED_STATUS = ("canceled", "cancelled", "ended", "expired", "incomplete", "incomplete_expired")
"""Status words of a subscription that gives no service: Stripe's, and the usual spellings beside them."""

INVOLUNTARY = "payment_failed"
"""The `cancel_reason` of a subscription that ended because nobody paid: lost by accident, not by choice."""

_UNITS = {"day": "day", "week": "week", "month": "month", "year": "year"}

DERIVED = ("in_service", "set_to_cancel", "renews_at", "renews_on")
"""Columns added to every staged subscription."""


def needed_columns(shape: Shape) -> list[str]:
    """The columns the derived ones are worked out from, as far as they are there."""
    names = (
        "status", "started_at", "ended_at", "trial_end", "current_period_end", "cancel_at_period_end",
        "cancel_requested_at", "anchor_date", "interval",
    )  # fmt: skip
    return [name for name in names if shape.has(name)]


def with_derived(shape: Shape, table: str, as_of: datetime, bound: Bound) -> str:
    """SELECT of `table` (localised subscriptions) with the derived columns added."""
    now = bound(as_of)
    in_service = f"({_started(shape, now)}) AND NOT ({_ended(shape, now)})"
    at, on = _coming_period_end(shape, now)
    kept, rows = "s.*", f"{table} AS s"
    if shape.has("anchor_date", "interval"):
        at, on = f"coalesce({at}, {instant_of('s.renewal_wall', 'z')})", f"coalesce({on}, CAST(s.renewal_wall AS DATE))"
        kept, rows = "s.* EXCLUDE (renewal_wall)", _with_computed_renewal(table)
    return (
        f"SELECT {kept}, coalesce({in_service}, FALSE) AS in_service, "
        f"coalesce({_set_to_cancel(shape, now)}, FALSE) AS set_to_cancel, "
        f"{at} AS renews_at, {on} AS renews_on FROM {rows}"
    )


def _column(shape: Shape, name: str, kind: str) -> str:
    return f"s.{quote(name)}" if shape.has(name) else f"CAST(NULL AS {kind})"


def _started(shape: Shape, now: str) -> str:
    started = _column(shape, "started_at", "TIMESTAMP")
    return f"{started} IS NULL OR {started} < {now}"


def _ended(shape: Shape, now: str) -> str:
    ended, status = _column(shape, "ended_at", "TIMESTAMP"), _column(shape, "status", "VARCHAR")
    return f"CASE WHEN {ended} IS NOT NULL THEN {ended} < {now} ELSE coalesce(lower({status}) IN {ENDED_STATUS}, FALSE) END"


def _set_to_cancel(shape: Shape, now: str) -> str:
    requested, flag = (
        _column(shape, "cancel_requested_at", "TIMESTAMP"),
        _column(shape, "cancel_at_period_end", "BOOLEAN"),
    )
    return f"CASE WHEN {requested} IS NOT NULL THEN {requested} < {now} ELSE {flag} END"


def _coming_period_end(shape: Shape, now: str) -> tuple[str, str]:
    end = _column(shape, "current_period_end", "TIMESTAMP")
    day = "s.current_period_end_on" if shape.has("current_period_end") else "CAST(NULL AS DATE)"
    return f"CASE WHEN {end} >= {now} THEN {end} END", f"CASE WHEN {end} >= {now} THEN {day} END"


def _with_computed_renewal(table: str) -> str:
    """`table` with `renewal_wall`: the first multiple of the interval after the anchor date that is not past.

    Every renewal is counted from the anchor itself, never from the one before, so 31 January gives 28 February and
    31 March, and 29 February comes back in leap years. The time of day is the local one, so a clock change between
    anchor and renewal does not move the date.
    """
    wall, now, branches = "s.anchor_date_wall", "n.wall_now", []
    for word, part in _UNITS.items():
        guess = f"greatest(0, date_diff('{part}', CAST({wall} AS DATE), CAST({now} AS DATE)) - 1)"
        later = [f"{wall} + to_{part}s(CAST({guess} + {extra} AS INTEGER))" for extra in range(4)]
        coming = " ".join(f"WHEN {moment} >= {now} THEN {moment}" for moment in later)
        branches.append(f"WHEN lower(s.interval) = '{word}' THEN CASE {coming} END")
    return (
        f"(SELECT s.*, CASE {' '.join(branches)} END AS renewal_wall FROM {table} AS s "
        f"JOIN zone_number AS n USING (zone_no)) AS s {local_span_of('s.renewal_wall', 's.zone_no', 'z')}"
    )
