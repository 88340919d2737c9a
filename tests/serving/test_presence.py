"""A copied or restored state sends no real mail before somebody has said which one is the true one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine import Project
from engine.cli.root import app
from engine.errors import HeldError
from engine.presence import adopt
from engine.sending import send_due
from engine.store import Store
from tests.delivery.fake_sendgrid import FakeSendGrid
from tests.run.run_company import CONFIG, Company

FIRST = date(2026, 5, 1)


@pytest.fixture
def provider() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as server:
        yield server


@pytest.fixture
def shop(company: Company, provider: FakeSendGrid, monkeypatch: pytest.MonkeyPatch) -> Company:
    """Ann is due on the first day, Bob on the second; mail is real."""
    for name in ("HOLDFAST_SECRET", "SENDGRID_KEY"):
        monkeypatch.setenv(name, "k" * 40)
    channel = f'channels: {{email: {{use: sendgrid, api_key: "${{SENDGRID_KEY}}", api_url: "{provider.url}"}}}}\n'
    company.config = CONFIG + channel
    company.customer("bob")
    company.event("bob", "login", datetime(2026, 4, 2, 7))
    return company


def day_of(shop: Company, day: date) -> None:
    shop.run(day)
    project = shop.project()
    send_due(project, shop.store, clock=lambda: project.instant(day))


def restore(shop: Company, copy: Path) -> None:
    shop.store.close()
    for old in shop.folder.glob("holdfast.db*"):
        old.unlink()
    shutil.copy(copy, shop.folder / "holdfast.db")
    shop._store = None


def test_a_restored_state_holds_and_after_adoption_sends_nothing_twice(
    shop: Company, provider: FakeSendGrid, tmp_path: Path
) -> None:
    day_of(shop, FIRST)
    shop.store.backup(tmp_path / "copy")
    day_of(shop, FIRST + timedelta(days=1))
    assert provider.recipients == ["ann@example.com", "bob@example.com"]
    home = shop.store.home(shop.folder)
    home.note(datetime(2026, 5, 2, 9))  # the tests' days are not today's
    restore(shop, tmp_path / "copy")
    home = shop.store.home(shop.folder)
    shop.store.install.set("at_work", datetime(2026, 5, 1, 9).isoformat())

    with pytest.raises(HeldError, match="older copy: it ends at 2026-05-01 09:00 UTC"):
        day_of(shop, FIRST + timedelta(days=1))
    done = adopt(shop.project(), shop.store, datetime(2026, 5, 3, 7))
    assert (done.runs, done.messages) == (0, 1)  # the held delivery had planned the day already
    assert adopt(shop.project(), shop.store, datetime(2026, 5, 3, 7)).messages == 0
    for number in range(1, 20):
        day_of(shop, FIRST + timedelta(days=number))
    assert provider.recipients[:2] == ["ann@example.com", "bob@example.com"]
    assert sorted(provider.recipients[2:]) == ["ann@example.com", "bob@example.com"]  # the ladder's second step
    assert {message.step for message in shop.store.history_of("bob").messages} == {"first", "second"}


def test_days_nobody_remembers_are_planned_again_without_a_mail(
    shop: Company, provider: FakeSendGrid, tmp_path: Path
) -> None:
    day_of(shop, FIRST)
    shop.store.backup(tmp_path / "copy")
    for number in (1, 2, 3):
        day_of(shop, FIRST + timedelta(days=number))
    shop.store.home(shop.folder).note(datetime(2026, 5, 4, 9))
    restore(shop, tmp_path / "copy")
    shop.store.install.set("at_work", datetime(2026, 5, 1, 9).isoformat())
    done = adopt(shop.project(), shop.store, datetime(2026, 5, 5, 7))
    assert (done.runs, done.messages) == (3, 1)
    assert shop.store.outbox.counts() == {"accepted": 1, "unknown": 1}
    day_of(shop, FIRST + timedelta(days=4))
    assert len(provider.recipients) == 2


def test_a_copy_elsewhere_does_not_send(shop: Company, provider: FakeSendGrid, tmp_path: Path) -> None:
    day_of(shop, FIRST)
    copy = tmp_path / "staging"
    shutil.copytree(shop.folder, copy, ignore=shutil.ignore_patterns("staging"))
    project = Project.load(copy)
    with project.open_store() as store:
        with pytest.raises(HeldError, match="this state has moved"):
            send_due(project, store)
        adopt(project, store, datetime(2026, 5, 1, 9))
        send_due(project, store)
    assert len(provider.recipients) == 1


def test_adopting_asks_a_person_or_yes(shop: Company) -> None:
    day_of(shop, FIRST)
    words = ["-C", str(shop.folder), "adopt"]
    assert CliRunner().invoke(app, words).exit_code == 3
    said = CliRunner().invoke(app, [*words, "--yes"])
    assert said.exit_code == 0
    assert "Adopted." in said.output


def test_a_database_of_another_name_is_another_place(postgres_url: str, tmp_path: Path) -> None:
    import psycopg

    other = postgres_url + "_b"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{other.rsplit("/", 1)[1]}"')
    try:
        with Store.open(postgres_url) as here, Store.open(other) as there:
            assert here.home(tmp_path).here() == here.home(tmp_path).here()
            assert here.home(tmp_path).here() != there.home(tmp_path).here()
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{other.rsplit("/", 1)[1]}" WITH (FORCE)')


def test_trying_out_in_a_folder_is_never_held(company: Company, tmp_path: Path) -> None:
    company.run(FIRST)
    copy = tmp_path / "elsewhere"
    shutil.copytree(company.folder, copy, ignore=shutil.ignore_patterns("elsewhere"))
    project = Project.load(copy)
    with project.open_store() as store:
        assert send_due(project, store, clock=lambda: project.instant(FIRST)).sent == 1
