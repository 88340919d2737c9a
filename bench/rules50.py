"""Fifty rules of a subscription company over `generate.py`'s data, written as a project folder.

    python bench/rules50.py FOLDER COMPANY.duckdb [--segments 10]

Forty-seven are said in the rule language; the three about falling use are queries. `--segments 10` writes each rule
ten times, each for another tenth of the customers (five locales, paid or not): 500 rules, about as many candidates.
What people see for the first time (`existing: skip`) is the everyday case; with `--flood` the twenty feature rules
find all who ever lacked the feature, as on the day they are switched on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from generate import ACTIONS, FEATURES, FIRST_STEPS, LOCALES

DAY = datetime(2026, 7, 1)
ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Europe/Berlin"]
"""Zones of the company, numbered as the engine does: the workspace's, then the others by name."""
AS_OF = datetime(2026, 7, 1, 6)
"""The run of the day after the last event, at its scheduled time."""


@dataclass(frozen=True)
class BenchRule:
    """One rule: `family` says which condition, `of` its parameters."""

    id: str
    family: str
    of: dict[str, object]
    trigger: dict[str, object]
    step: dict[str, str] = field(default_factory=dict)
    where: str = ""
    more: dict[str, object] = field(default_factory=dict)


def rules() -> list[BenchRule]:
    """The fifty, most important first."""
    return [
        *_payments(),
        *_subscriptions(),
        *_drops(),
        *_silences(),
        *_onboarding(),
        *_upsells(),
        *_features(),
        *_win_backs(),
    ]


def _payments() -> Iterator[BenchRule]:
    service = {"class": "service", "ground": "contract", "topic": "payment"}
    groups = (("soft",), ("details", "hard"), ("authentication",))
    for days, group in zip((1, 3, 7), groups, strict=True):
        name = f"pay-failed-{'-'.join(group)}"
        of, step = {"groups": group}, {"after": f"{days} days"}
        yield BenchRule(name, "payment", of, {"payment_failed": {"group": list(group)}}, step, more=service)
    where, step = "fact.open_invoices >= 2", {"after": "1 day"}
    yield BenchRule("pay-failed-twice", "payment", {"twice": True}, {"payment_failed": {}}, step, where, service)


def _subscriptions() -> Iterator[BenchRule]:
    card = {"date": {"column": "subscriptions.card_expires_at"}}
    yield BenchRule("card-expiring", "card", {}, card, {"before": "14 days"}, "fact.status = 'active'")
    for days in (1, 3):
        yield BenchRule(f"trial-ending-{days}", "trial", {}, {"trial_ending": {}}, {"before": f"{days} days"})
    for days in (3, 7, 14, 30):
        yield BenchRule(f"renewal-{days}", "renewal", {}, {"renewal_approaching": {}}, {"before": f"{days} days"})
    uses = {"facts": {"uses": {"count": ACTIONS, "within": "30 days"}}}
    yield BenchRule(
        "annual-low-use", "annual", {}, {"renewal_approaching": {"interval": "year"}}, {"before": "30 days"},
        "fact.uses < 5", uses,
    )  # fmt: skip


def _drops() -> Iterator[BenchRule]:
    for days in (7, 14, 30):
        yield BenchRule(f"usage-drop-{days}", "drop", {"days": days}, {"sql": {"query": f"usage-drop-{days}.sql"}})


def _silences() -> Iterator[BenchRule]:
    for days in (7, 14, 30, 60, 90):
        yield BenchRule(f"inactive-{days}", "silence", {"days": days}, {"inactivity": {"for": f"{days} days"}})


def _onboarding() -> Iterator[BenchRule]:
    for days, event in zip((1, 2, 3, 5, 7), FIRST_STEPS, strict=True):
        trigger = {"onboarding": {"event": event, "for": f"{days} days", "within": "30 days"}}
        yield BenchRule(f"onboard-{event.replace('_', '-')}", "onboarding", {"days": days, "event": event}, trigger)


def _upsells() -> Iterator[BenchRule]:
    for plan, event, least in (("basic", "view", 20), ("free", "login", 8)):
        trigger = {"event": {"name": event, "within": "30 days", "min_count": least}}
        of = {"plan": plan, "event": event, "least": least}
        yield BenchRule(f"upsell-{plan}", "upsell", of, trigger, where=f"plan = '{plan}'")


def _features() -> Iterator[BenchRule]:
    for feature in FEATURES:
        trigger = {"feature": feature, "for": "30 days", "active_within": "30 days", "min_age": "14 days"}
        yield BenchRule(
            f"unused-{feature.replace('_', '-')}", "feature", {"feature": feature}, {"unused_feature": trigger},
            more={"existing": "skip"},
        )  # fmt: skip


