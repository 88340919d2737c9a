"""kill -9 at random instants, then going on: the same decisions and mails as if nothing had happened."""

from __future__ import annotations

import email
import random
import time
from pathlib import Path

from crash_world import CONCURRENCY, Children, copy_project, decided, make_project, rows
from smtp_ledger import SmtpLedger

IN_DOUBT = "SELECT count(*) FROM message WHERE state = 'in_doubt'"


def undisturbed(children: Children, project: Path, part: str) -> float:
    """Do it once without a kill; returns how long it takes."""
    started_s = time.monotonic()
    children.finish(project, part)
    return time.monotonic() - started_s


def test_a_killed_run_ends_in_the_decisions_of_an_undisturbed_one(
    folder_project: Path, tmp_path: Path, children: Children, kills: int
) -> None:
    reference = copy_project(folder_project, tmp_path / "reference")
    undisturbed(children, reference, "run")
    takes_s = undisturbed(children, copy_project(folder_project, tmp_path / "timed"), "run")
    expected, chance = decided(reference), random.Random(1)
    assert len(expected["messages"]) > 80
    killed = number = 0
    while killed < kills:
        number += 1
        project = copy_project(folder_project, tmp_path / f"killed-{number}")
        for _ in range(6):
            killed += children.kill(project, "run", chance.uniform(0.2, 1.05) * takes_s)
        children.finish(project, "run")
        assert decided(project) == expected


def test_a_killed_delivery_to_a_folder_loses_nothing_and_writes_nothing_twice(
    folder_project: Path, tmp_path: Path, children: Children, kills: int
) -> None:
    children.finish(folder_project, "run")
    takes_s = undisturbed(children, copy_project(folder_project, tmp_path / "reference"), "deliver")
    keys = {str(key) for (key,) in rows(folder_project, "SELECT key FROM message")}
    chance, killed, number = random.Random(2), 0, 0
    while killed < kills:
        number += 1
        project = copy_project(folder_project, tmp_path / f"killed-{number}")
        here = 0
        for _ in range(6):
            here += children.kill(project, "deliver", chance.uniform(0.1, 1.0) * takes_s)
        children.finish(project, "deliver")
        killed += here
        states = dict(rows(project, "SELECT key, state FROM message"))
        doubtful = {key for key, state in states.items() if state == "in_doubt"}
        assert set(states.values()) <= {"accepted", "in_doubt"}
        assert len(doubtful) <= CONCURRENCY * here
        files = list((project / "outbox").glob("*.eml"))
        assert len(files) == len({path.name for path in files})
        written = {_recipient(path) for path in files}
        assert written >= {recipient(project, key) for key in keys - doubtful}
        assert len(written) == len(files)


def test_a_killed_delivery_over_smtp_sends_nothing_twice_and_lists_every_doubt(
    tmp_path: Path, children: Children, kills: int
) -> None:
    with SmtpLedger() as server:
        base = make_project(
            tmp_path / "project", f"{{use: smtp, host: 127.0.0.1, port: {server.port}, security: none}}"
        )
        children.finish(base, "run")
        takes_s = undisturbed(children, copy_project(base, tmp_path / "reference"), "deliver")
        chance, killed, number = random.Random(3), 0, 0
        while killed < kills:
            number += 1
            server.accepted.clear()
            project = copy_project(base, tmp_path / f"killed-{number}")
            here = 0
            for _ in range(6):
                here += children.kill(project, "deliver", chance.uniform(0.1, 1.0) * takes_s)
            children.finish(project, "deliver")
            killed += here
            states = dict(rows(project, "SELECT recipient, state FROM message"))
            doubtful = {address for address, state in states.items() if state == "in_doubt"}
            assert set(states.values()) <= {"accepted", "in_doubt"}
            assert len(doubtful) <= CONCURRENCY * here
            assert max(server.accepted.values()) == 1
            assert set(server.accepted) >= set(states) - doubtful
            assert rows(project, IN_DOUBT) == [(len(doubtful),)]


def recipient(project: Path, key: str) -> str:
    return str(rows(project, f"SELECT recipient FROM message WHERE key = '{key}'")[0][0])


def _recipient(path: Path) -> str:
    with path.open("rb") as file:
        return str(email.message_from_binary_file(file)["To"]).rsplit("<", 1)[-1].rstrip(">")
