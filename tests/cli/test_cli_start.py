"""`init` and `demo`: the first minutes."""

from __future__ import annotations

from email import message_from_bytes
from pathlib import Path

import pytest
from cli_shop import Shop
from typer.testing import CliRunner

from engine.cli.root import app


def test_init_makes_a_project_that_is_in_order_and_says_what_to_do_next(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    result = CliRunner().invoke(app, ["init", str(folder), "--customers", "100"])
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("  holdfast")] == [
        "check", "plan", "run",
    ]  # fmt: skip
    checked = Shop(folder).run("check")
    assert checked.exit_code == 0, checked.output
    assert "no mistakes" in checked.stdout


def test_init_leaves_a_project_that_is_there_alone(shop: Shop) -> None:
    before = (shop.folder / "config.yaml").read_text()
    result = CliRunner().invoke(app, ["init", str(shop.folder)])
    assert result.exit_code == 2
    assert "already has config.yaml" in result.stderr
    assert (shop.folder / "config.yaml").read_text() == before


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, str]:
    """The demo with three hundred customers, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "corkline"
    result = CliRunner().invoke(app, ["demo", "--keep", str(folder), "--customers", "300"])
    assert result.exit_code == 0, result.output
    return Shop(folder), result.stdout


def test_the_demo_tells_the_whole_story(shown: tuple[Shop, str]) -> None:
    _, text = shown
    for part in (
        "no mistakes",
        "What is in the tables?",
        "What was sent:",
        "Why the others got nothing",
        "✓",
        "Your turn",
    ):
        assert part in text
    assert text.count("$ holdfast run --date") == 3
    assert "Traceback" not in text


def test_the_demo_delivers_to_files_that_open_as_mail(shown: tuple[Shop, str]) -> None:
    shop, _ = shown
    assert len(shop.mails) > 20
    mail = message_from_bytes(shop.mails[0].read_bytes())
    assert mail["Subject"]
    assert mail["To"].endswith(("example.com", "example.com>"))
    assert {part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"}


def test_the_demo_shows_no_address_in_full(shown: tuple[Shop, str]) -> None:
    shop, text = shown
    sent = text.partition("What was sent")[2].partition("Why the others")[0]
    assert "…@example.com" in sent
    assert not any(
        message_from_bytes(mail.read_bytes())["To"].rpartition("<")[2].rstrip(">") in sent for mail in shop.mails
    )


def test_the_folder_of_the_demo_is_a_project_to_look_around_in(shown: tuple[Shop, str]) -> None:
    shop, _ = shown
    status = shop.json("status")
    assert [run["state"] for run in status["runs"]] == ["finished"] * 3
    assert status["environment"] == "folder"
    assert shop.json("plan")["counts"]
