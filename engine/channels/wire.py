"""One HTTP/1.1 request after the other over one kept connection, with everything the other side may do bounded.

`http.client` reads headers and bodies for as long as the server likes to drip them, and spends most of its time in
the e-mail header parser. Here the whole answer has one deadline and one size, and only what an API answers with is
understood: a status line, headers, a body with a length, in chunks, or up to the end of the connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from engine import clock

LARGEST_ANSWER = 65_536  # bytes, headers included
LONGEST_WAIT_S = 6 * 3600.0  # of what a 429 may ask for
IDLE_S = 1.0  # after a longer rest it is worth asking whether the server is still there


class NotSent(Exception):  # noqa: N818 - an outcome, told apart from the next one by its type
    """The request did not reach the server: nothing of its body was on the way."""


class Unclear(Exception):  # noqa: N818
    """The request, or part of it, was sent, and no answer came that could be read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers (names in lower case, the last of each) and up to `LARGEST_ANSWER` bytes of body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until sending is allowed again: `X-RateLimit-Reset` is an epoch second, `Retry-After` RFC 9110's."""
    now = clock.utc_now()
    try:
        if "x-ratelimit-reset" in headers:
            wait = float(headers["x-ratelimit-reset"]) - now.replace(tzinfo=UTC).timestamp()
        elif headers.get("retry-after", "").isdigit():
            wait = float(headers["retry-after"])
        elif "retry-after" in headers:
            wait = (clock.to_naive_utc(parsedate_to_datetime(headers["retry-after"])) - now).total_seconds()
        else:
            return None
    except (ValueError, TypeError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S)


class Wire:
    """A connection to one `http(s)://host[:port]`. Not for sharing between threads."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self.host, self.is_tls = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if self.is_tls else 80)
        self.host_header = self.host if parts.port is None else f"{self.host}:{parts.port}"
        self.base_path = parts.path.rstrip("/")
        self.timeout_s = timeout_s
        self._tls = ssl.create_default_context() if self.is_tls else None
        self._socket: socket.socket | None = None
        self._used_at = 0.0  # monotonic seconds

    def post(self, path: str, headers: bytes, body: bytes) -> Reply:
        """Send and wait, at most `timeout_s` in all once connected. `headers`: lines ended by CR LF, without Host."""
        line = self._ready()
        self._used_at = time.monotonic()
        deadline = self._used_at + self.timeout_s
        head = f"POST {self.base_path}{path} HTTP/1.1\r\nHost: {self.host_header}\r\nContent-Length: {len(body)}\r\n"
        try:
            line.sendall(b"".join((head.encode("ascii"), headers, b"\r\n", body)))
            reply, keeps = _Reading(line, deadline).reply()
        except (OSError, ValueError) as fault:
            self.close()
            raise Unclear(f"{type(fault).__name__}: {fault}") from fault
        if not keeps:
            self.close()
        return reply

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None

    def _ready(self) -> socket.socket:
        """The connection, made anew if the server has hung up while it was idle."""
        if self._socket is not None and time.monotonic() - self._used_at > IDLE_S and _hung_up(self._socket):
            self.close()
        if self._socket is None:
            try:
                self._socket = self._connect()
            except OSError as fault:
                raise NotSent(f"{type(fault).__name__}: {fault}") from fault
        return self._socket

    def _connect(self) -> socket.socket:
        line = socket.create_connection((self.host, self.port), self.timeout_s)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._tls.wrap_socket(line, server_hostname=self.host) if self._tls else line


def _hung_up(line: socket.socket) -> bool:
    """Between two requests a server says nothing; if there is something to read, it is the end of the connection."""
    return bool(select.select([line], [], [], 0)[0])


class _Reading:
    """Reads one answer within a deadline. Raises OSError or ValueError for what is none."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self.line, self.deadline = line, deadline
        self.got = b""

    def reply(self) -> tuple[Reply, bool]:
        """The answer, and whether the connection can be used again."""
        while (end := self.got.find(b"\r\n\r\n")) < 0:
            self._more()
        status_line, *lines = self.got[:end].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        version, _, rest = status_line.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise ValueError("not an HTTP answer")
        status = int(rest[:3])
        if 100 <= status < 200:  # an interim answer; the real one follows
            self.got = self.got[end + 4 :]
            return self.reply()
        self.got = self.got[end + 4 :]
        body, is_whole = self._body(status, headers)
        return Reply(status, headers, body), is_whole and headers.get("connection", "").lower() != "close"

    def _body(self, status: int, headers: dict[str, str]) -> tuple[bytes, bool]:
        """The body as far as it was read, and whether that is all of it. The status counts, whatever the body does."""
        try:
            if status in {204, 304}:
                return b"", True
            if headers.get("transfer-encoding", "").lower() == "chunked":
                return self._chunks(), True
            if "content-length" in headers:
                return self._exactly(int(headers["content-length"])), True
            while True:
                self._more()
        except (OSError, ValueError):
            return self.got[:LARGEST_ANSWER], False

    def _exactly(self, length: int) -> bytes:
        while len(self.got) < length:
            self._more()
        return self.got[:length]

    def _chunks(self) -> bytes:
        whole = b""
        while True:
            while (end := self.got.find(b"\r\n")) < 0:
                self._more()
            size = int(self.got[:end].split(b";")[0], 16)
            self.got = self.got[end + 2 :]
            self._exactly(size + 2)
            if size == 0:
                return whole
            whole, self.got = whole + self.got[:size], self.got[size + 2 :]
            if len(whole) > LARGEST_ANSWER:
                raise ValueError("the answer is too large")

    def _more(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        if len(self.got) > LARGEST_ANSWER:
            raise ValueError("the answer is too large")
        if self.got:  # before the first piece the socket's own timeout, the whole of it, is right
            self.line.settimeout(left)
        piece = self.line.recv(LARGEST_ANSWER)
        if not piece:
            raise ConnectionError("the connection was closed")
        self.got += piece
