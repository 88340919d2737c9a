"""A stand-in for SendGrid's suppression endpoints, with their documented shapes and paging."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

PATHS = {
    "/v3/suppression/bounces": "bounces",
    "/v3/suppression/invalid_emails": "invalid_emails",
    "/v3/suppression/spam_reports": "spam_reports",
    "/v3/suppression/unsubscribes": "unsubscribes",
    "/v3/asm/suppressions": "group_unsubscribes",
}


@dataclass
class FakeLists:
    """`lists`: name to entries. `answer(name)`: a status and body in place of the list, or None."""

    lists: dict[str, list[Any]] = field(default_factory=dict)
    answer: Callable[[str], tuple[int, bytes] | None] = lambda name: None
    asked: list[tuple[str, int]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = fake.reply(self.path, self.headers["Authorization"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def reply(self, path: str, key: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if parts.path not in PATHS:
            return 404, b'{"errors": [{"message": "resource not found"}]}'
        name, query = PATHS[parts.path], parse_qs(parts.query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        self.asked.append((name, offset))
        self.keys.add(key)
        if found := self.answer(name):
            return found
        entries = self.lists.get(name, [])
        page = entries if name == "group_unsubscribes" else entries[offset : offset + limit]  # one knows no pages
        return 200, json.dumps(page).encode()
