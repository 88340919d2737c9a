"""`holdfast serve` as a process: it runs, delivers, answers, and ends politely."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from engine.cli.root import app
from engine.clock import utc_now
from tests.run.run_company import CONFIG, Company

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_due_today(company: Company, port: int) -> None:
    """A schedule whose hour has come, and somebody who has been silent until yesterday's date a month ago."""
    company.config = CONFIG + f'schedules: {{daily: "00:00"}}\nweb: {{port: {port}}}\n'
    company.events = [("ann", "login", utc_now() - timedelta(days=31))]
    company.write()


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    start = "import sys; from engine.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "-C", str(folder), "serve", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    except AssertionError as fault:
        process.kill()
        _, said = process.communicate()
        raise AssertionError(f"{fault}; it said:\n{said}") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_until(happened: object, seconds: float = 120.0) -> None:
    end_s = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_it_runs_delivers_answers_and_ends_politely(company: Company) -> None:
    port = free_port()
    make_due_today(company, port)
    with serving(company.folder) as process:
        wait_until(lambda: list((company.folder / "outbox").rglob("*.eml")))
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    events = [json.loads(line) for line in said.splitlines()]
    names = [event["event"] for event in events]
    assert process.returncode == 0, said
    assert {"serving", "run_finished", "delivered", "stopping", "stopped"} <= set(names)
    assert "ann@" not in said
    assert company.store.outbox.counts() == {"accepted": 1}


def test_parts_can_be_split_over_processes(company: Company) -> None:
    make_due_today(company, free_port())
    with serving(company.folder, "--only", "scheduler"):
        wait_until(company.store.runs.recent)
        wait_until(lambda: company.store.runs.recent()[0].state == "finished")
        assert company.store.outbox.counts() == {"planned": 1}
        with serving(company.folder, "--only", "worker"):
            wait_until(lambda: company.store.outbox.counts() == {"accepted": 1})


def test_a_port_in_use_ends_it_with_a_sentence(company: Company) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        make_due_today(company, taken.getsockname()[1])
        with serving(company.folder, "--only", "web") as process:
            _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "cannot listen on 127.0.0.1" in said
    assert "Traceback" not in said


def test_an_unknown_part_is_a_mistake(company: Company) -> None:
    said = CliRunner().invoke(app, ["-C", str(company.folder), "serve", "--only", "cron"])
    assert said.exit_code == 2
    assert "expected some of scheduler, worker, web" in said.output
