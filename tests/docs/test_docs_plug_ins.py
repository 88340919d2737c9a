"""The examples of the page about plug-ins, run as they stand there."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from docs_pages import DOCS, Block, blocks

from engine import Project
from engine.channels import CHANNELS
from engine.triggers import triggers
from engine.warehouse import sources

PAGE = DOCS / "plug-ins.md"
DAY = date(2026, 5, 1)
CONFIG = """
workspace: {{name: Shop, timezone: UTC, postal_address: "1 Road", public_url: https://mail.example.com}}
warehouse: {{url: "{url}", max_age: {{events: off}}, tables: {{{tables}}}}}
channels: {{email: {{{channel}}}}}
sender: {{service: {{from: shop@example.com}}, marketing: {{from: shop@example.com}}}}
"""
MAIL = "---\nsubject: We are sorry\n---\n<p>{{ fact.amount_minor | money }} are on their way.</p>\n"


def _block(file: str) -> Block:
    return next(block for block in blocks(PAGE) if block.file == file)


def _first(language: str) -> Block:
    return next(block for block in blocks(PAGE) if block.language == language)


def _module(name: str, file: str, folder: Path) -> ModuleType:
    """The page's code as a module, imported from a real file."""
    path = folder / f"{name}.py"
    path.write_text(_block(file).text, "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _shop(folder: Path, *, url: str = "duckdb://", channel: str = "use: outbox_dir", ending: str = "csv") -> None:
    tables = ", ".join(f"{name}: {{path: {name}.{ending}}}" for name in ("customers", "refunds"))
    (folder / "config.yaml").write_text(CONFIG.format(url=url, tables=tables, channel=channel), "utf-8")
    (folder / "rules").mkdir()
    (folder / "rules/sorry.yaml").write_text(_first("yaml").text, "utf-8")
    (folder / "templates/sorry").mkdir(parents=True)
    (folder / "templates/sorry/mail.html").write_text(MAIL, "utf-8")
    (folder / "customers.csv").write_text("customer_id,email\nann,ann@example.com\nbob,bob@example.com\n", "utf-8")
    (folder / "refunds.csv").write_text(
        "customer_id,invoice_id,amount_minor,currency,at\nann,in_1,5000,EUR,2026-04-30T08:00:00Z\n"
        "bob,in_2,4999,EUR,2026-04-30T08:00:00Z\nbob,in_3,9000,EUR,2026-04-17T08:59:59Z\n", "utf-8",
    )  # fmt: skip


@pytest.fixture
def large_refund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's package, installed as pip would leave it."""
    packages = tmp_path / "site-packages"
    offered = tomllib.loads(_first("toml").text)["project"]["entry-points"]["holdfast.triggers"]
    _write(packages / "holdfast_refunds/__init__.py", _block("holdfast_refunds/__init__.py").text)
    metadata = "Metadata-Version: 2.1\nName: holdfast-refunds\nVersion: 1\n"
    _write(packages / "holdfast_refunds-1.dist-info/METADATA", metadata)
    lines = "".join(f"{name} = {place}\n" for name, place in offered.items())
    _write(packages / "holdfast_refunds-1.dist-info/entry_points.txt", f"[holdfast.triggers]\n{lines}")
    monkeypatch.syspath_prepend(str(packages))
    triggers.cache_clear()
    yield
    triggers.cache_clear()
    sys.modules.pop("holdfast_refunds", None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _sent(folder: Path) -> list[tuple[str, str, str]]:
    rows = Project.load(folder).plan(DAY).rows()
    return [(str(row["customer_id"]), str(row["occurrence"]), str(row["outcome"])) for row in rows]


def test_the_trigger_of_the_page_finds_whom_it_says(tmp_path: Path, large_refund: None) -> None:
    _shop(tmp_path)
    assert _sent(tmp_path) == [("ann", "in_1:2026-04-30", "send")]


def test_a_refund_exactly_as_old_as_the_window_still_counts(tmp_path: Path, large_refund: None) -> None:
    _shop(tmp_path)
    refunds = tmp_path / "refunds.csv"
    refunds.write_text(refunds.read_text("utf-8").replace("08:59:59Z", "09:00:00Z"), "utf-8")
    assert ("bob", "in_3:2026-04-17") in [row[:2] for row in _sent(tmp_path)]


def test_the_channel_of_the_page_sends(
    tmp_path: Path, large_refund: None, monkeypatch: pytest.MonkeyPatch, holdfast: Callable[..., Any]
) -> None:
    lines = _module("lines", "engine/channels/lines.py", tmp_path)
    monkeypatch.setitem(CHANNELS, "lines", lines.CHANNEL)  # type: ignore[arg-type]
    _shop(tmp_path, channel="use: lines, path: export.jsonl")
    assert holdfast("run", "--as-of", str(DAY))["delivery"]["sent"] == 1
    (line,) = (tmp_path / "export.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line) == {"to": "ann@example.com", "subject": "We are sorry", "message": "1"}


def test_the_table_source_of_the_page_reads(
    tmp_path: Path, large_refund: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _module("json_lines", "engine/warehouse/sources/json_lines.py", tmp_path)
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, module.JsonLinesSource))
    monkeypatch.setenv("TABLES", "jsonl://")
    _shop(tmp_path, url="${TABLES}", ending="jsonl")
    for name in ("customers", "refunds"):
        head, *rows = [line.split(",") for line in (tmp_path / f"{name}.csv").read_text("utf-8").splitlines()]
        text = "".join(json.dumps(dict(zip(head, row, strict=True))) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
    assert _sent(tmp_path) == [("ann", "in_1:2026-04-30", "send")]
