"""What holds for every webhook, asked through the address it is posted to. A new plug-in joins with a sender."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from inbound_world import NOW, seconds
from webhook_senders import SENDERS, WebhookSender

from engine.errors import SetupError
from engine.inbound import WEBHOOKS, Rejected, Webhook
from engine.inbound.bodies import LARGEST_BODY
from engine.project.settings import Settings
from tests.web.web_world import CONFIG, Web

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> type[Webhook]:
    """The plug-in that docs/plug-ins.md shows."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "plug-ins.md").read_text("utf-8")
    code = page.partition("`engine/inbound/crm_events.py`\n\n```python\n")[2].partition("```\n")[0]
    file = tmp_path_factory.mktemp("example") / "crm_events.py"
    file.write_text(code, "utf-8")
    found: type[Webhook] = runpy.run_path(str(file))["CrmWebhook"]
    return found


@pytest.fixture(params=SENDERS, ids=lambda sender: sender.name)
def sender(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, example: type[Webhook]) -> WebhookSender:
    monkeypatch.setitem(WEBHOOKS, "crm", example)  # type: ignore[arg-type]
    for name, value in request.param.variables.items():
        monkeypatch.setenv(name, value)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def web(sender: WebhookSender, tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path / "project", f"sqlite:///{tmp_path}/state.db", CONFIG + sender.config)
    yield made
    made.store.close()


def post(web: Web, sender: WebhookSender, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return web.ask("POST", f"/inbound/{sender.name}", content=body, headers=headers)


def kept(web: Web) -> int:
    return sum(web.store.inbound.counts().values())


def settings_of(web: Web) -> Settings:
    return web.project.settings


def test_every_plug_in_has_a_sender() -> None:
    assert [sender.name for sender in SENDERS] == [*WEBHOOKS, "crm"]


def test_what_is_signed_is_kept_under_its_source(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    assert post(web, sender, body, sender.sign(body, NOW)).status_code == 200
    assert web.store.inbound.counts() == {(sender.name, "new"): 1}


def test_the_same_request_is_acknowledged_each_time_and_kept_once(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    headers = sender.sign(body, NOW)
    assert [post(web, sender, body, headers).status_code for _ in range(3)] == [200] * 3
    assert kept(web) == 1


def test_nothing_is_acknowledged_before_it_is_kept(
    web: Web, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, may_go_on = web.store.inbound.keep, Event()

    def slow(*given: Any) -> Any:
        may_go_on.wait(5)
        return keep(*given)

    monkeypatch.setattr(web.store.inbound, "keep", slow)
    body = sender.body(1)

    async def ask() -> int:
        path, headers = f"/inbound/{sender.name}", sender.sign(body, NOW)
        asking = asyncio.create_task(web.asking("POST", path, content=body, headers=headers))
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done
        may_go_on.set()
        answer = await asking
        assert kept(web) == 1
        return answer.status_code

    assert asyncio.run(ask()) == 200


def test_many_requests_at_once_are_all_kept_once(web: Web, sender: WebhookSender) -> None:
    bodies = [sender.body(number) for number in range(25)] * 2

    async def ask() -> list[httpx.Response]:
        path = f"/inbound/{sender.name}"
        return await asyncio.gather(
            *(web.asking("POST", path, content=body, headers=sender.sign(body, NOW)) for body in bodies)
        )

    assert {answer.status_code for answer in asyncio.run(ask())} == {200}
    assert kept(web) == 25


def test_what_is_not_signed_is_refused(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    signed = sender.sign(body, NOW)
    wrong = {
        "unsigned": {},
        "another's secret": sender.forge(body, NOW),
        "another body's": sender.sign(sender.body(2), NOW),
        "empty": dict.fromkeys(signed, ""),
        "nonsense": dict.fromkeys(signed, "x=1,t=t,v1=,,"),
        "beyond ASCII": {name: value.replace("1", "\xb9") for name, value in signed.items()},
        "of no instant": {name: value.replace(str(seconds(NOW)), "9" * 400) for name, value in signed.items()},
    } | {f"without {name}": {key: value for key, value in signed.items() if key != name} for name in signed}
    for case, headers in wrong.items():
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        assert post(web, sender, body, encoded).status_code in {400, 401}, case  # type: ignore[arg-type]
    assert kept(web) == 0


def test_a_signature_has_its_time(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    for moment in (NOW - sender.oldest - SECOND, NOW + sender.newest + SECOND):
        assert post(web, sender, body, sender.sign(body, moment)).status_code == 400
    assert kept(web) == 0
    for moment in (NOW - sender.oldest, NOW + sender.newest):
        assert post(web, sender, body, sender.sign(body, moment)).status_code == 200
    assert kept(web) == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'["\xff"]', "not UTF-8"), (b"", "not JSON"), (b"{", "not JSON"), (b"[NaN]", "not JSON"), (b"[\x00]", "not JSON"),
        (b'{"id":"1","id":"2"}', "a key written twice"), (b'[{"a":{"b":1,"b":2}}]', "a key written twice"),
        (b"[" * 21 + b"]" * 21, "nested too deeply"), (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deeply"),
        (b'"text"', "not "), (b"null", "not "),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_though_it_is_signed(
    web: Web, sender: WebhookSender, body: bytes, why: str
) -> None:
    answer = post(web, sender, body, sender.sign(body, NOW))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(why)
    assert kept(web) == 0


def test_a_body_may_be_a_megabyte_and_no_more(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    body += b" " * (LARGEST_BODY - len(body))
    assert post(web, sender, body + b" ", sender.sign(body + b" ", NOW)).status_code == 413
    webhook = WEBHOOKS[sender.name].from_settings(settings_of(web), live=False)
    with pytest.raises(Rejected) as caught:
        webhook.read(body + b" ", sender.sign(body + b" ", NOW), NOW)
    assert caught.value.status == 413
    assert kept(web) == 0
    assert post(web, sender, body, sender.sign(body, NOW)).status_code == 200
    assert kept(web) == 1


def test_while_the_state_cannot_be_reached_events_are_asked_for_again(web: Web, sender: WebhookSender) -> None:
    body = sender.body(1)
    with web.store._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE inbound_event RENAME TO away")
    answer = post(web, sender, body, sender.sign(body, NOW))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    with web.store._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO inbound_event")
    assert post(web, sender, body, sender.sign(body, NOW)).status_code == 200
    assert kept(web) == 1


def test_who_sends_unsigned_requests_is_stopped_soon_and_signed_ones_are_not_limited(
    web: Web, sender: WebhookSender
) -> None:
    body = sender.body(1)
    assert {post(web, sender, body, sender.sign(body, NOW)).status_code for _ in range(100)} == {200}
    assert post(web, sender, body, {}).status_code in {400, 401}
    assert [post(web, sender, body, {}).status_code for _ in range(60)][-1] == 429


def test_without_a_secret_there_is_no_such_address(sender: WebhookSender, tmp_path: Path) -> None:
    deaf = Web(tmp_path / "deaf", f"sqlite:///{tmp_path}/deaf.db")
    body = sender.body(1)
    assert post(deaf, sender, body, sender.sign(body, NOW)).status_code == 404
    deaf.store.close()


def test_a_secret_that_is_not_set_stops_the_start(
    web: Web, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in sender.variables:
        monkeypatch.delenv(name)
    with pytest.raises(SetupError):
        WEBHOOKS[sender.name].from_settings(settings_of(web), live=True)
