"""Mails as they would come out: for people who do not exist, and for customers, without sending them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from engine.api import Project, as_if_active
from engine.errors import Problem, UnavailableError
from engine.evaluation import Evaluation, queries_of
from engine.messages import Mail, Note, Renderer, RenderFailed
from engine.messages.lint import Finding, lint, lint_subject
from engine.messages.locales import language
from engine.messages.made_up import made_up
from engine.pipeline import Request, evaluate, values_of
from engine.project.rules import Rule, Step
from engine.store import Store
from engine.warehouse.sql import execute

Types = Mapping[str, Mapping[str, str]]
"""Namespace -> name -> number, text, date, instant, bool."""

Packed = dict[str, dict[str, object]]
"""Values as a message row stores them, by namespace."""


@dataclass(frozen=True)
class Specimen:
    """What rendering reads of an outbox row, for a mail that is only looked at."""

    template: str
    class_: str
    values_json: str
    zone: str
    recipient: str = "ann@example.com"
    snapshot_sha: str = ""
    rule: str = ""
    step: str = ""
    customer_id: str = ""
    occurrence: str = ""
    topic: str = ""

    @property
    def key(self) -> str:
        """The same for the same mail, and like no real message's."""
        return hashlib.sha256(f"preview {self.template}".encode()).hexdigest()


@dataclass(frozen=True)
class Person:
    """A customer as one rule sees them. `is_found`: the rule finds them at present, and `values` holds its facts."""

    customer_id: str
    address: str | None
    zone: str
    values: Packed
    is_found: bool


@dataclass(frozen=True)
class Look:
    """One mail or note as it comes out, or why it does not.

    `tag` is the language it came out in, `locale` the one asked for.
    """

    rule: Rule
    step: Step
    variant: str | None
    specimen: Specimen
    locale: str
    tag: str
    person: Person | None
    content: Mail | Note | None
    failure: str | None
    findings: tuple[Finding, ...] = ()

    @property
    def falls_back(self) -> bool:
        """Whether the mail is not there in the language asked for, and came out whole in the default one."""
        return language(self.locale) != language(self.tag)


@dataclass(frozen=True)
class Looker:
    """Looks at mails of one project at one instant (naive UTC). `types`: by rule."""

    project: Project
    now: datetime
    types: Mapping[str, Types]
    renderer: Renderer

    def looks(
        self, rule: Rule, person: Person | None = None, *, step_no: int | None = None, locale: str | None = None,
        all_locales: bool = False,
    ) -> Iterator[Look]:  # fmt: skip
        """Every mail and note of a rule, step by step; of one step only, if its `no` is given.

        Without `locale` in the customer's language, or the workspace's. `all_locales`: each in every language it has.
        """
        for step in rule.steps:
            if step_no in {None, step.no}:
                named: list[tuple[str | None, str]] = [(name, one.send) for name, one in step.variants.items()]
                for variant, template in named or [(None, str(step.send))]:
                    for tag in self._locales(step, template, person, locale, all_locales=all_locales):
                        yield self._look(rule, step, variant, template, person, tag)

    def _locales(
        self, step: Step, template: str, person: Person | None, locale: str | None, *, all_locales: bool
    ) -> list[str]:
        own = self.project.settings.workspace.locale
        if not self.project.settings.reaches_customer(step.channel):
            return [own]  # notes are for the company's own people
        if all_locales:
            return [variant.tag for variant in self.project.templates[template].variants]
        theirs = person.values.get("customer", {}).get("locale") if person else None
        return [locale or (theirs if isinstance(theirs, str) and theirs else own)]

    def _look(
        self, rule: Rule, step: Step, variant: str | None, template: str, person: Person | None, locale: str
    ) -> Look:
        specimen = self._specimen(rule, step, template, person, locale)
        is_note = not self.project.settings.reaches_customer(step.channel)
        tag = locale if is_note else self.project.templates[template].choose(locale)[0].tag
        look = Look(rule, step, variant, specimen, locale, tag, person, None, None)
        try:
            if is_note:
                return replace(look, content=self.renderer.note(specimen, self.now))
            mail = self.renderer.render(specimen, self.now)
        except RenderFailed as fault:
            return replace(look, failure=str(fault))
        return replace(look, content=mail, findings=tuple(lint(mail, rule.class_)))

    def _specimen(self, rule: Rule, step: Step, template: str, person: Person | None, locale: str) -> Specimen:
        names = self.project.templates.values_needed(template)
        values: Packed = made_up(names, self.types[rule.id], self.now, locale)
        made = Specimen(
            template, rule.class_, "", self.project.settings.workspace.timezone, rule=rule.id, step=step.id,
            customer_id=person.customer_id if person else "", topic=rule.topic,
        )  # fmt: skip
        if person is not None:
            values = {"fact": values["fact"]} | person.values
            values["customer"] = values.get("customer", {}) | {"locale": locale}
            made = replace(made, zone=person.zone, recipient=person.address or made.recipient)
        return replace(made, values_json=json.dumps(values))


@contextmanager
def looker(project: Project, rules: Iterable[Rule], now: datetime) -> Iterator[Looker]:
    """Opens the tables to know the types of what mails show; where they cannot be opened, the rules' own facts do."""
    chosen = tuple(rules)
    try:
        evaluation = Evaluation(
            project.settings, project.root, chosen, now,
            queries=queries_of(project.files), values=values_of(chosen, project.templates),
        )  # fmt: skip
    except UnavailableError:
        yield Looker(project, now, {rule.id: {"fact": rule.trigger.facts} for rule in chosen}, looking(project))
        return
    try:
        types = {rule.id: evaluation.catalog(rule) for rule in chosen}
        yield Looker(project, now, types, looking(project))
    finally:
        evaluation.close()
        evaluation.db.close()


def person_of(project: Project, store: Store | None, rule: Rule, customer_id: str, now: datetime) -> Person | None:
    """A customer with what the rule's mails show of them; None when the customers table has no such customer.

    The facts are those of the newest candidate that the rule's trigger and conditions find. Raises as `evaluate`.
    """
    request = Request(now, rule.schedule, (as_if_active(rule),), customer_ids=(customer_id,), believe_tables=True)
    evaluation = evaluate(project.loaded, project.templates, request, store)
    try:
        compiled, names = evaluation.compiled[0], values_of((rule,), project.templates)[rule.id]
        own = evaluation.values_sql(compiled, {name for name in names if name[0] != "fact"})
        rows, who = (
            ("person AS p JOIN main.person AS q ON q.account_id = p.customer_id", "q")
            if rule.by_account
            else ("person AS p", "p")
        )
        wanted = evaluation.bound(customer_id)
        with evaluation.seen_by(rule):
            seen = f"SELECT {who}.address, {who}.zone_no, {own} FROM {rows} WHERE {who}.customer_id = {wanted}"
            person = execute(evaluation.db, seen, evaluation.bound).fetchone()
            if person is None:
                return None
            these = f"SELECT cust FROM main.person WHERE customer_id = {wanted}"
            newest = (
                f"SELECT packed FROM ({evaluation.packed_sql(compiled, names, these)}) ORDER BY anchor DESC LIMIT 1"
            )
            found = execute(evaluation.db, newest, evaluation.bound).fetchone()
        zone = evaluation.warehouse.zones[person[1]]
        return Person(customer_id, person[0], zone, json.loads(found[0] if found else person[2]), found is not None)
    finally:
        evaluation.close()
        evaluation.db.close()


def looking(project: Project) -> Renderer:
    """A renderer for looking: it stores nothing."""
    return project.renderer(lambda sha: project.templates, live=False)


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
