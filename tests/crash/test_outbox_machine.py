"""Any order of claims, calls, deaths, answers, events and people's words: the outbox keeps its promises."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import text

from engine.delivery import judge
from engine.inbound import reconcile
from engine.store import OutboxMessage, Outcome, RawEvent, Start, Stop, Store, Suppression
from tests.delivery.delivery_world import NOW, plan

PEOPLE = ("ann", "bob", "cyd", "dan")
ENDS = frozenset({"accepted", "refused", "suppressed", "expired", "cancelled", "failed", "unknown"})
LONG = int(os.environ.get("HOLDFAST_KILLS", "8")) > 100
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass
class Call:
    """A call that a worker is making: whether the provider took the mail, and which attempt it was."""

    message: OutboxMessage
    owner: str
    attempt_id: int
    taken: bool


class Outbox(RuleBasedStateMachine):
    """Two workers, one provider, and the people around them. `given[c]`: mails customer c really got."""

    held: Bundle[OutboxMessage] = Bundle("held")
    calls: Bundle[Call] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="holdfast-", dir=SCRATCH)
        self.store = Store.open(f"sqlite:///{self.folder}/state.db")
        self.now = NOW
        self.given = dict.fromkeys(PEOPLE, 0)
        self.refusals: set[str] = set()
        self.events = 0

    @initialize()
    def begin(self) -> None:
        plan(self.store, PEOPLE[:2])
        plan(self.store, PEOPLE[2:], rule="bill", **{"class": "service", "topic": "payment"})

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(owner=st.sampled_from(["one", "two"]), limit=st.integers(1, 3), target=held)
    def claim(self, owner: str, limit: int) -> Any:
        found = self.store.outbox.claim(self.now, limit, owner, 60)
        return multiple(*(one._replace(run_id=0 if owner == "one" else 1) for one in found))

    @rule(owner=st.sampled_from(["one", "two"]), takes=st.booleans(), target=calls)
    def claim_and_call(self, owner: str, takes: bool) -> Any:
        made = [self._call(one, owner, takes) for one in self.store.outbox.claim(self.now, 4, owner, 60)]
        return multiple(*(call for call in made if call))

    @rule(message=held, takes=st.booleans(), target=calls)
    def call(self, message: OutboxMessage, takes: bool) -> Any:
        """With a message that was claimed some time ago."""
        made = self._call(message, "two" if message.run_id else "one", takes)
        return made or multiple()

    def _call(self, message: OutboxMessage, owner: str, takes: bool) -> Call | None:
        """As a worker does it: the gate, the attempt on record, then the call."""
        row = self.store.outbox.gate_rows([message.id], self.now).get(message.id)
        if judge(message, row, {}, None, self.now).verdict != "send":
            return None
        recorded = self.store.outbox.record([], [Start(message.id, message.token)], owner, self.now, 60)
        if message.id not in recorded.attempts:
            return None
        assert message.customer_id not in self.refusals, "called although the person had said no"
        self.given[message.customer_id] += takes
        return Call(message, owner, recorded.attempts[message.id], takes)

    @rule(call=calls, result=st.sampled_from(["answered", "lost"]))
    def answer(self, call: Call, result: str) -> None:
        """The answer comes, perhaps long after the lease, or is lost on the way."""
        if result == "lost":
            word = "in_doubt"
        else:
            word = "accepted" if call.taken else "refused"
        outcome = Outcome(call.message.id, call.message.token, call.attempt_id, word, word)
        self.store.outbox.record([outcome], [], call.owner, self.now, 60)

    @rule()
    def die(self) -> None:
        """Every worker dies; the next one takes over."""
        self.store.outbox.recover(self.now)

    @rule(minutes=st.sampled_from([1, 2, 60, 27 * 60]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(call=calls)
    def event(self, call: Call) -> None:
        """The provider says what it did, now or later, once or again."""
        if not call.taken:
            return
        self.events += 1
        body = {
            "event": "processed", "email": call.message.recipient, "message": str(call.message.id),
            "attempt": str(call.attempt_id), "install": self.store.install.id, "sg_event_id": f"event-{self.events}",
        }  # fmt: skip
        raw = RawEvent(f"event-{self.events}", "processed", self.now, json.dumps(body))
        self.store.inbound.keep("sendgrid", [raw], self.now)
        self.store.evidence.apply_all()

    @rule()
    def settle_doubts(self) -> None:
        reconcile(self.store, self.now)

    @rule(customer=st.sampled_from(PEOPLE))
    def refuse(self, customer: str) -> None:
        """A complaint: it stops marketing and service."""
        entry = Suppression(f"key-{customer}", None, "complained", None, None, "test", self.now)
        self.store.suppressions.add([entry])
        self.refusals.add(customer)

    @rule(message=held)
    def stop(self, message: OutboxMessage) -> None:
        self.store.outbox.stop([Stop(message.id, "cancelled", "no_longer_true", self.now.date(), message.token)])

    @invariant()
    def nobody_gets_more_than_is_marked(self) -> None:
        for customer, _, state, resends in self.rows():
            assert self.given[customer] <= 1 + resends, f"{customer} got a mail too many"
            assert state != "accepted" or self.given[customer] >= 1, f"{customer} is called sent and was not"

    @invariant()
    def marketing_is_never_sent_a_second_time(self) -> None:
        for customer, class_, _, resends in self.rows():
            assert class_ != "marketing" or (resends == 0 and self.given[customer] <= 1)

    @invariant()
    def nothing_vanishes(self) -> None:
        found = {customer: state for customer, _, state, _ in self.rows()}
        assert not found or set(found) == set(PEOPLE)
        known = ENDS | {"planned", "claimed", "sending", "retry_wait", "in_doubt"}
        assert set(found.values()) <= known

    def rows(self) -> list[Any]:
        with self.store._database.read() as connection:
            return list(connection.execute(text("SELECT customer_id, class, state, resends FROM message")).all())


Outbox.TestCase.settings = settings(
    max_examples=5_000 if LONG else 40, stateful_step_count=50 if LONG else 30, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestOutbox = Outbox.TestCase
