"""What a run can decide about a candidate, and why.

The documentation's list of reasons is generated from this page, so every member carries one sentence for the person
who asks "why did Ann get this, or not?".
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What becomes of a candidate in one run."""

    doc: str

    def __new__(cls, value: str, doc: str = "") -> Outcome:
        """A text with its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member

    SEND = "send", "A message is planned."
    HOLD_OUT = "hold_out", "The customer is in the control group: recorded like a send, but nothing is written."
    SHADOW = "shadow", "The rule is in shadow: it would have sent, takes no cap, and nothing is written."
    DEFER = "defer", "Not today because of something else; tried again with every run until it is too late."
    WAIT = "wait", "Nothing is due before the next run."
    HELD = "held", "The whole rule waits for a person or for sound tables."
    SKIP = "skip", "Nothing is sent for this step, unless the reason goes away while the step is still in time."


class Reason(StrEnum):
    """Why a decision has its outcome. Each reason but `due` belongs to exactly one outcome."""

    outcome: Outcome | None
    doc: str

    def __new__(cls, value: str, outcome: Outcome | None = None, doc: str = "") -> Reason:
        """A text with the outcome it leads to and its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.outcome = outcome
        member.doc = doc
        return member

    DUE = "due", None, "The step is due and nothing stands in its way (send, hold_out or shadow)."

    NOT_DUE = "not_due", Outcome.WAIT, "The next step (`after`, `before`, `wait`) is not due before the next run."
    ALREADY_SENT = "already_sent", Outcome.WAIT, "Every step of the ladder is settled."
    TOO_LATE = "too_late", Outcome.SKIP, "Past its `send_within` (unless set 7 days, 3 if `before`), and so skipped."
    EXISTING = "existing", Outcome.SKIP, "Past `send_within` before the ladder began; `existing: include` takes it in."
    SUPERSEDED = "superseded", Outcome.SKIP, "A later step of the same ladder is due already; this one is never sent."
    ENDED = "ended", Outcome.SKIP, "The ladder has ended: `exit_when` holds, or the goal was reached after its start."
    REPEAT_TOO_SOON = "repeat_too_soon", Outcome.DEFER, "The customer's last ladder of this rule began too recently."
    RULE_PAUSED = "rule_paused", Outcome.HELD, "The rule, or the whole workspace, is paused."
    STALE_TABLE = "stale_table", Outcome.HELD, "A table the rule reads has no fact newer than its `max_age`."
    EMPTY_TABLE = "empty_table", Outcome.HELD, "A table the rule reads is empty and was not so at the last run."
    SHRUNK_TABLE = "shrunk_table", Outcome.HELD, "A table the rule reads has lost a large part of its rows."

    NO_RECIPIENT = "no_recipient", Outcome.SKIP, "Nobody of the account is among the rule's `recipients`."
    NO_ADDRESS = "no_address", Outcome.SKIP, "The customer has no address."
    INVALID_ADDRESS = "invalid_address", Outcome.SKIP, "The customer's address cannot be read as one."
    UNSUBSCRIBED = "unsubscribed", Outcome.SKIP, "The address has unsubscribed from marketing or from this topic."
    NO_CONSENT = "no_consent", Outcome.SKIP, "Marketing needs consent, and the customer's column does not say yes."
    NO_BASIS = "no_basis", Outcome.SKIP, "`consent.require_in`: this or an unknown country needs proof of consent."
    BOUNCED = "bounced", Outcome.SKIP, "Mail to this address has bounced for good."
    COMPLAINED = "complained", Outcome.SKIP, "The addressee has reported our mail as spam."
    ERASED = "erased", Outcome.SKIP, "The person has asked to be forgotten."
    NOT_UNTIL = "not_until", Outcome.SKIP, "The person wants no marketing before a date of their choice."
    BLOCKED_BY = "blocked_by", Outcome.DEFER, "Another active rule holds this class or topic back; the detail names it."
    WHERE_STEP = "where_step", Outcome.SKIP, "The step's own `where` is not true."

    AT_MOST = "at_most", Outcome.SKIP, "The rule writes to so many people of an account at most, and others come first."

    CAP = "cap", Outcome.DEFER, "Earlier messages fill this cap; the detail is its limit and window."
    OUTRANKED = "outranked", Outcome.DEFER, "Another message of this run takes the place; the detail names its rule."
    DAILY_LIMIT = "daily_limit", Outcome.DEFER, "The rule's `daily_limit` for that date is used up by newer cases."

    HELD_FOR_REVIEW = "held_for_review", Outcome.HELD, "The rule would send far more than usual; approve it to release."

    NO_LONGER_MATCHES = "no_longer_matches", Outcome.SKIP, "The trigger or the rule's `where` no longer finds the case."


WAITING = (
    Reason.RULE_PAUSED,
    Reason.STALE_TABLE,
    Reason.EMPTY_TABLE,
    Reason.SHRUNK_TABLE,
    Reason.HELD_FOR_REVIEW,
    Reason.DAILY_LIMIT,
)
"""Reasons whose time does not count as lateness. (`repeat_too_soon` needs no place here: lateness begins after it.)"""
