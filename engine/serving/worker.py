"""Sends what falls due, and keeps house: evidence applied, doubts settled, old records pruned."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from engine.clock import utc_now
from engine.delivery import DeliveryReport
from engine.errors import HeldError, HoldfastError, UnavailableError
from engine.sending import send_due
from engine.serving.journal import Journal
from engine.serving.watched import Watched
from engine.store import Store

LOOK_EVERY_S = 2.0
"""A message leaves at most this long after its instant; a pause or an unsubscribe is asked for before each call."""

FIRST_PATIENCE_S = 15.0
LONGEST_PATIENCE_S = 900.0
"""A channel that was given up, or a state that cannot be used, is tried again after 15 s, 30 s … 15 min."""

Chore = Callable[[datetime], None]


@dataclass
class Worker:
    """Delivers until it is told to stop. `chores`: what else to do, each with its seconds between two times."""

    watched: Watched
    store: Store
    journal: Journal
    chores: dict[str, tuple[float, Chore]] = field(default_factory=dict)
    clock: Callable[[], datetime] = utc_now
    elapsed_s: Callable[[], float] = time.monotonic
    _has_delivered: bool = False
    _patience_s: float = FIRST_PATIENCE_S
    _done_at_s: dict[str, float] = field(default_factory=dict)

    def run(self, stop: Event) -> None:
        """Until `stop` is set: calls under way end, leases are given back."""
        while not stop.is_set():
            stop.wait(self.turn(stop))

    def turn(self, stop: Event) -> float:
        """Keep house and send what is due; the seconds to wait before the next turn. Raises nothing of our own."""
        try:
            self._keep_house()
            if not self._is_anything_due():
                return LOOK_EVERY_S
            return self._after(send_due(self.watched.project(), self.store, clock=self.clock, stop=stop))
        except HeldError as error:
            self.journal.alarm("delivery_held", reason=error)
        except UnavailableError as error:
            self.journal.warn("delivery_put_off", reason=error)
        except HoldfastError as error:
            self.journal.alarm("delivery_failed", reason=error)
        return self._more_patience()

    def _is_anything_due(self) -> bool:
        """Asked before a delivery is set up. The first one always is: it frees what a dead process had claimed."""
        if self.store.kind == "postgresql":
            self.store.outbox.recover(self.clock())  # a worker on another host may have died at any time
        elif not self._has_delivered:
            self._has_delivered = True
            return True
        due_at = self.store.outbox.next_due_at()
        return due_at is not None and due_at <= self.clock()

    def _after(self, report: DeliveryReport) -> float:
        if report.sent or report.failed or report.stopped:
            self.journal.say("delivered", sent=report.sent, failed=report.failed, stopped=dict(report.stopped))
        for channel, why in report.down.items():
            self.journal.alarm("channel_down", channel=channel, reason=why)
        if report.down:
            return self._more_patience()
        self._patience_s = FIRST_PATIENCE_S
        return LOOK_EVERY_S

    def _more_patience(self) -> float:
        patience_s, self._patience_s = self._patience_s, min(2 * self._patience_s, LONGEST_PATIENCE_S)
        return patience_s

    def _keep_house(self) -> None:
        now_s = self.elapsed_s()
        for name, (every_s, chore) in self.chores.items():
            if now_s - self._done_at_s.get(name, float("-inf")) >= every_s:
                self._done_at_s[name] = now_s
                try:
                    chore(self.clock())
                except HoldfastError as error:
                    self.journal.warn("chore_failed", chore=name, reason=error)
