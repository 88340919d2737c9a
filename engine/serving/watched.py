"""The project as it stands on disk, read again when a file has changed."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from engine.api import Project
from engine.errors import HoldfastError
from engine.project.file_reading import read_files
from engine.serving.journal import Journal


class Watched:
    """Gives the project; a version with mistakes in it is told once and the last good one stays in use."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder, self._journal, self._lock = folder, journal, Lock()
        self._project = Project.load(folder)
        self._seen = self._project.files
        self._complaint = ""

    def project(self) -> Project:
        """The newest version without mistakes. Raises nothing once the first one was read."""
        with self._lock:
            try:
                files = read_files(self._folder)
                if files != self._seen:
                    self._seen = files
                    self._project = Project.load(self._folder)
                    self._complaint = ""
                    self._journal.say("project_loaded", snapshot=self._project.snapshot_sha[:12])
            except (HoldfastError, OSError) as error:
                if str(error) != self._complaint:
                    self._journal.alarm("project_broken", problem=error, kept=self._project.snapshot_sha[:12])
                self._complaint = str(error)
            return self._project
