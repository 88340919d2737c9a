"""`db upgrade` and `backup`: care of the state database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.command import command
from engine.cli.opening import open_settings, open_state
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.store import Store

app = small_app(help="The state database.", no_args_is_help=True)


@app.callback()
def database() -> None:
    """The state database."""


@app.command("upgrade")
@command
def upgrade(screen: Screen) -> None:
    """Bring the state database to this version of Holdfast, in one transaction. Make a backup before.

    JSON: `before` (null for an empty database), `after`.
    """
    settings = open_settings(screen)
    with screen.meter() as meter:
        meter.stage("upgrading the state")
        before, after = Store.upgrade(settings.state.url.reveal(), screen.folder)
    screen.emit({"before": before, "after": after})
    if before == after:
        screen.say(("✓ ", "green"), f"the state is up to date (schema {after})")
    else:
        screen.say(("✓ ", "green"), f"schema {before or 'none'} → {after}")


@command
def backup(
    screen: Screen,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="where the copy goes; an older copy is replaced")],
) -> None:
    """Copy the state to FILE, consistent even while a run or a delivery is on.

    To restore it, put it in the place of the state file while nothing runs. JSON: `file`, `bytes`.
    """
    with screen.meter() as meter, open_state(screen, open_settings(screen)) as store:
        meter.stage(f"copying to {file}")
        store.backup(file)
    size = file.stat().st_size
    screen.emit({"file": file, "bytes": size})
    screen.say(("✓ ", "green"), f"{file}, {size / 1e6:,.1f} MB. To restore it, put it in the place of the state file.")
