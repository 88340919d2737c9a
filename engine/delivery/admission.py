"""What stands ready to be sent: claimed, through the gate, rendered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.delivery.gate import Judgement, judge, local_date
from engine.delivery.options import LEASE_MARGIN_S, DeliveryOptions, DeliveryReport, Parts, Recheck
from engine.messages.mail import Mail, RenderFailed
from engine.messages.note import Note
from engine.messages.values import ValueFault, with_facts
from engine.store import OutboxMessage, Stop, Store, Wait

JUDGED_FOR_S = 2.0  # a message that waited longer since the gate passes it again: an unsubscribe counts within 5 s

MOST_DEATHS = 3
"""Workers that may die over one message."""


@dataclass
class Ready:
    """A message that passed the gate, with its mail or note. Seconds are monotonic."""

    message: OutboxMessage
    content: Mail | Note
    judged_at_s: float
    ours_until_s: float


class Admission:
    """Claims messages and makes them ready. `owner` holds the leases. `test_id`: the test to send, and nothing else."""

    def __init__(
        self,
        store: Store,
        parts: Parts,
        options: DeliveryOptions,
        report: DeliveryReport,
        owner: str,
        test_id: int | None = None,
    ) -> None:
        self.store, self.parts, self.options, self.report, self.owner = store, parts, options, report, owner
        self.ready: deque[Ready] = deque()
        self.test_id = test_id
        self.is_dry = False  # nothing was due when last asked, and nothing was put back since
        self._claimed: deque[tuple[OutboxMessage, float]] = deque()
        self._recheck = Recheck()
        self._looked_at: set[int] = set()
        self._looked_at_s = float("-inf")
        self._has_claimed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held that could still be sent."""
        return not self.ready and not self._claimed

    def fill(self, channels: Collection[str]) -> None:
        """Have as many mails ready as can be under way at once, if so many are due."""
        while len(self.ready) < self.options.concurrency and (self._claimed or self._claim(channels)):
            count = min(len(self._claimed), self.options.concurrency)
            some = [self._claimed.popleft() for _ in range(count)]
            until_s = {message.id: at_s for message, at_s in some}
            for message in self._pass_gate([message for message, _ in some]):
                self._render(message, until_s[message.id])

    def take(self, count: int, may_send: Callable[[str], bool]) -> list[Ready]:
        """Up to `count` mails whose channel may be used now. Those that waited long since the gate pass it again."""
        now_s = time.monotonic()
        chosen: list[Ready] = []
        kept: list[Ready] = []
        while self.ready and len(chosen) < count:
            one = self.ready.popleft()
            if one.ours_until_s < now_s:
                self._give_back([one.message])
            else:
                (chosen if may_send(one.message.channel) else kept).append(one)
        self.ready.extendleft(reversed(kept))
        return self._fresh(chosen, now_s)

    def drop(self, channel: str) -> None:
        """Give back what is held for a channel that was given up."""
        self._give_back(one.message for one in self.ready if one.message.channel == channel)
        self._give_back(message for message, _ in self._claimed if message.channel == channel)
        self.ready = deque(one for one in self.ready if one.message.channel != channel)
        self._claimed = deque(one for one in self._claimed if one[0].channel != channel)

    def _give_back(self, messages: Iterable[OutboxMessage]) -> None:
        if ids := [message.id for message in messages]:
            self.store.outbox.release(self.owner, ids)
            self.is_dry = False

    def _claim(self, channels: Collection[str]) -> bool:
        """Claim the next batch; False when nothing is due."""
        if self.is_dry or not channels:
            return False
        until_s = time.monotonic() + self.options.lease_s - self.options.timeout_s - LEASE_MARGIN_S
        found = self._found(channels)
        if found and not self._has_claimed:
            self.store.install.bind("live" if self.parts.live else "folder")
            self._has_claimed = True
        # Suspects last: whoever kills this worker too has first let the others go.
        self._claimed.extend((message, until_s) for message in sorted(found, key=lambda one: one.deaths))
        self.is_dry = not found
        return bool(found)

    def _found(self, channels: Collection[str]) -> list[OutboxMessage]:
        outbox, now, lease_s = self.store.outbox, self.parts.clock(), self.options.lease_s
        if self.test_id is not None:
            return [] if self._has_claimed else outbox.claim_test(self.test_id, now, self.owner, lease_s)
        paused = self.store.switches.paused()
        limit = self.options.batch if "*" not in paused else 0
        return outbox.claim(now, limit, self.owner, lease_s, channels=channels, without_rules=paused.keys())

    # The gate.

    def _fresh(self, chosen: list[Ready], now_s: float) -> list[Ready]:
        stale = [one.message for one in chosen if now_s - one.judged_at_s > JUDGED_FOR_S]
        if not stale:
            return chosen
        passed = {message.id for message in self._pass_gate(stale)}
        return [one for one in chosen if now_s - one.judged_at_s <= JUDGED_FOR_S or one.message.id in passed]

    def _pass_gate(self, messages: Sequence[OutboxMessage]) -> list[OutboxMessage]:
        """Those that may leave. The others are stopped, put off or left alone, each as the gate says."""
        now = self.parts.clock()
        self._look_again({message.id for message in messages})
        rows = self.store.outbox.gate_rows([message.id for message in messages], now)
        passed: list[OutboxMessage] = []
        barred: list[tuple[OutboxMessage, Judgement]] = []
        for message in messages:
            hours = self.parts.quiet_hours(message)
            reaches = self.parts.channels[message.channel].reaches_customer
            judgement = judge(message, rows.get(message.id), self._recheck, hours, now, reaches_customer=reaches)
            if judgement.verdict == "send":
                passed.append(message)
            else:
                barred.append((message, judgement))
        if barred:
            self._bar(barred)
        return passed

    def _look_again(self, ids: set[int]) -> None:
        """Ask whether what is due still holds: for all of it together, and not again before `recheck_after_s`.

        A test is true by the word of whoever asked for it.
        """
        if self.test_id is not None:
            return
        now_s = time.monotonic()
        if now_s - self._looked_at_s < self.options.recheck_after_s and ids <= self._looked_at:
            return
        now = self.parts.clock()
        candidates = list(self.store.outbox.due_candidates(now))
        self._recheck = self.parts.still_true(candidates, now)
        self._looked_at = {candidate[0] for candidate in candidates} | ids
        self._looked_at_s = now_s

    def _bar(self, barred: Sequence[tuple[OutboxMessage, Judgement]]) -> None:
        stops, waits = [], []
        for message, judgement in barred:
            if judgement.verdict == "postpone" and judgement.until is not None:
                waits.append(Wait(message.id, message.token, judgement.until))
                self.report.outcomes["postponed"] += 1
            elif judgement.verdict in {"suppressed", "expired", "cancelled"}:
                stops.append(self._stop(message, judgement.verdict, judgement.reason))
                self.report.stopped[judgement.reason] += 1
            elif (
                judgement.verdict == "held"
            ):  # stays claimed until this delivery ends, so that it is not tried in a loop
                self.report.note(message, "held", judgement.reason)
        self.store.outbox.postpone(waits)
        self.store.outbox.stop(stops)

    def _stop(self, message: OutboxMessage, state: str, reason: str) -> Stop:
        return Stop(message.id, state, reason, local_date(self.parts.clock(), message.zone), message.token)

    # Rendering.

    @contextmanager
    def _watched(self, message: OutboxMessage) -> Iterator[None]:
        """Find the one message that kills workers among all that a dead worker had in hand: each is tried alone."""
        if not message.deaths:
            yield
            return
        if message.deaths >= MOST_DEATHS:
            raise RenderFailed(f"preparing it has ended {message.deaths} workers")
        self.store.outbox.suspect(message.id, message.token, message.deaths + 1)
        yield
        self.store.outbox.suspect(message.id, message.token, 0)

    def _up_to_date(self, message: OutboxMessage) -> OutboxMessage:
        """With facts as they are now: an amount partly paid since, a payment page whose link would have run out."""
        newer = self._recheck.facts.get(message.id)
        if not newer:
            return message
        try:
            return message._replace(values_json=with_facts(message.values_json, newer))
        except ValueFault as fault:
            raise RenderFailed(str(fault)) from None

    def _render(self, message: OutboxMessage, ours_until_s: float) -> None:
        try:
            with self._watched(message):
                content = self.parts.render(self._up_to_date(message), self.parts.clock())
        except RenderFailed as fault:
            self.store.outbox.stop([self._stop(message, "failed", str(fault))])
            self.report.note(message, "failed", str(fault))
            return
        if self.parts.redirection and isinstance(content, Mail):
            redirected = self.parts.redirection.of(content)
            if redirected is None:  # stays claimed until this delivery ends, like all that is held
                self.report.note(message, "held", "not_in_only_to")
                return
            content = redirected
        self.ready.append(Ready(message, content, time.monotonic(), ours_until_s))
