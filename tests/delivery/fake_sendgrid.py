"""A stand-in for SendGrid's mail endpoint with a ledger and a choice of faults.

In a test: `with FakeSendGrid() as server: … server.url, server.ledger`.
As a program: `fake_sendgrid.py PORT LATENCY_MS`.
The ledger holds every request whose mail the server took responsibility for, whatever it then answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """How to answer one request instead of 202. `takes`: whether the mail is in the ledger all the same."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    takes: bool = False
    hangs_up: bool = False  # instead of answering
    raw: bytes | None = None  # this and nothing else
    drips: bool = False  # one byte every 50 ms, for ever
    delay_s: float = 0.0


OK = Fault(takes=True)
#: Chooses the fault for the n-th request (from 0) with this body.
Script = Callable[[int, Json], Fault]


class FakeSendGrid:
    """The server, in a thread of its own."""

    def __init__(self, script: Script = lambda n, body: OK, latency_s: float = 0.0, port: int = 0) -> None:
        self.script, self.latency_s, self.port = script, latency_s, port
        self.ledger: list[Json] = []
        self.requests: list[tuple[bytes, Json]] = []
        self.connections = 0
        self.most_in_flight = self.in_flight = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        """The address of each mail taken, in order."""
        return [entry["personalizations"][0]["to"][0]["email"] for entry in self.ledger]

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.listen())
        self._ready.set()
        self._loop.run_forever()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: FakeSendGrid) -> None:
        self.server, self.buffer = server, bytearray()
        server.connections += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end])
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            if len(self.buffer) < end + 4 + length:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            del self.buffer[: end + 4 + length]
            self.take(head, json.loads(body))

    def take(self, head: bytes, body: Json) -> None:
        server = self.server
        fault = server.script(len(server.requests), body)
        server.requests.append((head, body))
        if fault.takes:
            server.ledger.append(body)
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        delay_s = server.latency_s + fault.delay_s
        asyncio.get_running_loop().call_later(delay_s, self.reply, fault, len(server.requests))

    def reply(self, fault: Fault, number: int) -> None:
        self.server.in_flight -= 1
        if fault.hangs_up:
            self.transport.abort()
        elif fault.drips:
            self.drip()
        elif not self.transport.is_closing():
            self.transport.write(fault.raw if fault.raw is not None else _answer(fault, number))

    def drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"H")
            asyncio.get_running_loop().call_later(0.05, self.drip)


def _answer(fault: Fault, number: int) -> bytes:
    headers = {"Content-Length": str(len(fault.body)), "X-Message-Id": f"m{number}", **fault.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {fault.status} X\r\n{lines}\r\n".encode() + fault.body


if __name__ == "__main__":
    alone = FakeSendGrid(port=int(sys.argv[1]), latency_s=float(sys.argv[2]) / 1000)
    alone._run()
