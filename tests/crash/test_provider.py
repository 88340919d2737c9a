"""Workers killed and frozen at random while they send: the provider's books say what customers really got."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import Store
from tests.crash.provider_world import (
    CONCURRENCY,
    LEASE_S,
    Workers,
    finish,
    kill,
    make_state,
    outcome,
    pass_the_leases,
    received,
)
from tests.delivery.delivery_world import NOW, plan
from tests.delivery.fake_sendgrid import OK, FakeSendGrid, Fault, Json

PEOPLE = [f"c{n:03}" for n in range(60)]


@pytest.fixture(scope="session")
def workers() -> Workers:
    return Workers()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def provider() -> Iterator[FakeSendGrid]:
    with FakeSendGrid(latency_s=0.005) as server:
        yield server


def empty(url: str) -> None:
    """A new state in the same place."""
    with Store.open(url) as store:
        store.go_live()


def count_of_each(server: FakeSendGrid) -> dict[str, int]:
    got = received(server)
    return {customer: got[customer] for customer in PEOPLE}


def judge(store: Store, server: FakeSendGrid, lost: float) -> None:
    """Nobody lost, nobody twice, nothing called sent that was not; what nobody can know is listed and flagged."""
    got = count_of_each(server)
    for customer, (class_, state, resends) in outcome(store).items():
        assert state in {"accepted", "unknown"}, (customer, state)
        if state == "accepted":
            assert got[customer] >= 1, f"{customer} is called sent, and the provider never had it"
        if class_ == "marketing":
            assert got[customer] <= 1, f"{customer} got marketing mail twice"
            assert resends == 0
        else:
            assert got[customer] >= 1, f"service mail for {customer} was lost"
        if not lost:
            assert got[customer] <= 1, f"{customer} got mail twice although every event arrived"
            assert (state == "accepted") == (got[customer] == 1)
        if got[customer] > 1:
            assert resends >= 1, f"the second mail to {customer} is not flagged"


@pytest.mark.parametrize("lost", [0.0, 0.05])
def test_kills_lose_nothing_and_send_nothing_twice(
    url: str, lost: float, provider: FakeSendGrid, workers: Workers, kills: int
) -> None:
    chance, killed, doubts = random.Random(7), 0, 0
    while killed < kills:
        provider.ledger.clear()
        empty(url)
        make_state(url, PEOPLE)
        here = 0
        for _ in range(4):
            running = [workers.start(url, provider.url) for _ in range(1 if url.startswith("sqlite") else 2)]
            here += sum(kill(process, chance.uniform(0.03, 0.16)) for process in running)
            with Store.open(url) as store:
                pass_the_leases(store)
                store.outbox.recover(NOW)
                doubts = store.outbox.counts().get("in_doubt", 0)
            assert doubts <= CONCURRENCY * here
        with Store.open(url) as store:
            finish(store, provider, lost, chance)
            judge(store, provider, lost)
        killed += here


def test_a_worker_that_slept_through_its_lease_sends_nothing_of_it(
    url: str, provider: FakeSendGrid, workers: Workers, freezes: int
) -> None:
    """On PostgreSQL another worker takes over meanwhile; a SQLite file has none."""
    chance, froze = random.Random(11), 0
    for _ in range(freezes):
        provider.ledger.clear()
        empty(url)
        make_state(url, PEOPLE)
        frozen = workers.start(url, provider.url)
        frozen.join(chance.uniform(0.02, 0.08))
        if frozen.exitcode is None:
            froze += 1
            os.kill(frozen.pid, signal.SIGSTOP)
            time.sleep(LEASE_S + 0.5)
            other = None if url.startswith("sqlite") else workers.start(url, provider.url)
            if other:
                other.join(chance.uniform(0.0, 0.3))
            os.kill(frozen.pid, signal.SIGCONT)
            if other:
                other.join(60)
        frozen.join(60)
        with Store.open(url) as store:
            finish(store, provider, 0.0, chance)
            judge(store, provider, 0.0)
    assert froze


def test_death_at_any_commit_or_call_ends_in_the_undisturbed_state(
    tmp_path: Path, provider: FakeSendGrid, workers: Workers, stride: int
) -> None:
    """Service mail, so that whatever nobody took is sent after all."""
    base, copy = tmp_path / "base.db", tmp_path / "state.db"
    people = [f"c{n:03}" for n in range(400)]
    make_state(f"sqlite:///{base}", people)
    with Store.open(f"sqlite:///{base}") as store, store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM message WHERE class = 'marketing'")
    mailed = people[200:]
    shutil.copy(base, copy)
    boundaries = workers.count_boundaries(f"sqlite:///{copy}", provider.url)
    assert boundaries > 500
    for kill_at in range(1, boundaries, stride):
        for old in tmp_path.glob("state.db*"):
            old.unlink()
        shutil.copy(base, copy)
        provider.ledger.clear()
        worker = workers.start(f"sqlite:///{copy}", provider.url, kill_at)
        worker.join(60)
        assert worker.exitcode in {-signal.SIGKILL, 0}
        with Store.open(f"sqlite:///{copy}") as store:
            plan(store, ["later"])  # without later mail nobody could tell silence from a dead stream
            finish(store, provider, 0.0, random.Random(kill_at))
            states = {state for _, state, _ in outcome(store).values()}
        assert states == {"accepted"}, kill_at
        assert received(provider) == dict.fromkeys([*mailed, "later"], 1), kill_at


def test_a_bad_day_of_the_provider_ends_with_equal_books(tmp_path: Path) -> None:
    """5 % throttled, 2 % errors (half of them after taking the mail), 1 % hung up on: every message ends."""
    chance = random.Random(3)

    def script(number: int, body: Json) -> Fault:
        draw = chance.random()
        if draw < 0.05:
            return Fault(429, {"Retry-After": "0"})
        if draw < 0.07:
            return Fault(503, takes=draw < 0.06)
        if draw < 0.08:
            return Fault(hangs_up=True, takes=draw < 0.075)
        return OK

    people = [f"c{n:04}" for n in range(int(os.environ.get("HOLDFAST_BAD_DAY", "400")))]
    url = f"sqlite:///{tmp_path}/state.db"
    make_state(url, people)
    with FakeSendGrid(script) as server, Store.open(url) as store:
        finish(store, server, 0.0, chance)
        got = received(server)
        for customer, (class_, state, resends) in outcome(store).items():
            assert (state, got[customer]) in {("accepted", 1), ("unknown", 0)}, (customer, class_, state)
            assert state == "accepted" or class_ == "marketing" or resends == 1
