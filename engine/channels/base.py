"""What a channel is, and the words for what became of a call.

A channel is one file: a settings model, and a session that sends one mail at a time. Sessions are opened once per
worker thread and keep their connection; they are never shared between threads. Sending never raises for what the other
side did or failed to do: every such outcome is an `Answer`. An exception means a fault in our own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.project.settings_values import NoteSettings
from engine.store import Store

Content_contra = TypeVar("Content_contra", Mail, Note, contravariant=True)


class Result(StrEnum):
    """What became of one call. Stored with its attempt."""

    ACCEPTED = "accepted"
    """The other side took responsibility for the mail."""
    RETRY = "retry"
    """Certainly not sent, and a later try may work."""
    REFUSED = "refused"
    """Certainly not sent, and this mail never will be."""
    CHANNEL_DOWN = "channel_down"
    """Certainly not sent, for a reason that holds for every mail: a revoked key, a blocked account."""
    IN_DOUBT = "in_doubt"
    """It may have been sent. Only evidence can tell; it is not tried again here."""
    SANDBOXED = "sandboxed"
    """The provider checked the mail and, as told, sent nothing. Never counted as sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one call.

    `provider_id`: the other side's name for the mail. `detail`: what it said, at most `LONGEST_DETAIL` characters, with
    addresses masked. `retry_after_s`: seconds it asked us to wait; its own word, not ours. `of_channel`: a `RETRY` that
    tells something about the channel (unreachable, throttled) and nothing about this mail, which shall not pay for it.
    """

    result: Result
    provider_id: str | None = None
    detail: str = ""
    retry_after_s: float | None = None
    of_channel: bool = False


class Session(Protocol[Content_contra]):
    """One connection of one thread. It carries mails to customers, or notes about them."""

    def send(self, content: Content_contra, custom_args: Mapping[str, str], /) -> Answer:
        """Try once. `custom_args` travel with the mail, come back with its events and hold no personal data."""

    def close(self) -> None:
        """Hang up. Never raises."""


@dataclass(frozen=True)
class Place:
    """Where a session is opened: the project's folder, the longest wait for an answer, and the state if there is one."""

    root: Path
    timeout_s: float
    store: Store | None = None


@dataclass(frozen=True)
class Channel:
    """One kind of channel, as registered.

    `live`: what it carries leaves the house. `open(settings, place)` makes a session; it raises SetupError when a secret
    is missing. With settings that are `NoteSettings` it carries notes, which reach no customer: no address, consent or
    cap stands in their way.
    """

    name: str
    Settings: type[BaseModel]
    live: bool
    open: Callable[[Any, Place], Session[Any]]

    @property
    def reaches_customer(self) -> bool:
        """Whether it carries mails to customers."""
        return not issubclass(self.Settings, NoteSettings)
