"""Storage that fails, servers that go away, and a crowd that unsubscribes, all in the middle of a delivery."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from delivery_world import NOW, Desk, options, parts, plan, states
from sqlalchemy import text

from engine.channels import Answer, Result
from engine.delivery import deliver
from engine.errors import UnavailableError
from engine.store import Store, Suppression
from engine.store.connect import Database

CROWD = int(os.environ.get("HOLDFAST_CROWD", "2000"))
"""Messages of the crowd; the full form has a hundred thousand. One in ten unsubscribes."""

FAULTS = {
    "full": lambda: sqlite3.OperationalError("database or disk is full"),
    "io": lambda: sqlite3.OperationalError("disk I/O error"),
    "read only": lambda: sqlite3.OperationalError("attempt to write a readonly database"),
    "deadlock": lambda: psycopg.errors.DeadlockDetected("deadlock detected"),
    "serialization": lambda: psycopg.errors.SerializationFailure("could not serialize access"),
    "gone": lambda: psycopg.OperationalError("server closed the connection unexpectedly"),
}


@contextmanager
def failing_write(number: int, fault: Callable[[], Exception], when: str) -> Iterator[None]:
    """The n-th write fails: before its commit, when nothing of it is kept, or after, when all of it is."""
    write, passed = Database.write, 0

    @contextmanager
    def watched(database: Database) -> Iterator[Any]:
        nonlocal passed
        passed += 1
        with write(database) as connection:
            yield connection
            if passed == number and when == "before":
                raise fault()
        if passed == number and when == "after":
            with database._unavailable():
                raise fault()

    Database.write = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database.write = write  # type: ignore[method-assign]


class Books(Desk):
    """A provider that looks, at each call, whether the attempt is on record, and may answer late."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store, self.missing = store, 0

    def send(self, mail: Any, custom_args: Any) -> Answer:
        with self.store._database.read() as connection:
            found = connection.execute(
                text("SELECT 1 FROM attempt WHERE id = :id"), {"id": int(custom_args["attempt"])}
            )
            self.missing += found.first() is None
        return super().send(mail, custom_args)


def after_trouble(store: Store, books: Books) -> None:
    """Nobody lost, nobody twice, and no call without its attempt on record."""
    if store.kind == "postgresql":
        with store._database.write() as connection:
            connection.execute(
                text("UPDATE message SET lease_until = lease_until - interval '1 day' WHERE owner IS NOT NULL")
            )
    report = deliver(store, parts(books), options())
    assert not report.down
    found, got = states(store), Counter(books.calls)
    assert set(found.values()) <= {"accepted", "in_doubt"}
    assert max(got.values()) == 1
    assert all(got[customer] == 1 for customer, state in found.items() if state == "accepted")
    assert list(found.values()).count("in_doubt") <= options().concurrency
    assert books.missing == 0


@pytest.mark.parametrize("kind", ["full", "io", "read only"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_that_fails_anywhere_costs_no_mail_and_no_repair(store: Store, kind: str, when: str) -> None:
    for number in (1, 2, 3, 4, 5, 6, 9, 12):
        store.go_live()
        plan(store, [f"c{n:02}" for n in range(60)])
        books = Books(store)
        with failing_write(number, FAULTS[kind], when), pytest.raises(UnavailableError):
            deliver(store, parts(books), options())
        after_trouble(store, books)


@pytest.mark.parametrize("kind", ["deadlock", "serialization", "gone"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_refuses_a_commit_anywhere_costs_no_mail(postgres_url: str, kind: str, when: str) -> None:
    with Store.open(postgres_url) as store:
        for number in range(1, 14, 4):
            store.go_live()
            plan(store, [f"c{n:02}" for n in range(60)])
            books = Books(store)
            with failing_write(number, FAULTS[kind], when), pytest.raises(UnavailableError):
                deliver(store, parts(books), options())
            after_trouble(store, books)


def test_a_server_that_restarts_in_the_middle_costs_no_mail(postgres_url: str) -> None:
    """Every connection is cut, as a restart does."""
    with Store.open(postgres_url) as store:
        plan(store, [f"c{n:03}" for n in range(200)])
        books = Books(store)
        cut = threading.Event()

        def restart() -> None:
            while len(books.calls) < 40:
                time.sleep(0.002)
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            cut.set()

        admin = threading.Thread(target=restart)
        admin.start()
        with suppress(UnavailableError):  # cut between two transactions, the delivery connects anew and goes on
            deliver(store, parts(books), options(rate_per_s=400))
        admin.join()
        assert cut.is_set()
        books.missing = 0  # the look at the attempts was cut off as well
        after_trouble(store, books)


def test_nobody_is_written_to_later_than_five_seconds_after_unsubscribing(store: Store) -> None:
    people = [f"c{n:06}" for n in range(CROWD)]
    plan(store, people)
    called_s: dict[str, float] = {}
    left_s: dict[str, float] = {}
    lock = threading.Lock()

    class Clock(Desk):
        def send(self, mail: Any, custom_args: Any) -> Answer:
            with lock:
                called_s[mail.to.address.partition("@")[0]] = time.monotonic()
            return Answer(Result.ACCEPTED, "id")

    done, chance = threading.Event(), random.Random(5)
    leaving = chance.sample(people, CROWD // 10)

    def leave() -> None:
        for start in range(0, len(leaving), 20):
            if done.is_set():
                return
            some = leaving[start : start + 20]
            store.suppressions.add(
                Suppression(f"key-{one}", None, "unsubscribed", None, None, "page", NOW) for one in some
            )
            left_s.update(dict.fromkeys(some, time.monotonic()))
            time.sleep(0.01)

    crowd = threading.Thread(target=leave)
    crowd.start()
    report = deliver(store, parts(Clock()), options(concurrency=16, rate_per_s=2000))
    done.set()
    crowd.join()
    assert report.stopped["unsubscribed"] > 0
    assert report.sent + report.stopped["unsubscribed"] == CROWD
    late = {one: called_s[one] - left for one, left in left_s.items() if one in called_s}
    assert max(late.values(), default=0) <= 5
