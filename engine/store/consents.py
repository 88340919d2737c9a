"""What people tell us on our pages: who wants no mail, less of it or none until a date, with the proof of it.

The proof (who, when, where, and the words they read) is append-only: a row for each time consent was withdrawn or
given again. What planning and the gate obey are the suppressions, written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.connect import Database
from engine.store.tables import consent, suppression

Kind = Literal["unsubscribed", "less_often", "not_until"]


@dataclass(frozen=True)
class Wish:
    """One wish of a person. `welcome`: what stood against mail of this kind and topic goes; otherwise it is put down.

    `topic` "" means all topics. `wording` is what the person read; it becomes the proof of kind `unsubscribed`.
    """

    kind: Kind
    welcome: bool
    topic: str = ""
    until: date | None = None
    wording: str = ""


@dataclass(frozen=True)
class ConsentRow:
    """Proof that consent was given or withdrawn."""

    topic: str
    given: bool
    at: datetime
    source: str
    wording: str


class Consents:
    """The wishes of people, and their proof."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, key: str, address: str | None, wishes: Iterable[Wish], source: str, at: datetime) -> int:
        """Put down what a person wishes, all of it or nothing; how many wishes changed anything.

        Twice the same changes nothing and leaves no second proof. Bounces, complaints and erasure are not touched.
        """
        with self._database.write() as connection:
            return sum(_record(connection, key, address, wish, source, at) for wish in wishes)

    def of(self, key: str) -> list[ConsentRow]:
        """The proof about one address, oldest first."""
        columns = [consent.c[name] for name in ConsentRow.__dataclass_fields__]
        query = select(*columns).where(consent.c.address_key == key).order_by(consent.c.id)
        with self._database.read() as connection:
            return [ConsentRow(*row) for row in connection.execute(query)]


def _record(connection: Connection, key: str, address: str | None, wish: Wish, source: str, at: datetime) -> bool:
    changed = _lift(connection, key, wish) if wish.welcome else _put_down(connection, key, address, wish, source, at)
    if changed and wish.kind == "unsubscribed":
        proof = {"address_key": key, "address": address, "topic": wish.topic, "given": wish.welcome}
        connection.execute(insert(consent).values(**proof, at=at, source=source, wording=wish.wording))
    return changed


def _lift(connection: Connection, key: str, wish: Wish) -> bool:
    same = (
        suppression.c.address_key == key,
        suppression.c.kind == wish.kind,
        suppression.c.topic == wish.topic,
    )
    return connection.execute(delete(suppression).where(*same)).rowcount > 0


def _put_down(connection: Connection, key: str, address: str | None, wish: Wish, source: str, at: datetime) -> bool:
    """The entry, made; or its date moved, to either side, as the person says."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    entry = {"address_key": key, "kind": wish.kind, "topic": wish.topic}
    told = {"until": wish.until, "source": source, "at": at}
    statement = dialect.insert(suppression).values(**entry, **told, address=address)
    if wish.until is None:
        statement = statement.on_conflict_do_nothing()
    else:
        moved = suppression.c.until.is_distinct_from(wish.until)
        statement = statement.on_conflict_do_update(index_elements=list(entry), set_=told, where=moved)
    return connection.execute(statement.returning(suppression.c.kind)).first() is not None
