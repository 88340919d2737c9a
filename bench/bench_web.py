"""How fast the event webhook acknowledges: signed requests at a steady rate against a real server.

    python bench/bench_web.py [--rate 200] [--seconds 20] [--events 10]

Each request carries `--events` new events, signed as SendGrid signs, and is acknowledged after its commit. The figure is
the time from the moment a request should have been sent to its answer, so that waiting for a busy server counts.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

CONNECTIONS = 64

CONFIG = """workspace:
  name: Bench
  timezone: UTC
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse: {tables: {customers: {path: customers.csv}}}
channels:
  email: {use: sendgrid, api_key: "${BENCH_API_KEY}", events_key: "${BENCH_EVENTS_KEY}"}
sender: {marketing: {from: a@example.com}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(folder: Path, port: int) -> None:
    from engine import Project
    from engine.web import make_app

    project = Project.load(folder)
    app = make_app(project, project.open_store())
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def request(key: ec.EllipticCurvePrivateKey, number: int, events: int) -> tuple[bytes, dict[str, str]]:
    body = json.dumps([
        {"event": "delivered", "email": f"p{number}@example.com", "timestamp": int(time.time()),
         "sg_event_id": f"{number}-{n}", "sg_message_id": f"m{number}.filter"}
        for n in range(events)
    ]).encode()  # fmt: skip
    stamp = str(int(time.time()))
    signature = base64.b64encode(key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "X-Twilio-Email-Event-Webhook-"
    return body, {f"{name}Signature": signature, f"{name}Timestamp": stamp, "Content-Type": "application/json"}


def storm(port: int, key: ec.EllipticCurvePrivateKey, rate: int, seconds: int, events: int) -> list[float]:
    """Seconds from the moment each request was due to its answer."""
    made = [request(key, number, events) for number in range(rate * seconds)]
    begun_s, took_s, due = time.monotonic() + 0.5, [0.0] * len(made), iter(range(len(made)))
    lock = threading.Lock()

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                number = next(due, None)
            if number is None:
                return
            due_s = begun_s + number / rate
            time.sleep(max(0.0, due_s - time.monotonic()))
            connection.request("POST", "/inbound/sendgrid", *made[number])
            answer = connection.getresponse()
            said = answer.read()
            took_s[number] = time.monotonic() - due_s
            if answer.status != 200:
                print(f"{answer.status}: {said[:200]!r}", file=sys.stderr)
                os._exit(1)

    threads = [threading.Thread(target=post) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--events", type=int, default=10)
    given = parser.parse_args()
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    os.environ |= {
        "BENCH_API_KEY": "key", "BENCH_EVENTS_KEY": base64.b64encode(public).decode(), "HOLDFAST_SECRET": "s" * 40,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "config.yaml").write_text(CONFIG)
        (folder / "customers.csv").write_text("customer_id,email\n")
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, port))
        server.start()
        wait_for(port)
        took_s = storm(port, key, given.rate, given.seconds, given.events)
        server.terminate()
        server.join()
    quantiles = statistics.quantiles(took_s, n=100)
    print(f"{len(took_s):,} requests of {given.events} events at {given.rate} a second, {CONNECTIONS} connections")
    print(f"acknowledged in: median {quantiles[49] * 1000:.0f} ms, p99 {quantiles[98] * 1000:.0f} ms (goal 300), "
          f"slowest {max(took_s) * 1000:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
