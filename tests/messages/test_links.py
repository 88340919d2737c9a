from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.messages.links import Links

KEY = "0123456789abcdef" * 4
LINKS = Links("https://mail.example.com/", ["old", "new"])


def token(links: Links = LINKS, purpose: str = "unsubscribe", key: str = KEY) -> str:
    return links.url(purpose, key).rsplit("/", 1)[1]  # type: ignore[arg-type]


def test_a_link_leads_back_to_its_message() -> None:
    assert LINKS.url("unsubscribe", KEY).startswith("https://mail.example.com/u/")
    assert LINKS.read("unsubscribe", token()) == KEY[:32]


def test_a_token_of_one_purpose_is_worthless_for_another() -> None:
    assert LINKS.read("preferences", token()) is None
    assert token() != token(purpose="preferences")


def test_a_new_secret_does_not_end_old_links() -> None:
    assert LINKS.read("unsubscribe", token(Links("https://x.example", ["old"]))) == KEY[:32]
    assert Links("https://x.example", ["new"]).read("unsubscribe", token()) == KEY[:32]
    assert Links("https://x.example", ["old"]).read("unsubscribe", token()) is None


@pytest.mark.parametrize(
    "wrong", ["", ".", "x", "a.b.c", "é", "\x00", token()[:-1], token()[1:], token() + "x", token().upper()]
)
def test_what_was_not_signed_here_is_nothing(wrong: str) -> None:
    assert LINKS.read("unsubscribe", wrong) is None


@given(st.integers(0, 59), st.sampled_from("abcXYZ019-_."))
def test_a_token_with_one_letter_changed_is_nothing(place: int, letter: str) -> None:
    whole = token()
    changed = whole[:place] + letter + whole[place + 1 :]
    assert LINKS.read("unsubscribe", changed) in {None, KEY[:32]}
    if changed != whole and place < len(whole) - 1:
        assert LINKS.read("unsubscribe", changed) is None


@given(st.text(max_size=80))
def test_reading_any_text_is_safe(text: str) -> None:
    assert LINKS.read("unsubscribe", text) is None
