"""A process is killed in the middle of writing: its chunk is there as a whole, or not at all."""

import subprocess
import sys
import threading
import time

import pytest
from store_rows import NOW, begin, plan

from engine.errors import UnavailableError
from engine.store import Store

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from store_rows import begin, plan
from engine.store import Store

store = Store.open({url!r})
run = begin(store)
for cursor in range(1, 1000):
    print(cursor, flush=True)
    plan(store, run, *[f"c{{cursor}}-{{n}}" for n in range(3000)])
"""


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.08, 0.15, 0.3])
def test_a_kill_leaves_whole_chunks_and_a_cursor_that_agrees(url: str, seconds: float) -> None:
    with Store.open(url) as store:
        tests = str(__import__("pathlib").Path(__file__).parent)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(url=url, tests=tests)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        while writer.stdout.readline() != "2\n":
            pass
        time.sleep(seconds)
        writer.kill()
        writer.communicate()
        wait_for_rollback(store)

        run = begin(store)
        assert run.state == "planning"
        assert run.cursor >= "000001"
        with store._database.read() as connection:
            for table in ("decision", "settled_step", "exposure", "message"):
                found = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
                assert found == 3000 * int(run.cursor), table
        written = plan(store, run, "ann")  # and the run goes on where it stopped
        assert (written.messages, store.runs.get(run.id).cursor) == (1, f"{int(run.cursor) + 1:06}")


def wait_for_rollback(store: Store) -> None:
    """A PostgreSQL server may still be at the killed client's last statement."""
    if store.kind == "postgresql":
        for _ in range(100):
            with store._database.read() as connection:
                busy = connection.exec_driver_sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND state <> 'idle'"
                ).scalar()
            if not busy:
                return
            time.sleep(0.05)


def test_a_full_disk_stores_nothing_of_the_chunk_and_is_reported(tmp_path: object) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        run = begin(store)
        plan(store, run, "ann")
        limit_pages(store)
        with pytest.raises(UnavailableError, match="cannot be used: database or disk is full"):
            plan(store, run, *[f"c{n}" for n in range(5000)])
        assert store.runs.get(run.id).cursor == "000001"
        assert store.outbox.counts() == {"planned": 1}


def limit_pages(store: Store) -> None:
    with store._database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")


def test_an_attempt_that_cannot_be_stored_is_not_handed_out(tmp_path: object) -> None:
    from engine.store import Start

    with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        plan(store, begin(store), "ann")
        (claimed,) = store.outbox.claim(NOW, 1, "me", 60)
        with store._database.write() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER no_room BEFORE INSERT ON attempt BEGIN SELECT RAISE(FAIL, 'disk I/O error'); END"
            )
        with pytest.raises(Exception, match="disk I/O error"):
            store.outbox.record([], [Start(claimed.id, claimed.token)], "me", NOW, 60)
        assert store.outbox.counts() == {"claimed": 1}


def test_a_second_writer_waits_for_the_first_instead_of_breaking_it(tmp_path: object) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        second = threading.Thread(target=lambda: store.switches.pause("quiet", NOW), daemon=True)
        with store._database.write() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM pause").scalar()
            second.start()
            second.join(timeout=0.2)
            connection.exec_driver_sql("INSERT INTO pause VALUES ('other', '2026-03-01 09:00:00.000000')")
        second.join(timeout=10)
        assert sorted(store.switches.paused()) == ["other", "quiet"]


def test_reading_goes_on_while_another_process_writes(tmp_path: object) -> None:
    with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        plan(store, begin(store), "ann")
        with store._database.write() as connection:
            connection.exec_driver_sql("DELETE FROM attempt")
            connection.exec_driver_sql("UPDATE message SET state = 'failed'")
            assert store.outbox.counts() == {"planned": 1}
