"""What a webhook plug-in is: whose word a request is, and which events it holds.

A plug-in only reads. What it has read is kept by the web's one loop over `WEBHOOKS`, and a request is acknowledged when
its events are on disk. What they mean is worked out later, from what was kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Self

from engine.project.settings import Settings
from engine.store import RawEvent


class Rejected(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is not taken; nothing of it is kept. `status`: the HTTP status to answer with, a 4xx."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Webhook(ABC):
    """One provider's webhook."""

    #: The last part of its address, `/inbound/NAME`, and the source its events are kept under.
    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings, *, live: bool) -> Self:
        """As config.yaml has it. Raises SetupError when a secret that it names is missing.

        `live`: whether real mail is sent; otherwise a fixed value stands in for `workspace.secret`.
        """

    @property
    @abstractmethod
    def is_heard(self) -> bool:
        """Whether there is anything to know the sender by; without it, there is no such address."""

    @abstractmethod
    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[RawEvent]:
        """The events of a request. `headers`: by names in small letters. `now`: naive UTC.

        Raises Rejected for what is not the sender's word or cannot be read; UnavailableError when only we are at fault,
        so that it comes again. An event that can be told from the others and is malformed is one to quarantine.
        """
