from __future__ import annotations

from datetime import timedelta

import pytest
from web_world import CONFIG, NOW, Web

from engine.messages import Mail
from engine.messages.clicks import remembering, through_us
from engine.messages.links import link_id
from engine.sending import renderer
from engine.store.links import MOST_CLICKS

READER = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"}
SHOP = "https://shop.example.com/boards?a=1&b=2"
HELP = "http://shop.example.com/help"


@pytest.fixture
def tracking(web: Web) -> Web:
    """A project that counts clicks."""
    web._write("config.yaml", CONFIG + "web: {track_clicks: true}\n")
    web.project = type(web.project).load(web.folder)
    return web


def mail_of(web: Web, key: str) -> Mail:
    (message,) = [one for one in web.store.outbox.claim(NOW, 100, "test", 60.0) if one.key == key]
    pinned = message._replace(snapshot_sha=web.project.snapshot_sha)
    return renderer(web.project, web.store).render(pinned, NOW)


def clicks(web: Web) -> list[tuple[str, bool]]:
    """(destination, whether a scanner did it), in order."""
    places = {row[0]: row[1] for row in web.everything()["link"]}
    return [(places[row[2]], row[4]) for row in sorted(web.everything()["click"])]


def click_path(web: Web, key: str, url: str = SHOP) -> str:
    web.store.links.keep({link_id(url): url})
    return web.links.click_url(key, link_id(url)).removeprefix("https://mail.example.com")


def sent(web: Web) -> str:
    """A message that left a minute ago."""
    a_minute_ago = NOW - timedelta(minutes=1)
    key = web.plan(not_before=a_minute_ago)
    web.send(key, a_minute_ago)
    return key


def test_links_are_left_alone_unless_asked_for(web: Web) -> None:
    mail = mail_of(web, web.plan())
    assert SHOP.replace("&", "&amp;") in mail.html
    assert web.everything()["link"] == []


def test_web_links_of_the_html_part_go_through_us_and_their_places_are_stored(tracking: Web) -> None:
    key = tracking.plan()
    mail = mail_of(tracking, key)
    assert sorted(url for _, url in tracking.everything()["link"]) == sorted([SHOP, HELP])
    for url in (SHOP, HELP):
        assert f'href="{tracking.links.click_url(key, link_id(url))}"' in mail.html
    assert "mailto:us@example.com" in mail.html
    assert tracking.links.url("unsubscribe", key) in mail.html
    assert tracking.links.url("preferences", key) in mail.html
    assert SHOP in mail.text
    assert "/c/" not in mail.text


def test_links_of_service_mail_are_left_alone(tracking: Web) -> None:
    mail = mail_of(tracking, tracking.plan(**{"class": "service"}))
    assert "/c/" not in mail.html


def test_a_place_is_stored_once_for_all_mails(web: Web) -> None:
    asked: list[dict[str, str]] = []
    keep = remembering(lambda urls: asked.append(dict(urls)))
    for number in range(3):
        through_us(f'<a href="{SHOP}">x</a>', f"{number}" * 64, web.links, keep)
    assert asked == [{link_id(SHOP): SHOP}]


def test_a_place_that_could_not_be_stored_is_not_taken_for_stored(web: Web) -> None:
    def fails(urls: object) -> None:
        raise OSError("disk full")

    keep = remembering(fails)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            through_us(f'<a href="{SHOP}">x</a>', "0" * 64, web.links, keep)


@pytest.mark.parametrize(
    "markup",
    ['<a href="javascript:alert(1)">', '<a href="//evil.example">', '<a href="tel:1">', "<a name=x>", "<abbr href='https://a.example'>",
     '<a href="https://">', '<img src="https://a.example/x.png">', '<a href="https://a.example/\x01">', '<a href="#top">'],
)  # fmt: skip
def test_what_is_no_web_link_stays_as_it_is(web: Web, markup: str) -> None:
    assert through_us(markup, "0" * 64, web.links, lambda urls: pytest.fail("nothing to keep")) == markup


def test_a_click_leads_to_the_stored_place_and_is_noted(any_web: Web) -> None:
    answer = any_web.get(click_path(any_web, sent(any_web)), headers=READER)
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert clicks(any_web) == [(SHOP, False)]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", READER), ("GET", READER | {"purpose": "prefetch"}), ("GET", READER | {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"user-agent": "BarracudaCentral/1.0"}), ("GET", {"user-agent": "Googlebot/2.1"}),
        ("GET", {"user-agent": "python-requests/2.32"}), ("GET", {"user-agent": ""}),
    ],
)  # fmt: skip
def test_a_scanner_is_led_on_and_marked(web: Web, method: str, headers: dict[str, str]) -> None:
    answer = web.ask(method, click_path(web, sent(web)), headers=headers)
    assert answer.status_code == 302
    assert clicks(web) == [(SHOP, True)]


def test_nobody_reads_within_two_seconds(web: Web) -> None:
    key = web.plan()
    path = click_path(web, key)
    web.get(path, headers=READER)  # before it was sent
    web.send(key, NOW)
    for seconds in (1.9, 2.0):
        web.clock.now = NOW + timedelta(seconds=seconds)
        web.get(path, headers=READER)
    assert [by_scanner for _, by_scanner in clicks(web)] == [True, True, False]


def test_no_place_is_reached_that_was_not_stored(web: Web) -> None:
    key = sent(web)
    unknown = web.links.click_url(key, link_id("https://evil.example")).removeprefix("https://mail.example.com")
    assert web.get(unknown, headers=READER).status_code == 404
    path = click_path(web, key)
    for wrong in (
        path[:-1],
        path + "?url=https://evil.example",
        path.replace("/c/", "/c/x"),
        "/c/https://evil.example",
    ):
        answer = web.get(wrong, headers=READER)
        assert answer.headers.get("location") in {None, SHOP}
        assert (answer.status_code == 302) is ("?" in wrong)
    assert web.get("/c/" + web.path("unsubscribe", key)[3:]).status_code == 404
    assert web.get("/u/" + path[3:]).status_code == 404


def test_a_flood_of_clicks_is_noted_up_to_a_bound(web: Web) -> None:
    path = click_path(web, sent(web))
    for _ in range(MOST_CLICKS + 5):
        assert web.get(path, headers=READER).status_code == 302
    assert len(clicks(web)) == MOST_CLICKS


def test_of_people_who_were_erased_no_click_is_kept(web: Web) -> None:
    assert web.get(click_path(web, web.plan(recipient="")), headers=READER).status_code == 302
    assert clicks(web) == []
