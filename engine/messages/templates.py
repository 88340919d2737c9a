"""A project's mails: which exist, in which languages, what each needs, and whether it may be sent as what it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from jinja2 import Template

from engine.errors import Problem, did_you_mean
from engine.messages.composing import CannotCompose, Composed
from engine.messages.grammar import CUSTOMER_NAMESPACES, Name
from engine.messages.locales import canonical, chain, language
from engine.messages.translation import Message
from engine.project.durations import Duration

LINKS = frozenset({"unsubscribe", "preferences"})
WORKSPACE = frozenset({"name", "postal_address", "public_url", "locale", "currency", "timezone"})
#: Read for every mail when the table has them: which language, and the name on the To line.
ALWAYS_READ: frozenset[Name] = frozenset({("customer", "locale"), ("customer", "name")})

#: What a marketing mail must show: CAN-SPAM wants the address, RFC 8058 and the large mailbox providers the links.
_MARKETING: tuple[tuple[Name, str], ...] = (
    (("links", "unsubscribe"), "a link to {{ links.unsubscribe }}"),
    (("links", "preferences"), "a link to {{ links.preferences }}"),
    (("workspace", "postal_address"), "{{ workspace.postal_address }}"),
)


@dataclass(frozen=True)
class Variant:
    """One mail in one language. It is put together when it is first needed."""

    path: str
    tag: str
    text_is_derived: bool
    names: Mapping[Name, tuple[str, int]]  # with the place of the first use
    compose: Callable[[], Composed]
    compose_subject: Callable[[], Template]

    @cached_property
    def composed_subject(self) -> Template:
        """Its subject, compiled. Raises CannotCompose."""
        return self.compose_subject()

    @cached_property
    def composed(self) -> Composed:
        """Its parts, compiled. Raises CannotCompose."""
        return self.compose()


@dataclass(frozen=True)
class MailTemplate:
    """One mail in all its languages. `default` serves everybody else, in the workspace's language."""

    name: str
    default: Variant
    translations: Mapping[str, Variant]
    messages: tuple[tuple[str, Message], ...] = ()
    """Every text of the default that catalogues translate, with the path of its file; in the order they are read."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The default first."""
        return (self.default, *self.translations.values())

    @property
    def written(self) -> tuple[Variant, ...]:
        """Those with files of their own. The others differ from the default in words only."""
        return tuple(
            variant for variant in self.variants if variant is self.default or variant.path != self.default.path
        )

    @property
    def names(self) -> frozenset[Name]:
        """Everything any language of this mail reads."""
        return frozenset(name for variant in self.variants for name in variant.names)

    def choose(self, wanted: str | None) -> tuple[Variant, str]:
        """The variant for a customer's locale, and the locale for amounts and dates in it.

        `he-IL` is served by `he-IL`, then `he`, then the default. The customer's own region decides how amounts and
        dates look, as long as the text is in the customer's language: 22/11 for en-GB, 11/22 for en-US.
        """
        tag = canonical(wanted) if wanted else None
        if tag is None:
            return self.default, self.default.tag
        variant = next((self.translations[wider] for wider in chain(tag) if wider in self.translations), self.default)
        return variant, tag if language(tag) == language(variant.tag) else variant.tag


@dataclass(frozen=True)
class NoteTemplate:
    """What the company's own people or systems are told, in the workspace's language only."""

    path: str
    title: Template
    assignee: Template | None
    due_in: Duration | None
    text: Template
    names: Mapping[Name, tuple[str, int]]  # with the place of the first use


class Templates:
    """All mails and notes of one snapshot. `warnings` are problems that do not prevent loading."""

    def __init__(
        self,
        mails: Mapping[str, MailTemplate],
        warnings: Collection[Problem] = (),
        notes: Mapping[str, NoteTemplate] = MappingProxyType({}),
    ) -> None:
        self.mails, self.notes = mails, notes
        self.warnings = tuple(sorted(warnings, key=lambda problem: problem.order))

    def __contains__(self, name: object) -> bool:
        return name in self.mails

    def __getitem__(self, name: str) -> MailTemplate:
        return self.mails[name]

    def values_needed(self, name: str) -> frozenset[Name]:
        """What to pack into a message row: the customer's, facts' and subscription's values that the mail or note reads.

        `customer.locale` and `customer.name` are always among them; leave them out where the table lacks them.
        """
        templates = [found for found in (self.mails.get(name), self.notes.get(name)) if found]
        read = {used for template in templates for used in template.names}
        return frozenset(used for used in read if used[0] in CUSTOMER_NAMESPACES) | ALWAYS_READ

    def compose_all(self) -> Iterator[Problem]:
        """Put every mail together in every language; what goes wrong with any of them."""
        for mail in self.mails.values():
            for variant in mail.variants:
                try:
                    variant.composed  # noqa: B018 - made now rather than when a customer waits for it
                except CannotCompose as fault:
                    yield fault.problem

    def check_note(self, name: str, provided: Mapping[str, Collection[str]]) -> list[Problem]:
        """Problems of a note with these values: names nobody provides. A mail serves as one too, by its text part."""
        if name not in self.notes:
            return self.check(name, "note", provided)
        return _unprovided(self.notes[name].names, {"links": LINKS, "workspace": WORKSPACE, **provided})

    def check(self, name: str, class_: str, provided: Mapping[str, Collection[str]]) -> list[Problem]:
        """Problems of sending this mail as `class_` with these values: names nobody provides, missing marketing parts.

        `provided`: namespace -> names. Links and workspace values are known here and need not be given.
        """
        mail = self.mails[name]
        known: dict[str, Collection[str]] = {"links": LINKS, "workspace": WORKSPACE, **provided}
        found = [problem for variant in mail.variants for problem in _unprovided(variant.names, known)]
        if class_ == "marketing":
            found += [problem for variant in mail.written for problem in _missing_for_marketing(variant)]
        return sorted(set(found), key=lambda problem: problem.order)


def _unprovided(names: Mapping[Name, tuple[str, int]], known: Mapping[str, Collection[str]]) -> list[Problem]:
    return [
        Problem(
            *place, None, "HF514", f'"{space}.{name}" is provided by nobody',
            "expected a name this rule and the tables have", did_you_mean(name, known.get(space, ())),
        )
        for (space, name), place in names.items()
        if name not in known.get(space, ())
    ]  # fmt: skip


def _missing_for_marketing(variant: Variant) -> list[Problem]:
    problems = []
    for name, what in _MARKETING:
        parts = [
            part for part, shown in zip(("HTML", "text"), variant.composed.shown, strict=True) if name not in shown
        ]
        if parts:
            found = f"a marketing mail whose {' and '.join(parts)} lacks {what}"
            expected = "every marketing mail has it; its layout is a good place"
            problems.append(Problem(variant.path, None, None, "HF509", found, expected))
    return problems
