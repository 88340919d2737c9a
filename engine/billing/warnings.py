"""What `check` tells about the ladders of failed payments: too long, or beside mails that Stripe sends itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from engine.errors import Problem
from engine.project.durations import Duration
from engine.project.rules import Rule
from engine.project.settings import Settings
from engine.triggers import mails_open_cases

_INTERVALS = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=28),
    "year": timedelta(days=365),
}
"""The shortest a billing interval can be."""


def billing_warnings(settings: Settings, rules: Sequence[Rule], intervals: Collection[str]) -> Iterator[Problem]:
    """Warnings about rules on failed payments. `intervals`: those that subscriptions are billed at."""
    ladders = [rule for rule in rules if mails_open_cases(rule.trigger)]
    known = {word: _INTERVALS[word] for word in intervals if word in _INTERVALS}
    for rule in ladders:
        yield from _too_long(rule, settings.dunning.retry_window, known)
    if not ladders or "invoices" not in settings.from_stripe:
        return
    if settings.dunning.recheck is not None and settings.stripe.api_key is None:
        found = "mails about failed payments will wait for ever: there is no key to read their invoices again with"
        expected = "expected stripe.api_key, or dunning.recheck: off to trust the webhooks alone"
        yield Problem("config.yaml", None, None, "HF610", found, expected, severity="warning")
    if settings.dunning.stripe_emails != "off":
        found = (
            "Stripe writes to customers about failed payments, too" if settings.dunning.stripe_emails == "on"
            else "nobody has said whether Stripe itself writes about failed payments"
        )  # fmt: skip
        expected = (
            "switch its mails off (Dashboard → Settings → Billing → Subscriptions and emails) "
            "and say dunning.stripe_emails: off"
        )
        yield Problem("config.yaml", None, None, "HF612", found, expected, severity="warning")


def _too_long(rule: Rule, window: Duration, intervals: dict[str, timedelta]) -> Iterator[Problem]:
    last = _length(rule)
    if last >= window.elapsed:
        found = (
            f"rule {rule.id}: its last step comes {_days(last)} after the failure, when the billing system has acted"
        )
        expected = f"expected it within dunning.retry_window, {window}"
        yield Problem(rule.path, rule.line, None, "HF611", found, expected, severity="warning")
    for word, shortest in sorted(intervals.items(), key=lambda one: one[1])[:1]:
        if last >= shortest:
            found = f"rule {rule.id}: its last step comes {_days(last)} after the failure, and some pay every {word}"
            expected = f"expected less than {_days(shortest)}, or the next bill falls due before the last mail"
            yield Problem(rule.path, rule.line, None, "HF611", found, expected, severity="warning")


def _length(rule: Rule) -> timedelta:
    """From the failure to the last step: waits add up, `after` counts from the beginning."""
    reached = timedelta()
    for step in rule.steps:
        reached = _elapsed(step.after) if step.after else reached + _elapsed(step.wait)
    return reached


def _elapsed(span: Duration | None) -> timedelta:
    """Its length; months and years, which no ladder about a bill should have, by their shortest."""
    if span is None:
        return timedelta()
    return span.elapsed if span.is_elapsed else span.n * _INTERVALS[span.unit.removesuffix("s")]


def _days(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
