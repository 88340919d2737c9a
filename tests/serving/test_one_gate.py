"""Every way to send passes the one gate: when it lets nobody through, nothing leaves by any of them."""

from __future__ import annotations

import ast
import io
from datetime import date, datetime
from pathlib import Path
from threading import Event

import pytest
from typer.testing import CliRunner

import engine
from engine.cli.root import app
from engine.delivery.gate import Judgement
from engine.sending import send_due
from engine.serving.journal import Journal
from engine.serving.watched import Watched
from engine.serving.worker import Worker
from tests.run.run_company import Company

DUE = date(2026, 5, 1)
AT = datetime(2026, 5, 1, 9)


def by_run(company: Company) -> None:
    CliRunner().invoke(app, ["-C", str(company.folder), "run", "--as-of", DUE.isoformat()])


def by_deliver(company: Company) -> None:
    company.run(DUE)
    CliRunner().invoke(app, ["-C", str(company.folder), "deliver", "--as-of", "2026-05-01T09:00"])


def by_worker(company: Company) -> None:
    company.run(DUE)
    journal = Journal(io.StringIO())
    Worker(Watched(company.folder, journal), company.store, journal, clock=lambda: AT).turn(Event())


def by_program(company: Company) -> None:
    company.run(DUE)
    send_due(company.project(), company.store, clock=lambda: AT)


def by_resend(company: Company) -> None:
    company.run(DUE)
    company.store.outbox.forgo(AT, "restored")
    number = company.store.history_of("ann").messages[0].id
    assert company.store.outbox.resend([number], AT)
    send_due(company.project(), company.store, clock=lambda: AT)


WAYS = (by_run, by_deliver, by_worker, by_program, by_resend)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opens", [True, False])
def test_every_way_to_send_asks_the_gate(
    company: Company, way: object, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not opens:
        shut = Judgement("suppressed", "unsubscribed")
        monkeypatch.setattr("engine.delivery.admission.judge", lambda *_, **__: shut)
    way(company)  # type: ignore[operator]
    assert len(list(company.folder.rglob("*.eml"))) == opens
    assert company.store.outbox.counts() == {"accepted" if opens else "suppressed": 1}


def test_only_the_workers_of_a_delivery_call_a_channel() -> None:
    """Outside the channels a session's `send` is called in one place, and calls are made of what the gate let through in one place."""
    sends, calls = [], []
    rooms = Path(engine.__file__).parent
    for path in set(rooms.rglob("*.py")) - set((rooms / "channels").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send":
                sends.append(path.name)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Call":
                calls.append(path.name)
    assert sends == ["workers.py"]
    assert calls == ["pipeline.py"]
