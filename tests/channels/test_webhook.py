from __future__ import annotations

import hmac
import json
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from channel_world import CUSTOM_ARGS, NOTE
from hook_server import HookServer

from engine.channels import CHANNELS, Answer, Place, Result
from engine.channels.guarded_wire import is_outside
from engine.errors import SetupError
from engine.project.faults import Fault

CHANNEL = CHANNELS["webhook"]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[HookServer]:
    monkeypatch.setenv("HOOK_SECRET", "hook secret")
    with HookServer() as server:
        yield server


def caller(url: str, *allow: str, timeout_s: float = 2.0) -> Any:
    settings = CHANNEL.Settings.model_validate({"url": url, "secret": "${HOOK_SECRET}", "allow": list(allow)})
    return CHANNEL.open(settings, Place(Path(), timeout_s))


def called(url: str, *allow: str, timeout_s: float = 2.0) -> Answer:
    session = caller(url, *allow, timeout_s=timeout_s)
    try:
        return session.send(NOTE, CUSTOM_ARGS)  # type: ignore[no-any-return]
    finally:
        session.close()


# What arrives.


def test_the_body_says_who_what_and_why(hook: HookServer) -> None:
    assert called(hook.url, "127.0.0.1").result is Result.ACCEPTED
    assert hook.bodies == [{
        "message": "ab" * 32, "rule": "valuable", "step": "call", "customer_id": "ann", "occurrence": "2026-11-01",
        "class": "marketing", "topic": "win-back", "title": "Call Ann Lee", "text": "She pays 120 a month.\n",
        "values": {"customer": {"name": "Ann Lee"}},
    }]  # fmt: skip


def test_the_signature_covers_timestamp_and_body(hook: HookServer) -> None:
    called(hook.url, "127.0.0.1")
    ((path, headers, body),) = hook.requests
    assert path == "/hook?to=crm"
    signed = headers["holdfast-timestamp"].encode() + b"." + body
    assert headers["holdfast-signature"] == hmac.new(b"hook secret", signed, sha256).hexdigest()
    assert headers["idempotency-key"] == "ab" * 32
    assert json.loads(body)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, "accepted"), (202, "accepted"), (204, "accepted"), (400, "refused"), (422, "refused"), (429, "retry"),
        (401, "channel_down"), (403, "channel_down"), (404, "channel_down"), (410, "channel_down"),
        (301, "channel_down"), (302, "channel_down"), (307, "channel_down"), (500, "in_doubt"), (503, "in_doubt"),
    ],
)  # fmt: skip
def test_statuses_are_told_apart(hook: HookServer, status: int, result: str) -> None:
    hook.answer = (status, {"Retry-After": "7", "Location": "http://127.0.0.1:1/"}, b"")
    found = called(hook.url, "127.0.0.1")
    assert found.result == result
    assert found.retry_after_s == (7.0 if status == 429 else None)
    assert len(hook.requests) == 1  # a redirect is not followed


def test_a_line_cut_after_the_body_leaves_the_note_in_doubt(hook: HookServer) -> None:
    hook.answer = None
    assert called(hook.url, "127.0.0.1").result is Result.IN_DOUBT


def test_silence_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "x")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert called(url, "127.0.0.1", timeout_s=0.2).result is Result.IN_DOUBT


def test_nobody_listening_is_a_retry(hook: HookServer) -> None:
    found = called("http://127.0.0.1:1/", "127.0.0.1")
    assert (found.result, found.of_channel) == (Result.RETRY, True)


def test_an_endless_answer_is_not_read_to_its_end(hook: HookServer) -> None:
    hook.answer = (200, {}, b"x" * 3_000_000)
    assert called(hook.url, "127.0.0.1").result is Result.ACCEPTED


# Where it may go.

INSIDE = (
    "127.0.0.1", "127.8.9.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "0.0.0.0",
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    "198.18.0.1", "192.0.0.1", "240.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]",
    "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]", "[fec0::1]", "localhost", "LOCALHOST", "localhost.",
)  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_address_inside_is_called_however_it_is_written(hook: HookServer, host: str, scheme: str) -> None:
    found = called(f"{scheme}://{host}:{hook.port}/", timeout_s=0.3)
    assert found.result in {Result.CHANNEL_DOWN, Result.RETRY}, found
    assert found.result is Result.CHANNEL_DOWN or "getaddrinfo" in found.detail or "gaierror" in found.detail
    assert hook.requests == []


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"]
)
def test_public_addresses_are_outside(address: str) -> None:
    assert is_outside(address)


def test_a_name_that_changes_its_address_is_still_called_where_it_was_checked(
    hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connected: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(place[0])
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    called("https://rebind.example/")
    assert (asked, connected) == (["rebind.example"], ["93.184.215.14"])


def test_one_address_inside_among_several_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "x")
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    assert called("https://both.example/").result is Result.CHANNEL_DOWN


def test_without_tls_only_an_allowed_host_on_this_machine_is_called(
    hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert called("http://93.184.215.14/", "93.184.215.14").result is Result.CHANNEL_DOWN
    assert called("http://10.0.0.1/", "10.0.0.1").result is Result.CHANNEL_DOWN
    assert called(hook.url, "localhost").result is Result.CHANNEL_DOWN


def test_a_certificate_nobody_vouches_for_ends_the_call(hook: HookServer) -> None:
    found = called(hook.url.replace("http", "https"), "127.0.0.1")
    assert found.result is Result.RETRY  # the endpoint speaks no TLS at all
    assert hook.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://crm.example/", "file:///etc/passwd", "gopher://crm.example/", "//crm.example/", "crm.example",
        "https://user:pw@crm.example/", "https://crm.example@127.0.0.1/", "https://crm.example/\r\nX: 1", "https:///x",
        "https://crm.example\\@127.0.0.1/", "https://crm.example/#x", "https://crm.example:99999/", "",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_when_settings_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "x")
    with pytest.raises((Fault, ValueError)):
        CHANNEL.Settings.model_validate({"url": url, "secret": "${HOOK_SECRET}"})
    monkeypatch.setenv("HOOK_URL", url or " ")
    with pytest.raises(SetupError):
        caller("${HOOK_URL}")


def test_the_secret_never_stands_in_the_settings() -> None:
    with pytest.raises((Fault, ValueError)):
        CHANNEL.Settings.model_validate({"url": "https://crm.example/", "secret": "plain"})
