"""What SendGrid's words about a mail mean for us.

Words: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event. A word that is not here is kept and
means nothing; so do `open` and `click`, which scanners cause as well as people, and `group_resubscribe`, for only the
person's own press on our page lifts a suppression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FATES = ("processed", "deferred", "delivered", "dropped", "blocked", "bounced", "complained")
"""What became of a message, from the least to the last word: a later one replaces an earlier, never the reverse.

`dropped`: the provider took it and then did not send it. `blocked`: refused for the moment, which says nothing about
the address. A mail may bounce, and be complained about, after it was delivered.
"""

_RANK = {fate: rank for rank, fate in enumerate(FATES)}


@dataclass(frozen=True)
class Meaning:
    """What one event says.

    `fate`: of its message. `is_evidence`: the provider has the mail, so that nobody needs to send it again.
    `suppresses`: the kind of suppression its address gets.
    """

    fate: str | None = None
    is_evidence: bool = True
    suppresses: str | None = None


_NOTHING = Meaning(is_evidence=False)
_BLOCKED = Meaning("blocked")
_MEANINGS: Mapping[str, Meaning] = {
    "processed": Meaning("processed"),
    "deferred": Meaning("deferred"),
    "delivered": Meaning("delivered"),
    "dropped": Meaning("dropped"),
    "bounce": Meaning("bounced", suppresses="bounced"),
    "blocked": _BLOCKED,
    "spamreport": Meaning("complained", suppresses="complained"),
    "unsubscribe": Meaning(suppresses="unsubscribed"),
    "group_unsubscribe": Meaning(suppresses="unsubscribed"),
}

# Why mail was dropped, as far as that is about the address; quotas and spam content are not.
_DROPPED_FOR = {
    "bounced address": "bounced",
    "invalid": "bounced",
    "spam reporting address": "complained",
    "unsubscribed address": "unsubscribed",
}


def meaning(kind: str, event: Mapping[str, object]) -> Meaning:
    """What an event of this kind says."""
    if kind == "bounce" and event.get("type") == "blocked":
        return _BLOCKED
    if kind == "dropped":
        return Meaning("dropped", suppresses=_DROPPED_FOR.get(str(event.get("reason", "")).strip().lower()))
    return _MEANINGS.get(kind, _NOTHING)


def later(fate: str | None, other: str | None) -> str | None:
    """The one of two fates that has the last word."""
    return max(fate, other, key=lambda one: -1 if one is None else _RANK[one])
