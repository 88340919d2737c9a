"""What can be wrong between rules, and between rules and settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import Problem, did_you_mean
from engine.project.file_reading import CONFIG
from engine.project.rules import Rule
from engine.project.settings import Settings
from engine.project.written import WrittenRule

CLASSES = ("marketing", "service", "legal")


def project_problems(
    rules: Sequence[Rule], written: Sequence[WrittenRule], settings: Settings | None, *, complete: bool
) -> Iterator[Problem]:
    """Problems between the parts, and the warnings. `written` runs beside `rules`.

    Unless all rules read (`complete`), references to other rules are left alone: what they name may be among those
    that do not read.
    """
    yield from _id_problems(written)
    yield from _expression_problems(rules)
    if complete:
        yield from _reference_problems(rules, written)
    if settings is not None:
        yield from _settings_problems(rules, settings)


def _id_problems(written: Sequence[WrittenRule]) -> Iterator[Problem]:
    owners: dict[str, WrittenRule] = {}
    for rule in written:
        first = owners.setdefault(rule.text.rule, rule)
        if first is not rule:
            expected = f"{first.path}:{first.node.line} has it; each rule needs its own"
            yield rule.problem(rule.at_value("rule"), "HF301", f'the rule id "{rule.text.rule}" again', expected)
    for rule in written:
        for no, old in enumerate(rule.text.was):
            first = owners.setdefault(old, rule)
            if first is not rule or old == rule.text.rule:
                place, expected = (
                    rule.at_value("was", no),
                    f"{first.path}:{first.node.line} has it; one rule can inherit it",
                )
                yield rule.problem(place, "HF302", f'the old id "{old}" is taken', expected)


def _expression_problems(rules: Sequence[Rule]) -> Iterator[Problem]:
    for rule in rules:
        for expression in filter(None, (*rule.expressions, rule.recipients.where)):
            yield from expression.check({})


def _reference_problems(rules: Sequence[Rule], written: Sequence[WrittenRule]) -> Iterator[Problem]:
    ids = frozenset(rule.id for rule in rules)
    blockable = {*CLASSES, *(rule.topic for rule in rules)}
    for rule, text in zip(rules, written, strict=True):
        for expression in filter(None, (*rule.expressions, rule.recipients.where)):
            yield from expression.check_sent(ids)
        for no, name in enumerate(rule.blocks):
            if name not in blockable:
                found, suggestion = f'unknown class or topic "{name}"', did_you_mean(name, blockable)
                expected = "expected marketing, service, legal or the topic of a rule"
                yield text.problem(text.at_value("blocks", no), "HF318", found, expected, suggestion)


def _settings_problems(rules: Sequence[Rule], settings: Settings) -> Iterator[Problem]:
    live = [
        rule for rule in rules
        if rule.status != "draft" and any(settings.reaches_customer(step.channel) for step in rule.steps)
    ]  # fmt: skip
    marketing = next((rule for rule in live if rule.class_ == "marketing"), None)
    for rule in [marketing] if marketing else []:
        for key in ("postal_address", "public_url"):
            if getattr(settings.workspace, key) is None:
                yield _needed(f"workspace.{key}", rule)
    senders = {rule.class_ if rule.class_ == "marketing" else "service": rule for rule in reversed(live)}
    for sender, rule in sorted(senders.items()):
        if sender not in settings.sender:
            yield _needed(f"sender.{sender}", rule)
    if not settings.workspace.secret.is_set:
        secret = settings.workspace.secret
        found = f"workspace.secret ({secret.reference}) is not set"
        expected = "real mail needs it; writing to a folder goes without"
        yield Problem(CONFIG, secret.line, secret.column, "HF204", found, expected, severity="warning")


def _needed(key: str, rule: Rule) -> Problem:
    return Problem(CONFIG, None, None, "HF214", f"{key} is missing", f'the rule "{rule.id}" sends {rule.class_} mail')
