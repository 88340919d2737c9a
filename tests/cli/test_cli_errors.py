"""Whatever goes wrong is told in words, with the right exit code and never with a traceback nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_shop import CONFIG, Shop

from engine.cli import command as commands
from engine.cli.command import guarded
from engine.cli.screen import Screen
from engine.errors import HeldError, Problem, SetupError, UnavailableError

BROKEN_RULE = "rule: quiet\ntrigger:\n  inactivty: {for: 30 days}\nsteps:\n  - send: we-mis-you\n"


def test_every_mistake_is_told_with_its_place_and_their_number_at_the_end(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", BROKEN_RULE)
    shop.write("rules/fresh.yaml", "rule: fresh\ntrigger: {date: {column: signed_up_at}}\nprioriti: 3\n")
    result = shop.run("check")
    lines = result.stderr.splitlines()
    assert result.exit_code == 2
    assert [line.partition(" ")[0] for line in lines[:-2]] == sorted(line.partition(" ")[0] for line in lines[:-2])
    assert any(line.startswith("rules/quiet.yaml:3:3: ") and 'Did you mean "inactivity"?' in line for line in lines)
    assert any(line.startswith("rules/fresh.yaml:3:1: ") and 'Did you mean "priority"?' in line for line in lines)
    assert lines[-1] == f"{len(lines) - 2} problems; nothing was done"
    assert "Traceback" not in result.output


def test_mistakes_as_json_carry_the_same_fields(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", BROKEN_RULE)
    document = shop.json("plan", code=2)
    assert document["error"] == "setup"
    assert document["exit_code"] == 2
    problem = next(one for one in document["problems"] if one["line"] == 3)
    assert problem["path"] == "rules/quiet.yaml"
    assert problem["column"] == 3
    assert problem["suggestion"] == '"inactivity"'
    assert set(problem) == {"path", "line", "column", "code", "found", "expected", "suggestion", "severity"}


def test_debug_shows_the_traceback(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", BROKEN_RULE)
    assert "Traceback" in shop.run("check", "--debug").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "--as-of", "tomorow"), '--as-of "tomorow" is neither a date nor an instant'),
        (("run", "--date", "2070-01-01"), "expected a year from 1971 to 2069"),
        (("plan", "--rule", "quite"), 'unknown rule "quite"; did you mean "quiet"?'),
        (("run", "--schedule", "dayly"), 'unknown schedule "dayly"; did you mean "daily"?'),
        (("run", "--date", "2026-05-02", "--as-of", "2026-05-02"), "give one of them"),
        (("plan", "--out", "plan.xlsx"), "expected a name that ends in .csv, .jsonl, .parquet"),
        (("data", "issues", "--table", "custmers"), 'did you mean "customers"?'),
        (("status",), "nothing has been run in this project"),
        (("backup", "copy.db"), "nothing has been run in this project"),
        (("pause", "quite"), 'did you mean "quiet"?'),
        (("suppress", "add", "nobody"), '"nobody" is not an e-mail address'),
        (("suppress", "add", "a@example.com", "--kind", "bounce"), 'did you mean "bounced"?'),
        (("suppress", "add", "a@example.com", "--until", "2026-06-01"), "belongs to --kind not_until"),
    ],
)  # fmt: skip
def test_a_wrong_request_ends_with_2_and_says_what_would_be_right(
    shop: Shop, words: tuple[str, ...], said: str
) -> None:
    result = shop.run(*words)
    assert result.exit_code == 2
    assert said.casefold() in result.stderr.casefold()
    assert "Traceback" not in result.output
    assert not (shop.folder / "holdfast.db").exists()


def test_a_state_that_cannot_be_used_ends_with_4(shop: Shop) -> None:
    shop.write("holdfast.db", "this is no database, and long enough to be looked at")
    result = shop.run("status")
    assert result.exit_code == 4
    assert "cannot be used" in result.stderr


def test_a_project_with_a_broken_rule_can_still_be_paused_and_unsubscribed_from(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", BROKEN_RULE)
    assert shop.run("pause").exit_code == 0
    assert shop.run("pause", "quiet").exit_code == 0
    assert shop.run("suppress", "add", "c00@example.com").exit_code == 0
    assert set(shop.json("status")["paused"]) == {"*", "quiet"}


def _raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (SetupError(Problem("config.yaml", 1, 1, "HF201", "wrong")), 2, "setup"),
        (HeldError("held for a person"), 3, "held"),
        (UnavailableError("the database is away"), 4, "unavailable"),
        (PermissionError(13, "Permission denied", "plan.csv"), 4, "unavailable"),
        (KeyError("oops"), commands.OUR_FAULT, "fault"),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_word(
    error: Exception, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(Screen(Path(), as_json=True), _raising(error)) == code
    assert json.loads(capsys.readouterr().out)["error"] == word


def test_ctrl_c_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(Screen(Path()), _raising(KeyboardInterrupt())) == commands.STOPPED
    said = capsys.readouterr().err
    assert said.startswith("Stopped.")
    assert len(said.splitlines()) == 1


def test_a_table_that_is_not_there_ends_with_4_and_does_not_keep_check_from_the_rest(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG.replace("customers.csv", "clients.csv"))
    result = shop.run("plan")
    assert result.exit_code == 4
    assert "clients.csv" in result.stderr
    checked = shop.run("check")
    assert checked.exit_code == 0
    assert "columns were not checked" in checked.stdout
    assert shop.json("check")["tables_checked"] is False
