"""Links that are not ours, and who tries them."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_world import Web

from engine.messages import Links
from engine.web.limits import CAPACITY, MOST_VISITORS, Visitors


def variants(web: Web) -> list[str]:
    """Paths that look like ours and are not."""
    key = web.plan()
    unsubscribe, preferences = web.path("unsubscribe", key), web.path("preferences", key)
    elsewhere = Links("https://mail.example.com", ["another secret"]).url("unsubscribe", key)
    unknown = web.path("unsubscribe", "f" * 64)
    return [
        "/p" + unsubscribe[2:], "/u" + preferences[2:], "/c" + unsubscribe[2:], unsubscribe[:-1], unsubscribe[:-5] + "AAAAA",
        unsubscribe + "x", "/u/x", "/u/.", "/u/%00", "/u/%C3%A9", "/p/..", "/c/x", "/nothing-here",
        elsewhere.removeprefix("https://mail.example.com"), unknown,
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_link_that_is_not_ours_gets_the_same_page(web: Web, method: str) -> None:
    paths = [path for path in variants(web) if method == "GET" or not path.startswith("/c")]
    before = web.everything()
    answers = [web.ask(method, path, peer=f"203.0.113.{number}") for number, path in enumerate(paths)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert "This link does not work" in answers[0].text
    assert web.everything() == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_made_up_token_opens_anything(web: Web, token: str) -> None:
    web.restart()
    for place in "upc":
        assert web.get(f"/{place}/{quote(token)}x").status_code == 404


def test_who_guesses_tokens_is_stopped_soon_and_others_are_not(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())

    async def guess() -> list[int]:
        return [(await web.asking("GET", f"/u/guess{number}")).status_code for number in range(100)]

    statuses = asyncio.run(guess())
    assert statuses[:30] == [404] * 30
    assert statuses[-20:] == [429] * 20
    refused = web.get(path)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert web.get(path, peer="198.51.100.1").status_code == 200


def test_a_mail_providers_many_unsubscribes_are_not_stopped(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())

    async def press() -> set[int]:
        return {(await web.asking("POST", path)).status_code for _ in range(300)}

    assert asyncio.run(press()) == {200}


def test_the_bucket_fills_again() -> None:
    now = [0.0]
    visitors = Visitors([], lambda: now[0])
    assert visitors.charge("a", CAPACITY) == 0
    assert visitors.charge("a", 1) == 1
    now[0] += 1
    assert visitors.charge("a", 1) == 0


def test_no_more_visitors_are_remembered_than_fit() -> None:
    visitors = Visitors([])
    for number in range(MOST_VISITORS + 10):
        visitors.charge(str(number), 1)
    assert len(visitors._buckets) == MOST_VISITORS
