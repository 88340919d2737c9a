from __future__ import annotations

import asyncio

import pytest
from web_world import NOW, Web

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
OUT = {("unsubscribed", None, None)}


def test_looking_shows_a_button_and_changes_nothing(any_web: Web) -> None:
    path = any_web.path("unsubscribe", any_web.plan())
    before = any_web.everything()
    page = any_web.get(path)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert "a•••@example.com" in page.text
    assert "ann@example.com" not in page.text
    assert any_web.everything() == before


def test_head_answers_like_get_without_a_body(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())
    head, get = web.ask("HEAD", path), web.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_the_button_unsubscribes_and_the_words_read_are_kept(any_web: Web) -> None:
    page = any_web.post(any_web.path("unsubscribe", any_web.plan()))
    assert page.status_code == 200
    assert "You are unsubscribed" in page.text
    assert any_web.suppressed() == OUT
    (proof,) = any_web.store.consents.of("key-ann")
    assert (proof.topic, proof.given, proof.at, proof.source) == ("", False, NOW, "unsubscribe page")
    assert proof.wording == "Press the button and Corner Shop will send you no more news, tips or offers. [Unsubscribe]"


@pytest.mark.parametrize("sent_as", ["data", "files"])
def test_one_click_of_a_mail_program_needs_no_cookie_and_is_not_redirected(web: Web, sent_as: str) -> None:
    fields = ONE_CLICK if sent_as == "data" else {"List-Unsubscribe": (None, "One-Click"), "more": (None, "x")}
    answer = web.ask("POST", web.path("unsubscribe", web.plan()), **{sent_as: fields})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert web.suppressed() == OUT
    assert [one.source for one in web.store.consents.of("key-ann")] == ["one-click unsubscribe"]


def test_a_second_post_changes_nothing(any_web: Web) -> None:
    path = any_web.path("unsubscribe", any_web.plan())
    assert any_web.post(path, ONE_CLICK).status_code == 200
    before = any_web.everything()
    assert any_web.post(path, ONE_CLICK | {"utm": "x", "email": "bob@example.com"}).status_code == 200
    assert any_web.everything() == before


def test_a_body_that_cannot_be_read_unsubscribes_all_the_same(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())
    for number, (kind, body) in enumerate(
        [("multipart/form-data", b"--"), ("multipart/form-data; boundary=x", b"garbage"), ("application/json", b"{"),
         ("application/x-www-form-urlencoded", b"%ff%00=\xff&&&=")]
    ):  # fmt: skip
        path = web.path("unsubscribe", web.plan(f"c{number}"))
        answer = web.ask("POST", path, content=body, headers={"content-type": kind})
        assert answer.status_code == 200
        assert web.suppressed(f"c{number}") == OUT


def test_the_link_works_after_years(web: Web) -> None:
    path = web.path("unsubscribe", web.plan())
    web.clock.now = NOW.replace(year=2040)
    assert web.post(path, ONE_CLICK).status_code == 200
    assert web.suppressed() == OUT


def test_the_link_works_after_the_person_was_erased(web: Web) -> None:
    path = web.path("unsubscribe", web.plan(recipient="", values_json="{}"))
    assert web.get(path).status_code == 200
    assert web.post(path, ONE_CLICK).status_code == 200
    assert web.suppressed() == OUT


def test_many_at_once_are_all_unsubscribed(any_web: Web) -> None:
    paths = [any_web.path("unsubscribe", any_web.plan(f"c{number}")) for number in range(40)]

    async def all_of_them() -> list[int]:
        answers = await asyncio.gather(*(any_web.asking("POST", path, data=ONE_CLICK) for path in paths * 2))
        return [answer.status_code for answer in answers]

    assert asyncio.run(all_of_them()) == [200] * 80
    assert all(any_web.suppressed(f"c{number}") == OUT for number in range(40))
    assert all(len(any_web.store.consents.of(f"key-c{number}")) == 1 for number in range(40))


def test_two_thousand_visits_of_scanners_change_nothing(web: Web) -> None:
    key = web.plan()
    paths = [web.path("unsubscribe", key), web.path("preferences", key)]
    before = web.everything()

    async def visit(number: int) -> int:
        headers = {"purpose": "prefetch", "sec-purpose": "prefetch;prerender"} if number % 3 == 2 else {}
        method = "HEAD" if number % 3 == 1 else "GET"
        peer = f"203.0.{number // 250}.{number % 250}"
        return (await web.asking(method, paths[number % 2], headers=headers, peer=peer)).status_code

    async def visits() -> set[int]:
        seen: set[int] = set()
        for start in range(0, 2_000, 50):
            seen |= set(await asyncio.gather(*(visit(start + number) for number in range(50))))
        return seen

    assert asyncio.run(visits()) == {200}
    assert web.everything() == before
