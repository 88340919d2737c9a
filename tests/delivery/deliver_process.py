"""Delivers in a process of its own, to be killed: `deliver_process.py STATE_URL sendgrid URL | folder PATH`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from delivery_world import options, parts, through_folder, through_sendgrid  # noqa: E402 - the path comes first

from engine.delivery import deliver, stop_on_signals  # noqa: E402
from engine.store import Store  # noqa: E402

CONCURRENCY = 8


def main() -> None:
    state, kind, target = sys.argv[1:]
    channels = through_sendgrid(target) if kind == "sendgrid" else through_folder(Path(target))
    with Store.open(state) as store, stop_on_signals() as stop:
        print("begins", flush=True)
        report = deliver(store, parts(channels=channels), options(concurrency=CONCURRENCY, rate_per_s=300), stop=stop)
        print(report.sent, report.interrupted, flush=True)


if __name__ == "__main__":
    main()
