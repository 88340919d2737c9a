"""`webhook`: a signed JSON POST about a customer, for a CRM or a chat."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from urllib.parse import urlsplit

from engine import clock
from engine.channels.answers import answer
from engine.channels.base import Answer, Channel, Place, Result
from engine.channels.guarded_wire import Forbidden, GuardedWire
from engine.channels.wire import NotSent, Reply, Unclear, retry_after_s
from engine.errors import Problem, SetupError
from engine.messages.note import Note
from engine.project.faults import Fault
from engine.project.secret import Secret
from engine.project.settings_values import NoteSettings
from engine.project.types import Line

_URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_EXPECTED = "expected https://host/path without a user name, or ${VARIABLE}"

#: Statuses that say something about the endpoint or our right to call it, and so about every note.
_CHANNEL_DOWN = frozenset({401, 403, 404, 405, 407, 410, 451})


def _is_url(text: str) -> bool:
    found = _URL.fullmatch(text)
    return found is not None and int((found[2] or ":443")[1:]) in range(1, 65_536)


@dataclass(frozen=True)
class Endpoint(Secret):
    """Where to post: written out, or a reference, for many such addresses are secrets themselves."""

    @classmethod
    def _check(cls, text: str) -> None:
        if "${" in text:
            super()._check(text)
        elif not _is_url(text):
            raise Fault("HF218", "not an address a webhook can call", _EXPECTED)

    def reveal(self) -> str:
        """The address. Raises SetupError when it is missing or none."""
        text = super().reveal() if "${" in self.reference else self.reference
        if not _is_url(text):
            found = "not an address a webhook can call"
            raise SetupError(Problem("config.yaml", self.line, self.column, "HF218", found, _EXPECTED))
        return text


class Settings(NoteSettings):
    """Keys of `use: webhook`.

    `secret` signs each call. `allow`: hosts that may lie inside the house; `http://` goes to such a host on this machine
    only. Any other address inside is refused when it is called, whatever its name says.
    """

    url: Endpoint
    secret: Secret
    allow: tuple[Line, ...] = ()


class Caller:
    """Posts to one endpoint over one kept connection."""

    def __init__(self, url: str, secret: str, allowed: tuple[str, ...], timeout_s: float) -> None:
        parts = urlsplit(url)
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.wire = GuardedWire(f"{parts.scheme}://{parts.netloc}", timeout_s, allowed)
        self.secret = secret.encode()

    def send(self, note: Note, custom_args: Mapping[str, str]) -> Answer:
        """Try once. The same note always has the same body and the same Idempotency-Key."""
        body = body_of(note)
        try:
            return classify(self.wire.post(self.path, self._headers(note, body), body))
        except NotSent as fault:
            if isinstance(fault.__cause__, Forbidden):
                return answer(Result.CHANNEL_DOWN, str(fault))
            return answer(Result.RETRY, str(fault), of_channel=True)
        except Unclear as fault:
            return answer(Result.IN_DOUBT, str(fault))

    def close(self) -> None:
        """Hang up."""
        self.wire.close()

    def _headers(self, note: Note, body: bytes) -> bytes:
        timestamp = str(int(clock.utc_now().replace(tzinfo=UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "holdfast",
            "Idempotency-Key": note.message_key,
            "Holdfast-Timestamp": timestamp,
            "Holdfast-Signature": signature(self.secret, timestamp, body),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """HMAC with SHA-256 over timestamp, a dot and the body, as hex."""
    return hmac.new(secret, timestamp.encode() + b"." + body, sha256).hexdigest()


def body_of(note: Note) -> bytes:
    """The JSON of one note, in ASCII."""
    document = {
        "message": note.message_key, "rule": note.rule, "step": note.step, "customer_id": note.customer_id,
        "occurrence": note.occurrence, "class": note.class_, "topic": note.topic, "title": note.title,
        "text": note.text, "values": note.values,
    }  # fmt: skip
    return json.dumps(document).encode("ascii")


def classify(reply: Reply) -> Answer:
    """What a status means. A redirect is a refusal to take the note here, for every note."""
    if 200 <= reply.status < 300:
        return answer(Result.ACCEPTED, provider_id=f"{reply.status}")
    said = f"{reply.status} {reply.body[:1000].decode('utf-8', 'replace')}".strip()
    if reply.status == 429:
        return answer(Result.RETRY, said, retry_after_s=retry_after_s(reply.headers), of_channel=True)
    if reply.status in _CHANNEL_DOWN or 300 <= reply.status < 400:
        return answer(Result.CHANNEL_DOWN, said)
    return answer(Result.REFUSED if 400 <= reply.status < 500 else Result.IN_DOUBT, said)


def _open(settings: Settings, place: Place) -> Caller:
    return Caller(settings.url.reveal(), settings.secret.reveal(), settings.allow, place.timeout_s)


CHANNEL = Channel("webhook", Settings, live=True, open=_open)
