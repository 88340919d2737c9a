"""What a server says about itself: one line of JSON an event, without addresses, names or secrets."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import TextIO

from engine.clock import utc_now

_ADDRESS = re.compile(r"[^\s\"'<>(),;:=]+@[^\s\"'<>(),;:=]+")
_LONGEST = 500


class Journal:
    """Writes events. Safe to share between threads; text is cut, and whatever looks like an address is masked."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        self._out, self._clock, self._lock = out or sys.stderr, clock, Lock()

    def say(self, event: str, **facts: object) -> None:
        """Something happened that is as it should be."""
        self._write("info", event, facts)

    def warn(self, event: str, **facts: object) -> None:
        """Something a person should look at when there is time."""
        self._write("warning", event, facts)

    def alarm(self, event: str, **facts: object) -> None:
        """Something a person should look at now."""
        self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, object]) -> None:
        line: dict[str, object] = {
            "at": f"{self._clock().isoformat(timespec='milliseconds')}Z",
            "level": level,
            "event": event,
        }
        line |= {name: _plain(value) for name, value in facts.items() if value not in (None, "")}
        with self._lock:
            self._out.write(json.dumps(line, ensure_ascii=True) + "\n")
            self._out.flush()


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return _ADDRESS.sub("<address>", str(value))[:_LONGEST]
