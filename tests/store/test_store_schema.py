import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect
from store_rows import begin, plan

from engine.errors import SetupError, UnavailableError
from engine.store import Store, schema
from engine.store.connect import Database, parse_url
from engine.store.tables import metadata


def make_version(url: str, version: str) -> None:
    database = Database(parse_url(url))
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE holdfast_version SET version_num = '{version}'")
    database.engine.dispose()


def shape(url: str) -> dict[str, object]:
    """Columns, keys and indexes of every table, as the database tells them."""
    database = Database(parse_url(url))
    with database.read() as connection:
        look = inspect(connection)
        found = {
            table: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in look.get_columns(table)],
                look.get_pk_constraint(table)["constrained_columns"],
                sorted(str(key) for key in look.get_foreign_keys(table)),
                sorted(str(key) for key in look.get_unique_constraints(table)),
                sorted(
                    (
                        index["name"],
                        index["column_names"],
                        index["unique"],
                        str(index.get("dialect_options", {}).get(f"{database.kind}_where")),
                    )
                    for index in look.get_indexes(table)
                ),
            )
            for table in look.get_table_names()
        }
        if database.kind == "sqlite":
            texts = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            # Word by word: the order of the constraints is of no consequence.
            found |= {f"sql of {name}": sorted(sql.replace(",", " ").split()) for name, sql in texts}
    database.engine.dispose()
    return found


def test_an_empty_database_gets_its_tables_at_once(url: str) -> None:
    Store.open(url).close()
    assert set(metadata.tables) | {"holdfast_version"} <= set(shape(url))


def test_looking_for_a_state_creates_nothing(tmp_path: Path) -> None:
    url = "sqlite:///state.db"
    assert not Store.exists(url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    Store.open(url, tmp_path).close()
    assert Store.exists(url, tmp_path)


def test_looking_at_an_empty_postgresql_creates_nothing(postgres_url: str) -> None:
    assert not Store.exists(postgres_url)
    assert shape(postgres_url) == {}


def test_the_migrations_make_the_same_tables_as_the_code(url: str) -> None:
    Store.open(url).close()
    made_by_code = shape(url)
    database = Database(parse_url(url))
    with database.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DELETE FROM holdfast_version")
    run_migrations(database)
    database.engine.dispose()
    assert shape(url) == made_by_code


def test_a_migration_that_fails_half_way_leaves_the_old_schema(url: str) -> None:
    Store.open(url).close()
    database = Database(parse_url(url))
    with database.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DELETE FROM holdfast_version")
        connection.exec_driver_sql("CREATE TABLE attempt (in_the_way INTEGER)")  # the last table the migration makes
    with pytest.raises(Exception, match="already exists"):
        run_migrations(database)
    with database.read() as connection:
        assert set(inspect(connection).get_table_names()) == {"attempt", "holdfast_version"}
    database.engine.dispose()


def run_migrations(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "engine.store:migrations")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def test_the_newest_migration_is_the_version_the_code_expects() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "engine.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_an_older_database_is_refused_and_the_way_out_named(url: str) -> None:
    Store.open(url).close()
    make_version(url, "0000")
    with pytest.raises(UnavailableError, match=r"has schema 0000.*`holdfast db upgrade`"):
        Store.open(url)


def test_a_newer_database_is_refused(url: str) -> None:
    Store.open(url).close()
    make_version(url, "9999")
    for attempt in (Store.open, Store.upgrade):
        with pytest.raises(UnavailableError, match=r"has schema 9999.*newer Holdfast"):
            attempt(url)


def test_upgrading_tells_the_versions_before_and_after(url: str) -> None:
    assert Store.upgrade(url) == (None, schema.HEAD)
    assert Store.upgrade(url) == (schema.HEAD, schema.HEAD)


def test_a_foreign_database_with_tables_of_our_names_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE message (text)")
    with pytest.raises(UnavailableError, match="database of its own"):
        Store.open("sqlite:///other.db", tmp_path)


def test_a_file_that_is_no_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(UnavailableError, match=r"state\.db cannot be used: file is not a database"):
        Store.open("sqlite:///state.db", tmp_path)


def test_a_server_that_is_not_there_is_reported_without_the_password() -> None:
    with pytest.raises(UnavailableError) as caught:
        Store.open("postgresql://holdfast:geheim@127.0.0.1:1/holdfast")
    assert "cannot be used" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_other_addresses_are_a_setup_error(url: str) -> None:
    with pytest.raises(SetupError, match="HF701"):
        Store.open(url)


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Store.open("sqlite:///state.db", tmp_path) as store, store.run_lock(), store.delivery_lock():
            plan(store, begin(store), "ann")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert {"state.db", "state.db-wal", "state.db.run.lock", "state.db.deliver.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes


def test_sqlite_survives_power_loss_by_its_settings(tmp_path: Path) -> None:
    with Store.open("sqlite:///state.db", tmp_path) as store, store._database.read() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


def test_the_session_zone_on_postgresql_is_utc(postgres_url: str) -> None:
    with Store.open(postgres_url) as store, store._database.read() as connection:
        assert connection.exec_driver_sql("SHOW TIME ZONE").scalar() == "UTC"
        read = connection.exec_driver_sql("SELECT timezone('UTC', clock_timestamp())").scalar()
        assert isinstance(read, datetime)
        assert abs((read - datetime.utcnow()).total_seconds()) < 60


# ---- one at a time ----


def in_another_process(url: str, body: str) -> subprocess.Popen[str]:
    code = f"import sys, time\nfrom engine.store import Store\nstore = Store.open({url!r})\n" + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


HOLD = """
with store.{lock}():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_at_once_and_let_in_when_the_first_is_killed(url: str) -> None:
    with Store.open(url) as store:
        first = in_another_process(url, HOLD.format(lock="run_lock"))
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(UnavailableError, match="another run is in progress"), store.run_lock():
            pass
        first.kill()
        first.communicate()
        for _ in range(50):  # a PostgreSQL server needs a moment to notice
            try:
                with store.run_lock():
                    return
            except UnavailableError:
                __import__("time").sleep(0.1)
    pytest.fail("the lock outlived its process")


def test_the_lock_is_free_again_after_a_run(store: Store) -> None:
    for _ in range(2):
        with store.run_lock():
            pass


def test_only_one_process_delivers_from_a_sqlite_file(tmp_path: Path) -> None:
    with (
        Store.open("sqlite:///state.db", tmp_path) as store,
        Store.open("sqlite:///state.db", tmp_path) as other,
        store.delivery_lock(),
    ):
        with pytest.raises(UnavailableError, match="another process is delivering"), other.delivery_lock():
            pass
        with other.run_lock():
            pass


def test_several_processes_may_deliver_from_postgresql(postgres_url: str) -> None:
    with (
        Store.open(postgres_url) as store,
        Store.open(postgres_url) as other,
        store.delivery_lock(),
        other.delivery_lock(),
    ):
        pass


def test_two_processes_that_meet_an_empty_database_both_open_it(url: str) -> None:
    openers = [in_another_process(url, "print(store.install.id)") for _ in range(3)]
    answers = [opener.communicate(timeout=60) for opener in openers]
    assert {errors for _, errors in answers} == {""}
    assert len({out for out, _ in answers}) == 1
