"""Events of many requests in few transactions, so that a flood is absorbed or turned away and sending goes on."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from engine.store import RawEvent

MOST_PENDING = 64  # requests; fewer than the web takes on at once, so that pages for people stay open
EVENTS_AT_ONCE = 500  # a transaction of some 10 ms
PAUSE_S = 0.01  # between two transactions; SQLite has one writer, and delivery must find a gap


class BusyError(Exception):
    """Too many requests wait already; nothing of this one was kept."""


class Intake:
    """Keeps events on behalf of requests that run on one event loop. `write(source, events)` is one transaction.

    The first request starts writing at once; what arrives meanwhile is written together, next. There is nothing to
    start or stop: a server that waits for its requests waits for all that is being kept.
    """

    def __init__(self, write: Callable[[str, Sequence[RawEvent]], object]) -> None:
        self._write = write
        self._waiting: deque[tuple[str, Sequence[RawEvent], asyncio.Future[None]]] = deque()
        self._pending = 0
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, source: str, events: Sequence[RawEvent]) -> None:
        """Keep the events of one request; they are on disk when it returns.

        Raises BusyError at once when too many requests wait, and what `write` raises when it fails.
        """
        if self._pending >= MOST_PENDING:
            raise BusyError
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((source, events, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        self._pending += 1
        try:
            await done
        finally:
            self._pending -= 1

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_some()
                await asyncio.sleep(PAUSE_S)
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        sources: dict[str, list[RawEvent]] = defaultdict(list)
        requests, number = [], 0
        while self._waiting and number < EVENTS_AT_ONCE:
            source, events, done = self._waiting.popleft()
            sources[source] += events
            requests.append(done)
            number += len(events)
        try:
            await asyncio.to_thread(self._write_each, sources)
        except Exception as fault:  # noqa: BLE001 - every request of this transaction answers for it
            for done in requests:
                if not done.done():
                    done.set_exception(fault)
        else:
            for done in requests:
                if not done.done():
                    done.set_result(None)

    def _write_each(self, sources: dict[str, list[RawEvent]]) -> None:
        for source, events in sources.items():
            self._write(source, events)
