"""A finished mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.addresses import Mailbox


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person, ready for any channel.

    Every text that goes into a header is a single checked line. `headers` are those beyond the usual ones
    (List-Unsubscribe …). `date` is the instant of sending, naive UTC. `message_id` follows from the message key, so a
    repeated attempt carries the same one.
    """

    message_key: str
    sender: Mailbox
    to: Mailbox
    reply_to: Mailbox | None
    subject: str
    preheader: str
    html: str
    text: str
    message_id: str
    date: datetime
    headers: tuple[tuple[str, str], ...] = ()


class RenderFailed(Exception):  # noqa: N818 - an outcome of one message, not a fault of the program
    """This message cannot be made from its values; the others can. The text says why, without quoting values."""
