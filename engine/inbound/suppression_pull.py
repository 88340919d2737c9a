"""SendGrid's own lists of whom it does not write to, taken over into ours.

Once a day, so that nothing is lost when events were. The union wins: what stands on their list is added to ours,
what stands only on ours stays and stops mail here, before it reaches them. Blocks are not taken over: they pass.
An unsubscribe from any of their groups counts as one from all marketing, for we do not know what the group meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

import sendgrid
from python_http_client.exceptions import HTTPError

from engine.addresses import AddressError, parse_address
from engine.channels.sendgrid import Settings
from engine.errors import UnavailableError
from engine.store import Store, Suppression

PAGE = 500  # entries
MOST_ENTRIES = 10_000_000  # of one list; more is an endpoint that never ends
SOURCE = "sendgrid list"

LISTS: Mapping[str, tuple[str, str]] = {
    "bounces": ("suppression/bounces", "bounced"),
    "invalid_emails": ("suppression/invalid_emails", "bounced"),
    "spam_reports": ("suppression/spam_reports", "complained"),
    "unsubscribes": ("suppression/unsubscribes", "unsubscribed"),
    "group_unsubscribes": ("asm/suppressions", "unsubscribed"),
}
"""Each list: where it is below /v3, and the kind of suppression its entries become."""


@dataclass
class Pulled:
    """What one pull found.

    `read`, `added`, `unreadable`: entries by list; an unreadable one has no address we could write to either.
    `only_ours`: bounced, complained and unsubscribed entries of all topics that none of their lists has.
    """

    read: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    only_ours: int = 0

    @property
    def difference(self) -> int:
        """Entries on which the two sides did not agree."""
        return sum(self.added.values()) + self.only_ours


def pull(store: Store, settings: Settings, secret: str, now: datetime, timeout_s: float = 30.0) -> Pulled:
    """Read all lists, page by page, and add what ours lacks. Doing it twice adds nothing the second time.

    `secret`: what addresses are hashed with. The key needs the scopes suppression.read and asm.groups.read. Raises
    UnavailableError when a list cannot be read; what was read until then is kept.
    """
    api = sendgrid.SendGridAPIClient(settings.api_key.reveal(), host=settings.api_url)
    api.client.timeout = timeout_s
    pulled, theirs = Pulled(), set()
    erased = {key for key, kind, *_ in store.suppressions.rows() if kind == "erased"}
    for name, (path, kind) in LISTS.items():
        pulled.read[name] = pulled.added[name] = pulled.unreadable[name] = 0
        for page in _pages(api.client._(path), name):
            entries = [entry for one in page if (entry := _entry(one, kind, secret, now))]
            entries = [replace(entry, address=None) if entry.address_key in erased else entry for entry in entries]
            theirs |= {(entry.address_key, kind) for entry in entries}
            pulled.read[name] += len(page)
            pulled.unreadable[name] += len(page) - len(entries)
            pulled.added[name] += store.suppressions.add(entries)
    kinds = {kind for _, kind in LISTS.values()}
    ours = ((key, kind) for key, kind, topic, _ in store.suppressions.rows() if kind in kinds and topic is None)
    pulled.only_ours = sum(one not in theirs for one in ours)
    return pulled


def _pages(endpoint: Any, name: str) -> Iterator[list[Any]]:
    """Page after page until one is empty, or is the one before: an endpoint that knows no pages gives all each time."""
    offset, before = 0, None
    while offset < MOST_ENTRIES:
        with _unavailable(name):
            answer = endpoint.get(query_params={"limit": PAGE, "offset": offset})
            page = json.loads(answer.body)
        if not isinstance(page, list):
            raise UnavailableError(f"SendGrid's list {name} is not a list")
        if not page or page == before:
            return
        yield page
        offset, before = offset + len(page), page


@contextmanager
def _unavailable(name: str) -> Iterator[None]:
    """Trouble on the way to the list as one sentence, without what the answer says: it may hold addresses."""
    try:
        yield
    except HTTPError as error:
        raise UnavailableError(f"SendGrid's list {name} cannot be read: status {error.status_code}") from None
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise UnavailableError(f"SendGrid's list {name} cannot be read: {type(error).__name__}") from None


def _entry(one: Any, kind: str, secret: str, now: datetime) -> Suppression | None:
    """An entry of theirs as ours; None when its address cannot be read."""
    if not isinstance(one, dict):
        return None
    try:
        address = parse_address(str(one.get("email") or ""))
    except AddressError:
        return None
    return Suppression.of(secret, address, kind, SOURCE, _since(one, now))


def _since(one: Mapping[str, Any], now: datetime) -> datetime:
    """When it was put on their list; the present where that cannot be read."""
    created = one.get("created", one.get("created_at"))
    try:
        return datetime.fromtimestamp(int(str(created)), UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return now
