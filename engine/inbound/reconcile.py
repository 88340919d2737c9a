"""Messages in doubt: what the evidence says, and what is done when there is none.

For 26 hours evidence is waited for (SendGrid repeats its events for 24). Then silence counts, but only where events
about later attempts of the same channel have arrived: otherwise it is the stream that is silent, not the mail.

| class     | after 26 hours without evidence                                                            |
| marketing | `unknown`, whatever the stream says; a person may send it again                             |
| service   | silence that counts: sent once more, marked as a possible duplicate; a second time `unknown` |
| legal     | silence that counts: sent up to three times more; then `unknown`                            |

Service and legal mail stays in doubt while silence does not count, as it always is over SMTP and into a folder, and
waits there for events or for a person. What has expired meanwhile is not sent again either: it becomes `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.store import Doubt, Store

PATIENCE = timedelta(hours=26)
MOST_RESENDS: Mapping[str, int] = {"marketing": 0, "service": 1, "legal": 3}
NO_EVIDENCE = "no_evidence"

Verdict = Literal["resend", "unknown", "wait"]


@dataclass(frozen=True)
class Reconciled:
    """What became of the doubts that are 26 hours old. `accepted`: of any age, by a late answer."""

    accepted: int
    resent: int
    unknown: int
    #: Service and legal mail nobody can judge; older than 26 hours.
    waiting: int


def reconcile(store: Store, now: datetime) -> Reconciled:
    """Apply what has arrived, then settle the doubts that are old enough at `now` (naive UTC).

    Doing it twice changes nothing more. A message sent again goes back to `planned` and passes the gate like any other.
    """
    store.evidence.apply_all()
    accepted = store.evidence.accept_answered()
    doubts = store.evidence.doubts(now - PATIENCE)
    verdicts = {doubt.message_id: judge(doubt, now) for doubt in doubts}
    again = [ident for ident, verdict in verdicts.items() if verdict == "resend"]
    never = [ident for ident, verdict in verdicts.items() if verdict == "unknown"]
    # Each only while it is still in doubt: evidence may arrive between the look and the deed.
    resent = len(store.outbox.resend(again, now, ("in_doubt",)))
    unknown = store.outbox.end_doubt(never, "unknown", NO_EVIDENCE)
    return Reconciled(accepted, resent, unknown, len(doubts) - len(again) - len(never))


def judge(doubt: Doubt, now: datetime) -> Verdict:
    """What to do about a message of whose last attempt nothing was heard for 26 hours."""
    if doubt.resends >= MOST_RESENDS[doubt.class_] or (doubt.expires_at is not None and doubt.expires_at <= now):
        return "unknown"
    return "resend" if doubt.is_passed else "wait"
