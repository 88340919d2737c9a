from __future__ import annotations

from pathlib import Path

import pytest
from docs_pages import DOCS, PAGES, generator

from engine.planning.reasons import Outcome, Reason


def test_every_page_says_what_the_engine_says_now() -> None:
    stale = [path.name for path, text in generator().pages().items() if path.read_text("utf-8") != text]
    assert stale == [], "run: python docs/generate.py"


def test_a_change_of_a_generated_part_is_noticed(tmp_path: Path) -> None:
    page = (DOCS / "reasons.md").read_text("utf-8")
    changed = page.replace(Reason.CAP.doc, "Something else.").replace(Outcome.SEND.doc, "Nothing.")
    assert changed != page
    assert generator()._filled(changed) == page


def test_generating_twice_changes_nothing() -> None:
    for path, text in generator().pages().items():
        if path.name != "errors.md":
            assert generator()._filled(text) == text


def test_every_trigger_shows_an_example_that_reads() -> None:
    text = generator().trigger_reference("")
    for name in generator().triggers():
        assert f"### {name}\n" in text


@pytest.mark.parametrize("word", ["TODO", "FIXME", "Lorem"])
def test_no_page_has_leavings(word: str) -> None:
    assert [path.name for path in PAGES if word in path.read_text("utf-8")] == []
