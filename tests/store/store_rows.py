"""Rows for the tests: one candidate's decision, settled step, exposure and message."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from engine.store import ChunkResult, OutboxMessage, Outcome, RunRow, Start, Store

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456)
TODAY = date(2026, 3, 1)
OCCURRENCE = "2026-01-30"


def at(**elapsed: float) -> datetime:
    return NOW + timedelta(**elapsed)


def begin(store: Store, local_date: date = TODAY, again: bool = False, sha: str = "sha-1") -> RunRow:
    store.snapshots.save(sha, {"config.yaml": "workspace: {}"})
    instant = datetime.combine(local_date, NOW.time())
    return store.runs.begin("daily", local_date, instant, instant + timedelta(days=1), sha, instant, again=again)


def decision(
    customer: str, rule: str = "quiet", outcome: str = "send", reason: str = "due", **other: Any
) -> tuple[Any, ...]:
    return (rule, customer, OCCURRENCE, "one", NOW, outcome, reason, other.get("detail"), other.get("waited_s", 0),
            other.get("account", ""))  # fmt: skip


def settling(customer: str, rule: str = "quiet", how: str = "sent", local_date: date = TODAY) -> tuple[Any, ...]:
    return (rule, customer, OCCURRENCE, "one", local_date, how, NOW, "")


def exposure(customer: str, rule: str = "quiet", arm: str = "treated", local_date: date = TODAY) -> tuple[Any, ...]:
    return (rule, customer, OCCURRENCE, "one", f"key-{customer}", "win-back", "marketing", arm, local_date, NOW, "")


def message(customer: str, rule: str = "quiet", **other: Any) -> tuple[Any, ...]:
    key = other.get("key", f"{rule}/{customer}")
    to = (f"{customer}@example.com", f"key-{customer}")
    return (key, rule, customer, OCCURRENCE, "one", *to, "email", "win-back/miss",
            other.get("class_", "marketing"), other.get("topic", "win-back"), "treated", "Europe/London",
            other.get("not_before", NOW), other.get("expires_at"), '{"customer": {"name": "Zoë"}}', "")  # fmt: skip


def next_cursor(store: Store, run: RunRow) -> str:
    """Chunks counted in digits of a fixed width, so that text order is their order."""
    return f"{int(store.runs.get(run.id).cursor or 0) + 1:06}"


def plan(
    store: Store, run: RunRow, *customers: str, rule: str = "quiet", cursor: str | None = None, **other: Any
) -> ChunkResult:
    """One chunk in which each of these customers is sent a message."""
    return store.ledger.write_chunk(
        run.id,
        cursor or next_cursor(store, run),
        [decision(customer, rule) for customer in customers],
        [settling(customer, rule) for customer in customers],
        [exposure(customer, rule) for customer in customers],
        [message(customer, rule, **other) for customer in customers],
    )


def claim_one(store: Store, owner: str = "me", now: datetime = NOW, lease_s: float = 60) -> OutboxMessage:
    (claimed,) = store.outbox.claim(now, 1, owner, lease_s)
    return claimed


def start(store: Store, claimed: OutboxMessage, owner: str = "me", now: datetime = NOW, lease_s: float = 60) -> int:
    """Open an attempt; its id."""
    recorded = store.outbox.record([], [Start(claimed.id, claimed.token)], owner, now, lease_s)
    return recorded.attempts[claimed.id]


def end(store: Store, claimed: OutboxMessage, attempt_id: int, state: str = "accepted", **other: Any) -> frozenset[int]:
    """Record an outcome; the stale ids."""
    outcome = Outcome(claimed.id, claimed.token, attempt_id, other.pop("result", state), state, **other)
    return store.outbox.record([outcome], [], "me", NOW, 60).stale


def state_of(store: Store, customer: str) -> str:
    (found,) = store.history_of(customer).messages
    return found.state
