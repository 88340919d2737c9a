"""Every trigger about accounts, on every engine: it must find of a company what it finds of a customer.

A random world's customers become companies. Each gets a few people, and each of its rows is carried by the company
itself, by one of them, or by both; so the row-by-row evaluator knows the answer from the world as it was.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from random_world import MOMENTS, RandomWorld, Row
from test_trigger_oracle import CASES, difference, in_order, plain
from trigger_oracle import Oracle
from trigger_world import Answer, Engine, project, rule, rules

from engine.evaluation import Memory
from engine.warehouse.accounts import seen_by_accounts

ALL_RULES = rules(
    *(
        rule(name, trigger.replace("customers.", "accounts."), f"about: account\n{more}", steps=steps or "[{send: m}]")
        for name, (trigger, more, steps, _) in CASES.items()
    )
)


class AccountAnswer(Answer):
    """What was found of accounts, before their people are asked for."""

    def _rows(self, number: int) -> list[tuple[Any, ...]]:
        with seen_by_accounts(self.evaluation.db):
            return super()._rows(number)

    def _facts(self, number: int) -> dict[tuple[str, str], dict[str, object]]:
        with seen_by_accounts(self.evaluation.db):
            return super()._facts(number)


def one_address_each(world: RandomWorld) -> None:
    """Let every customer be reachable under an address of their own, as accounts with people are."""
    for row in world.tables["customers"]:
        row["email"] = f"{row['customer_id']}@example.com"
    world.remembered = world.remembered._replace(refused=set())


def of_accounts(world: RandomWorld) -> dict[str, list[Row]]:
    """The same world with companies in the customers' place."""
    tables = {name: [dict(row) for row in rows] for name, rows in world.tables.items()}
    accounts = [
        {"account_id": row.pop("customer_id"), **{name: value for name, value in row.items() if name != "email"}}
        for row in tables.pop("customers")
    ]
    people = [
        {"customer_id": f"{one['account_id']}-{who}", "account_id": one["account_id"], "email": f"{who}@example.com",
         "timezone": "Asia/Tokyo"}
        for number, one in enumerate(accounts) for who in "abc"[: 1 + number % 3]
    ]  # fmt: skip
    known = {str(one["account_id"]): [p["customer_id"] for p in people if p["account_id"] == one["account_id"]]
             for one in accounts}  # fmt: skip
    for rows in tables.values():
        rows[:] = [row | _carried(row, known) if "customer_id" in row else row for row in rows]
    nobody = {"customer_id": "nobody", "account_id": None, "email": "n@example.com", "timezone": None}
    return {"customers": [*people, nobody], "accounts": accounts, **tables}


def _carried(row: Row, known: dict[str, list[Any]]) -> Row:
    """Who a row names: the same for rows that are alike, or repeats would no longer be repeats."""
    account = row["customer_id"]
    if account not in known:
        return {"customer_id": account, "account_id": None}
    told = int(sha256(repr(sorted(row.items(), key=str)).encode()).hexdigest()[:8], 16)
    person = known[account][told % len(known[account])]
    return {"customer_id": None if told % 5 == 0 else person, "account_id": account if told % 5 < 2 else None}


@pytest.mark.parametrize("seed", range(len(MOMENTS)))
def test_a_trigger_finds_of_accounts_what_it_finds_of_customers(engine: Engine, seed: int, tmp_path: Path) -> None:
    world = RandomWorld(seed)
    one_address_each(world)
    known = world.remembered
    oracle = Oracle(world.tables, world.as_of, world.workspace_zone, known)
    tables = of_accounts(world)
    engine.load(tables, tmp_path)
    page = f"dunning: {{pay_page: '{known.pay_page}'}}" if known.pay_page else ""
    loaded = project(engine, tables, ALL_RULES, tmp_path, zone=world.workspace_zone, settings=page)
    memory = Memory(
        case_holds=lambda: known.on_hold, case_mails=known.mails.items, refused_addresses=lambda: known.refused,
        first_run_at=known.first_run_at,
    )  # fmt: skip
    answer = AccountAnswer(loaded, world.as_of, memory=memory)
    faults = []
    for name, (*_, expected) in CASES.items():
        faults += [f"{name} {line}" for line in difference(plain(answer[name]), in_order(expected(oracle)))]
    assert not faults, f"{len(faults)} differ:\n" + "\n".join(faults[:8])
