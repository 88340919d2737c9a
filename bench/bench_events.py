"""SendGrid's events kept and applied: how many per second, and whether order and repetition matter.

    python bench/bench_events.py [EVENTS] [postgresql://URL of an empty database]

EVENTS different events about a fifth as many messages come once and in order, then three times and shuffled, in signed
requests of 1,000. Both must end in the same state; the figures are for the second way.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inbound"))

from inbound_world import NOW, SECRET, Event, Signer, event, picture, plan, receive, send

from engine.store import Store

WORDS = ("processed", "deferred", "delivered", "dropped", "bounce", "spamreport", "unsubscribe", "open", "click")
RESULTS = ("accepted", "in_doubt", "sending", "retry_wait")
AT_ONCE = 1000


def shuffled_stream(store: Store, count: int) -> list[Event]:
    """The events in order, about messages in every state."""
    chance = random.Random(1)
    customers = [f"c{n}" for n in range(count // 5)]
    plan(store, customers)
    args: dict[str, Event] = {}
    while found := send(store, {who: chance.choice(RESULTS[:3]) for who in customers}):
        args |= found
    story = random.Random(2)
    return [
        event(story.choice(WORDS), args[who], who=who, sg_event_id=f"{who}-{n}")
        for n in range(count // len(customers)) for who in customers
    ]  # fmt: skip


def run(store: Store, events: list[Event]) -> tuple[float, float, dict[str, Any]]:
    """Seconds to keep and to apply, and the state after."""
    signer = Signer()
    bodies = [json.dumps(events[start : start + AT_ONCE]).encode() for start in range(0, len(events), AT_ONCE)]
    signed = [signer.sign(body) for body in bodies]
    began = time.perf_counter()
    for body, signature, timestamp in signed:
        receive(store, body, signature, timestamp, [signer.public_key], SECRET, NOW)
    kept = time.perf_counter()
    store.evidence.apply_all()
    return kept - began, time.perf_counter() - kept, picture(store)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    url = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder:
        with Store.open(f"sqlite:///{folder}/ordered.db") as store:
            ordered = run(store, shuffled_stream(store, count))[2]
        with Store.open(url or f"sqlite:///{folder}/shuffled.db") as store:
            events = shuffled_stream(store, count) * 3
            random.Random(3).shuffle(events)
            keep_s, apply_s, shuffled = run(store, events)
    print(f"{count:,} events, tripled and shuffled: {'the same state' if ordered == shuffled else 'ANOTHER STATE'}")
    print(
        f"    kept: {len(events) / keep_s:>9,.0f} events/s, {keep_s / len(events) * AT_ONCE * 1e3:.0f} ms for {AT_ONCE:,}"
    )
    print(f" applied: {count / apply_s:>9,.0f} events/s")


if __name__ == "__main__":
    main()
