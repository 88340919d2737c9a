"""`suppress`: whom not to write to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from engine.addresses import AddressError, parse_address
from engine.channels import CHANNELS
from engine.cli.command import DONE, SOME_FAILED, RequestError, command
from engine.cli.opening import open_project, open_settings, open_state, read_date, require_known
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.clock import utc_now
from engine.serving.chores import pull_all
from engine.store import Store, Suppression, address_key
from engine.store.suppressions import KINDS, read_csv, write_csv

app = small_app(help="Whom not to write to.", no_args_is_help=True)

_LISTED = 100

Address = Annotated[str, typer.Argument(metavar="ADDRESS")]
Kind = Annotated[str | None, typer.Option("--kind", metavar="K", help=", ".join(KINDS))]
Topic = Annotated[str | None, typer.Option("--topic", metavar="T", help="only this topic; without it, all")]


@contextmanager
def _opened(screen: Screen) -> Iterator[tuple[Store, str]]:
    """The state, and the secret that addresses are hashed with."""
    settings = open_settings(screen)
    live = any(CHANNELS[kind].live for kind in settings.uses.values())
    with open_state(screen, settings, create=True) as store:
        yield store, settings.signing_secret(live=live)


@app.command("add")
@command
def add(
    screen: Screen,
    address: Address,
    kind: Kind = "unsubscribed",
    topic: Topic = None,
    until: Annotated[str | None, typer.Option("--until", metavar="D", help="with --kind not_until")] = None,
) -> None:
    """Do not write to an address any more. Holds for what is planned already, too.

    JSON: `added` (0 when it was there), `address`, `kind`, `topic`, `until`.
    """
    require_known(kind or "", KINDS, "kind")
    day = read_date(until, "--until")
    if (kind == "not_until") != (day is not None):
        raise RequestError("--until D belongs to --kind not_until, and to no other")
    canonical = _canonical(address)
    with _opened(screen) as (store, secret):
        entry = Suppression.of(secret, canonical, str(kind), "command", utc_now(), topic, day)
        added = store.suppressions.add([entry])
    screen.emit({"added": added, "address": canonical, "kind": kind, "topic": topic, "until": day})
    known = "" if added else " (known already)"
    screen.say((canonical, "bold"), f" is {_words(str(kind), topic, day)}{known}")


@app.command("remove")
@command
def remove(screen: Screen, address: Address, kind: Kind = None, topic: Topic = None) -> None:
    """Take an address off the list: all its entries, or those of one kind and topic. JSON: `removed`, `address`."""
    if kind is not None:
        require_known(kind, KINDS, "kind")
    canonical = _canonical(address)
    with _opened(screen) as (store, secret):
        removed = store.suppressions.remove(address_key(secret, canonical), kind, topic)
    screen.emit({"removed": removed, "address": canonical})
    what = number_of(removed, "entry", "entries")
    screen.say((canonical, "bold"), f": {what} removed" if removed else " was not on the list")


@app.command("pull")
@command
def pull_lists(screen: Screen) -> None:
    """Ask SendGrid whom it does not write to, and keep that here too; `serve` does it every day.

    Whoever is on either list gets nothing. JSON: `pulled`: channel, read and added (each by list), only_ours.
    """
    project = open_project(screen)
    if "sendgrid" not in project.settings.uses.values():
        raise RequestError("no channel in config.yaml is `use: sendgrid`; there is nobody to ask")
    with screen.meter() as meter, open_state(screen, project.settings, create=True) as store:
        meter.stage("reading SendGrid's lists")
        pulled = pull_all(project, store, utc_now())
    screen.emit({"pulled": [{"channel": name, **vars(found)} for name, found in pulled.items()]})
    for name, found in pulled.items():
        rows = [(one, found.read[one], found.added[one] or None) for one in found.read]
        screen.table(["list", "entries", "new here"], rows)
        if found.only_ours:
            screen.say(
                f"{number_of(found.only_ours, 'entry', 'entries')} of ours {name} does not know; they hold all the same."
            )


@app.command("list")
@command
def show(
    screen: Screen,
    kind: Kind = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="at most so many")] = _LISTED,
) -> None:
    """The list, by address. Erased people have no address left, only its hash.

    JSON: `suppressions` (address, address_key, kind, topic, until, source, at), `more`.
    """
    if kind is not None:
        require_known(kind, KINDS, "kind")
    with _opened(screen) as (store, _):
        wanted = (entry for entry in store.suppressions.listed() if kind in {None, entry.kind})
        entries, more = list(islice(wanted, limit)), sum(1 for _ in wanted)
    screen.emit({"suppressions": [vars(entry) for entry in entries], "more": more})
    if not entries:
        screen.say("nobody is on the list")
        return
    screen.table(
        ["address", "kind", "topic", "until", "from", "since"],
        [
            (entry.address or f"{entry.address_key[:12]}…", entry.kind, entry.topic or "all",
             entry.until.isoformat() if entry.until else "", entry.source, f"{entry.at:%Y-%m-%d}")
            for entry in entries
        ],
    )  # fmt: skip
    if more:
        screen.say((f"and {more:,} more; `holdfast suppress export FILE` writes them all", "dim"))


@app.command("import")
@command
def import_(screen: Screen, file: Annotated[Path, typer.Argument(metavar="FILE.csv")]) -> int:
    """Add all of a CSV file: `address` (or `email`), and if you like `kind`, `topic`, `until`, `source`.

    Lines that cannot be read are listed and left out; the others are added. JSON: `added`, `known`, `left_out`
    (line, why).
    """
    with _opened(screen) as (store, secret), file.open(encoding="utf-8-sig", newline="") as lines:
        entries, problems = read_csv(lines, secret, _or_none, f"import {file.name}", utc_now())
        added = store.suppressions.add(entries)
    left_out = [{"line": line, "why": why} for line, why in problems]
    screen.emit({"added": added, "known": len(entries) - added, "left_out": left_out})
    screen.say((number_of(added, "entry", "entries"), "bold"), f" added, {len(entries) - added:,} known already")
    for line, why in problems:
        screen.warn((f"{file}:{line}", "bold"), ": ", (why, "red"))
    return SOME_FAILED if problems else DONE


@app.command("export")
@command
def export(
    screen: Screen,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.csv]", help="without it, to standard output")] = None,
) -> None:
    """Write the whole list as CSV, as `import` reads it. JSON, with a file: `exported`, `file`."""
    with _opened(screen) as (store, _):
        if file is None:
            text = io.StringIO()
            write_csv(store.suppressions.listed(), text)
            screen.raw(text.getvalue())
            return
        unfinished = file.with_name(f".{file.name}.part")
        with unfinished.open("w", encoding="utf-8", newline="") as lines:
            written = write_csv(store.suppressions.listed(), lines)
        unfinished.replace(file)
    screen.emit({"exported": written, "file": file})
    screen.say(f"{number_of(written, 'entry', 'entries')} written to ", (str(file), "bold"))


def _canonical(address: str) -> str:
    try:
        return parse_address(address)
    except AddressError as error:
        raise RequestError(f'"{address}" is not an e-mail address: {error}') from None


def _or_none(address: str) -> str | None:
    try:
        return parse_address(address)
    except AddressError:
        return None


def _words(kind: str, topic: str | None, until: date | None) -> str:
    about = f" ({topic})" if topic else ""
    return f"not to be written to before {until}{about}" if until else f"now on the list as {kind}{about}"
