"""`init`: a project of one's own, that works from the first minute."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.command import RequestError, command
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.clock import utc_now
from engine.sample import copy_project, write_sample

Customers = Annotated[int, typer.Option("--customers", min=100, max=1_000_000, metavar="N", help="sample customers")]


@command
def init(
    screen: Screen,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder, or one without a project")],
    customers: Customers = 5_000,
) -> None:
    """Make a working project: settings, rules and mails of the sample company, and made-up data that ends last night.

    JSON: `folder`, `customers`, `today`.
    """
    today = utc_now().date()
    try:
        copy_project(folder)
    except FileExistsError as error:
        raise RequestError(f"{error}; name a folder without a project") from None
    fill(screen, folder, today, customers)
    screen.emit({"folder": folder, "customers": customers, "today": today})
    screen.say(("✓ ", "green"), "a working project in ", (str(folder), "bold"))
    screen.table(
        ["", ""],
        [
            ("config.yaml", "where the data is, when to run, how often to write to whom"),
            ("rules/", "who gets what, when: change them, they are yours"),
            ("templates/", "the mails"),
            ("data/", f"{number_of(customers, 'made-up customer')} and what they did until last night"),
        ],
        indent=2,
    )
    screen.title("Next")
    screen.say(f"  cd {folder}")
    screen.say("  holdfast check    ", ("are rules, mails and data in order?", "dim"))
    screen.say("  holdfast plan     ", ("what would a run send, and why?", "dim"))
    screen.say("  holdfast run      ", ("do it: mails go into the folder outbox/, to nobody", "dim"))


def fill(screen: Screen, folder: Path, today: date, customers: int) -> None:
    """Write the sample's tables under `folder`."""
    with screen.meter() as meter:
        write_sample(folder / "data", today, customers, lambda done, of: meter.part("making up customers", done, of))
