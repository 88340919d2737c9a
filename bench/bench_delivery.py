"""Delivery: the official client one call at a time, against the whole pipeline with 64 connections; 20 ms latency.

    python bench/bench_delivery.py [MESSAGES]

The pipeline's figure includes claim, gate, rendering, attempt rows and outcomes on SQLite with synchronous=FULL; the
official client's only the calls, with bodies made beforehand. CPU seconds are those of this process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sendgrid
from delivery_world import NOW, filled_store, message_rows, renderer

from engine.channels import CHANNELS, Place
from engine.channels.sendgrid import request_body
from engine.delivery import DeliveryOptions, OpenChannel, Parts, deliver

ROOT = Path(__file__).resolve().parents[1]
LATENCY_MS = 20


def server() -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/delivery/fake_sendgrid.py"), str(port), str(LATENCY_MS)]
    )
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    return process, f"http://127.0.0.1:{port}"


class Row:
    """A message row without a store."""

    def __init__(self, row: tuple[object, ...]) -> None:
        self.key, self.template, self.snapshot_sha, self.class_ = row[0], row[8], "bench", row[9]
        self.recipient, self.zone, self.values_json = row[5], row[12], row[15]


def official(url: str, count: int) -> tuple[float, float]:
    render = renderer()
    bodies = [request_body(render.render(Row(row), NOW), {"message": "1"}) for row in message_rows(count)]
    api = sendgrid.SendGridAPIClient("key", host=url)
    wall, cpu = time.perf_counter(), time.process_time()
    for body in bodies:
        api.client.mail.send.post(request_body=body)
    return time.perf_counter() - wall, time.process_time() - cpu


def pipeline(url: str, count: int) -> tuple[float, float]:
    os.environ["BENCH_KEY"] = "key"
    channel = CHANNELS["sendgrid"]
    settings = channel.Settings.model_validate({"api_key": "${BENCH_KEY}", "api_url": url})
    opened = OpenChannel(lambda: channel.open(settings, Place(ROOT, 10.0)), live=True)
    parts = Parts({"email": opened}, renderer().render, lambda due, now: {}, lambda message: None, lambda: NOW)
    options = DeliveryOptions(concurrency=64, rate_per_s=100_000)
    with tempfile.TemporaryDirectory() as folder, filled_store(Path(folder), count) as store:
        wall, cpu = time.perf_counter(), time.process_time()
        report = deliver(store, parts, options)
        took = time.perf_counter() - wall, time.process_time() - cpu
        assert report.sent == count, report
    return took


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    process, url = server()
    try:
        for turn in range(3):
            calls = max(40, count // 40)
            wall, cpu = official(url, calls)
            slow = calls / wall
            print(f"{turn} official, one at a time: {slow:8.0f} msg/s   {cpu / calls * 1e6:6.0f} CPU us/msg")
            wall, cpu = pipeline(url, count)
            print(
                f"{turn} pipeline, 64 connections: {count / wall:7.0f} msg/s   {cpu / count * 1e6:6.0f} CPU us/msg"
                f"   {count / wall / slow:.1f} x"
            )
    finally:
        process.terminate()


if __name__ == "__main__":
    main()
