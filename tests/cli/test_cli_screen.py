"""Text for people: aligned without a terminal, in words with one and many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.plan_files import _cell
from engine.cli.screen import Screen
from engine.cli.wording import ago, moment_text, number_of, shown

NOON = datetime(2026, 5, 2, 12)


def test_a_table_in_a_pipe_is_aligned_and_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Path()).table(
        ["rule", "mails", ""], [(("quiet", "bold"), 1234, "due"), ("a-longer-rule", 5, None)], indent=2
    )
    assert capsys.readouterr().out == "  rule           mails\n  quiet          1,234  due\n  a-longer-rule      5\n"


def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Path()).say("[red]plan[/red] :smile: \\[x]")
    assert capsys.readouterr().out == "[red]plan[/red] :smile: \\[x]\n"


def test_json_mode_says_nothing_but_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Path(), as_json=True)
    screen.say("text")
    screen.table(["a"], [("b",)])
    screen.emit({"at": NOON, "on": NOON.date(), "name": "Ünal"})
    assert capsys.readouterr().out == '{\n  "at": "2026-05-02T12:00:00Z",\n  "on": "2026-05-02",\n  "name": "Ünal"\n}\n'


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=59), "59 seconds ago"), (timedelta(seconds=60), "1 minute ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"), (timedelta(days=1), "1 day ago"),
        (timedelta(hours=-2), "in 2 hours"), (timedelta(0), "0 seconds ago"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_in_the_largest_unit(span: timedelta, words: str) -> None:
    assert ago(NOON - span, NOON) == words


def test_instants_are_told_on_the_clock_of_their_zone() -> None:
    assert moment_text(NOON, "Pacific/Auckland") == "Sun 3 May 2026, 00:00 NZST"
    assert moment_text(datetime(2026, 12, 2, 12), "America/New_York") == "Wed 2 Dec 2026, 07:00 EST"


def test_words_for_one_and_many() -> None:
    assert [number_of(number, "mail") for number in (0, 1, 1000)] == ["0 mails", "1 mail", "1,000 mails"]
    assert number_of(2, "entry", "entries") == "2 entries"
    assert [shown(value) for value in (None, True, False, 3, 2.5)] == ["none", "yes", "no", "3", "2.5"]


@given(st.one_of(st.none(), st.text(), st.integers(), st.datetimes(timezones=st.just(UTC))))
def test_no_cell_of_a_csv_begins_like_a_formula(value: object) -> None:
    assert not _cell(value).startswith(("=", "+", "-", "@", "\t", "\r"))
