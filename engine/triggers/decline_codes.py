"""Why a payment failed, as a group of reasons that call for the same mail.

The table beside this file names, for every decline and error code of card payments, the group and whom to turn to:
the customer by mail, a person in the company, or nobody (test cards, faults of our own). Codes are an open set: one
that is not listed counts as soft. Copy and rules hang on the group, never on the code.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
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

SIGNALS = ("network_advice_code", "advice_code", "outcome_reason", "decline_code", "error_code")
"""What a failed try says about itself, the most telling first: the card network's advice, Stripe's reading of it, why
Stripe's own risk rules blocked it, the bank's code, and the error of the call."""

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

_BINDING = ("fraud", "wish-to-stop")
"""Groups of codes that nothing overrules. "Do not try again" comes with most of them; taken for an answer of its own, it
would bring somebody who told the bank to stop a ladder of reminders to use another card."""


@cache
def decline_codes() -> tuple[DeclineCode, ...]:
    """All listed codes, sorted by code."""
    text = files("engine.triggers").joinpath("decline_codes.csv").read_text(encoding="utf-8")
    return tuple(DeclineCode(*row) for row in list(csv.reader(text.splitlines()))[1:])


def group_sql(signals: Mapping[str, str]) -> str:
    """SQL for the group of a failure, by the first signal that says anything; soft where none does.

    Only codes that look like fraud, or like a wish to stop, come before that order.

    `signals`: columns by name, of `SIGNALS` and `card_country`. Cards issued in India are never charged again on
    their own (their central bank's rule on recurring payments), so what would be soft needs its owner there.
    """
    by_code = {entry.code: entry.group for entry in decline_codes()}
    binding = {code: group for code, group in by_code.items() if group in _BINDING}
    first = [_case(code, binding) for code in _codes(signals)]
    found = [_case(signals[name], ADVICE if name.endswith("advice_code") else by_code)
             for name in SIGNALS if name in signals]  # fmt: skip
    group = f"coalesce({', '.join([*first, *found, repr(UNKNOWN.group)])})"
    if "card_country" not in signals:
        return group
    indian = f"upper(trim({signals['card_country']})) = 'IN'"
    return f"CASE WHEN {indian} AND {group} = 'soft' THEN 'authentication' ELSE {group} END"


def contact_sql(signals: Mapping[str, str]) -> str:
    """SQL for whom to turn to about a failure: `nobody` or `person` if any signal asks for it, else `mail`.

    Advice cannot overrule it: a try that looks like fraud stays with a person whatever the network says.
    """
    codes = _codes(signals)
    branches = []
    for contact in ("nobody", "person"):
        words = ", ".join(f"'{entry.code}'" for entry in decline_codes() if entry.contact == contact)
        either = " OR ".join(f"lower(trim({code})) IN ({words})" for code in codes)
        branches.append(f"WHEN {either} THEN '{contact}'")
    return f"CASE {' '.join(branches)} ELSE 'mail' END" if codes else "'mail'"


def _codes(signals: Mapping[str, str]) -> list[str]:
    return [signals[name] for name in SIGNALS if name in signals and not name.endswith("advice_code")]


def _case(code: str, groups: Mapping[str, str]) -> str:
    """The group of a code; NULL for one that is not listed."""
    by_group: dict[str, list[str]] = {}
    for word, group in groups.items():
        by_group.setdefault(group, []).append(f"'{word}'")
    branches = " ".join(
        f"WHEN lower(trim({code})) IN ({', '.join(words)}) THEN '{group}'" for group, words in by_group.items()
    )
    return f"CASE {branches} END"
