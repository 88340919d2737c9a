"""What a run is told beside its tables and rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime, time

    from engine.project.settings import CapSettings
    from engine.project.settings_values import Guard, QuietHours

Survival = Literal["past", "near_date", "opened", "none"]
"""How a trigger's occurrences survive corrected data; see `occurrences`."""


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Settings of one planning. Instants are naive UTC; a rule is named by its `rule_no`, the index in the rules."""

    as_of: datetime
    horizon: datetime
    """Instant of the schedule's next run: what falls due before it is planned now."""
    send_at: time
    """Local sending time where neither step nor rule names one."""
    quiet_hours: QuietHours | None
    caps: CapSettings
    holdout_global: float
    salt: str
    guard: Guard | None
    customers: int
    """Number of all customers, for the guard's share."""
    require_in: Collection[str] = ()
    """Countries (ISO 3166 alpha-2, or EU) where marketing needs proved consent."""
    held_rules: Mapping[int, str] = field(default_factory=dict)
    """Rules held as a whole, with the reason: `stale_table`, `empty_table` or `shrunk_table`."""
    paused_rules: AbstractSet[int] = frozenset()
    approved_rules: AbstractSet[int] = frozenset()
    """Rules a person has released from the guard."""
    people_only: Collection[str] = ()
    """Channels that do not reach the customer: no address, consent or caps."""
    survives: Mapping[int, Survival] = field(default_factory=dict)
    """Per rule; a rule not named is `past` for candidates with a `rests_at` and `none` for the others."""
