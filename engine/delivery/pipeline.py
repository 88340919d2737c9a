"""The rolling pipeline: claim, gate, render, commit the attempt, call, commit the outcome.

One thread, this one, owns the database; the workers' threads own the calls. Each turn stores in one transaction how
the finished calls ended and which ones begin. So at any moment at most `concurrency` messages have an attempt on
record without an outcome: that many, and no more, are in doubt if the process is killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event

from engine.channels.base import Answer, Result
from engine.clock import new_token
from engine.delivery.admission import Admission, Ready
from engine.delivery.options import LEASE_MARGIN_S, DeliveryOptions, DeliveryReport, Parts, Progress
from engine.delivery.pacing import MOST_ATTEMPTS, Breaker, TokenBucket, retry_delay_s
from engine.delivery.workers import Call, Called, Workers
from engine.store import OutboxMessage, Outcome, Start, Store

_LONGEST_SLEEP_S = 0.25  # so that a request to stop is seen soon
_PROGRESS_EVERY_S = 0.2

OnProgress = Callable[[Progress], None]


def deliver(
    store: Store,
    parts: Parts,
    options: DeliveryOptions,
    *,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
    test_id: int | None = None,
) -> DeliveryReport:
    """Send everything that is due, and return when nothing more can be sent now.

    Raises SetupError for a channel that cannot be opened, HeldError when this state belongs to the other environment
    (trying out or live), UnavailableError when another process is delivering from this SQLite file. Once `stop` is set
    no call begins any more; those under way are waited for, and what was claimed is given back. `test_id`: send this
    test, once, and nothing else.
    """
    with store.delivery_lock():
        store.outbox.recover(parts.clock())
        return _Delivery(store, parts, options, on_progress, stop or Event(), test_id).run()


class _Delivery:
    """One delivery, in turns."""

    def __init__(
        self,
        store: Store,
        parts: Parts,
        options: DeliveryOptions,
        on_progress: OnProgress | None,
        stop: Event,
        test_id: int | None,
    ) -> None:
        self.store, self.parts, self.options = store, parts, options
        self.on_progress, self.stop = on_progress, stop
        self.report = DeliveryReport()
        self.owner = new_token()
        self.install_id = store.install.id
        self.admission = Admission(store, parts, options, self.report, self.owner, test_id)
        self.breakers = {name: Breaker() for name in parts.channels}
        self.bucket = TokenBucket(options.rate_per_s)
        self.unsaved: list[Outcome] = []
        self.began_s = time.monotonic()
        self.tell_at_s = self.began_s + _PROGRESS_EVERY_S

    def run(self) -> DeliveryReport:
        """Turn after turn until nothing is due and nothing is under way."""
        with self._workers() as workers:
            while True:
                self._take_in(workers.finished(self._sleep_s(workers)))
                self._commit([] if self.stop.is_set() else self._choose(workers), workers)
                if not self.stop.is_set():  # the next mails are made while the calls are under way
                    self.admission.fill(self._working_channels())
                self._tell()
                if not workers.under_way and (self.stop.is_set() or self._is_done()):
                    break
        return self._finished()

    @contextmanager
    def _workers(self) -> Iterator[Workers]:
        """Workers whose calls are let end, and leases that are given back, whatever happens."""
        workers = Workers(self.parts.channels, self.options.concurrency)
        try:
            yield workers
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                self._save_the_rest(workers)
            workers.close()
            with suppress(Exception):
                self.store.outbox.release(self.owner)
            raise
        workers.close()
        self.store.outbox.release(self.owner)

    def _save_the_rest(self, workers: Workers) -> None:
        deadline_s = time.monotonic() + self.options.timeout_s + LEASE_MARGIN_S
        while workers.under_way and time.monotonic() < deadline_s:
            self._take_in(workers.finished(_LONGEST_SLEEP_S))
        self._commit([], workers)

    def _is_done(self) -> bool:
        return self.admission.is_empty and (self.admission.is_dry or not self._working_channels())

    def _finished(self) -> DeliveryReport:
        self.report.interrupted = self.stop.is_set()
        self.report.down = {name: one.open_because for name, one in self.breakers.items() if one.open_because}
        self.report.waiting = self.store.outbox.due_count(self.parts.clock())
        self.report.next_due_at = self.store.outbox.next_due_at()
        return self.report

    # What may begin.

    def _working_channels(self) -> list[str]:
        return [name for name, breaker in self.breakers.items() if not breaker.open_because]

    def _may_send(self, channel: str) -> bool:
        return self.breakers[channel].quiet_until_s <= time.monotonic()

    def _choose(self, workers: Workers) -> list[Ready]:
        room = self.options.concurrency - workers.under_way
        chosen = self.admission.take(min(room, self.bucket.available(time.monotonic())), self._may_send)
        self.bucket.take(len(chosen))
        return chosen

    def _sleep_s(self, workers: Workers) -> float:
        """How long the next turn may wait for an answer, so that nothing that could begin is kept waiting."""
        if self.stop.is_set() or workers.under_way >= self.options.concurrency:
            return _LONGEST_SLEEP_S
        if any(self._may_send(one.message.channel) for one in self.admission.ready):
            return min(self.bucket.wait_s, _LONGEST_SLEEP_S)
        return _LONGEST_SLEEP_S if workers.under_way or self.admission.ready else 0.0

    # One turn's transaction.

    def _commit(self, begun: Sequence[Ready], workers: Workers) -> None:
        """Store outcomes and attempts together; only then may the calls be made."""
        if not begun and not self.unsaved:
            return
        starts = [Start(one.message.id, one.message.token) for one in begun]
        until_s = time.monotonic() + self.options.lease_s - self.options.timeout_s - LEASE_MARGIN_S
        recorded = self.store.outbox.record(self.unsaved, starts, self.owner, self.parts.clock(), self.options.lease_s)
        if any(outcome.state == "planned" for outcome in self.unsaved):
            self.admission.is_dry = False  # now, and not before it is stored, there is something to claim again
        self.unsaved = []
        for one in begun:
            attempt_id = recorded.attempts.get(one.message.id)
            if attempt_id is not None:  # otherwise somebody else has claimed it meanwhile
                workers.begin(Call(one.message, attempt_id, one.content, self._custom_args(one, attempt_id), until_s))

    def _custom_args(self, one: Ready, attempt_id: int) -> dict[str, str]:
        return {"message": str(one.message.id), "attempt": str(attempt_id), "install": self.install_id}

    def _take_in(self, finished: Sequence[Called]) -> None:
        now_s = time.monotonic()
        for called in finished:
            message, answer = called.call.message, called.answer
            self.breakers[message.channel].watch(answer, now_s)
            self.unsaved.append(self._outcome(called))
        for name, breaker in self.breakers.items():
            if breaker.open_because and finished:
                self.admission.drop(name)

    def _outcome(self, called: Called) -> Outcome:
        """What becomes of the message; counted in the report."""
        message, answer, attempt_id = called.call.message, called.answer, called.call.attempt_id
        state, delay_s, counts = self._consequence(message, answer)
        if state in {"accepted", "retry_wait", "planned"}:
            self.report.outcomes[str(answer.result) if state != "planned" else "put_back"] += 1
            if answer.result is Result.ACCEPTED:
                self.report.accepted[message.channel] += 1
        else:
            self.report.note(message, state, answer.detail)
        if answer.result is Result.SANDBOXED:
            self.report.outcomes["sandboxed"] += 1
        return Outcome(
            message.id, message.token, attempt_id, str(answer.result), state, answer.provider_id, answer.detail,
            self.parts.clock() + timedelta(seconds=delay_s), counts,
        )  # fmt: skip

    @staticmethod
    def _consequence(message: OutboxMessage, answer: Answer) -> tuple[str, float, bool]:
        """New state, seconds until the next try, and whether this try brings the message nearer to giving up.

        What tells something about the channel is no fault of the message: it stays planned.
        """
        if answer.of_channel or answer.result in {Result.CHANNEL_DOWN, Result.SANDBOXED}:
            return "planned", 0.0, False
        if answer.result is not Result.RETRY:
            return str(answer.result), 0.0, True
        attempts = message.attempts + 1
        if attempts >= MOST_ATTEMPTS:
            return "failed", 0.0, True
        return "retry_wait", max(retry_delay_s(attempts), answer.retry_after_s or 0.0), True

    def _tell(self) -> None:
        now_s = time.monotonic()
        if self.on_progress is None or now_s < self.tell_at_s:
            return
        waiting = self.store.outbox.due_count(self.parts.clock()) + len(self.admission.ready)
        counting_s = time.monotonic() - now_s
        self.tell_at_s = now_s + max(_PROGRESS_EVERY_S, 50 * counting_s)  # counting a million rows takes a while
        self.on_progress(
            Progress(self.report.sent, waiting, self.report.failed, self.report.sent / (now_s - self.began_s))
        )
