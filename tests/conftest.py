"""Fixtures shared by all rooms: a throw-away PostgreSQL server and the optional public data sets."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def missing(what: str) -> None:
    """Skip on a laptop, fail in CI: a part that CI promises to install is absent."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def absent() -> Callable[[str], None]:
    """`missing`, for the fixtures of one room."""
    return missing


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the repository; tests that need it skip when it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the public data sets are not beside this checkout")
    return SHARED


def _server_binaries() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a throw-away cluster (`postgresql://…/postgres`); as root it runs under the account `postgres`."""
    given = os.environ.get("HOLDFAST_TEST_POSTGRES")
    if given:
        yield given
        return
    binaries = _server_binaries()
    if binaries is None:
        missing("a PostgreSQL server")
        return
    # Not under pytest's own folder: another session of root that starts meanwhile closes that to other accounts.
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    account: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    port = _free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": folder}
    subprocess.run(
        [
            binaries / "initdb",
            "-D",
            folder / "db",
            "-U",
            "holdfast",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ],
        **quiet,
        **account,
    )  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c timezone=America/New_York"
    subprocess.run(
        [binaries / "pg_ctl", "-D", folder / "db", "-w", "-o", options, "-l", folder / "db" / "server.log", "start"],
        **quiet,
        **account,
    )  # type: ignore[call-overload]
    yield f"postgresql://holdfast@127.0.0.1:{port}/postgres"
    subprocess.run([binaries / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop"], **quiet, **account)  # type: ignore[call-overload]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database of its own on the throw-away server; its session zone is not UTC on purpose."""
    import psycopg

    name = f"t_{os.getpid()}_{abs(hash(request.node.nodeid)) % 10**12}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
