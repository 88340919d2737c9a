"""The threads that make the calls. They know nothing of the database: mails come in, answers go out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from engine.channels.answers import answer
from engine.channels.base import Answer, Result, Session
from engine.delivery.options import OpenChannel
from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.store import OutboxMessage

_EXIT = None


@dataclass(frozen=True, slots=True)
class Call:
    """One committed attempt. `until_s`: the monotonic second after which our lease may be over; no call begins then."""

    message: OutboxMessage
    attempt_id: int
    content: Mail | Note
    custom_args: Mapping[str, str]
    until_s: float


@dataclass(frozen=True, slots=True)
class Called:
    """A call and its outcome."""

    call: Call
    answer: Answer


class Workers:
    """Threads, started as they are needed, each with a session of its own for every channel."""

    def __init__(self, channels: Mapping[str, OpenChannel], most: int) -> None:
        self._channels, self._most = channels, most
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._answers: SimpleQueue[Called] = SimpleQueue()
        self._threads: list[Thread] = []
        self._first: dict[str, Session[Any]] | None = self._open()  # a missing secret shows before anything is claimed
        self.under_way = 0

    def begin(self, call: Call) -> None:
        """Make a call soon. Never more than `most` are under way."""
        self.under_way += 1
        if len(self._threads) < min(self.under_way, self._most):
            sessions, self._first = self._first or self._open(), None
            thread = Thread(target=self._work, args=(sessions,), name=f"deliver-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._calls.put(call)

    def finished(self, wait_s: float) -> list[Called]:
        """What has been answered since the last time, waiting up to `wait_s` for the first one."""
        found: list[Called] = []
        try:
            found.append(self._answers.get(timeout=wait_s) if wait_s > 0 else self._answers.get_nowait())
            while True:
                found.append(self._answers.get_nowait())
        except Empty:
            self.under_way -= len(found)
            return found

    def close(self) -> None:
        """Let the calls under way end, then hang up."""
        for _ in self._threads:
            self._calls.put(_EXIT)
        for thread in self._threads:
            thread.join()
        for session in (self._first or {}).values():
            session.close()

    def _open(self) -> dict[str, Session[Any]]:
        return {name: channel.open() for name, channel in self._channels.items()}

    def _work(self, sessions: Mapping[str, Session[Any]]) -> None:
        while (call := self._calls.get()) is not _EXIT:
            self._answers.put(Called(call, _called(call, sessions[call.message.channel])))
        for session in sessions.values():
            session.close()


def _called(call: Call, session: Session[Any]) -> Answer:
    if time.monotonic() > call.until_s:
        return answer(Result.RETRY, "this process slept through its lease", of_channel=True)
    try:
        return session.send(call.content, call.custom_args)
    except Exception as fault:  # noqa: BLE001 - a fault of ours; whether the mail left is not known
        return answer(Result.IN_DOUBT, f"{type(fault).__name__}: {fault}")
