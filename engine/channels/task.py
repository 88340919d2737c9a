"""`task`: work for a person instead of a mail. It becomes a row of the state, which `holdfast tasks` lists."""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.channels.answers import answer
from engine.channels.base import Answer, Channel, Place, Result
from engine.clock import utc_now
from engine.errors import UnavailableError
from engine.messages.note import Note
from engine.project.durations import Duration
from engine.project.settings_values import NoteSettings
from engine.project.types import DayCount, Line
from engine.store import NewTask, Store


class Settings(NoteSettings):
    """Keys of `use: task`. Both hold where the template of a task says nothing.

    `assignee`: who shall do it. `due_in`: local dates of the workspace from the day it is filed.
    """

    assignee: Line | None = None
    due_in: DayCount | None = None


class Desk:
    """Files tasks. One filed twice is there once."""

    def __init__(self, store: Store, assignee: str | None, due_in: Duration | None) -> None:
        self.store, self.assignee, self.due_in = store, assignee, due_in

    def send(self, note: Note, custom_args: Mapping[str, str]) -> Answer:
        """One row, in a transaction of its own."""
        due_in = note.due_in or self.due_in
        task = NewTask(
            note.message_key, note.rule, note.customer_id, note.occurrence, note.step,
            note.assignee or self.assignee, due_in.after(note.local_date) if due_in else None, note.title, note.text,
            json.dumps(note.values, ensure_ascii=False), utc_now(),
        )  # fmt: skip
        try:
            self.store.tasks.file(task)
        except UnavailableError as fault:
            return answer(Result.RETRY, str(fault), of_channel=True)
        return answer(Result.ACCEPTED, provider_id=f"task {note.message_key[:12]}")

    def close(self) -> None:
        """The state stays open; it belongs to others."""


def _open(settings: Settings, place: Place) -> Desk:
    if place.store is None:
        raise ValueError("tasks are filed in the state, and none is open")
    return Desk(place.store, settings.assignee, settings.due_in)


CHANNEL = Channel("task", Settings, live=False, open=_open)
