"""Snapshots: the rules, templates and settings a run used, by the SHA-256 of their files."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import select

from engine.store.connect import Database
from engine.store.tables import run, snapshot


class Snapshots:
    """Stored once each, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, sha: str, files: Mapping[str, str]) -> None:
        """Keep the files (relative path to text) under their hash; a known hash is left alone."""
        with self._database.write() as connection:
            if connection.execute(select(snapshot.c.sha).where(snapshot.c.sha == sha)).first() is None:
                connection.execute(snapshot.insert().values(sha=sha, files=json.dumps(dict(files))))

    def load(self, sha: str) -> dict[str, str]:
        """The files kept under a hash; KeyError when there are none."""
        with self._database.read() as connection:
            files = connection.execute(select(snapshot.c.files).where(snapshot.c.sha == sha)).scalar()
        if files is None:
            raise KeyError(sha)
        return dict(json.loads(files))

    def latest_sha(self) -> str | None:
        """The hash of the newest run's snapshot; None before the first run."""
        with self._database.read() as connection:
            return connection.execute(select(run.c.snapshot_sha).order_by(run.c.id.desc()).limit(1)).scalar()
