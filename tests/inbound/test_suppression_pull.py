"""SendGrid's lists taken over into ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from inbound_world import NOW, SECRET, rows, suppressions
from sendgrid_lists import FakeLists

from engine.channels.sendgrid import Settings
from engine.errors import UnavailableError
from engine.inbound import Pulled, pull
from engine.store import Store, Suppression
from engine.store.tables import suppression

CREATED = 1250337600  # 15 August 2009, noon


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLists]:
    monkeypatch.setenv("TEST_API_KEY", "SG.key")
    with FakeLists() as lists:
        yield lists


def pulled(store: Store, fake: FakeLists) -> Pulled:
    settings = Settings.model_validate({"api_key": "${TEST_API_KEY}", "api_url": fake.url})
    return pull(store, settings, SECRET, NOW, timeout_s=2)


def entry(name: str, **more: object) -> dict[str, object]:
    return {"created": CREATED, "email": f"{name}@example.com", **more}


def test_every_list_becomes_its_kind_of_suppression(store: Store, fake: FakeLists) -> None:
    fake.lists = {
        "bounces": [entry("bounced", reason="550 5.1.1 no such user", status="5.1.1")],
        "invalid_emails": [entry("invalid", reason="Mail domain mentioned in email address is unknown")],
        "spam_reports": [entry("spam", ip="10.89.32.5")],
        "unsubscribes": [entry("gone")],
        "group_unsubscribes": [
            {"email": "Grouped@Example.com", "group_id": 1, "group_name": "Weekly", "created_at": CREATED}
        ],
    }
    found = pulled(store, fake)
    assert suppressions(store) == {
        ("bounced@example.com", "bounced"), ("invalid@example.com", "bounced"), ("spam@example.com", "complained"),
        ("gone@example.com", "unsubscribed"), ("grouped@example.com", "unsubscribed"),
    }  # fmt: skip
    assert set(rows(store, suppression.c.source, suppression.c.at)) == {("sendgrid list", datetime(2009, 8, 15, 12))}
    assert set(found.read.values()) == set(found.added.values()) == {1}
    assert found.difference == 5
    assert fake.keys == {"Bearer SG.key"}


def test_the_second_pull_adds_nothing(store: Store, fake: FakeLists) -> None:
    fake.lists = {"bounces": [entry(f"c{n}") for n in range(30)], "group_unsubscribes": [entry("grouped")]}
    assert sum(pulled(store, fake).added.values()) == 31
    again = pulled(store, fake)
    assert (sum(again.read.values()), again.difference) == (31, 0)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1500, 1777])
def test_a_list_is_read_to_its_end(quick_store: Store, fake: FakeLists, count: int) -> None:
    fake.lists = {"unsubscribes": [entry(f"c{n}") for n in range(count)]}
    assert pulled(quick_store, fake).added["unsubscribes"] == count
    offsets = [offset for name, offset in fake.asked if name == "unsubscribes"]
    assert offsets[-1] == count


def test_the_union_wins_and_what_only_we_have_is_counted(store: Store, fake: FakeLists) -> None:
    def ours(name: str, kind: str, topic: str | None = None) -> Suppression:
        return Suppression.of(SECRET, f"{name}@example.com", kind, "page", NOW, topic)

    store.suppressions.add(
        [
            ours("ann", "unsubscribed"),
            ours("bob", "bounced"),
            ours("eve", "less_often"),
            ours("joe", "unsubscribed", "news"),
        ]
    )
    fake.lists = {"bounces": [entry("bob"), entry("new")]}
    found = pulled(store, fake)
    assert (found.added["bounces"], found.only_ours, found.difference) == (1, 1, 2)
    assert len(suppressions(store)) == 5
    assert ("page",) in rows(store, suppression.c.source)


def test_entries_without_a_readable_address_are_counted_and_left_out(quick_store: Store, fake: FakeLists) -> None:
    fake.lists = {"invalid_emails": [entry("ok"), {"email": "not an address"}, {"email": None}, {}, 7, "text"]}
    found = pulled(quick_store, fake)
    assert (found.read["invalid_emails"], found.added["invalid_emails"], found.unreadable["invalid_emails"]) == (
        6,
        1,
        5,
    )


@pytest.mark.parametrize("created", ["soon", None, 10**20, -(10**20), [1]])
def test_an_entry_without_a_readable_instant_holds_from_now_on(
    quick_store: Store, fake: FakeLists, created: object
) -> None:
    fake.lists = {"bounces": [entry("ann", created=created)]}
    pulled(quick_store, fake)
    assert rows(quick_store, suppression.c.at) == [(NOW,)]


def test_an_erased_address_is_not_written_down_again(quick_store: Store, fake: FakeLists) -> None:
    erased = Suppression.of(SECRET, "ann@example.com", "erased", "command", NOW)
    quick_store.suppressions.add([Suppression(erased.address_key, None, "erased", None, None, "command", NOW)])
    fake.lists = {"bounces": [entry("ann")]}
    pulled(quick_store, fake)
    assert suppressions(quick_store) == {(None, "erased"), (None, "bounced")}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((401, b'{"errors": [{"message": "ann@example.com"}]}'), "status 401"), ((403, b""), "status 403"),
        ((429, b"{}"), "status 429"), ((500, b"<html>"), "status 500"), ((418, b""), "status 418"),
        ((200, b"<html>"), "JSONDecodeError"), ((200, b"\xff"), "cannot be read"), ((200, b"{}"), "is not a list"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_named_and_what_came_before_is_kept(
    quick_store: Store, fake: FakeLists, answer: tuple[int, bytes], why: str
) -> None:
    fake.lists = {"bounces": [entry("ann")]}
    fake.answer = lambda name: answer if name == "spam_reports" else None
    with pytest.raises(UnavailableError, match="spam_reports") as caught:
        pulled(quick_store, fake)
    assert why in str(caught.value)
    assert "@" not in str(caught.value)
    assert suppressions(quick_store) == {("ann@example.com", "bounced")}


def test_a_server_that_is_not_there_is_unavailable(quick_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", "SG.key")
    settings = Settings.model_validate({"api_key": "${TEST_API_KEY}", "api_url": "http://127.0.0.1:1"})
    with pytest.raises(UnavailableError, match="bounces"):
        pull(quick_store, settings, SECRET, NOW, timeout_s=1)
