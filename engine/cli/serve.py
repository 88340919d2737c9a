"""`serve`: everything unattended."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.command import RequestError, command
from engine.cli.opening import open_project, open_state
from engine.cli.screen import Screen
from engine.delivery import stop_on_signals
from engine.serving.journal import Journal
from engine.serving.serve import PARTS, Part, serve


@command
def serve_project(
    screen: Screen,
    only: Annotated[
        str | None, typer.Option("--only", metavar="PARTS", help="some of scheduler,worker,web, separated by commas")
    ] = None,
) -> None:
    """Run on schedule, deliver what falls due, and answer on the web, until told to stop (SIGTERM or Ctrl-C).

    Writes one line of JSON an event to the error stream. A second signal ends it at once; nothing is lost even then.
    """
    parts = _parts(only)
    project = open_project(screen)
    with open_state(screen, project.settings, create=True) as store, stop_on_signals() as stop:
        serve(screen.folder, store, parts, Journal(), stop)


def _parts(only: str | None) -> list[Part]:
    if only is None:
        return list(PARTS)
    asked = [word.strip() for word in only.split(",") if word.strip()]
    unknown = [word for word in asked if word not in PARTS]
    if unknown or not asked:
        raise RequestError(f'--only "{only}": expected some of {", ".join(PARTS)}, separated by commas')
    return [part for part in PARTS if part in asked]
