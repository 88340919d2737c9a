"""A message whose preparation kills the worker takes three of them, and nobody else's mail."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from delivery_world import options, parts, plan, states, through_folder

from engine.delivery import deliver
from engine.messages import Mail
from engine.store import OutboxMessage, Store

PEOPLE = [f"c{n:02}" for n in range(40)]
POISON = "c17"


def work(url: str, folder: str) -> None:
    """Deliver, and be killed by the system over one message, as it does when memory runs out."""
    whole = parts(channels=through_folder(Path(folder)))

    def render(message: OutboxMessage, now: datetime) -> Mail:
        if message.customer_id == POISON:
            os._exit(9)
        return whole.render(message, now)

    with Store.open(url) as store:
        deliver(store, replace(whole, render=render), options())


def test_a_message_that_kills_its_worker_fails_after_three_and_the_others_leave(tmp_path: Path) -> None:
    url, folder = f"sqlite:///{tmp_path}/state.db", tmp_path / "outbox"
    spawn, exits = multiprocessing.get_context("spawn"), []
    with Store.open(url) as store:
        plan(store, PEOPLE)
        while not exits or (exits[-1] == 9 and len(exits) < 10):
            worker = spawn.Process(target=work, args=(url, str(folder)))
            worker.start()
            worker.join()
            exits.append(worker.exitcode)
        found = states(store)
        (message,) = store.history_of(POISON).messages
    assert exits == [9, 9, 9, 0]
    assert found.pop(POISON) == "failed"
    assert message.reason == "preparing it has ended 3 workers"
    assert set(found.values()) <= {"accepted", "in_doubt"}  # what was under way when a worker died
    assert list(found.values()).count("in_doubt") <= 3 * options().concurrency
    assert len(list(folder.rglob("*.eml"))) >= list(found.values()).count("accepted")
