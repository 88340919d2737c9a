from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from web_world import NOW, Web

from engine.store import Suppression

ALL = ["payment", "tips", "win-back"]


def save(
    web: Web, path: str, wanted: list[str], often: str = "usual", until: str = "", shown: list[str] | None = None
) -> Any:
    form = {"do": "save", "shown": ALL if shown is None else shown, "topic": wanted, "often": often, "until": until}
    return web.post(path, form)


def boxes(page: str) -> dict[str, bool]:
    """Topics on a page and whether they are ticked."""
    return {found[1]: bool(found[2]) for found in re.finditer(r'name="topic" value="([^"]+)"( checked)?', page)}


@pytest.fixture
def path(web: Web) -> str:
    return web.path("preferences", web.plan())


def test_the_topics_of_active_rules_are_shown_with_names_for_people(web: Web, path: str) -> None:
    page = web.get(path).text
    assert boxes(page) == {"win-back": True, "tips": True, "payment": True}
    assert page.index("Reminders and offers when you have been away") < page.index("Payment notices")
    assert "about your account" in page


def test_one_topic_is_left_and_taken_up_again_with_proof(any_web: Web) -> None:
    path = any_web.path("preferences", any_web.plan())
    page = save(any_web, path, ["payment", "win-back"]).text
    assert boxes(page) == {"win-back": True, "tips": False, "payment": True}
    assert "Your choice is saved." in page
    assert any_web.suppressed() == {("unsubscribed", "tips", None)}
    save(any_web, path, ALL)
    assert any_web.suppressed() == set()
    left, back = any_web.store.consents.of("key-ann")
    assert (left.topic, left.given, back.topic, back.given) == ("tips", False, "tips", True)
    assert (back.source, back.at) == ("preferences page", NOW)
    assert back.wording == (
        "Tips for everyday use. By saving I agree to get the messages ticked above from Corner Shop by e-mail. "
        "I can change this at any time."
    )


def test_saving_what_is_changes_nothing(any_web: Web) -> None:
    path = any_web.path("preferences", any_web.plan())
    save(any_web, path, ["tips"], "less", "2026-12-24")
    before = any_web.everything()
    save(any_web, path, ["tips"], "less", "2026-12-24")
    assert any_web.everything() == before


def test_a_topic_that_was_not_on_the_page_is_not_touched(web: Web, path: str) -> None:
    save(web, path, [], shown=["tips"])
    assert web.suppressed() == {("unsubscribed", "tips", None)}


def test_topics_that_do_not_exist_are_ignored(web: Web, path: str) -> None:
    save(web, path, [], shown=["nonsense", "\x00", "never-shown"])
    assert web.suppressed() == set()


def test_less_often_is_kept_and_taken_back(web: Web, path: str) -> None:
    save(web, path, ALL, "less")
    assert web.suppressed() == {("less_often", None, None)}
    save(web, path, ALL, "usual")
    assert web.suppressed() == set()


def test_a_break_can_be_moved_to_either_side_and_ended(any_web: Web) -> None:
    path = any_web.path("preferences", any_web.plan())
    for until in ("2026-12-24", "2027-02-01", "2026-11-24"):
        page = save(any_web, path, ALL, until=until).text
        assert any_web.suppressed() == {("not_until", None, date.fromisoformat(until))}
        assert "You are taking a break until" in page
    save(any_web, path, ALL, until="")
    assert any_web.suppressed() == set()


def test_a_break_that_is_over_is_not_shown(web: Web, path: str) -> None:
    save(web, path, ALL, until="2026-11-25")
    web.clock.now = NOW + timedelta(days=2)
    assert "You are taking a break" not in web.get(path).text


@pytest.mark.parametrize(
    "wrong",
    ["2026-11-23", "2020-01-01", "2028-01-01", "9999-12-31", "tomorrow", "0000-00-00", "2026-02-30", "24.12.2026"],
)
def test_a_date_that_is_none_is_told_and_what_was_entered_stays(web: Web, path: str, wrong: str) -> None:
    before = web.everything()
    answer = save(web, path, ["tips"], "less", wrong)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert boxes(answer.text) == {"win-back": False, "tips": True, "payment": False}
    assert web.everything() == before


def test_the_date_is_that_of_the_readers_calendar(web: Web) -> None:
    web.clock.now = datetime(2026, 11, 23, 23, 30)  # already the 24th in Berlin, still the 23rd in New York
    berlin, new_york = web.plan("ann", zone="Europe/Berlin"), web.plan("bob", zone="America/New_York")
    assert save(web, web.path("preferences", berlin), ALL, until="2026-11-24").status_code == 422
    assert save(web, web.path("preferences", new_york), ALL, until="2026-11-24").status_code == 200


def test_out_of_everything_and_back_again_with_the_words_agreed_to(any_web: Web) -> None:
    path = any_web.path("preferences", any_web.plan())
    page = any_web.post(path, {"do": "unsubscribe"}).text
    assert "You are unsubscribed from everything" in page
    assert any_web.suppressed() == {("unsubscribed", None, None)}
    any_web.post(path, {"do": "subscribe"})
    assert any_web.suppressed() == set()
    given = any_web.store.consents.of("key-ann")[-1]
    assert given.given
    assert given.wording == (
        "I would like to get news, tips and offers from Corner Shop by e-mail again. I can unsubscribe at any time. "
        "[Subscribe again]"
    )


@pytest.mark.parametrize("kind", ["erased", "complained", "bounced"])
def test_who_was_erased_bounced_or_complained_is_not_taken_back(web: Web, path: str, kind: str) -> None:
    entries = [Suppression("key-ann", None, one, None, None, "test", NOW) for one in (kind, "unsubscribed")]
    web.store.suppressions.add(entries)
    before = web.everything()
    assert "Subscribe again" not in web.get(path).text
    web.post(path, {"do": "subscribe"})
    assert web.everything() == before


def test_a_form_without_a_known_button_changes_nothing(web: Web, path: str) -> None:
    before = web.everything()
    for form in ({}, {"do": "delete"}, {"topic": "tips"}):
        assert web.post(path, form).status_code == 200
    assert web.everything() == before
