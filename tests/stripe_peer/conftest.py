"""localstripe as a separate process, our web server in front of it, and a company between them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import stripe
import uvicorn
from peer_company import KEY, SECRET, PeerCompany, wait_for

from engine.web import make_app

HERE = Path(__file__).parent


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _python() -> Path | None:
    """The Python that has localstripe: made by CI beside .venv, or the one of an installed `localstripe`."""
    beside = HERE.parents[1] / ".localstripe/bin/python"
    if beside.exists():
        return beside
    found = shutil.which("localstripe")
    return Path(found).resolve().with_name("python") if found else None


@pytest.fixture(scope="session")
def localstripe(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str], None]) -> Iterator[str]:
    """Its address."""
    python = _python()
    if python is None:
        absent("localstripe")
    port = free_port()
    own = tmp_path_factory.mktemp("localstripe")
    process = subprocess.Popen(
        [str(python), str(HERE / "localstripe_runner.py"), str(port)], env={**os.environ, "TMPDIR": str(own)}, cwd=own,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    request = urllib.request.Request(f"{address}/v1/customers", headers={"Authorization": f"Bearer {KEY}"})
    wait_for(lambda: urllib.request.urlopen(request, timeout=2))
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def peer(localstripe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PeerCompany]:
    """A company whose webhook localstripe calls, on a web server of its own."""
    monkeypatch.setenv("STRIPE_KEY", KEY)
    monkeypatch.setenv("STRIPE_SECRET", SECRET)
    client = stripe.StripeClient(KEY, base_addresses={"api": localstripe}, max_network_retries=0)
    company = PeerCompany(tmp_path / "company", localstripe, client)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(make_app(company.project, company.store), port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    hook = {"url": f"http://127.0.0.1:{port}/inbound/stripe", "secret": SECRET}
    body = json.dumps(hook).encode()
    told = urllib.request.Request(
        f"{localstripe}/_config/webhooks/ours", data=body, headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(told, timeout=5)
    yield company
    server.should_exit = True
    thread.join(10)
    company.store.close()
