"""`export`, `erase` and `prune`: data protection."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.addresses import AddressError, parse_address
from engine.cli.command import RequestError, command
from engine.cli.opening import open_settings, open_state
from engine.cli.screen import Screen
from engine.cli.wording import json_value, number_of
from engine.clock import utc_now
from engine.errors import HeldError
from engine.privacy import DataProtection
from engine.privacy import prune as prune_state

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="the customer's id")]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", metavar="A", help="a further address of theirs; may be repeated"),
]


@contextmanager
def _opened(screen: Screen, *, create: bool = False) -> Iterator[DataProtection]:
    settings = open_settings(screen)
    with open_state(screen, settings, create=create) as store:
        yield DataProtection(settings, screen.folder, store)


@command
def export(
    screen: Screen,
    customer: Customer,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.json]", help="without it, to standard output")] = None,
    address: Addresses = None,
) -> None:
    """Everything there is about one customer, as JSON: rows of all tables, proof of consent, files of mails.

    JSON, with a file: `exported` (table to rows), `file`. The document itself: `customer_id`, `customer` (their row in
    the company's tables, consent_at and consent_source among it), `addresses`, a list for each table, `files`.
    """
    with _opened(screen) as protection:
        document = protection.export(customer, _canonical(address))
    if document["customer_problem"]:
        screen.warn(("The company's tables could not be read: ", "yellow"), str(document["customer_problem"]))
    text = json.dumps(document, default=json_value, indent=2, ensure_ascii=False) + "\n"
    if file is None:
        screen.raw(text)
        return
    with os.fdopen(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    counts = {name: len(rows) for name, rows in document.items() if isinstance(rows, list) and rows}
    screen.emit({"exported": counts, "file": file})
    screen.say(
        (str(file), "bold"), ": ", ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "nothing"
    )


@command
def erase(
    screen: Screen,
    customer: Customer,
    address: Addresses = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Forget a customer: in all tables, in what providers told us, in files of mails. There is no way back.

    Nobody can be written to at these addresses, or under this id, again; a keyed hash of them stays for that. Counts
    and dates stay under a pseudonym. The company's own tables and older backups are not touched.
    JSON: `erased`, `addresses` (how many), `cancelled`, `rows` (by table), `files`, `tables_unread` (why, or null).
    """
    further = _canonical(address)
    with _opened(screen, create=True) as protection:
        if not yes and not _agreed(screen, customer):
            raise HeldError("nothing was changed; say --yes to erase without being asked")
        done, person = protection.erase(customer, further, now=utc_now())
    screen.emit({"erased": True, **asdict(done), "tables_unread": person.problem})
    screen.say(("Erased. ", "bold green"), f"{number_of(done.addresses, 'address', 'addresses')} barred for ever, "
               f"{number_of(done.cancelled, 'waiting mail')} cancelled, {number_of(sum(done.rows.values()), 'row')} and "
               f"{number_of(done.files, 'file')} changed or deleted.")  # fmt: skip
    if person.problem:
        screen.warn(("The company's tables could not be read: ", "yellow"), person.problem)
    if not done.addresses:
        screen.warn(("No address of theirs is known. ", "yellow"), "If there is one, say it with --address.")


@command
def prune(screen: Screen) -> None:
    """Delete records older than `retention` says, and finish erasures that broke off. `serve` does it every night.

    JSON: `decisions`, `raw_events`, `emptied` (messages and tasks whose values went), `erasures` (rows).
    """
    with _opened(screen) as protection:
        resumed = protection.resume(utc_now())
        pruned = prune_state(protection.store, protection.settings, utc_now())
    screen.emit({**asdict(pruned), "erasures": sum(resumed.rows.values())})
    screen.say(f"{number_of(pruned.decisions, 'decision')} and {number_of(pruned.raw_events, 'raw event')} deleted, "
               f"{number_of(pruned.emptied, 'message or task', 'messages or tasks')} emptied")  # fmt: skip


def _agreed(screen: Screen, customer: str) -> bool:
    """Ask a person, who must be there."""
    if not screen.is_terminal or screen.as_json:
        return False
    return typer.confirm(f'Forget customer "{customer}" for ever?', default=False)


def _canonical(addresses: list[str] | None) -> list[str]:
    try:
        return [parse_address(address) for address in addresses or ()]
    except AddressError as error:
        raise RequestError(f"--address: not an e-mail address: {error}") from None
