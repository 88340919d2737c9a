"""Posts requests to a server at a steady rate over many connections, in a process of its own.

    python flood_client.py PORT PATH REQUESTS CONNECTIONS RATE_PER_S

REQUESTS is a file of JSON, a list of [headers, body]. Prints JSON: for each request its status (0: no answer), the
seconds from when it was due until it was answered, and whether the answer says when to come again; and all the seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def raw(path: str, headers: dict[str, str], body: str) -> bytes:
    data = body.encode()
    fields = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + data


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length))
    return int(head.split(" ", 2)[1]), "\r\nretry-after:" in head


async def work(
    port: int, requests: Iterator[tuple[int, bytes]], began: float, rate: float, found: list[object]
) -> None:
    reader = writer = None
    for number, request in requests:
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status, says_when = await answer(reader)
        except (OSError, EOFError):
            reader = writer = None
            status, says_when = 0, False
        found[number] = (status, time.perf_counter() - due, says_when)
    if writer is not None:
        writer.close()


async def flood(port: int, requests: list[bytes], connections: int, rate: float) -> dict[str, object]:
    found: list[object] = [None] * len(requests)
    began = time.perf_counter()
    shared = iter(enumerate(requests))
    await asyncio.gather(*(work(port, shared, began, rate, found) for _ in range(connections)))
    return {"answers": found, "seconds": time.perf_counter() - began}


def main() -> None:
    port, path, file, connections, rate = sys.argv[1:]
    requests = [raw(path, headers, body) for headers, body in json.loads(Path(file).read_text("utf-8"))]
    print(json.dumps(asyncio.run(flood(int(port), requests, int(connections), float(rate)))))


if __name__ == "__main__":
    main()
