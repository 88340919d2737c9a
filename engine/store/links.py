"""Links in mails: the message one stands in, the only places one may lead to, and who followed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.connect import Database
from engine.store.tables import attempt, click, link, message

MOST_CLICKS = 50  # kept per message; nobody learns more from the next ones, and a flood of them fills no disk
_KEY_HEX = 64


@dataclass(frozen=True)
class LinkedMessage:
    """What the pages know of the message whose link was followed."""

    id: int
    key: str
    #: "" once the person was erased.
    recipient: str
    address_key: str
    zone: str
    values_json: str


class MailLinks:
    """Messages by their links, destinations and clicks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def message(self, beginning: str) -> LinkedMessage | None:
        """The message whose key begins with these hex digits."""
        missing = _KEY_HEX - len(beginning)
        columns = [message.c[name] for name in LinkedMessage.__dataclass_fields__]
        same = message.c.key.between(beginning + "0" * missing, beginning + "f" * missing)
        with self._database.read() as connection:
            found = connection.execute(select(*columns).where(same)).first()
        return None if found is None else LinkedMessage(*found)

    def keep(self, urls: Mapping[str, str]) -> None:
        """Store destinations by their ids; known ones stay as they are."""
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            rows = [{"id": name, "url": url} for name, url in sorted(urls.items())]
            connection.execute(dialect.insert(link).on_conflict_do_nothing(), rows)

    def destination(self, link_id: str) -> str | None:
        """Where a link leads."""
        with self._database.read() as connection:
            return connection.execute(select(link.c.url).where(link.c.id == link_id)).scalar()

    def sent_at(self, message_id: int) -> datetime | None:
        """When the last call to a provider with this message ended, or began if it has not; None before the first."""
        called_at = func.coalesce(attempt.c.finished_at, attempt.c.started_at)
        with self._database.read() as connection:
            return connection.execute(select(func.max(called_at)).where(attempt.c.message_id == message_id)).scalar()

    def click(self, message_id: int, link_id: str, at: datetime, *, by_scanner: bool) -> None:
        """Note that a link was followed, up to `MOST_CLICKS` for one message."""
        noted = select(func.count()).select_from(click).where(click.c.message_id == message_id)
        with self._database.write() as connection:
            if connection.execute(noted).scalar_one() < MOST_CLICKS:
                row = {"message_id": message_id, "link_id": link_id, "at": at, "by_scanner": by_scanner}
                connection.execute(insert(click).values(**row))
