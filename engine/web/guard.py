"""What every request passes before and after its route: bounds, limits, headers, and a last resort for faults."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from hashlib import sha256

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import UnavailableError
from engine.web.limits import COST_OF_A_MISS, COST_OF_A_VISIT, Visitors

LARGEST_FORM = 16_384  # bytes
LARGEST_WEBHOOK = 1_048_576  # SendGrid posts at most 1,000 events, some 400 kB
LARGEST_HEADERS = 16_384
LONGEST_PATH = 512
BODY_TIMEOUT_S = 10.0
MOST_AT_ONCE = 100  # requests in work; more wait with their senders, not in our memory
WEBHOOKS = "/inbound/"

#: Answers after which a visitor is charged for a miss: tokens that are not ours, webhooks that were not signed.
_MISSES = frozenset({400, 401, 403, 404, 405, 413, 431})

_log = logging.getLogger("holdfast.web")


class _Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A body that is too large, or comes too slowly."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def security_headers(style: str, *, https: bool) -> Mapping[str, str]:
    """The headers of every answer. `style`: the one style sheet pages carry. `https`: browsers reach us by that alone."""
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    headers = {
        "content-security-policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "x-robots-tag": "noindex, nofollow",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return headers | ({"strict-transport-security": "max-age=31536000"} if https else {})


class Guard:
    """ASGI middleware. `notice(status)` is the page shown instead of an answer."""

    def __init__(
        self, app: ASGIApp, *, visitors: Visitors, notice: Callable[[int], str], headers: Mapping[str, str]
    ) -> None:
        self.app, self.visitors, self.notice, self.headers = app, visitors, notice, headers
        self.in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self.headers)
        visitor = self.visitors.name(scope)
        is_webhook = scope["path"].startswith(WEBHOOKS)
        wait_s = self.visitors.charge(visitor, 0 if is_webhook else COST_OF_A_VISIT)
        if wait_s:
            await self._refuse(answer, 429, wait_s)
        elif self.in_work >= MOST_AT_ONCE:
            await self._refuse(answer, 503, 1)
        elif (status := _out_of_bounds(scope, _largest(scope))) is not None:
            await self._refuse(answer, status)
        else:
            await self._pass_on(scope, _bounded(receive, _largest(scope)), answer)
        if answer.status in _MISSES:
            self.visitors.charge(visitor, COST_OF_A_MISS)

    async def _pass_on(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        self.in_work += 1
        try:
            await self.app(scope, receive, answer.send)
        except _Refused as refused:
            await self._refuse(answer, refused.status)
        except ClientDisconnect:
            _log.info("a visitor left before the end of the request")
        except UnavailableError:
            _log.error("the state cannot be reached")
            await self._refuse(answer, 503, 30)
        except Exception as fault:  # noqa: BLE001 - the last resort
            _log.error("a request failed: %s at %s", type(fault).__name__, _places(fault))
            await self._refuse(answer, 500)
        finally:
            self.in_work -= 1

    async def _refuse(self, answer: _Answer, status: int, retry_after_s: float = 0) -> None:
        """Answer with a notice, unless an answer has begun."""
        if answer.status is None:
            headers = {"retry-after": f"{retry_after_s:.0f}"} if retry_after_s else None
            page = HTMLResponse(self.notice(status), status, headers)
            await page(answer.scope, _nothing, answer.send)


class _Answer:
    """The way out: security headers on everything, no body after HEAD."""

    def __init__(self, scope: Scope, send: Send, headers: Mapping[str, str]) -> None:
        self.scope, self._send, self._headers = scope, send, headers
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Pass one part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message).update(self._headers)
        elif message["type"] == "http.response.body" and self.scope["method"] == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)


def _largest(scope: Scope) -> int:
    return LARGEST_WEBHOOK if scope["path"].startswith(WEBHOOKS) else LARGEST_FORM


def _out_of_bounds(scope: Scope, largest: int) -> int | None:
    """The status for a request whose path, headers or announced body are too large."""
    headers = Headers(scope=scope)
    if len(scope["raw_path"] or b"") + len(scope["query_string"]) > LONGEST_PATH:
        return 414
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
        return 431
    announced = headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()):
        return 400
    return 413 if len(announced) > 18 or int(announced) > largest else None


def _bounded(receive: Receive, largest: int) -> Receive:
    """`receive` that gives up on a body that grows too large, or is not complete after `BODY_TIMEOUT_S`."""
    received, complete = 0, False
    deadline_s = time.monotonic() + BODY_TIMEOUT_S

    async def bounded() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(deadline_s - time.monotonic(), 0))
        except TimeoutError:
            raise _Refused(408) from None
        received += len(message.get("body", b""))
        if received > largest:
            raise _Refused(413)
        complete = not message.get("more_body", False)
        return message

    return bounded


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _places(fault: BaseException) -> str:
    """The innermost lines of code a fault came from, without its text."""
    frames = traceback.extract_tb(fault.__traceback__)[-3:]
    return ", ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
