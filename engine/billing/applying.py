"""Events that were kept become rows: in any order, any number of times, with the same end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine.billing.stripe_objects import Finding, Link, Question, Row, of_event
from engine.store import Store
from engine.store.inbound_events import Settled

AT_ONCE = 1_000
"""Events in one transaction."""


@dataclass
class Findings:
    """What objects said, by what it is."""

    rows: list[Row] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> bool:
        """Add them; False when there were none."""
        before = len(self.rows) + len(self.links) + len(self.questions)
        for one in findings:
            if isinstance(one, Row):
                self.rows.append(one)
            elif isinstance(one, Link):
                self.links.append((one.intent, one.invoice))
            elif isinstance(one, Question):
                self.questions.append((one.kind, one.id))
        return len(self.rows) + len(self.links) + len(self.questions) > before


def apply_stripe_events(store: Store) -> int:
    """Apply all of Stripe's events that wait; how many there were."""
    count = 0
    while some := store.billing.waiting(AT_ONCE):
        _apply(store, some)
        count += len(some)
    return count


def _apply(store: Store, events: Sequence[tuple[int, str, datetime]]) -> None:
    findings, settled = Findings(), []
    for ident, body, _ in events:
        event = json.loads(body) if body else {}
        if findings.add(of_event(event)):
            settled.append(Settled(ident, "applied"))
        else:
            settled.append(Settled(ident, "ignored", detail="nothing about billing"))
    heard_at = min(received_at for *_, received_at in events)
    store.billing.take_in(findings.rows, findings.links, findings.questions, heard_at, settled=settled)
