"""Data protection: everything known about one person, taken out or taken away, and records that have had their time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.addresses import parse_address
from engine.channels import CHANNELS
from engine.clock import utc_now
from engine.errors import SetupError, UnavailableError
from engine.project.settings import Settings
from engine.store import Erasure, Store, address_key, customer_key
from engine.warehouse.warehouse import Warehouse

BATCH_ROWS = 5_000

_JSON_COLUMNS = {"values_json", "context", "body"}


@dataclass(frozen=True)
class Person:
    """A customer as the company's tables have them: None where they are not there. `problem`: why nobody could look."""

    columns: Mapping[str, object] | None = None
    address: str | None = None
    problem: str | None = None


@dataclass
class Erased:
    """What an erasure did. `addresses`: how many are barred; `rows`: changed or deleted, by table."""

    addresses: int = 0
    cancelled: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0


@dataclass
class Pruned:
    """Rows whose time was over."""

    decisions: int = 0
    raw_events: int = 0
    emptied: int = 0


@dataclass(frozen=True)
class DataProtection:
    """One project's settings, folder and state, with the questions the law puts to them."""

    settings: Settings
    root: Path
    store: Store

    def export(self, customer_id: str, further: Collection[str] = (), *, at: datetime | None = None) -> dict[str, Any]:
        """All there is about a customer, as JSON-ready rows by table; `further`: addresses only the caller knows of."""
        person = self.look_up(customer_id, at or utc_now())
        addresses = self._addresses(customer_id, person, further)
        keys = {self._customer_key(customer_id), *(self._address_key(address) for address in addresses)}
        stripe_ids = self._stripe_ids(customer_id, person)
        rows = self.store.privacy.rows_about(customer_id, keys, stripe_ids) | self.store.billing.rows_of(stripe_ids)
        message_keys = [row["key"] for row in rows["message"]]
        return {
            "customer_id": customer_id,
            "customer": person.columns,
            "customer_problem": person.problem,
            "addresses": sorted(addresses),
            **{table: [_readable(row) for row in found] for table, found in rows.items()},
            "files": sorted(str(path) for path in self._mails(message_keys, addresses)),
        }

    def erase(self, customer_id: str, further: Collection[str] = (), *, now: datetime) -> tuple[Erased, Person]:
        """Forget a customer. Mail stops first, for ever; then everything personal goes.

        Raises UnavailableError while a run is planning: what it has read of the person it would write down again. Mail
        has stopped by then, and the same call, or `resume`, does the rest.
        """
        person = self.look_up(customer_id, now)
        addresses = self._addresses(customer_id, person, further)
        keyed = {self._address_key(address): address for address in addresses}
        cancelled = self.store.privacy.begin_erasure(
            Erasure({self._customer_key(customer_id): customer_id}, keyed), now
        )
        forgotten = self._forget_stripe(customer_id, person)
        done = self.resume(now)
        done.addresses, done.cancelled = len(addresses), cancelled
        done.rows.update(forgotten)
        return done, person

    def _forget_stripe(self, customer_id: str, person: Person) -> dict[str, int]:
        """What Stripe told of them. It still has it itself, and may tell it again: it must be asked to forget, too."""
        ids = self._stripe_ids(customer_id, person)
        events = self.store.privacy.forget_events(ids) if ids else 0
        return self.store.billing.forget(ids) | ({"inbound_event of Stripe": events} if events else {})

    def _stripe_ids(self, customer_id: str, person: Person) -> list[str]:
        """Stripe's ids of a customer: their own where customers come from Stripe, else those the tables name."""
        if "customers" in self.settings.from_stripe:
            return [customer_id]
        named = (person.columns or {}).get("stripe_customer_id")
        return [str(named)] if named else []

    def resume(self, now: datetime) -> Erased:
        """Finish every erasure that was begun and broke off."""
        with self.store.run_lock():
            erasure = self.store.privacy.unfinished(lambda key, text: key == self._customer_key(text))
            if not erasure.customers and not erasure.addresses:
                return Erased()
            names = [*erasure.customers.values(), *(self._pseudonym(one) for one in erasure.customers.values())]
            keys = self.store.privacy.message_keys(names)
            files = [path for path in self._mails(keys, set(erasure.addresses.values())) if _unlink(path)]
            rows = self.store.privacy.finish_erasure(erasure, self._pseudonym, self._conceal, now)
            return Erased(rows=rows, files=len(files))

    def look_up(self, customer_id: str, now: datetime) -> Person:
        """The customer in the company's tables. Tables that cannot be read are no reason not to forget somebody."""
        try:
            return self._looked_up(customer_id, now)
        except UnavailableError as error:
            return Person(problem=str(error))
        except SetupError as error:
            return Person(problem=str(error.problems[0]))

    def _looked_up(self, customer_id: str, now: datetime) -> Person:
        warehouse = Warehouse(self.settings, self.root, now, [customer_id])
        try:
            warehouse.stage_customers(warehouse.shapes["customers"].columns)
            reader = warehouse.db.execute("SELECT * FROM t_customers WHERE customer_id = ?", [customer_id])
            names = [column[0] for column in reader.description or ()]
            found = reader.fetchone()
        finally:
            warehouse.close()
            warehouse.db.close()
        if found is None:
            return Person()
        row = dict(zip(names, found, strict=True))
        columns = {name.removeprefix("c_"): _plain(value) for name, value in row.items() if name.startswith("c_")}
        address = row.get("address")
        return Person({"customer_id": customer_id, **columns}, str(address) if address else None)

    def _addresses(self, customer_id: str, person: Person, further: Iterable[str]) -> set[str]:
        found = {parse_address(address) for address in further} | self.store.privacy.addresses_of(customer_id)
        return found | ({person.address} if person.address else set())

    def _mails(self, message_keys: Collection[str], addresses: Collection[str]) -> Iterator[Path]:
        """The .eml files of these messages, and all others that were written to these addresses."""
        names = {f"{key[:40]}.eml" for key in message_keys}
        marks = [address.encode() for address in addresses]
        for folder in self._folders():
            for path in folder.glob("*.eml"):
                if path.name in names or any(mark in path.read_bytes().lower() for mark in marks):
                    yield path

    def _folders(self) -> set[Path]:
        """Where mails are, or were while things were tried out."""
        kinds = self.settings.uses
        models = [model for name, model in self.settings.channels.items() if kinds[name] == "outbox_dir"]
        paths = {getattr(model, "path", None) for model in (*models, CHANNELS["outbox_dir"].Settings())}
        return {self.root / path for path in paths if path}

    def _customer_key(self, customer_id: str) -> str:
        return customer_key(self._secret, customer_id)

    def _address_key(self, address: str) -> str:
        return address_key(self._secret, address)

    def _pseudonym(self, customer_id: str) -> str:
        """The same person always gets the same one, and nobody without the secret can tell whose it is."""
        return f"erased-{self._customer_key(customer_id)[:24]}"

    def _conceal(self, occurrence: str) -> str:
        return sha256(f"{self._secret}\x1foccurrence\x1f{occurrence}".encode()).hexdigest()[:24]

    @property
    def _secret(self) -> str:
        return self.settings.signing_secret(live=any(CHANNELS[kind].live for kind in self.settings.uses.values()))


def prune(store: Store, settings: Settings, now: datetime) -> Pruned:
    """Delete and empty, in short transactions, what `retention` no longer keeps.

    Never what the engine must remember: settled steps, exposures, keys, suppressions, consent.
    """
    decisions = now - settings.retention.decisions.elapsed
    return Pruned(
        decisions=sum(store.privacy.prune_decisions(decisions, BATCH_ROWS)),
        raw_events=sum(store.privacy.prune_events(now - settings.retention.raw_events.elapsed, BATCH_ROWS)),
        emptied=sum(store.privacy.prune_values(decisions, BATCH_ROWS)),
    )


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _parsed(value) if name in _JSON_COLUMNS else _plain(value) for name, value in row.items()}


def _parsed(text: str) -> object:
    """JSON as it was meant; what is none as it was sent."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value
