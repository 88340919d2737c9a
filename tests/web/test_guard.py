"""What every request meets: headers, bounds, faults."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
from web_world import Web

from engine.errors import UnavailableError
from engine.web import guard

SECRET_ADDRESS = "ann@example.com"


@pytest.mark.parametrize("path", ["/u/x", "/nothing", "/health", "/metrics", "/inbound/sendgrid", "U", "P"])
def test_every_answer_carries_the_security_headers(web: Web, path: str) -> None:
    key = web.plan()
    path = {"U": web.path("unsubscribe", key), "P": web.path("preferences", key)}.get(path, path)
    headers = web.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-robots-tag"].startswith("noindex")
    assert headers["strict-transport-security"] == "max-age=31536000"
    policy = headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert part in policy
    assert "set-cookie" not in headers


def test_the_style_of_a_page_is_the_one_the_policy_allows(web: Web) -> None:
    page = web.get(web.path("preferences", web.plan()))
    (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["content-security-policy"]
    assert not re.search(r"<script|<img|<link|\sstyle=|\son\w+=|https?://", page.text)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/u/", "/u/a/b", "/.env", "/static/../x"])
def test_there_is_nothing_else(web: Web, path: str) -> None:
    assert web.get(path).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(web: Web, method: str) -> None:
    path = web.path("unsubscribe", web.plan())
    before = web.everything()
    assert web.ask(method, path).status_code == 405
    assert web.everything() == before


def test_a_body_that_says_it_is_too_large_is_not_read(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())
    answer = web.ask("POST", path, content=b"x", headers={"content-length": "20000"})
    assert answer.status_code == 413
    assert web.suppressed() == set()


def test_a_body_without_a_length_is_read_up_to_the_bound(web: Web) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 4_096
            yield b"a=" + b"x" * 4_094

    path = web.path("unsubscribe", web.plan())
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert web.ask("POST", path, content=endless(), headers=form).status_code == 413
    assert sent <= 2 * guard.LARGEST_FORM
    sent = 0
    web.restart()
    assert web.ask("POST", "/inbound/sendgrid", content=endless()).status_code in {404, 413}
    assert sent <= 2 * guard.LARGEST_WEBHOOK


def test_a_body_that_drips_is_given_up(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIMEOUT_S", 0.1)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.03)

    form = {"content-type": "application/x-www-form-urlencoded"}
    assert web.ask("POST", web.path("unsubscribe", web.plan()), content=dripping(), headers=form).status_code == 408


def test_headers_paths_and_fields_have_bounds(web: Web) -> None:
    path = web.path("preferences", web.plan())
    assert web.get(path, headers={"cookie": "x" * 20_000}).status_code == 431
    assert web.get("/u/" + "x" * 2_000).status_code == 414
    assert web.get(path + "?" + "x" * 2_000).status_code == 414
    before = web.everything()
    assert web.post(path, {"do": "save", "shown": ["tips"] * 1_000}).status_code in {200, 413}
    assert web.everything() == before


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 30])
def test_a_length_that_is_no_number_is_refused(web: Web, length: str) -> None:
    """Sent as it stands: clients do not write such a thing."""

    async def raw() -> int:
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {
            "type": "http", "method": "POST", "path": "/u/x", "raw_path": b"/u/x", "query_string": b"", "client": None,
            "headers": [(b"content-length", length.encode())], "http_version": "1.1", "scheme": "https", "root_path": "",
        }  # fmt: skip
        await web.app(scope, receive, send)
        return status

    assert asyncio.run(raw()) in {400, 413}


def test_an_unreachable_state_is_503_with_retry_after(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    path = web.path("unsubscribe", web.plan())

    def unreachable(*given: object) -> None:
        raise UnavailableError(f"the state database at db.internal cannot be used: {SECRET_ADDRESS}")

    monkeypatch.setattr(web.store.links, "message", unreachable)
    monkeypatch.setattr(web.store.install, "environment", unreachable)
    for answer in (web.get(path), web.post(path), web.get("/health")):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "db.internal" not in answer.text
    assert web.get("/health").json() == {"status": "unavailable"}


def test_a_fault_of_ours_tells_nobody_anything(
    web: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = web.path("unsubscribe", web.plan())

    def broken(*given: object) -> None:
        raise RuntimeError(f"boom about {SECRET_ADDRESS}")

    monkeypatch.setattr(web.store.links, "message", broken)
    with caplog.at_level(logging.INFO):
        answer = web.get(path)
    assert answer.status_code == 500
    assert "boom" not in answer.text
    assert "Traceback" not in answer.text
    (told,) = [record.getMessage() for record in caplog.records if record.name == "holdfast.web"]
    assert "RuntimeError" in told
    for secret in (SECRET_ADDRESS, path.rsplit("/", 1)[1], "boom"):
        assert secret not in told


def test_more_requests_at_once_than_fit_are_told_to_come_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_AT_ONCE", 3)
    path = web.path("unsubscribe", web.plan())

    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield b""

    async def crowd() -> list[httpx.Response]:
        form = {"content-type": "application/x-www-form-urlencoded"}
        return await asyncio.gather(*(web.asking("POST", path, content=slowly(), headers=form) for _ in range(8)))

    answers = asyncio.run(crowd())
    assert sorted({answer.status_code for answer in answers}) == [200, 503]
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)
    assert web.get(path).status_code == 200
