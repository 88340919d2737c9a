"""A thousand events a second, each in a request of its own, while mail is delivered from the same state."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from inbound_world import rows
from webhook_senders import STRIPE_SECRET, stripe_event, stripe_headers

from engine.clock import utc_now
from engine.sending import send_due
from engine.store.tables import inbound_event
from engine.web import make_app
from tests.run.run_company import CONFIG, Company

CLIENT = Path(__file__).parent / "flood_client.py"
RATE_PER_S = 1_000
EVENTS = 4_000
MAILS = 300
STRIPE = 'stripe: {webhook_secret: "${STRIPE_SECRET}"}\n'


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """One that hears from Stripe and has some hundred mails to send."""
    monkeypatch.setenv("STRIPE_SECRET", STRIPE_SECRET)
    made = Company(tmp_path, config=CONFIG + STRIPE)
    for number in range(MAILS):
        made.customer(f"c{number}")
        made.event(f"c{number}", "login", utc_now() - timedelta(days=35))
    made.write()
    yield made
    made.store.close()


@contextmanager
def listening(company: Company) -> Iterator[tuple[int, uvicorn.Server]]:
    """The project behind a real server, in this process as in `holdfast serve`; its port."""
    waiting = socket.create_server(("127.0.0.1", 0), backlog=512)
    app = make_app(company.project(), company.store)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, proxy_headers=False))
    thread = Thread(target=server.run, args=([waiting],))
    thread.start()
    try:
        yield waiting.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def flooding(folder: Path, port: int, connections: int) -> Iterator[subprocess.Popen[str]]:
    """Stripe's events, posted by another process."""
    requests = []
    for number in range(EVENTS):
        body = json.dumps(stripe_event(number, padding="x" * 2_000)).encode()
        requests.append((stripe_headers(body, utc_now()), body.decode()))
    file = folder / "requests.json"
    file.write_text(json.dumps(requests))
    words = [str(port), "/inbound/stripe", str(file), str(connections), str(RATE_PER_S)]
    process = subprocess.Popen([sys.executable, str(CLIENT), *words], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(client: subprocess.Popen[str]) -> list[tuple[int, float, bool]]:
    said, _ = client.communicate(timeout=120)
    return [tuple(one) for one in json.loads(said)["answers"]]


def kept(company: Company) -> Counter[str]:
    return Counter(name for (name,) in rows(company.store, inbound_event.c.event_id))


def number_kept(company: Company) -> int:
    return sum(company.store.inbound.counts().values())


def wait_for(company: Company, number: int) -> None:
    end_s = time.monotonic() + 60
    while number_kept(company) < number:
        assert time.monotonic() < end_s, "the flood did not come"
        time.sleep(0.01)


def acknowledged(found: list[tuple[int, float, bool]]) -> set[str]:
    return {f"evt_{number}" for number, (status, *_) in enumerate(found) if status == 200}


@pytest.mark.parametrize("connections", [48, 200])
def test_a_flood_is_kept_or_refused_and_all_mail_leaves_meanwhile(
    company: Company, tmp_path: Path, connections: int
) -> None:
    project = company.project()
    company.run((utc_now() - timedelta(days=1)).date())
    with listening(company) as (port, _), flooding(tmp_path, port, connections) as client:
        wait_for(company, 1)
        before = number_kept(company)
        report = send_due(project, company.store)
        meanwhile = number_kept(company) - before
        found = answers(client)
    assert report.sent == len(list(tmp_path.rglob("*.eml"))) == MAILS
    assert meanwhile > MAILS / 3
    assert {status for status, *_ in found} <= {200, 503}
    assert all(says_when for status, _, says_when in found if status == 503)
    assert set(kept(company)) >= acknowledged(found)
    assert set(kept(company).values()) == {1}


def test_a_server_that_is_stopped_in_a_flood_has_kept_all_it_acknowledged(company: Company, tmp_path: Path) -> None:
    with listening(company) as (port, server), flooding(tmp_path, port, 48) as client:
        wait_for(company, 300)
        server.should_exit = True
        found = answers(client)
    assert set(kept(company)) >= acknowledged(found)
    assert 300 <= len(acknowledged(found)) < EVENTS
