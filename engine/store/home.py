"""Where this state lives and how far it has got, so that a copy and a step back in time can be told.

The state itself knows both; a file outside it knows how far it had got. A state that is behind that file has been
restored from an older copy, and no longer remembers what was sent since.
"""

from __future__ import annotations

import json
import socket
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.store.connect import Database
from engine.store.switches import Install

_MACHINE_ID = Path("/etc/machine-id")


class Home:
    """Of one state; `folder` is where the outside file is kept, the project's own."""

    def __init__(self, database: Database, install: Install, folder: Path) -> None:
        self._database, self._install, self._folder = database, install, folder

    def here(self) -> str:
        """Where the state is: machine and file, or server and database."""
        if self._database.path is not None:
            machine = _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else ""
            return _digest(machine, str(self._database.path.resolve()))
        with self._database.read() as connection:
            oid = connection.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar()
        try:
            with self._database.read() as connection:
                server = connection.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar()
        except DBAPIError:  # not every server lets everybody ask
            server = socket.getfqdn(self._database.engine.url.host or "")
        return _digest(str(server), str(oid))

    def known(self) -> str | None:
        """Where it was when it last wrote to people; None before the first time."""
        return self._install.value("place")

    def reached(self) -> datetime | None:
        """The instant this state last said it was at work."""
        found = self._install.value("at_work")
        return datetime.fromisoformat(found) if found else None

    def reached_before(self) -> datetime | None:
        """The instant it had reached according to the file outside; None where there is none."""
        try:
            return datetime.fromisoformat(json.loads(self._file.read_text())["at_work"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def settle(self) -> None:
        """This is the place from now on."""
        self._install.set("place", self.here())

    def note(self, now: datetime) -> None:
        """Say that it is at work: first in the state, then outside, so that the file is never ahead by itself."""
        self._install.set("at_work", now.isoformat())
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps({"at_work": now.isoformat()}))
        unfinished.replace(self._file)

    @property
    def _file(self) -> Path:
        return self._folder / ".holdfast" / f"{self._install.id}.json"


def _digest(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:16]
