"""The command itself: what it offers, and how quickly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_shop import Shop
from typer.testing import CliRunner

from engine.cli.root import COMMANDS, app

NAMES = [name for group in COMMANDS.values() for name in group]


def test_holdfast_alone_names_the_three_commands_a_newcomer_needs() -> None:
    result = CliRunner().invoke(app, [], prog_name="holdfast")
    assert result.exit_code == 0
    beginning = result.stdout.partition("Rules and data")[0]
    assert [line.split()[0] for line in beginning.splitlines() if line.startswith("  ")] == [
        "holdfast", "demo", "init", "plan",
    ]  # fmt: skip


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"], prog_name="holdfast")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], prog_name="holdfast")
    assert result.exit_code == 0, result.output
    assert f"holdfast {name}" in result.stdout
    if name not in {"data", "i18n", "outbox", "stripe", "suppress", "db"}:
        assert "--format" in result.stdout


def test_help_does_not_wait_for_the_database_libraries() -> None:
    code = (
        "import sys; from engine.cli.root import app; "
        "app(['--help'], standalone_mode=False); "
        "print([name for name in ('duckdb', 'sqlalchemy', 'pydantic', 'jinja2') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_an_unknown_command_is_answered_with_a_guess(shop: Shop) -> None:
    result = shop.run("paln")
    assert result.exit_code == 2
    assert "Did you mean 'plan'" in result.stderr


def test_the_installed_command_runs(tmp_path: Path) -> None:
    holdfast = Path(sys.executable).with_name("holdfast")
    done = subprocess.run([holdfast, "-C", tmp_path, "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert 'no config.yaml in "' in done.stderr
    assert "Traceback" not in done.stderr
