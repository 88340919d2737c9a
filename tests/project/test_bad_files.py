"""Each file under `bad/` is wrong in one way; the `.expected` beside it holds what is said about it, to the column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from project_world import LIVE, RULE, load

from engine.codes import CODES, errors_page
from engine.errors import SetupError

BAD = Path(__file__).parent / "bad"
CASES = sorted(BAD.glob("*/*.yaml"))
ELSEWHERE = {
    "HF110": "test_a_file_of_more_than_a_million_characters_is_refused",
    "HF114": "test_a_link_out_of_the_project_is_refused",
    "HF218": "test_other_addresses_are_refused_when_settings_are_read",
    "HF201": "test_a_folder_without_settings_is_no_project",
    "HF420": "test_a_comparison_that_loses_nulls_is_a_warning_that_says_how_to_write_it",
}
"""Codes that one small file of text cannot cause, and the tests that cause them."""


def _said_about(case: Path) -> str:
    text = case.read_bytes().decode()
    if case.parent.name == "config":
        files = {"config.yaml": text, "rules/live.yaml": LIVE}
    else:
        files = {"rules/case.yaml": text}
    with pytest.raises(SetupError) as refused:
        load(files)
    return str(refused.value) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_a_bad_file_is_refused_in_the_expected_words(case: Path) -> None:
    assert _said_about(case) == case.with_suffix(".expected").read_text()


def test_the_base_the_bad_files_are_made_of_is_good() -> None:
    assert [rule.id for rule in load({"rules/case.yaml": RULE, "rules/live.yaml": LIVE}).rules] == [
        "quiet",
        "live",
        "live-bill",
    ]


def test_every_code_of_load_time_has_a_bad_file() -> None:
    shown = "".join(case.with_suffix(".expected").read_text() for case in CASES)
    ours = [code for code, row in CODES.items() if row.stage == "load" and code < "HF5"]
    assert [code for code in ours if f"[{code}]" not in shown and code not in ELSEWHERE] == []


def test_the_tests_named_for_other_codes_exist() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py") if path != Path(__file__))
    assert [name for name in ELSEWHERE.values() if f"def {name}(" not in tests] == []


def test_no_message_shows_a_secret() -> None:
    shown = "".join(case.with_suffix(".expected").read_text() for case in CASES)
    assert "hunter2" not in shown
    assert "pepper" not in shown


def test_every_code_has_a_title_and_help_and_a_heading_on_the_page() -> None:
    page = errors_page()
    for code, row in CODES.items():
        assert row.stage in {"load", "data", "run"}
        assert row.title
        assert row.help.endswith(".")
        assert f"\n### {code}: {row.title}\n\n{row.help}\n" in page


def test_every_code_used_in_the_code_is_in_the_table() -> None:
    folder = Path(__file__).parents[2] / "engine"
    used = {code for path in folder.rglob("*.py") for code in re.findall(r'"(HF\d{3})"', path.read_text())}
    assert used - CODES.keys() == set()
