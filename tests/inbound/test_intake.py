"""Events of many requests in few transactions: none is acknowledged that is not kept, and none waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event

import pytest
from inbound_world import NOW

from engine.errors import UnavailableError
from engine.inbound import BusyError, Intake
from engine.inbound.intake import EVENTS_AT_ONCE, MOST_PENDING
from engine.store import RawEvent


class Disk:
    """Keeps what is written; waits while it is `held`, and fails while it is `broken`."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, list[str]]] = []
        self.free, self.broken = Event(), False
        self.free.set()

    def write(self, source: str, events: Sequence[RawEvent]) -> None:
        self.free.wait()
        if self.broken:
            raise UnavailableError("the disk is full")
        self.writes.append((source, [one.event_id for one in events]))

    @property
    def kept(self) -> list[str]:
        return [name for _, names in self.writes for name in names]


def raw(*names: object) -> list[RawEvent]:
    return [RawEvent(str(name), "open", NOW, "{}") for name in names]


async def fill(intake: Intake, names: Sequence[object]) -> list[asyncio.Task[None]]:
    """Requests that wait, each with one event; the first is being written."""
    tasks = [asyncio.create_task(intake.keep("stripe", raw(name))) for name in names]
    await asyncio.sleep(0)
    return tasks


def test_what_arrives_while_one_transaction_is_written_shares_the_next() -> None:
    disk = Disk()

    async def work() -> None:
        intake = Intake(disk.write)
        disk.free.clear()
        tasks = await fill(intake, range(50))
        disk.free.set()
        await asyncio.gather(*tasks)

    asyncio.run(work())
    assert disk.kept == [str(n) for n in range(50)]
    assert len(disk.writes) <= 2


def test_a_transaction_has_an_end_and_sources_have_their_own() -> None:
    disk = Disk()

    async def work() -> None:
        intake = Intake(disk.write)
        disk.free.clear()
        first = await fill(intake, ["first"])
        parcels = [("sendgrid", raw(*range(EVENTS_AT_ONCE - 1))), ("stripe", raw("s")), ("sendgrid", raw("next"))]
        more = [asyncio.create_task(intake.keep(source, events)) for source, events in parcels]
        await asyncio.sleep(0)
        disk.free.set()
        await asyncio.gather(*first, *more)

    asyncio.run(work())
    assert [(source, len(names)) for source, names in disk.writes] == [
        ("stripe", 1), ("sendgrid", EVENTS_AT_ONCE - 1), ("stripe", 1), ("sendgrid", 1),
    ]  # fmt: skip


def test_one_request_too_many_is_told_at_once_and_the_others_are_kept() -> None:
    disk = Disk()

    async def work() -> None:
        intake = Intake(disk.write)
        disk.free.clear()
        tasks = await fill(intake, range(MOST_PENDING))
        with pytest.raises(BusyError):
            await asyncio.wait_for(intake.keep("stripe", raw("late")), 0.1)
        disk.free.set()
        await asyncio.gather(*tasks)
        await intake.keep("stripe", raw("later"))

    asyncio.run(work())
    assert disk.kept == [*(str(n) for n in range(MOST_PENDING)), "later"]


def test_what_could_not_be_written_is_acknowledged_to_nobody_and_the_next_may_try() -> None:
    disk = Disk()

    async def work() -> None:
        intake = Intake(disk.write)
        disk.free.clear()
        tasks = await fill(intake, range(9))
        disk.broken = True
        disk.free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [UnavailableError] * 9
        disk.broken = False
        await intake.keep("stripe", raw("next"))

    asyncio.run(work())
    assert disk.kept == ["next"]


def test_a_sender_who_leaves_disturbs_nobody() -> None:
    disk = Disk()

    async def work() -> None:
        intake = Intake(disk.write)
        disk.free.clear()
        tasks = await fill(intake, range(MOST_PENDING))
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        tasks += await fill(intake, ["n"])
        disk.free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in found if not isinstance(one, asyncio.CancelledError)] == [None] * (MOST_PENDING // 2 + 1)

    asyncio.run(work())
    assert disk.kept[-1] == "n"


def test_an_intake_outlives_the_loop_it_ran_on() -> None:
    disk = Disk()
    intake = Intake(disk.write)
    for number in range(3):
        asyncio.run(intake.keep("stripe", raw(number)))
    assert disk.kept == ["0", "1", "2"]
