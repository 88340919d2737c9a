from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from channel_world import CUSTOM_ARGS, MAIL
from fake_sendgrid import OK, FakeSendGrid, Fault
from hypothesis import given
from hypothesis import strategies as st

from engine.addresses import Mailbox
from engine.channels import CHANNELS, Answer, Place, Result, Session
from engine.channels.sendgrid import request_body
from engine.channels.wire import LARGEST_ANSWER
from engine.errors import SetupError
from engine.messages.header_text import display_name, single_line
from engine.messages.mail import Mail

CHANNEL = CHANNELS["sendgrid"]
Send = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", "SG.key")


def connect(url: str, timeout_s: float = 5.0, **settings: object) -> Session:
    given = {"api_key": "${TEST_API_KEY}", "api_url": url, **settings}
    return CHANNEL.open(CHANNEL.Settings.model_validate(given), Place(Path(), timeout_s))


@pytest.fixture
def answer_to(mail: Mail) -> Send:
    def send(fault: Fault, timeout_s: float = 5.0) -> Answer:
        with FakeSendGrid(lambda n, body: fault) as server:
            return connect(server.url, timeout_s).send(mail, CUSTOM_ARGS)

    return send


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Fault(202), Result.ACCEPTED),
        (Fault(200), Result.SANDBOXED),
        (Fault(400, body=b'{"errors":[{"message":"bad"}]}'), Result.REFUSED),
        (Fault(413), Result.REFUSED),
        (Fault(422), Result.REFUSED),
        (Fault(401), Result.CHANNEL_DOWN),
        (Fault(403), Result.CHANNEL_DOWN),
        (Fault(404), Result.CHANNEL_DOWN),
        (Fault(451), Result.CHANNEL_DOWN),
        (Fault(301, {"Location": "https://evil.example"}), Result.CHANNEL_DOWN),
        (Fault(500), Result.IN_DOUBT),
        (Fault(503, takes=True), Result.IN_DOUBT),
        (Fault(204), Result.IN_DOUBT),
        (Fault(hangs_up=True), Result.IN_DOUBT),
        (Fault(raw=b"<html>502 bad gateway</html>\r\n\r\n"), Result.IN_DOUBT),
        (Fault(raw=b"HTTP/1.1 abc\r\n\r\n"), Result.IN_DOUBT),
        (Fault(raw=b"\xff" * 200 + b"\r\n\r\n"), Result.IN_DOUBT),
        (Fault(raw=b"HTTP/1.1 202 A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), Result.ACCEPTED),
        (Fault(raw=b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n"), Result.ACCEPTED),
        (Fault(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: 99\r\nConnection: close\r\n\r\nshort"), Result.ACCEPTED),
        (Fault(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: -5\r\n\r\n"), Result.ACCEPTED),
    ],
)  # fmt: skip
def test_answers_are_told_apart(fault: Fault, result: Result, answer_to: Send) -> None:
    assert answer_to(fault, 0.5).result is result


def test_an_answer_without_an_id_is_still_accepted(answer_to: Send) -> None:
    assert answer_to(Fault(202)).provider_id == "m1"
    assert answer_to(Fault(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")) == Answer(Result.ACCEPTED)


def test_accepted_and_then_reset_is_in_doubt_and_sent_once(mail: Mail) -> None:
    with FakeSendGrid(lambda n, body: Fault(takes=True, hangs_up=True)) as server:
        assert connect(server.url).send(mail, CUSTOM_ARGS).result is Result.IN_DOUBT
        assert len(server.requests) == 1


def test_an_answer_that_comes_too_late_is_in_doubt_and_does_not_answer_the_next_mail(mail: Mail) -> None:
    with FakeSendGrid(lambda n, body: Fault(400, takes=True, delay_s=0.6) if n == 0 else OK) as server:
        session = connect(server.url, 0.3)
        assert session.send(mail, CUSTOM_ARGS).result is Result.IN_DOUBT
        assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED


def test_a_dripping_answer_is_given_up_at_the_deadline(answer_to: Send) -> None:
    begun = time.monotonic()
    assert answer_to(Fault(drips=True), 0.4).result is Result.IN_DOUBT
    assert time.monotonic() - begun < 2


def test_a_huge_answer_is_read_up_to_a_bound(answer_to: Send) -> None:
    huge = b"x" * (20 * LARGEST_ANSWER)
    answer = answer_to(Fault(400, body=huge))
    assert answer.result is Result.REFUSED
    assert len(answer.detail) <= 300


def test_endless_headers_are_no_answer(answer_to: Send) -> None:
    assert answer_to(Fault(raw=b"HTTP/1.1 202 OK\r\n" + b"A: b\r\n" * 40_000)).result is Result.IN_DOUBT


def test_nobody_listening_is_a_retry_of_the_channel(mail: Mail) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = connect(f"http://127.0.0.1:{closed.getsockname()[1]}").send(mail, CUSTOM_ARGS)
    assert (answer.result, answer.of_channel) == (Result.RETRY, True)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        (lambda: {"X-RateLimit-Reset": str(int(time.time()) + 30)}, 25, 31),
        (lambda: {"X-RateLimit-Reset": str(int(time.time()) - 30)}, 0, 0),
        (lambda: {"Retry-After": "17"}, 17, 17),
        (lambda: {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)}, 55, 61),
        (lambda: {"Retry-After": "99999999"}, 21_600, 21_600),
    ],
)
def test_a_429_says_how_long_to_wait(
    headers: Callable[[], dict[str, str]], low: float, high: float, answer_to: Send
) -> None:
    answer = answer_to(Fault(429, headers()))
    assert (answer.result, answer.of_channel) == (Result.RETRY, True)
    assert answer.retry_after_s is not None
    assert low <= answer.retry_after_s <= high


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"X-RateLimit-Reset": "nan?"}])
def test_a_429_that_does_not_say_leaves_it_to_us(headers: dict[str, str], answer_to: Send) -> None:
    assert answer_to(Fault(429, headers)).retry_after_s is None


def test_one_connection_serves_many_mails(mail: Mail) -> None:
    with FakeSendGrid() as server:
        session = connect(server.url)
        for _ in range(10):
            assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED
        assert server.connections == 1


def test_a_connection_the_server_closed_while_it_was_idle_costs_nothing(mail: Mail) -> None:
    closing = Fault(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", takes=True)
    with FakeSendGrid(lambda n, body: closing) as server:
        session = connect(server.url)
        assert [session.send(mail, CUSTOM_ARGS).result for _ in range(3)] == [Result.ACCEPTED] * 3
        assert server.connections == 3


def test_the_key_goes_into_the_header_and_nowhere_else(mail: Mail) -> None:
    with FakeSendGrid(lambda n, body: Fault(401, body=b"key SG.key is wrong")) as server:
        connect(server.url).send(mail, CUSTOM_ARGS)
        head, body = server.requests[0]
        assert head.startswith(b"POST /v3/mail/send HTTP/1.1\r\n")
        assert b"Authorization: Bearer SG.key" in head
        assert "SG.key" not in json.dumps(body)


def test_a_key_that_is_not_set_is_told_when_the_channel_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_API_KEY")
    with pytest.raises(SetupError, match="TEST_API_KEY"):
        connect("http://127.0.0.1:1")


# The request.


def test_the_request_has_one_recipient_and_our_ids_beside_it(mail: Mail) -> None:
    body = request_body(mail, CUSTOM_ARGS)
    assert body["personalizations"] == [
        {"to": [{"email": "ann@example.com", "name": "Ann Lee"}], "custom_args": CUSTOM_ARGS}
    ]
    assert body["from"] == {"email": "hello@example.com", "name": "Acme Ünit"}
    assert body["reply_to"] == {"email": "help@example.com"}
    assert body["headers"] == {"Message-ID": "<abab@example.com>", **dict(mail.headers)}
    assert body["content"] == [{"type": "text/plain", "value": mail.text}, {"type": "text/html", "value": mail.html}]
    assert "mail_settings" not in body


def test_the_sandbox_is_asked_for_only_by_its_setting(mail: Mail) -> None:
    with FakeSendGrid(lambda n, body: Fault(200)) as server:
        assert connect(server.url, sandbox=True).send(mail, CUSTOM_ARGS).result is Result.SANDBOXED
        assert server.requests[0][1]["mail_settings"] == {"sandbox_mode": {"enable": True}}


@pytest.fixture(scope="session")
def published_schema(shared_data: Path) -> dict[str, Any]:
    document = json.loads((shared_data / "billing" / "sendgrid_mail_send_openapi.json").read_text())
    schema = document["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    return {**schema, "components": document["components"]}


@pytest.mark.parametrize("change", [{}, {"reply_to": None}, {"headers": ()}, {"to": Mailbox("", "ann@example.com")}])
@pytest.mark.parametrize("sandbox", [True, False])
def test_requests_fit_the_published_description(
    published_schema: dict[str, Any], change: dict[str, Any], sandbox: bool, mail: Mail
) -> None:
    from openapi_schema_validator import OAS30Validator

    body = request_body(replace(mail, **change), CUSTOM_ARGS, sandbox=sandbox)
    assert list(OAS30Validator(published_schema).iter_errors(json.loads(json.dumps(body)))) == []
    body.pop("from")
    assert list(OAS30Validator(published_schema).iter_errors(body))


_HOSTILE = st.text(st.sampled_from('ab \r\n\t\x00\x0b\x85\u2028\u2029:<>@",;{}\\é\U0001f600\u202e'), max_size=60)


@given(_HOSTILE, _HOSTILE)
def test_no_name_or_subject_adds_a_recipient_or_a_line(name: str, subject: str) -> None:
    safe = replace(MAIL, to=Mailbox(display_name(name), "ann@example.com"), subject=single_line(subject) or "-")
    body = json.loads(json.dumps(request_body(safe, CUSTOM_ARGS)))
    person = body["personalizations"][0]
    assert [to["email"] for to in person["to"]] == ["ann@example.com"]
    for text in (body["subject"], person["to"][0].get("name", "")):
        assert not set(text) & set("\r\n\x00\x0b\x85\u2028\u2029")