def _win_backs() -> Iterator[BenchRule]:
    for days in (30, 60, 90):
        yield BenchRule(f"win-back-{days}", "cancelled", {}, {"cancelled": {}}, {"after": f"{days} days"})


DROP_QUERY = """\
-- Use has fallen by half: events of the last {days} days against those of the {days} days before.
select customer_id, 'drop-{days}-' || strftime(cast(:as_of as timestamp), '%Y-%m') as occurrence,
       cast(:as_of as timestamp) as anchor, count(*) filter (where before) as before, count(*) filter (where not before) as now
from (
  select customer_id, events.at < cast(:as_of as timestamp) - interval {days} day as before
  from events
  where events.at >= cast(:as_of as timestamp) - interval {twice} day and events.at < :as_of
) as recent
group by customer_id
having count(*) filter (where before) >= 10
   and count(*) filter (where not before) < 0.5 * count(*) filter (where before)
"""


def config(company: Path) -> dict[str, object]:
    tables: dict[str, object] = {name: {"table": name} for name in ("customers", "subscriptions", "invoices", "events")}
    tables["events"] = {"table": "events", "duplicates": "none"}
    return {
        "workspace": {
            "name": "Bench", "timezone": "UTC", "locale": "en", "currency": "EUR",
            "postal_address": "Bench, 1 Sample Street", "public_url": "https://mail.example.com",
        },
        "state": {"url": "sqlite:///state.db"},
        "dunning": {"adopt": "365 days"},  # every open invoice is a case, not only those of the last week
        "warehouse": {"url": f"duckdb:///{company.resolve()}", "tables": tables},
        "schedules": {"daily": f"{AS_OF:%H:%M}"},
        "send_at": "09:00",
        "guard": "off",
        "holdout": {"global": "5%"},
        "channels": {"email": {"use": "outbox_dir", "path": "outbox"}},
        "sender": {kind: {"from": "Bench <bench@example.com>"} for kind in ("marketing", "service")},
    }  # fmt: skip


MAIL = """\
---
subject: 'About {topic}'
---
<p>Hello {{{{ customer.plan }}}} customer, this is about {topic}.</p>
<p><a href="{{{{ links.unsubscribe }}}}">Unsubscribe</a>, <a href="{{{{ links.preferences }}}}">choose what you get</a>.
{{{{ workspace.postal_address }}}}</p>
"""


def write_project(folder: Path, company: Path, *, segments: int = 1, flood: bool = False) -> list[BenchRule]:
    """Write the folder; the rules in the order the engine will number them, segment by segment for each rule."""
    written = []
    _write(folder / "config.yaml", _yaml(config(company)))
    for days in (7, 14, 30):
        _write(folder / f"rules/usage-drop-{days}.sql", DROP_QUERY.format(days=days, twice=2 * days))
    for number, rule in enumerate(rules()):
        _write(folder / f"templates/{rule.family}/mail.html", MAIL.format(topic=rule.family))
        documents = []
        for segment in range(segments):
            documents.append(_yaml(_document(rule, number, segment, segments, flood)))
            written.append(rule)
        _write(folder / f"rules/{number:02d}-{rule.id}.yaml", "---\n".join(documents))
    return written


def _document(rule: BenchRule, number: int, segment: int, segments: int, flood: bool) -> dict[str, object]:
    conditions = [f"({rule.where})"] if rule.where else []
    if segments > 1:
        plans = "('free', 'basic')" if segment % 2 else "('pro', 'team')"
        conditions.append(f"locale = '{LOCALES[segment // 2]}' and plan in {plans}")
    document: dict[str, object] = {
        "rule": rule.id if segments == 1 else f"{rule.id}-s{segment}", "status": "active", "priority": 99 - number,
        "topic": rule.family, "trigger": rule.trigger, **rule.more, "steps": [{**rule.step, "send": rule.family}],
    }  # fmt: skip
    if conditions:
        document["where"] = " and ".join(conditions)
    if flood and "existing" in document:
        del document["existing"]
    return document


def _yaml(document: dict[str, object]) -> str:
    """JSON values are YAML; one key a line keeps the files readable."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("company", type=Path)
    parser.add_argument("--segments", type=int, default=1, choices=(1, 10))
    parser.add_argument("--flood", action="store_true")
    given = parser.parse_args()
    write_project(given.folder, given.company, segments=given.segments, flood=given.flood)
