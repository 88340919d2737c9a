"""`holdfast serve`: scheduler, worker and web in one process, or each in its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Literal

import uvicorn

from engine.api import Project
from engine.errors import HoldfastError, UnavailableError
from engine.serving.chores import chores
from engine.serving.journal import Journal
from engine.serving.scheduler import Scheduler
from engine.serving.watched import Watched
from engine.serving.worker import Worker
from engine.store import Store
from engine.web import make_app

Part = Literal["scheduler", "worker", "web"]
PARTS: tuple[Part, ...] = ("scheduler", "worker", "web")

MOST_CONNECTIONS = 2_000
"""Open ones, the idle among them; how many are answered at once the pages bound themselves."""

_PATIENCE_S = 30.0
"""For how long a part that was told to stop may finish what it is doing; calls under way end sooner."""


def serve(folder: Path, store: Store, parts: Collection[Part], journal: Journal, stop: Event) -> None:
    """Do the work of `parts` until `stop` is set, then end politely.

    A part that fails stops the others, so that whoever watches over the process sees it and starts it again; its
    error is raised.
    """
    watched = Watched(folder, journal)
    project = watched.project()
    work: Mapping[Part, Callable[[Event], None]] = {
        "scheduler": Scheduler(watched, store, journal).run,
        "worker": Worker(watched, store, journal, chores(watched, store, journal)).run,
        "web": lambda stopped: _web(project, store, stopped),
    }
    failed: dict[str, BaseException] = {}
    threads = [_start(part, work[part], stop, failed, journal) for part in PARTS if part in parts]
    web = project.settings.web
    listening = f"http://{web.host}:{web.port}" if "web" in parts else ""
    journal.say("serving", parts=", ".join(thread.name for thread in threads), state=store.kind, web=listening)
    stop.wait()
    journal.say("stopping")
    for thread in threads:
        thread.join(_PATIENCE_S)
    journal.say("stopped", unfinished=", ".join(thread.name for thread in threads if thread.is_alive()))
    for part, fault in failed.items():
        if isinstance(fault, HoldfastError):
            raise fault
        raise RuntimeError(f"the {part} has failed: {type(fault).__name__}: {fault}") from fault


def _start(
    part: str, work: Callable[[Event], None], stop: Event, failed: dict[str, BaseException], journal: Journal
) -> Thread:
    def guarded() -> None:
        try:
            work(stop)
        except BaseException as fault:  # noqa: BLE001 - it is raised again where it can be seen
            failed[part] = fault
            journal.alarm("part_failed", part=part, reason=f"{type(fault).__name__}: {fault}")
        finally:
            stop.set()

    thread = Thread(target=guarded, name=part)
    thread.start()
    return thread


def _web(project: Project, store: Store, stop: Event) -> None:
    web = project.settings.web
    config = uvicorn.Config(
        make_app(project, store), host=web.host, port=web.port, log_config=None, access_log=False, server_header=False,
        proxy_headers=False, date_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=10, h11_max_incomplete_event_size=16_384,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def watch() -> None:
        stop.wait()
        server.should_exit = True

    Thread(target=watch, name="web-stop", daemon=True).start()
    try:
        server.run()
    except SystemExit:
        raise UnavailableError(f"cannot listen on {web.host}:{web.port}; another program may be doing so") from None
