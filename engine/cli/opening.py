"""What commands begin with: the project, its state, and the words after their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, TypeVar

import typer

from engine.api import Project
from engine.channels import CHANNELS
from engine.cli.command import RequestError
from engine.cli.screen import Screen
from engine.errors import did_you_mean
from engine.project.file_reading import CONFIG, read_files
from engine.project.loading import project_from_files
from engine.project.settings import Settings
from engine.store import Store
from engine.triggers import triggers
from engine.warehouse.zones import FIRST_YEAR, LAST_YEAR

Moment = TypeVar("Moment", bound=date)

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="T",
        help="decide as of this instant, UTC unless it has an offset; a date means that day's scheduled instant",
    ),
]
RuleOption = Annotated[list[str] | None, typer.Option("--rule", metavar="R", help="only this rule; may be repeated")]


def open_project(screen: Screen) -> Project:
    """The project of the folder, checked as a whole."""
    return Project.load(screen.folder)


def open_settings(screen: Screen) -> Settings:
    """Its settings alone: a mistake in a rule must not keep anybody from pausing or unsubscribing."""
    config = {CONFIG: read_files(screen.folder)[CONFIG]}
    models = {name: channel.Settings for name, channel in CHANNELS.items()}
    return project_from_files(config, screen.folder, triggers(), models).settings


@contextmanager
def open_state(screen: Screen, settings: Settings, *, create: bool = False) -> Iterator[Store]:
    """The state database. Unless `create`, one that is not there is an error that says what makes it."""
    url = settings.state.url.reveal()
    if not create and not Store.exists(url, screen.folder):
        raise RequestError("there is no state yet: nothing has been run in this project; `holdfast run` makes it")
    with Store.open(url, screen.folder) as store:
        yield store


@contextmanager
def find_state(project: Project) -> Iterator[Store | None]:
    """The state of the project, or None before its first run."""
    store = project.find_store()
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def read_moment(text: str | None, option: str = "--as-of") -> datetime | date | None:
    """The date or instant in `text`; an instant without an offset is UTC."""
    if text is None:
        return None
    try:
        moment = date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f'{option} "{text}" is neither a date nor an instant; expected 2026-11-22 or 2026-11-22T09:00+01:00'
        ) from None
    return _within_the_calendar(moment, text, option)


def read_date(text: str | None, option: str) -> date | None:
    """The date in `text`."""
    if text is None:
        return None
    try:
        return _within_the_calendar(date.fromisoformat(text), text, option)
    except ValueError:
        raise RequestError(f'{option} "{text}" is not a date; expected one such as 2026-11-22') from None


def _within_the_calendar(moment: Moment, text: str, option: str) -> Moment:
    """Clock changes are known for these years only."""
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise RequestError(f'{option} "{text}": expected a year from {FIRST_YEAR + 1} to {LAST_YEAR - 1}')
    return moment


def known_rules(project: Project, names: Sequence[str] | None) -> list[str] | None:
    """`names`, each of them the id of a rule; None for none."""
    for name in names or ():
        require_known(name, [rule.id for rule in project.rules], "rule")
    return list(names) if names else None


def require_known(name: str, known: Iterable[str], what: str) -> None:
    """Raise RequestError, with a guess, unless `name` is known."""
    words = sorted(known)
    if name in words:
        return
    guess = did_you_mean(name, words)
    hint = f"did you mean {guess}?" if guess else f"there are {', '.join(words)}" if words else f"there is no {what}"
    raise RequestError(f'unknown {what} "{name}"; {hint}')
