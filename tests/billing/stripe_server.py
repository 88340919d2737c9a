"""A stand-in for Stripe's API on this machine: reads objects, lists them, and can be unwell."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from stripe_things import NOW, Thing

KINDS = {
    "customers": "customer", "products": "product", "subscriptions": "subscription", "invoices": "invoice",
    "disputes": "dispute", "radar/early_fraud_warnings": "radar.early_fraud_warning", "refunds": "refund",
    "events": "event", "invoice_payments": "invoice_payment", "payment_intents": "payment_intent",
    "charges": "charge",
}  # fmt: skip
"""What each path of the API lists, by its objects' own word."""

WORDS = {
    401: "Invalid API Key provided",
    403: "This key may not do that",
    404: "No such thing",
    429: "Too many requests",
    500: "Something went wrong",
}


class StripeServer:
    """In a thread of its own. What is put in with `holds` is what Stripe holds now.

    `now` is its clock (naive UTC), `status` what it answers instead of 200, for the next `times` calls or for ever;
    `slow_s` lets it think, `faults` has what single paths are answered instead of 200. `calls` counts paths asked for.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Thing] = {}
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, int] = {}
        self.now, self.status, self.times, self.slow_s = NOW, 200, -1, 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def config(self) -> str:
        """For config.yaml; the key is $STRIPE_KEY."""
        return f'stripe: {{api_key: "${{STRIPE_KEY}}", api_url: "{self.url}"}}\n'

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def holds(self, *things: Thing) -> None:
        """Objects as they are now; events as well."""
        self.objects.update({str(one["id"]): one for one in things})

    def unwell(self, status: int, times: int = -1) -> None:
        """Answer so to the next `times` calls, or until told otherwise."""
        self.status, self.times = status, times

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and body for GET /v1/`path`."""
        self.calls[path] += 1
        time.sleep(self.slow_s)
        if self.status != 200 and self.times:
            self.times -= 1
            return self.status, _error(self.status)
        if path in self.faults:
            return self.faults[path], _error(self.faults[path])
        expand = query.pop("expand[]", []) + [query.pop(key)[0] for key in sorted(query) if key.startswith("expand[")]
        if path in KINDS:
            return 200, self._list(path, query, [one.removeprefix("data.") for one in expand])
        kind, _, ident = path.rpartition("/")
        thing = self.objects.get(ident)
        if thing is None or thing["object"] != KINDS.get(kind):
            return 404, _error(404)
        return 200, self._expanded(thing, expand)

    def _list(self, path: str, query: dict[str, list[str]], expand: list[str]) -> Any:
        given = {key: values[0] for key, values in query.items()}
        limit, after = int(given.pop("limit", "10")), given.pop("starting_after", None)
        since = int(given.pop("created[gte]", "0"))
        found = [
            one for one in self.objects.values()
            if one["object"] == KINDS[path] and int(one.get("created", 0)) >= since
            and all(value == "all" or str(one.get(key)) == value for key, value in given.items())
        ]  # fmt: skip
        found.sort(key=lambda one: (int(one.get("created", 0)), str(one["id"])), reverse=True)
        ids = [one["id"] for one in found]
        begin = ids.index(after) + 1 if after else 0
        page = [self._expanded(one, expand) for one in found[begin : begin + limit]]
        return {"object": "list", "data": page, "has_more": begin + limit < len(found), "url": f"/v1/{path}"}

    def _expanded(self, thing: Thing, paths: Iterable[str]) -> Thing:
        """With whole objects in the place of ids, as asked for."""
        whole = deepcopy(thing)
        for path in paths:
            at: Any = whole
            for name in path.split("."):
                if not isinstance(at, dict):
                    break
                if isinstance(at.get(name), str) and at[name] in self.objects:
                    at[name] = deepcopy(self.objects[at[name]])
                at = at.get(name)
        return whole


def _error(status: int) -> Any:
    return {"error": {"type": "invalid_request_error" if status < 429 else "api_error", "message": WORDS[status]}}


def _handler(server: StripeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            status, body = server.answer(asked.path.removeprefix("/v1/"), parse_qs(asked.query))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                return  # whoever asked has gone

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(server.now.replace(tzinfo=UTC), usegmt=True)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
