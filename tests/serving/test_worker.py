"""The worker: sends what falls due, waits when it cannot, keeps house."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from threading import Event

import pytest

from engine.errors import UnavailableError
from engine.serving.journal import Journal
from engine.serving.watched import Watched
from engine.serving.worker import FIRST_PATIENCE_S, LOOK_EVERY_S, Worker
from tests.run.run_company import Company

DUE = date(2026, 5, 1)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def worker_of(company: Company, out: io.StringIO, now: datetime, **options: object) -> Worker:
    journal = Journal(out, lambda: now)
    return Worker(Watched(company.folder, journal), company.store, journal, clock=lambda: now, **options)  # type: ignore[arg-type]


def test_what_is_due_leaves_and_what_is_not_stays(company: Company, out: io.StringIO) -> None:
    company.run(DUE)
    assert worker_of(company, out, datetime(2026, 5, 1, 7)).turn(Event()) == LOOK_EVERY_S
    assert company.store.outbox.counts() == {"planned": 1}
    assert worker_of(company, out, datetime(2026, 5, 1, 9)).turn(Event()) == LOOK_EVERY_S
    assert company.store.outbox.counts() == {"accepted": 1}
    assert json.loads(out.getvalue().splitlines()[-1])["sent"] == 1


def test_nothing_leaves_while_everything_is_paused(company: Company, out: io.StringIO) -> None:
    company.run(DUE)
    company.store.switches.pause("*", datetime(2026, 5, 1, 8))
    worker = worker_of(company, out, datetime(2026, 5, 1, 9))
    worker.turn(Event())
    assert company.store.outbox.counts() == {"planned": 1}
    company.store.switches.resume("*")
    worker.turn(Event())
    assert company.store.outbox.counts() == {"accepted": 1}


def test_what_a_dead_process_had_claimed_is_sent(company: Company, out: io.StringIO) -> None:
    company.run(DUE)
    company.store.outbox.claim(datetime(2026, 5, 1, 9), 10, "dead", 3600)
    worker_of(company, out, datetime(2026, 5, 1, 9)).turn(Event())
    assert company.store.outbox.counts() == {"accepted": 1}


def test_trouble_makes_it_wait_longer_each_time(
    company: Company, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.run(DUE)
    worker = worker_of(company, out, datetime(2026, 5, 1, 9))

    def away(*_: object, **__: object) -> None:
        raise UnavailableError("the provider is away")

    monkeypatch.setattr("engine.serving.worker.send_due", away)
    assert [worker.turn(Event()) for _ in range(3)] == [FIRST_PATIENCE_S, 2 * FIRST_PATIENCE_S, 4 * FIRST_PATIENCE_S]
    monkeypatch.undo()
    assert worker.turn(Event()) == LOOK_EVERY_S
    assert company.store.outbox.counts() == {"accepted": 1}


def test_a_chore_that_fails_does_not_stop_the_mail(company: Company, out: io.StringIO) -> None:
    company.run(DUE)
    done = []

    def broken(now: datetime) -> None:
        raise UnavailableError("nobody answers")

    chores = {"broken": (60.0, broken), "whole": (60.0, done.append)}
    worker = worker_of(company, out, datetime(2026, 5, 1, 9), chores=chores)
    worker.turn(Event())
    worker.turn(Event())
    assert company.store.outbox.counts() == {"accepted": 1}
    assert done == [datetime(2026, 5, 1, 9)]
    assert out.getvalue().count("chore_failed") == 1
