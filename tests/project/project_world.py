"""A small project to break: its files, and triggers and channels of the shapes the real ones have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from engine.project.durations import Duration
from engine.project.loading import ProjectFiles, project_from_files
from engine.project.secret import Secret
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import EventNames, Line, RuleFileName, StrictModel, Window


class InactivityParams(TriggerParams):
    for_: Window = Field(alias="for")
    event: EventNames = ()
    min_events: int = Field(default=1, ge=1)


class RenewalParams(TriggerParams):
    interval: Literal["day", "week", "month", "year"] | None = None


class OnboardingParams(TriggerParams):
    for_: Window = Field(alias="for")
    within: Window = Duration(30, "days")


class QueryParams(TriggerParams):
    query: RuleFileName


@dataclass(frozen=True)
class FakeTrigger:
    name: str
    params: type[TriggerParams]
    given_facts: Mapping[str, ColumnType]
    given: RuleDefaults

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        return self.given_facts

    def defaults(self, params: Any) -> RuleDefaults:
        if isinstance(params, OnboardingParams):
            return RuleDefaults(holds_for=params.within.elapsed - params.for_.elapsed)
        return self.given


TRIGGERS = {
    trigger.name: trigger
    for trigger in (
        FakeTrigger("inactivity", InactivityParams, {"last_event_at": "instant"}, RuleDefaults(Duration(30, "days"))),
        FakeTrigger(
            "renewal",
            RenewalParams,
            {"renews_on": "date"},
            RuleDefaults(anchored_on_date=True, holds_for=timedelta(0)),
        ),
        FakeTrigger("onboarding", OnboardingParams, {}, RuleDefaults()),
        FakeTrigger("unused", TriggerParams, {}, RuleDefaults(existing="include")),
        FakeTrigger("sql", QueryParams, {}, RuleDefaults()),
    )
}


class OutboxDir(StrictModel):
    path: Line


class Smtp(StrictModel):
    host: Line
    port: int = 587
    password: Secret | None = None


CHANNELS: Mapping[str, type[StrictModel]] = {"outbox_dir": OutboxDir, "smtp": Smtp}

CONFIG = """\
workspace:
  name: Acme
  timezone: Europe/London
  postal_address: 1 Road, Town
  public_url: https://mail.example.com
warehouse:
  tables: {customers: {path: data/customers.csv}}
sender:
  marketing: {from: Acme <hello@example.com>}
  service: {from: Acme <billing@example.com>}
"""
TEMPLATES = {f"templates/{name}/mail.html": "<p>…</p>" for name in ("hello", "win-back/one", "win-back/two", "bill")}
FILES = {"config.yaml": CONFIG, "rules/count.sql": "select 1", **TEMPLATES}
RULE = "rule: quiet\ntrigger:\n  inactivity: {for: 30 days}\nsteps:\n  - send: hello\n"


LIVE = """\
rule: live
status: active
trigger: unused
steps:
  - send: hello
---
rule: live-bill
status: active
class: service
ground: contract
trigger: unused
steps:
  - send: bill
"""


def load(files: Mapping[str, str]) -> ProjectFiles:
    """The small project with some files replaced or added."""
    return project_from_files({**FILES, **files}, Path("acme"), TRIGGERS, CHANNELS)


def load_rule(text: str) -> ProjectFiles:
    """The small project with one file of rules."""
    return load({"rules/case.yaml": text})
