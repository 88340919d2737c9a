"""The webhook as a route; what its events mean is tested where they are read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from web_world import CONFIG, NOW, Web

from engine.errors import UnavailableError
from engine.web import guard

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
CHANNEL = 'channels: {email: {use: sendgrid, api_key: "${API_KEY}", events_key: "${EVENTS_KEY}"}}\n'
EVENT = {"sg_event_id": "1", "event": "open", "timestamp": 1, "email": "ann@example.com"}


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A project that hears from SendGrid."""
    for name, value in {"API_KEY": "key", "EVENTS_KEY": PUBLIC, "HOLDFAST_SECRET": "secret"}.items():
        monkeypatch.setenv(name, value)
    made = Web(tmp_path / "project", f"sqlite:///{tmp_path}/state.db", CONFIG + CHANNEL)
    yield made
    made.store.close()


def post(web: Web, events: Any, **headers: str) -> httpx.Response:
    body = json.dumps(events).encode()
    timestamp = str(int(NOW.replace(tzinfo=UTC).timestamp()))
    signature = base64.b64encode(KEY.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "x-twilio-email-event-webhook-"
    signed = {f"{name}signature": signature, f"{name}timestamp": timestamp, "content-type": "application/json"}
    return web.ask("POST", "/inbound/sendgrid", content=body, headers=signed | headers)


def kept(web: Web) -> int:
    return len(web.everything()["inbound_event"])


def test_what_sendgrid_signed_is_kept_once(listening: Web) -> None:
    for _ in range(2):
        assert post(listening, [EVENT]).json() == {"events": 1}
    assert kept(listening) == 1


def test_what_was_not_signed_is_refused_and_not_kept(listening: Web) -> None:
    for headers in (
        {"x-twilio-email-event-webhook-signature": "AAAA"},
        {"x-twilio-email-event-webhook-timestamp": "1"},
    ):
        assert post(listening, [EVENT], **headers).status_code == 401
    assert listening.post("/inbound/sendgrid").status_code == 401
    assert kept(listening) == 0


def test_who_sends_unsigned_requests_is_stopped_soon(listening: Web) -> None:
    statuses = [listening.post("/inbound/sendgrid").status_code for _ in range(60)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_signed_requests_are_not_limited(listening: Web) -> None:
    assert {post(listening, []).status_code for _ in range(100)} == {200}


def test_when_events_cannot_be_kept_they_are_asked_for_again(listening: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(listening.store.inbound, "keep", fails)
    answer = post(listening, [EVENT])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_a_request_may_be_a_megabyte_and_no_more(listening: Web) -> None:
    large = {**EVENT, "more": "x" * 700_000}
    assert post(listening, [large]).status_code == 200
    assert post(listening, [{**large, "more": "x" * guard.LARGEST_WEBHOOK}]).status_code == 413
    assert kept(listening) == 1


def test_without_a_key_there_is_no_such_route(web: Web) -> None:
    assert web.post("/inbound/sendgrid").status_code == 404
