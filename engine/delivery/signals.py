"""Stopping politely."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """An event that SIGTERM or SIGINT sets. A second signal has its usual effect. Main thread only."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, action in before.items():
            signal.signal(number, action)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape signal wants
        stop.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
