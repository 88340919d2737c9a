"""How delivery is set up, and what it reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.channels.base import Session
from engine.delivery.redirection import Redirection
from engine.errors import Problem, SetupError
from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.project.settings_values import QuietHours
from engine.store import OutboxMessage

LEASE_MARGIN_S = 5.0
MOST_LISTED = 100  # single failures that a report names; all are counted

#: (message id, rule, customer id, occurrence, step, class, channel, recipient) of messages that are due together.
Candidates = Sequence[tuple[int, str, str, str, str, str, str, str, str]]


@dataclass(frozen=True)
class Recheck:
    """What a look at the tables says about messages that are due, by message id.

    `untrue` must not be sent, with the reason; `unsure` could not be asked about and wait, with the reason; `facts` are
    newer values, by name, for those that may be sent.
    """

    untrue: Mapping[int, str] = field(default_factory=dict)
    unsure: Mapping[int, str] = field(default_factory=dict)
    facts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


#: Asks at the sending instant (naive UTC) whether the candidates still hold.
StillTrue = Callable[[Candidates, datetime], Recheck]


@dataclass(frozen=True)
class OpenChannel:
    """A channel with its settings. `open` makes a session; it is called once per worker thread and channel."""

    open: Callable[[], Session[Any]]
    live: bool
    reaches_customer: bool = True


@dataclass(frozen=True)
class DeliveryOptions:
    """`concurrency`: calls under way at once. `rate_per_s`: calls begun per second, over all channels.

    `timeout_s`: how long a channel may take to answer. `recheck_after_s`: how long a look at the tables counts as
    fresh. `lease_s`: how long a claimed message is ours; must outlast a call.
    """

    concurrency: int = 16
    rate_per_s: float = 50.0
    timeout_s: float = 10.0
    recheck_after_s: float = 300.0
    lease_s: float = 0.0  # 0: chosen from the timeout

    def __post_init__(self) -> None:
        if not self.lease_s:
            object.__setattr__(self, "lease_s", max(60.0, 20 * self.timeout_s))
        if self.lease_s <= self.timeout_s + LEASE_MARGIN_S:
            found = f"a lease of {self.lease_s:g} s for calls that may take {self.timeout_s:g} s"
            expected = f"expected at least {LEASE_MARGIN_S:g} s more than delivery.timeout"
            raise SetupError(Problem("config.yaml", None, None, "HF702", found, expected))

    @property
    def batch(self) -> int:
        """Messages claimed at a time: what can surely be begun within a fraction of the lease."""
        return max(1, min(8 * self.concurrency, 500, int(self.rate_per_s * self.lease_s / 4)))


@dataclass(frozen=True)
class Parts:
    """What delivery works with, besides the store.

    `render(message, now)` raises RenderFailed for a message that cannot be made. `quiet_hours(message)`: the hours, in
    the customer's zone, at which it must not leave. `clock` gives naive UTC. `redirection`: set in test mode.
    """

    channels: Mapping[str, OpenChannel]
    render: Callable[[OutboxMessage, datetime], Mail | Note]
    still_true: StillTrue
    quiet_hours: Callable[[OutboxMessage], QuietHours | None]
    clock: Callable[[], datetime]
    redirection: Redirection | None = None

    @property
    def live(self) -> bool:
        """Whether mail reaches real people."""
        return self.redirection is None and any(channel.live for channel in self.channels.values())


@dataclass(frozen=True)
class Progress:
    """Figures for a progress line. `waiting`: due and not yet begun. `per_s`: sent per second so far."""

    sent: int
    waiting: int
    failed: int
    per_s: float


@dataclass(frozen=True)
class Failure:
    """One message that will not arrive, or may not have, or could not be judged."""

    message_id: int
    rule: str
    customer_id: str
    outcome: str
    reason: str


@dataclass
class DeliveryReport:
    """What one delivery did.

    `outcomes`: accepted, refused, failed, in_doubt, retry_wait, throttled, sandboxed, postponed, held (the gate could
    not judge it) and, by reason, what the gate stopped. `accepted`: those accepted, by channel. `down`: channels that were given up, and why. `interrupted`:
    somebody asked to stop.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    down: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    waiting: int = 0
    next_due_at: datetime | None = None

    @property
    def sent(self) -> int:
        """Messages a channel took responsibility for."""
        return self.outcomes["accepted"]

    @property
    def failed(self) -> int:
        """Messages that need a look: refused, not renderable, in doubt or held."""
        return sum(self.outcomes[word] for word in ("refused", "failed", "in_doubt", "held"))

    def note(self, message: OutboxMessage, outcome: str, reason: str) -> None:
        """Count, and list the first `MOST_LISTED`."""
        self.outcomes[outcome] += 1
        if len(self.failures) < MOST_LISTED:
            self.failures.append(Failure(message.id, message.rule, message.customer_id, outcome, reason))
