"""What `holdfast data check` says of rows that can all be read, and cannot all be understood."""

from __future__ import annotations

import json
from datetime import datetime

from typer.testing import CliRunner

from engine.cli.root import app
from engine.triggers.decline_codes import decline_codes
from engine.warehouse.contradictions import Contradiction, unknown_codes
from tests.warehouse.warehouse_world import World

KNOWN = [entry.code for entry in decline_codes()]
TRIES = {
    "invoice_id": "VARCHAR",
    "at": "TIMESTAMP",
    "outcome_reason": "VARCHAR",
    "decline_code": "VARCHAR",
    "error_code": "VARCHAR",
}
CUSTOMERS = {"customer_id": "VARCHAR"}
AT = datetime(2026, 5, 1)


def told(world: World, *tries: tuple[str | None, str | None, str | None]) -> list[Contradiction]:
    """Of tries with (outcome reason, decline code, error code)."""
    world.add("customers", CUSTOMERS, [["c"]])
    world.add("payment_failures", TRIES, [[f"i{n}", AT, *one] for n, one in enumerate(tries)])
    with world.open() as warehouse:
        warehouse.stage_customers(())
        warehouse.stage_rows("payment_failures", warehouse.shapes["payment_failures"].columns)
        return unknown_codes(warehouse, KNOWN)


def test_codes_nobody_has_listed_are_counted_and_the_commonest_named(world: World) -> None:
    (one,) = told(
        world,
        *[(None, "new_a", None)] * 2,
        *[(None, " NEW_B ", "card_declined")] * 3,
        (None, "new_c", "new_c"),  # one failure, however often it says so
        ("new_d", "insufficient_funds", None),
        (None, "insufficient_funds", None),
        ("rule", "Fraudulent", "card_declined"),
        (None, None, None),
        ("", " ", None),
    )
    assert (one.table, one.count) == ("payment_failures", 7)
    assert one.text.endswith(": new_b, new_a, new_c")


def test_where_every_code_is_listed_nothing_is_said(world: World) -> None:
    assert told(world, *((None, code, None) for code in KNOWN), (None, None, None)) == []


def test_without_a_table_of_tries_the_invoices_own_codes_count(files: World) -> None:
    files.add("customers", CUSTOMERS, [["c"]])
    files.add(
        "invoices",
        {"invoice_id": "VARCHAR", "customer_id": "VARCHAR", "decline_code": "VARCHAR"},
        [["i", "c", "x" * 90], ["j", "c", "lost_card"]],
    )
    with files.open() as warehouse:
        warehouse.stage_customers(())
        warehouse.stage_rows("invoices", ["decline_code"])
        (one,) = unknown_codes(warehouse, KNOWN)
    assert (one.table, one.count) == ("invoices", 1)
    assert one.text.endswith(": " + "x" * 40)


def test_tables_without_codes_are_not_asked(files: World) -> None:
    files.add("customers", CUSTOMERS, [["c"]])
    with files.open() as warehouse:
        assert unknown_codes(warehouse, KNOWN) == []
    files.add("payment_failures", {"invoice_id": "VARCHAR", "at": "TIMESTAMP"}, [["i", AT]])
    with files.open() as warehouse:
        assert unknown_codes(warehouse, KNOWN) == []


def test_data_check_tells_them(files: World) -> None:
    folder = files.root
    (folder / "customers.csv").write_text("customer_id\nc\n")
    (folder / "payment_failures.csv").write_text(
        "invoice_id,at,decline_code\ni,2026-05-01,Of_Its_Own\nj,2026-05-01,lost_card\n"
    )
    (folder / "config.yaml").write_text(
        'workspace: {name: Shop, timezone: UTC, postal_address: "1 Road", public_url: https://mail.example.com}\n'
        "sender: {marketing: {from: hello@example.com}}\n"
        "warehouse: {tables: {customers: {path: customers.csv}, payment_failures: {path: payment_failures.csv}}}\n"
    )
    result = CliRunner().invoke(app, ["-C", str(folder), "data", "check", "--format", "json"])
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["unknown_codes"]
    assert (one["table"], one["count"]) == ("payment_failures", 1)
    assert one["text"].endswith(": of_its_own")
