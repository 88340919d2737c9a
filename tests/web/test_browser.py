"""The pages in a real browser, whose scripting is switched off."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from chromium import Browser, browser
from web_world import NOW, Web


def chromium() -> str:
    found = shutil.which("chromium")
    if found is None and os.environ.get("CI"):
        pytest.fail("Chromium is missing, and CI must have it")
    return found or pytest.skip("Chromium is not installed")


@pytest.fixture
def address(web: Web) -> Iterator[str]:
    """The application behind a real server."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web.app, log_config=None, proxy_headers=False))
    thread = Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    with browser(chromium(), tmp_path / "profile") as opened:
        yield opened


def test_people_unsubscribe_and_come_back_without_any_script(web: Web, address: str, tab: Browser) -> None:
    key = web.plan()
    tab.open(address + web.path("unsubscribe", key))
    assert web.suppressed() == set()
    tab.press("button")
    assert "You are unsubscribed" in tab.html()
    assert web.suppressed() == {("unsubscribed", None, None)}
    tab.press("a")
    tab.press("button[value=subscribe]")
    assert web.suppressed() == set()
    tab.press("input[type=checkbox][value=tips]", loads=False)
    tab.press("input[value=less]", loads=False)
    tab.press("button[value=save]")
    assert web.suppressed() == {("unsubscribed", "tips", None), ("less_often", None, None)}
    assert tab.complaints == []
    assert tab.requests
    assert [url for url in tab.requests if not url.startswith((address, "data:"))] == []  # the browser's own icons


@pytest.mark.parametrize("locale", ["de", "he"])
def test_what_is_pressed_is_large_enough_and_nothing_sticks_out(
    web: Web, address: str, tab: Browser, locale: str
) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=320, height=640, deviceScaleFactor=1, mobile=True)
    key = web.plan(locale=locale, recipient=f"{'a' * 60}@{'long-' * 10}domain.example")
    for path, pressed in (
        ("unsubscribe", ["button", ".way"]),
        ("preferences", ["button", ".quiet", ".choice", "#until"]),
    ):
        tab.open(address + web.path(path, key))  # type: ignore[arg-type]
        assert tab.box("html")[0] <= 320
        for selector in pressed:
            assert min(tab.box(selector)) >= 44, selector


def test_a_click_in_a_browser_is_a_persons(web: Web, address: str, tab: Browser) -> None:
    key = web.plan(not_before=NOW - timedelta(minutes=1))
    web.send(key, NOW - timedelta(minutes=1))
    target = address + web.path("preferences", key)
    web.store.links.keep({"0" * 32: target})
    tab.call("Network.setUserAgentOverride", userAgent="Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36")
    tab.open(web.links.click_url(key, "0" * 32).replace("https://mail.example.com", address))
    assert "Your mail from" in tab.html()
    assert [row[4] for row in web.everything()["click"]] == [False]
