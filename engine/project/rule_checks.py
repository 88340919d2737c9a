"""What can be wrong with the meaning of one rule, once it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from engine.errors import Problem, did_you_mean
from engine.project.ladder import ladder_problems
from engine.project.rule_text import StepText
from engine.project.settings import Settings
from engine.project.types import IN_RULES
from engine.project.validation import listing
from engine.project.written import WrittenRule


@dataclass(frozen=True)
class Surroundings:
    """What a rule may refer to. `settings` is None when config.yaml is wrong: what hangs on it is not checked.

    `templates`: those that are mails; `notes`: those for channels that do not reach the customer.
    """

    files: Mapping[str, str]
    templates: Collection[str]
    settings: Settings | None
    notes: Collection[str] = ()


def rule_problems(rule: WrittenRule, around: Surroundings) -> Iterator[Problem]:
    """Everything wrong with one rule by itself."""
    yield from _class_problems(rule)
    yield from _emptiness_problems(rule)
    yield from _file_problems(rule, around)
    yield from ladder_problems(rule)
    for no, step in enumerate(rule.text.steps):
        yield from _send_problems(rule, no, step, around)
    yield from _step_id_problems(rule)
    if around.settings is not None:
        yield from _settings_problems(rule, around.settings)


def _class_problems(rule: WrittenRule) -> Iterator[Problem]:
    text = rule.text
    if text.class_ != "marketing" and text.ground is None:
        expected = "expected ground: contract, security or law"
        yield rule.problem(rule.at_value("class"), "HF315", f"{text.class_} mail without a ground", expected)
    if text.class_ == "marketing" and text.ground is not None:
        expected = "marketing rests on consent; remove it, or change the class"
        yield rule.problem(rule.at_key("ground"), "HF316", "a ground for marketing", expected)
    if text.class_ == "legal" and text.holdout > 0:
        yield rule.problem(
            rule.at_key("holdout"), "HF327", "a holdout on legal mail", "it goes to everybody; remove it"
        )


def _emptiness_problems(rule: WrittenRule) -> Iterator[Problem]:
    text = rule.text
    if not text.steps and not text.blocks:
        yield rule.problem(rule.at_value("rule"), "HF320", f'"{text.rule}" does nothing', "expected steps, or blocks")
    if text.blocks_for is not None and not text.blocks:
        yield rule.problem(rule.at_key("blocks_for"), "HF325", "blocks_for without blocks", "expected blocks: too")
    if text.recipients is not None and text.about != "account":
        expected = "a customer is their own recipient; remove it, or say about: account"
        yield rule.problem(rule.at_key("recipients"), "HF331", "recipients in a rule about customers", expected)
    for name in sorted(text.facts.keys() & rule.trigger.facts.keys()):
        found = f'"{rule.trigger.name}" already has a fact "{name}"'
        yield rule.problem(rule.at_key("facts", name), "HF324", found, "choose another name")


def _file_problems(rule: WrittenRule, around: Surroundings) -> Iterator[Problem]:
    for name, field in type(rule.trigger.params).model_fields.items():
        file = getattr(rule.trigger.params, name)
        if IN_RULES in field.metadata and file is not None and f"rules/{file}" not in around.files:
            known = [path.removeprefix("rules/") for path in around.files if path.startswith("rules/")]
            place = rule.at_value("trigger", rule.trigger.name, field.alias or name)
            found = f'no file "rules/{file}"'
            yield rule.problem(place, "HF328", found, "expected a file under rules/", did_you_mean(file, known))


def _send_problems(rule: WrittenRule, no: int, step: StepText, around: Surroundings) -> Iterator[Problem]:
    if (step.send is None) == (step.variants is None):
        found = "both send and variants" if step.send else "a step that sends nothing"
        yield rule.problem(rule.at_value("steps", no), "HF307", found, "expected one of send and variants")
    variants = step.variants or {}
    total = sum(variant.share for variant in variants.values())
    if variants and abs(total - 1) > 1e-9:
        place = rule.at_value("steps", no, "variants")
        yield rule.problem(place, "HF308", f"shares of {total * 100:.6g}%", "expected 100% in all")
    sends: dict[tuple[str, ...], str | None] = {("send",): step.send}
    sends |= {("variants", name, "send"): variant.send for name, variant in variants.items()}
    may_be_note = around.settings is None or not around.settings.reaches_customer(step.channel)
    known = {*around.templates, *around.notes} if may_be_note else around.templates
    for keys, template in sends.items():
        if template is not None and template not in known:
            expected = f"expected a file templates/{template}/{'note.txt' if may_be_note else 'mail.html'}"
            place = rule.at_value("steps", no, *keys)
            found = f'unknown template "{template}"'
            yield rule.problem(place, "HF317", found, expected, did_you_mean(template, known))


def _step_id_problems(rule: WrittenRule) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for no, step in enumerate(rule.text.steps):
        name = step_id(step)
        if name in seen:
            found = f'the step id "{name}" again'
            expected = f"step {seen[name] + 1} has it; give one of them an id of its own"
            yield rule.problem(rule.at_value("steps", no, "id" if step.id else "send"), "HF309", found, expected)
        elif name:
            seen[name] = no


def step_id(step: StepText) -> str:
    """Its `id`, or else what it sends (first)."""
    first = next((variant.send for variant in (step.variants or {}).values()), "")
    return step.id or step.send or first


def _settings_problems(rule: WrittenRule, settings: Settings) -> Iterator[Problem]:
    schedule = rule.text.schedule
    if schedule is not None and schedule not in settings.schedules:
        found, suggestion = f'unknown schedule "{schedule}"', did_you_mean(schedule, settings.schedules)
        expected = listing("expected", settings.schedules)
        yield rule.problem(rule.at_value("schedule"), "HF319", found, expected, suggestion)
    if schedule is None and len(settings.schedules) > 1 and "daily" not in settings.schedules:
        expected = listing("expected schedule:", settings.schedules)
        yield rule.problem(rule.at_value("rule"), "HF319", "a rule without schedule", expected)
    for no, step in enumerate(rule.text.steps):
        if step.channel not in settings.channels:
            found, suggestion = f'unknown channel "{step.channel}"', did_you_mean(step.channel, settings.channels)
            expected = listing("expected", settings.channels)
            yield rule.problem(rule.at_value("steps", no, "channel"), "HF321", found, expected, suggestion)
