"""Real processes, ended in the middle. The fake provider's ledger is what the customers got."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from deliver_process import CONCURRENCY
from delivery_world import options, parts, plan, states, through_folder, through_sendgrid
from fake_sendgrid import FakeSendGrid

from engine.delivery import deliver
from engine.store import Store

PEOPLE = [f"c{n:03}" for n in range(150)]
SCRIPT = Path(__file__).with_name("deliver_process.py")


def run(state: str, kind: str, target: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(SCRIPT), state, kind, str(target)], stdout=subprocess.PIPE, text=True)


def wait_for(enough: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not enough():
        assert time.monotonic() < deadline, "the process never got going"
        time.sleep(0.005)


def end(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    return output


@pytest.mark.parametrize("after", [1, 40, 90])
def test_a_killed_delivery_leaves_at_most_its_concurrency_in_doubt_and_nobody_gets_two(
    tmp_path: Path, after: int
) -> None:
    state = f"sqlite:///{tmp_path}/state.db"
    with FakeSendGrid(latency_s=0.02) as server, Store.open(state) as store:
        plan(store, PEOPLE)
        process = run(state, "sendgrid", server.url)
        wait_for(lambda: len(server.ledger) >= after)
        end(process, signal.SIGKILL)
        for _ in range(2):
            deliver(store, parts(channels=through_sendgrid(server.url)), options())
        found = states(store)
        in_doubt = {customer for customer, state in found.items() if state == "in_doubt"}
        received = Counter(address.partition("@")[0] for address in server.recipients)
    assert len(in_doubt) <= CONCURRENCY
    assert set(found.values()) <= {"accepted", "in_doubt"}
    assert max(received.values()) == 1
    assert set(PEOPLE) - in_doubt <= set(received)


def test_a_delivery_to_a_folder_that_is_killed_writes_whole_files_and_each_once(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/state.db"
    with Store.open(state) as store:
        plan(store, PEOPLE)
        process = run(state, "folder", tmp_path)
        wait_for(lambda: len(list(tmp_path.glob("out/*.eml"))) >= 30)
        end(process, signal.SIGKILL)
        deliver(store, parts(channels=through_folder(tmp_path)), options())
        in_doubt = [customer for customer, state in states(store).items() if state == "in_doubt"]
    files = list(tmp_path.glob("out/*.eml"))
    assert len(in_doubt) <= CONCURRENCY
    assert len(PEOPLE) - len(in_doubt) <= len(files) <= len(PEOPLE)
    assert all(file.read_bytes().rstrip().endswith(b"--") for file in files)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_delivery_asked_to_stop_leaves_nothing_in_doubt(tmp_path: Path, number: int) -> None:
    state = f"sqlite:///{tmp_path}/state.db"
    with FakeSendGrid(latency_s=0.02) as server, Store.open(state) as store:
        plan(store, PEOPLE)
        process = run(state, "sendgrid", server.url)
        wait_for(lambda: len(server.ledger) >= 20)
        output = end(process, number)
        assert process.returncode == 0
        assert output.splitlines()[1] == f"{len(server.ledger)} True"
        assert Counter(states(store).values()) == {
            "accepted": len(server.ledger), "planned": len(PEOPLE) - len(server.ledger)}  # fmt: skip


def test_a_delivery_that_slept_through_its_lease_makes_no_call() -> None:
    from delivery_world import Desk
    from test_gate import MESSAGE

    from engine.channels import Result
    from engine.delivery.workers import Call, _called

    desk = Desk()
    late = Call(MESSAGE, 1, None, {}, time.monotonic() - 1)  # type: ignore[arg-type]
    answer = _called(late, desk)
    assert (answer.result, answer.of_channel, desk.calls) == (Result.RETRY, True, [])
