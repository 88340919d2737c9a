"""Finds the invoice a person means: by its id, or by the number that customers know it as."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from engine.project.settings import Settings
from engine.warehouse.warehouse import Warehouse


def ids_of_invoice(settings: Settings, root: Path, name: str, as_of: datetime) -> list[str]:
    """Ids of the invoices that are called `name`; an id goes before a number."""
    warehouse = Warehouse(settings, root, as_of)
    try:
        shape = warehouse.shapes.get("invoices")
        if shape is None:
            return []
        warehouse.stage_customers(())
        warehouse.stage_rows("invoices", ["number"] if shape.has("number") else ())
    finally:
        warehouse.close()
    with warehouse.db as db:
        columns = ("invoice_id", "number") if shape.has("number") else ("invoice_id",)
        for column in columns:
            query = f"SELECT DISTINCT invoice_id FROM t_invoices WHERE {column} = ? ORDER BY 1"
            found = [str(row[0]) for row in db.execute(query, [name]).fetchall()]
            if found:
                return found
    return []
