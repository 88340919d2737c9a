"""Debian's Chromium, driven over its debugging pipe: NUL-terminated JSON, no driver and no port."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 20.0
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-extensions --no-first-run "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe"
)


class Browser:
    """One tab. Page scripts are switched off before anything is loaded."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._write, self._read = to_browser, from_browser
        self._number, self._unread = 0, b""
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "DOM", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its result; events on the way are kept."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                return dict(message["result"])

    def _next(self) -> dict[str, Any]:
        deadline_s = time.monotonic() + PATIENCE_S
        while b"\0" not in self._unread:
            assert select.select([self._read], [], [], deadline_s - time.monotonic())[0], "the browser says nothing"
            self._unread += os.read(self._read, 65_536)
        text, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def _until_loaded(self) -> None:
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()
        self.events = [event for event in self.events if event["method"] != "Page.loadEventFired"]

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self.call("Page.navigate", url=url)
        self._until_loaded()

    def _find(self, selector: str) -> int:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        return int(self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"])

    def html(self) -> str:
        """The page as it stands."""
        return str(self.call("DOM.getOuterHTML", nodeId=self._find("html"))["outerHTML"])

    def press(self, selector: str, *, loads: bool = True) -> None:
        """Click in the middle of an element."""
        node = self._find(selector)
        self.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        corners = self.call("DOM.getBoxModel", nodeId=node)["model"]["content"]
        place = {"x": sum(corners[::2]) / 4, "y": sum(corners[1::2]) / 4}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        if loads:
            self._until_loaded()

    def box(self, selector: str) -> tuple[int, int]:
        """Width and height of an element, in CSS pixels."""
        model = self.call("DOM.getBoxModel", nodeId=self._find(selector))["model"]
        return model["width"], model["height"]

    @property
    def complaints(self) -> list[str]:
        """What the console says: broken policies, failed loads."""
        entries = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        return [str(entry["text"]) for entry in entries if "favicon" not in str(entry.get("url"))]

    @property
    def requests(self) -> list[str]:
        """Every address the page asked for."""
        return [
            str(event["params"]["request"]["url"])
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    line = f"exec {shlex.quote(program)} {FLAGS} --user-data-dir={shlex.quote(str(profile))} about:blank"
    process = subprocess.Popen(
        ["/bin/bash", "-c", f"{line} 3<&{commands} 4>&{answers}"],
        pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(commands)
    os.close(answers)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)
        process.kill()
        process.wait()
        os.close(from_browser)
