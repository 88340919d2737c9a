"""`outbox_dir`: mails as .eml files in a folder, for trying things out. Nothing leaves the house."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.channels.answers import answer
from engine.channels.base import Answer, Channel, Place, Result
from engine.channels.mime import mime_bytes
from engine.messages.mail import Mail
from engine.project.types import Line, StrictModel


class Settings(StrictModel):
    """Keys of `use: outbox_dir`. `path`: a folder, made when it is missing, relative to the project."""

    path: Line = "outbox"


class Folder:
    """Writes each mail to a file named after its key: trying twice leaves one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, mail: Mail, custom_args: Mapping[str, str]) -> Answer:
        """Whole or not at all: under a temporary name, flushed to the disk, then renamed."""
        name = f"{mail.message_key[:40]}.eml"
        try:
            self._write(name, mime_bytes(mail, custom_args))
        except OSError as fault:
            return answer(Result.CHANNEL_DOWN, f"cannot write to {self.folder}: {fault.strerror}")
        return answer(Result.ACCEPTED, provider_id=name)

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{name}.part"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)
        directory = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # or a power cut could take the name back
        finally:
            os.close(directory)


def _open(settings: Settings, place: Place) -> Folder:
    return Folder(place.root / settings.path)


CHANNEL = Channel("outbox_dir", Settings, live=False, open=_open)
