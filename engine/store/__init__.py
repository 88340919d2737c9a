"""The state: what was decided, what was sent and what must not be, on SQLite or PostgreSQL.

`Store` is the way in. Each method of its parts is one transaction; generators hold a connection until they end.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.store import backup, locks, lookup, schema
from engine.store.billing import Billing, OpenQuestion
from engine.store.cases import CaseHold, Cases
from engine.store.connect import Database, Kind, instant_text, parse_url
from engine.store.consents import ConsentRow, Consents, Wish
from engine.store.evidence import Applied, Doubt, Evidence
from engine.store.figures import Figures, figures
from engine.store.home import Home
from engine.store.inbound_events import InboundEvents, Kept, RawEvent
from engine.store.ledger import DECISIONS, EXPOSURES, MESSAGES, SETTLINGS, ChunkResult, Ledger
from engine.store.links import LinkedMessage, MailLinks
from engine.store.lookup import CustomerHistory, Status
from engine.store.outbox_care import OutboxRow
from engine.store.outbox_rows import OutboxMessage, Outcome, Recorded, Start, Stop, Wait
from engine.store.outbox_tests import NewTest
from engine.store.outbox_views import DoubtRow, GateRow, Outbox
from engine.store.privacy import Erasure, Privacy
from engine.store.runs import RunRow, Runs
from engine.store.snapshots import Snapshots
from engine.store.suppressions import CUSTOMER_KEY_SQL, Suppression, Suppressions, address_key, customer_key
from engine.store.switches import Install, Switches
from engine.store.tasks import NewTask, TaskRow, Tasks

__all__ = [
    "CUSTOMER_KEY_SQL",
    "DECISIONS",
    "EXPOSURES",
    "MESSAGES",
    "SETTLINGS",
    "Applied",
    "CaseHold",
    "ChunkResult",
    "ConsentRow",
    "CustomerHistory",
    "Doubt",
    "DoubtRow",
    "Erasure",
    "Figures",
    "GateRow",
    "Kept",
    "LinkedMessage",
    "NewTask",
    "NewTest",
    "OpenQuestion",
    "OutboxMessage",
    "OutboxRow",
    "Outcome",
    "RawEvent",
    "Recorded",
    "RunRow",
    "Start",
    "Status",
    "Stop",
    "Store",
    "Suppression",
    "TaskRow",
    "Wait",
    "Wish",
    "address_key",
    "customer_key",
    "instant_text",
]


class Store:
    """A state database, open. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.runs = Runs(database)
        self.snapshots = Snapshots(database)
        self.ledger = Ledger(database)
        self.outbox = Outbox(database)
        self.suppressions = Suppressions(database)
        self.tasks = Tasks(database)
        self.privacy = Privacy(database)
        self.inbound = InboundEvents(database)
        self.cases = Cases(database)
        self.billing = Billing(database)
        self.evidence = Evidence(database)
        self.consents = Consents(database)
        self.links = MailLinks(database)
        self.switches = Switches(database)
        self.install = Install(database)

    @classmethod
    def open(cls, url: str, folder: Path | None = None) -> Store:
        """Open the database, and make its tables when it is empty; a relative SQLite path is taken from `folder`.

        UnavailableError when it cannot be reached or has another schema version than this code.
        """
        database = Database(parse_url(url, folder))
        database.make_file()
        schema.make_or_check(database)
        return cls(database)

    @staticmethod
    def exists(url: str, folder: Path | None = None) -> bool:
        """Whether there is a state to open; nothing is created."""
        database = Database(parse_url(url, folder))
        if database.path is not None and not database.path.exists():
            return False
        try:
            return schema.version(database) is not None
        finally:
            database.engine.dispose()

    @staticmethod
    def upgrade(url: str, folder: Path | None = None) -> tuple[str | None, str]:
        """Bring the schema to this code's version; the versions before (None: empty) and after."""
        database = Database(parse_url(url, folder))
        database.make_file()
        try:
            return schema.upgrade(database)
        finally:
            database.engine.dispose()

    @property
    def kind(self) -> Kind:
        """sqlite or postgresql."""
        return self._database.kind

    def run_lock(self) -> AbstractContextManager[None]:
        """Hold the right to plan; UnavailableError at once while another process has it."""
        return locks.run_lock(self._database)

    def delivery_lock(self) -> AbstractContextManager[None]:
        """Hold the right to deliver: one process on SQLite, any number on PostgreSQL."""
        return locks.delivery_lock(self._database)

    def home(self, folder: Path) -> Home:
        """Where this state lives and how far it has got; `folder` keeps the file outside it."""
        return Home(self._database, self.install, folder)

    def backup(self, path: Path) -> None:
        """A consistent copy of a SQLite state."""
        backup.backup(self._database, path)

    def status(self, now: datetime) -> Status:
        """How things stand."""
        return lookup.status(self._database, now)

    def figures(self, now: datetime) -> Figures:
        """How things stand, in numbers without names."""
        return figures(self._database, now)

    def history_of(self, customer_id: str) -> CustomerHistory:
        """All the state knows of a customer."""
        return lookup.history_of(self._database, customer_id)

    def go_live(self) -> None:
        """Begin a new state that keeps suppressions and pauses."""
        self.install.go_live()

    def close(self) -> None:
        """Close all connections."""
        self._database.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
