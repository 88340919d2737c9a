"""Workers that are killed and frozen while they send through a provider that keeps its own books."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import text

from engine.delivery import DeliveryOptions, deliver
from engine.inbound import reconcile
from engine.store import RawEvent, Store
from tests.delivery.delivery_world import NOW, parts, plan, through_sendgrid
from tests.delivery.fake_sendgrid import FakeSendGrid

os.environ.setdefault("TEST_API_KEY", "SG.test")

CONCURRENCY = 4
TIMEOUT_S = 0.5
LEASE_S = 6.0
"""The shortest the engine takes for this timeout."""

OPTIONS = DeliveryOptions(concurrency=CONCURRENCY, rate_per_s=1500, timeout_s=TIMEOUT_S, lease_s=LEASE_S)


def make_state(url: str, customers: list[str]) -> None:
    """Half marketing, half service mail, all due."""
    with Store.open(url) as store:
        half = len(customers) // 2
        plan(store, customers[:half])
        plan(store, customers[half:], rule="bill", **{"class": "service", "topic": "payment"})


def work(url: str, provider: str, kill_at: int | None = None, counted: Any = None) -> None:
    """What a worker process does: deliver what is due. `kill_at`: die at this boundary; `counted` takes their number."""
    boundaries = Boundaries(kill_at)
    channels = through_sendgrid(provider)
    with boundaries.watched(), Store.open(url) as store:
        deliver(store, parts(channels=channels), OPTIONS)
    if counted is not None:
        counted.value = boundaries.passed


class Boundaries:
    """Every commit and every call, before and after: where a process may die with something half done."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at, self.passed, self._lock = kill_at, 0, threading.Lock()

    def step(self) -> None:
        with self._lock:
            self.passed += 1
            if self.passed == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def watched(self) -> Iterator[None]:
        from engine.channels.sendgrid import Api
        from engine.store.connect import Database

        write, send = Database.write, Api.send

        @contextmanager
        def watched_write(database: Database) -> Iterator[Any]:
            with write(database) as connection:
                yield connection
                self.step()
            self.step()

        def watched_send(api: Api, *mail: Any) -> Any:
            self.step()
            answer = send(api, *mail)
            self.step()
            return answer

        Database.write, Api.send = watched_write, watched_send  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            Database.write, Api.send = write, send  # type: ignore[method-assign]


class Workers:
    """Starts worker processes; a fork server has everything imported, so that a kill hits the work."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.crash.provider_world"])

    def start(self, url: str, provider: str, kill_at: int | None = None) -> Any:
        process = self._context.Process(target=work, args=(url, provider, kill_at))
        process.start()
        return process

    def count_boundaries(self, url: str, provider: str) -> int:
        counted = self._context.Value("i", 0)
        process = self._context.Process(target=work, args=(url, provider, None, counted))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        return int(counted.value)


def kill(process: Any, after_s: float) -> bool:
    """Kill it without warning after a while; False when it had ended by then."""
    process.join(after_s)
    if process.exitcode is not None:
        assert process.exitcode == 0, f"a worker ended with {process.exitcode}"
        return False
    with suppress(ProcessLookupError):  # it ended this very moment
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return bool(process.exitcode)


def pass_the_leases(store: Store) -> None:
    """As if the leases of the dead were over; nobody is alive who holds any."""
    if store.kind == "postgresql":
        with store._database.write() as connection:
            connection.execute(
                text("UPDATE message SET lease_until = lease_until - interval '1 day' WHERE owner IS NOT NULL")
            )


def tell(store: Store, server: FakeSendGrid, told: int, lost: float, chance: random.Random) -> int:
    """The provider's events about the mails it took since the last time, some of them lost; how many mails it took."""
    ledger = list(server.ledger)
    numbered = enumerate(ledger[told:], start=told)
    events = [
        _event(kind, number, entry)
        for number, entry in numbered for kind in ("processed", "delivered") if chance.random() >= lost
    ]  # fmt: skip
    chance.shuffle(events)
    store.inbound.keep("sendgrid", events, NOW)
    store.evidence.apply_all()
    return len(ledger)


def _event(kind: str, number: int, entry: dict[str, Any]) -> RawEvent:
    person = entry["personalizations"][0]
    body = {"event": kind, "email": person["to"][0]["email"], "timestamp": 1_795_424_400, **person["custom_args"]}
    name = sha256(f"{kind} {number}".encode()).hexdigest()
    return RawEvent(name, kind, NOW, json.dumps(body | {"sg_event_id": name}), None)


def finish(store: Store, server: FakeSendGrid, lost: float, chance: random.Random) -> None:
    """Let days pass until nothing is left to do: leases end, events arrive, doubts are settled, mail is sent."""
    told = 0
    for day in range(5):
        pass_the_leases(store)
        now = NOW + timedelta(hours=27 * day)
        deliver(store, parts(channels=through_sendgrid(server.url), now=now), OPTIONS)
        told = tell(store, server, told, lost, chance)
        reconcile(store, now + timedelta(hours=26, minutes=30))


def outcome(store: Store) -> dict[str, tuple[str, str, int]]:
    """Customer to (class, state, resends)."""
    with store._database.read() as connection:
        rows = connection.execute(text("SELECT customer_id, class, state, resends FROM message")).all()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def received(server: FakeSendGrid) -> Counter[str]:
    """How many mails each customer got."""
    return Counter(address.partition("@")[0] for address in server.recipients)
