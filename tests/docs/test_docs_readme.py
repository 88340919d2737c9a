from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from docs_pages import ROOT, blocks
from typer.testing import CliRunner

from engine.cli.root import app

README = ROOT / "README.md"


def _write_example(folder: Path) -> None:
    for block in blocks(README):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, "utf-8")


def _guide(marker: str) -> str:
    return next(block.text for block in blocks(ROOT / "docs/guide.md") if marker in block.text)


def _typed() -> list[list[str]]:
    """The commands of the example, as words after `holdfast`."""
    block = next(block for block in blocks(README) if block.language == "console")
    return [line.removeprefix("$ holdfast ").split() for line in block.text.splitlines()]


def _mails(folder: Path) -> list[EmailMessage]:
    found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in (folder / "outbox").glob("*.eml")]
    return [mail for mail in found if isinstance(mail, EmailMessage)]


def test_the_example_does_what_the_readme_says(tmp_path: Path, holdfast: Callable[..., Any]) -> None:
    _write_example(tmp_path)
    assert holdfast("check")["rules"] == {"active": 1}
    plan_words, run_words, explain_words = _typed()

    plan = holdfast(*plan_words)
    assert plan["counts"] == [{"rule": "quiet", "outcome": "send", "reason": "due", "count": 1}]
    assert plan["examples"] == {"quiet": ["ann"]}
    assert not (tmp_path / "holdfast.db").exists()

    run = holdfast(*run_words)
    assert run["delivery"]["sent"] == 1
    (mail,) = _mails(tmp_path)
    assert mail["To"] == "Ann <ann@example.com>"
    assert mail["Subject"] == "Is everything all right, Ann?"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "for 31 days" in text
    assert "1 Road, Town" in text

    bob = holdfast(*explain_words)
    (row,) = bob["rules"][0]["rows"]
    assert not row["found"]
    assert [(check["text"], check["held"]) for check in row["conditions"]] == [("no order for 30 days", False)]
    assert row["conditions"][0]["values"] == {"last": "2026-04-28T18:05:00Z"}


def test_bobs_explanation_stands_in_the_readme_as_it_is_printed(tmp_path: Path) -> None:
    _write_example(tmp_path)
    printed = CliRunner().invoke(app, ["-C", str(tmp_path), *_typed()[2]]).stdout
    (shown,) = [block.text for block in blocks(README) if block.language == "text"]
    assert printed.split() == shown.split()


def test_running_the_example_twice_changes_nothing(tmp_path: Path, holdfast: Callable[..., Any]) -> None:
    _write_example(tmp_path)
    run_words = _typed()[1]
    assert holdfast(*run_words)["runs"][0]["fresh"]
    again = holdfast(*run_words)
    assert not again["runs"][0]["fresh"]
    assert again["delivery"]["sent"] == 0
    assert len(_mails(tmp_path)) == 1


def test_the_guides_loop_over_a_plan_prints_each_decision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_example(tmp_path / "acme")
    monkeypatch.chdir(tmp_path)
    exec(compile(_guide("plan.rows()").replace("2026, 11, 3", "2026, 5, 1"), "guide.md", "exec"), {})
    assert capsys.readouterr().out == "quiet ann send due\n"
