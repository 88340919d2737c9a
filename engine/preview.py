"""Mails as they would come out, for people who do not exist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.api import Project
from engine.errors import Problem
from engine.evaluation import Evaluation
from engine.messages import Mail, Renderer, RenderFailed
from engine.messages.lint import Finding, lint, lint_subject
from engine.messages.made_up import made_up
from engine.project.rules import Rule

Types = Mapping[str, Mapping[str, str]]
"""Namespace -> name -> number, text, date, instant, bool."""


@dataclass(frozen=True)
class Specimen:
    """What rendering reads of an outbox row, for a mail that is only looked at."""

    template: str
    class_: str
    values_json: str
    zone: str
    recipient: str = "ann@example.com"
    snapshot_sha: str = ""

    @property
    def key(self) -> str:
        """The same for the same mail, and like no real message's."""
        return hashlib.sha256(f"preview {self.template}".encode()).hexdigest()


def looking(project: Project) -> Renderer:
    """A renderer for looking: it stores nothing."""
    return project.renderer(lambda sha: project.templates)


def made_up_mail(
    project: Project, renderer: Renderer, rule: Rule, template: str, types: Types, locale: str, now: datetime
) -> Mail:
    """A rule's mail for a customer who does not exist. Raises RenderFailed. `now`: naive UTC."""
    values = made_up(project.templates[template].names, types, now, locale)
    zone = project.settings.workspace.timezone
    return renderer.render(Specimen(template, rule.class_, json.dumps(values), zone), now)


def mail_findings(project: Project, evaluation: Evaluation, now: datetime) -> Iterator[Problem]:
    """What is to be mended in the mails of all rules: the whole of each mail with files of its own, else the subject.

    Warnings, at the file of the mail. Marketing and service rules may share a mail; it is then looked at as both.
    """
    renderer = looking(project)
    seen: set[tuple[str, str]] = set()
    for rule in evaluation.rules:
        types = evaluation.catalog(rule)
        for template in rule.templates:
            if template in project.templates and (template, rule.class_) not in seen:
                seen.add((template, rule.class_))
                yield from _findings(project, renderer, rule, template, types, now)


def _findings(
    project: Project, renderer: Renderer, rule: Rule, template: str, types: Types, now: datetime
) -> Iterator[Problem]:
    mail = project.templates[template]
    for variant in mail.variants:
        try:
            if variant in mail.written:
                made = made_up_mail(project, renderer, rule, template, types, variant.tag, now)
                found = lint(made, rule.class_)
            else:
                values = made_up(mail.names, types, now, variant.tag)
                specimen = Specimen(template, rule.class_, json.dumps(values), project.settings.workspace.timezone)
                found = lint_subject(renderer.subject(specimen))
        except RenderFailed as fault:
            found = [Finding("HF518", f"{template} in {variant.tag}: {fault}", "guard the value with if or default")]
        for finding in found:
            expected = f"{finding.expected} ({variant.tag})" if variant not in mail.written else finding.expected
            yield Problem(variant.path, None, None, finding.code, finding.found, expected, severity="warning")
