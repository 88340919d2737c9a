"""`holdfast`: the commands there are, loaded when they are asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from engine.cli.command import Format, Shared

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "New here?": {
        "demo": ("demo:demo", "see the sample company's mails decided, sent to a folder and explained"),
        "init": ("start:init", "make a working project with sample data"),
        "plan": ("plan:plan", "show what a run would send, and why; nothing is written"),
    },
    "Rules and data": {
        "check": ("check:check", "find mistakes in settings, rules and mails"),
        "preview": ("preview:preview", "look at mails, for made-up customers or real ones"),
        "send-test": ("preview:try_sending", "send a mail to yourself"),
        "i18n": ("i18n:app", "the mails in other languages: extract, check"),
        "schema": ("check:schema", "print the JSON Schema of a rule, for editors"),
        "data": ("tables:app", "look at the tables: check, issues"),
    },
    "Every day": {
        "serve": ("serve:serve_project", "do all of it unattended: runs, delivery, web pages"),
        "run": ("run:run", "decide for today, write it down, send what is due"),
        "deliver": ("run:deliver", "send what is waiting and due"),
        "explain": ("explain:explain", "say why a customer got something, or nothing"),
        "status": ("status:status", "last runs, waiting mail, what is held"),
        "tasks": ("tasks:app", "what people should do: list, close, export"),
        "dunning": ("dunning:app", "failed payments: open cases, what became of the others; hold, release"),
        "stripe": ("stripe:app", "what Stripe tells: sync, status"),
    },
    "Take the wheel": {
        "approve": ("run:approve", "release a rule that a run held for review"),
        "pause": ("switches:pause", "stop a rule, or everything"),
        "resume": ("switches:resume", "lift a pause"),
        "outbox": ("outbox:app", "single messages: list, resend, cancel"),
        "suppress": ("suppress:app", "whom not to write to: add, remove, list, import, export, pull"),
        "adopt": ("switches:adopt_state", "take a moved or restored state into use"),
        "go-live": ("switches:go_live", "go from trying things out to real sending"),
    },
    "Data protection": {
        "export": ("privacy:export", "everything about one customer, as JSON"),
        "erase": ("privacy:erase", "forget a customer, for ever"),
        "prune": ("privacy:prune", "delete what is older than the retention settings say"),
    },
    "The state": {
        "db": ("state:app", "bring the state database up to date: upgrade"),
        "backup": ("state:backup", "copy the state while it is in use"),
    },
}
"""Group, command, where it is (`module:name` in this package) and what it does."""

_PLACES = {name: place for group in COMMANDS.values() for name, (place, _) in group.items()}


class Commands(TyperGroup):
    """The root command. Help needs only the table above; a command's own module is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: dict[str, Any] = dict.fromkeys(_PLACES)

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        return list(_PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, loaded now."""
        if cmd_name not in _PLACES:
            return None
        module, _, name = _PLACES[cmd_name].partition(":")
        found = getattr(import_module(f"engine.cli.{module}"), name)
        loaded = get_command(found if isinstance(found, typer.Typer) else _alone(found))
        loaded.name = cmd_name
        return loaded

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The overview: what a newcomer needs first."""
        formatter.write(help_text())


def small_app(**settings: Any) -> typer.Typer:
    """A Typer without what we do ourselves. Boxes and colours on a terminal only."""
    mode: Any = "markdown" if sys.stdout.isatty() else None
    return typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=mode,
        context_settings={"help_option_names": ["-h", "--help"]}, **settings,
    )  # fmt: skip


def _alone(function: Any) -> typer.Typer:
    own = small_app()
    own.command()(function)
    return own


def help_text() -> str:
    """What `holdfast` alone prints."""
    width = max(len(name) for name in _PLACES) + 2
    lines = ["Holdfast: retention campaigns as code.", "", "  holdfast [-C DIR] COMMAND [--format text|json] [--debug]"]
    for group, commands in COMMANDS.items():
        lines += ["", group, *(f"  {name:<{width}}{text}" for name, (_, text) in commands.items())]
    lines += [
        "", "holdfast COMMAND --help tells more about a command. -C DIR: the project folder (default: this one).",
        "Exit codes: 0 done, 1 done but single items failed, 2 the input is wrong, 3 held for a person, 4 unavailable.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


app = small_app(cls=Commands, invoke_without_command=True)


@app.callback()
def root(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Option("-C", metavar="DIR", help="the project folder")] = Path(),
    output_format: Annotated[Format, typer.Option("--format", help="text or json")] = Format.TEXT,
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Retention campaigns as code."""
    ctx.obj = Shared(folder, output_format, debug)
    if show_version:
        typer.echo(f"holdfast {version('holdfast')}")
    elif ctx.invoked_subcommand is None:
        typer.echo(help_text(), nl=False)
