"""Why a payment failed, as a group of reasons that call for the same mail.

The table beside this file names, for every decline and error code of card payments, the group and whom to turn to:
the customer by mail, a person in the company, or nobody (test cards, faults of our own). Codes are an open set: one
that is not listed counts as soft. Copy and rules hang on the group, never on the code.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

Group = Literal["soft", "details", "hard", "authentication", "wish-to-stop"]
"""Groups that are written to; `fraud` never is."""


class DeclineCode(NamedTuple):
    """One code's group and who is turned to: `mail`, `person` or `nobody`."""

    code: str
    group: str
    contact: str


UNKNOWN = DeclineCode("", "soft", "mail")

ADVICE = {
    "do_not_try_again": "hard", "03": "hard", "3": "hard", "40": "hard", "41": "hard",
    "21": "wish-to-stop", "r0": "wish-to-stop", "r1": "wish-to-stop", "r3": "hard",
    "confirm_card_data": "details", "01": "details", "1": "details",
    "try_again_later": "soft", "02": "soft", "2": "soft",
    **dict.fromkeys((str(code) for code in range(24, 31)), "soft"),
}  # fmt: skip
"""Advice of the card networks and of Stripe overrides the code: it is the newer signal.

Mastercard's merchant advice codes 01, 02, 03, 21, 24-30, 40, 41; Visa's R0, R1, R3; Stripe's three words.
"""


@cache
def decline_codes() -> tuple[DeclineCode, ...]:
    """All listed codes, sorted by code."""
    text = files("engine.triggers").joinpath("decline_codes.csv").read_text(encoding="utf-8")
    return tuple(DeclineCode(*row) for row in list(csv.reader(text.splitlines()))[1:])


def group_sql(code: str, advice: str) -> str:
    """SQL for the group of a failure: the advice's, else the code's, else soft."""
    by_advice = " ".join(f"WHEN '{word}' THEN '{group}'" for word, group in ADVICE.items())
    by_code = _code_case(code, {entry.code: entry.group for entry in decline_codes()}, UNKNOWN.group)
    return f"coalesce(CASE lower(trim({advice})) {by_advice} END, {by_code})"


def contact_sql(code: str) -> str:
    """SQL for whom to turn to about a failure."""
    return _code_case(code, {entry.code: entry.contact for entry in decline_codes() if entry.contact != "mail"}, "mail")


def _code_case(code: str, values: dict[str, str], otherwise: str) -> str:
    by_value: dict[str, list[str]] = {}
    for word, value in values.items():
        by_value.setdefault(value, []).append(f"'{word}'")
    by_value.pop(otherwise, None)
    branches = " ".join(
        f"WHEN lower(trim({code})) IN ({', '.join(words)}) THEN '{value}'" for value, words in by_value.items()
    )
    return f"CASE {branches} ELSE '{otherwise}' END"
