"""From an outbox row to a finished mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from jinja2 import Template, TemplateError

from engine.addresses import AddressError, Mailbox, parse_address, parse_mailbox
from engine.messages.bounds import LONGEST_TEXT, BoundExceeded, rendering
from engine.messages.clicks import KeepLinks, through_us
from engine.messages.composing import CannotCompose
from engine.messages.formats import FormatError
from engine.messages.header_text import HeaderTextError, checked_line, display_name, single_line
from engine.messages.links import PATHS, Links
from engine.messages.locales import direction
from engine.messages.mail import Mail, RenderFailed
from engine.messages.note import Note
from engine.messages.plain_text import tidy
from engine.messages.templates import MailTemplate, Templates
from engine.messages.values import AttributeText, ValueFault, Values, unpack

#: What a template or its values can bring about. Anything else is a fault of the engine and is not caught here.
_FAULTS = (
    CannotCompose, TemplateError, ValueFault, FormatError, HeaderTextError, AddressError,
    ArithmeticError, TypeError, ValueError, LookupError, RecursionError, MemoryError,
)  # fmt: skip


class MessageRow(Protocol):
    """What rendering reads of an outbox row."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def template(self) -> str: ...  # noqa: D102
    @property
    def snapshot_sha(self) -> str: ...  # noqa: D102
    @property
    def class_(self) -> str: ...  # noqa: D102
    @property
    def recipient(self) -> str: ...  # noqa: D102
    @property
    def zone(self) -> str: ...  # noqa: D102
    @property
    def values_json(self) -> str: ...  # noqa: D102


class NoteRow(MessageRow, Protocol):
    """What a note tells besides."""

    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def step(self) -> str: ...  # noqa: D102
    @property
    def customer_id(self) -> str: ...  # noqa: D102
    @property
    def occurrence(self) -> str: ...  # noqa: D102
    @property
    def topic(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Workspace:
    """What every mail of a workspace shares. `public_url` empty: no links can be made, marketing mail fails."""

    name: str
    locale: str
    currency: str
    timezone: str
    postal_address: str = ""
    public_url: str = ""


@dataclass(frozen=True)
class Sender:
    """From and Reply-To of a class of mail."""

    from_: Mailbox
    reply_to: Mailbox | None = None

    @classmethod
    def of(cls, from_: str, reply_to: str | None = None) -> Sender:
        """Parsed from settings; AddressError for what is not one mailbox."""
        return cls(parse_mailbox(from_), parse_mailbox(reply_to) if reply_to else None)


@dataclass
class Renderer:
    """Renders messages; safe to share between threads.

    `templates_of` gives the pinned templates of a snapshot and is asked once per snapshot. `senders` is by class;
    `legal` uses the service one. `keep_links` stores where the links of marketing mail lead, which then go through us;
    without it they are left alone.
    """

    templates_of: Callable[[str], Templates]
    workspace: Workspace
    senders: Mapping[str, Sender]
    secrets: Sequence[str]
    keep_links: KeepLinks | None = None
    _templates: dict[str, Templates] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._links = Links(self.workspace.public_url, self.secrets) if self.workspace.public_url else None
        shared = {name: value for name, value in vars(self.workspace).items() if isinstance(value, str)}
        self._workspace_values = Values("workspace", shared)

    def render(self, message: MessageRow, now: datetime) -> Mail:
        """The mail of one message, dated `now`. Raises RenderFailed for what is wrong with this message alone."""
        try:
            return self._render(message, now)
        except _FAULTS as fault:
            raise RenderFailed(_reason(fault)) from fault

    def subject(self, message: MessageRow) -> str:
        """The subject alone, of which nothing else needs to be compiled. Raises RenderFailed as `render` does."""
        try:
            values = unpack(message.values_json)
            variant, locale = self._template_of(message).choose(_text(values.get("customer", {}).get("locale")))
            context = self._begin(message, values, variant.tag, locale)
            return checked_line(_line(variant.composed_subject, context), "subject")
        except _FAULTS as fault:
            raise RenderFailed(_reason(fault)) from fault

    def note(self, message: NoteRow, now: datetime) -> Note:
        """The note of one message, dated `now`, in the workspace's language. Raises RenderFailed as `render` does."""
        try:
            return self._note(message, now)
        except _FAULTS as fault:
            raise RenderFailed(_reason(fault)) from fault

    def _note(self, message: NoteRow, now: datetime) -> Note:
        values = unpack(message.values_json)
        own = self.workspace
        rendering.begin(locale=own.locale, zone=own.timezone, currency=own.currency, right_to_left=False)
        context = self._context(message, {"customer": {}, **values}, own.locale, direction(own.locale))
        template = self._templates_of(message).notes.get(message.template)
        if template is None:  # a mail serves as one too: its subject, and its text as the words suggested
            mail = self._template_of(message).default.composed
            context.update(subject=_line(mail.subject, context), preheader="")
            title, text, assignee, due_in = str(context["subject"]), _rendered(mail.text, context), "", None
        else:
            title, text = _line(template.title, context), _rendered(template.text, context)
            assignee = _line(template.assignee, context) if template.assignee else ""
            due_in = template.due_in
        local_date = now.replace(tzinfo=UTC).astimezone(ZoneInfo(own.timezone)).date()
        return Note(
            message.key, message.rule, message.step, message.customer_id, message.occurrence, message.class_,
            message.topic, checked_line(title, "title"), text.strip("\n") + "\n", values, assignee or None, due_in, local_date,
        )  # fmt: skip

    def _render(self, message: MessageRow, now: datetime) -> Mail:
        values = unpack(message.values_json)
        customer = values.setdefault("customer", {})
        variant, locale = self._template_of(message).choose(_text(customer.get("locale")))
        composed = variant.composed
        context = self._begin(message, values, variant.tag, locale)
        sender = self._sender(message.class_)
        subject = checked_line(_line(composed.subject, context), "subject")
        preheader = _line(composed.preheader, context)
        context.update(subject=subject, preheader=preheader)
        html, text = _rendered(composed.html, context), _rendered(composed.text, context)
        headers = self._headers(message, context["links"], html)
        if self.keep_links and self._links and message.class_ == "marketing":
            html = through_us(html, message.key, self._links, self.keep_links)
        return Mail(
            message_key=message.key,
            sender=sender.from_,
            to=Mailbox(display_name(_text(customer.get("name"))), parse_address(message.recipient)),
            reply_to=_reply_to(composed.reply_to, context) or sender.reply_to,
            subject=subject,
            preheader=preheader,
            html=html,
            text=tidy(text) if variant.text_is_derived else text.strip("\n") + "\n",
            message_id=f"<{message.key[:40]}@{sender.from_.address.partition('@')[2]}>",
            date=now,
            headers=headers,
        )

    def _begin(
        self, message: MessageRow, values: Mapping[str, Mapping[str, object]], tag: str, locale: str
    ) -> dict[str, Any]:
        """Start a mail in a language; gives what its templates see."""
        way = direction(tag)
        rendering.begin(locale=locale, zone=message.zone, currency=self.workspace.currency, right_to_left=way == "rtl")
        return self._context(message, {"customer": {}, **values}, tag, way)

    def _templates_of(self, message: MessageRow) -> Templates:
        templates = self._templates.get(message.snapshot_sha)
        if templates is None:
            templates = self._templates[message.snapshot_sha] = self.templates_of(message.snapshot_sha)
        return templates

    def _template_of(self, message: MessageRow) -> MailTemplate:
        templates = self._templates_of(message)
        if message.template not in templates:
            raise ValueFault(f'the template "{message.template}" is not in the snapshot this message was planned with')
        return templates[message.template]

    def _context(
        self, message: MessageRow, values: Mapping[str, Mapping[str, object]], tag: str, way: str
    ) -> dict[str, Any]:
        links: dict[str, object] = (
            {purpose: self._links.url(purpose, message.key) for purpose in PATHS} if self._links else {}
        )
        return {
            "customer": Values("customer", values["customer"]),
            "fact": Values("fact", values.get("fact", {})),
            "subscription": Values("subscription", values.get("subscription", {})),
            "account": Values("account", values.get("account", {})),
            "links": Values("links", links),
            "workspace": self._workspace_values,
            "lang": AttributeText(tag),
            "dir": AttributeText(way),
        }

    def _sender(self, class_: str) -> Sender:
        sender = self.senders.get("marketing" if class_ == "marketing" else "service")
        if sender is None:
            raise ValueFault(f"config.yaml names no sender for {class_} mail")
        return sender

    def _headers(self, message: MessageRow, links: Values, html: str) -> tuple[tuple[str, str], ...]:
        """RFC 8058 one-click headers for marketing, which also must show the same link to the reader."""
        if message.class_ != "marketing":
            return ()
        url = str(links.get("unsubscribe", ""))
        if not url.startswith("https://"):
            raise ValueFault("marketing mail needs workspace.public_url with https, for its unsubscribe link")
        if url not in html:
            raise ValueFault("the mail came out without its unsubscribe link")
        return ("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


def _reason(fault: BaseException) -> str:
    """Why a message failed, in words for the person who wrote the template or owns the data."""
    if isinstance(fault, BoundExceeded | ValueFault | FormatError | HeaderTextError | CannotCompose):
        return str(fault)
    if isinstance(fault, AddressError):
        return f"an address is not usable: {fault}"
    if isinstance(fault, TemplateError):
        return fault.message or "the template cannot be rendered"
    return f"the template cannot be rendered: {type(fault).__name__}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _line(template: Template, context: dict[str, Any]) -> str:
    return single_line(_rendered(template, context))


def _rendered(template: Template, context: dict[str, Any]) -> str:
    """What `Template.render` gives, without its rewriting of the traceback: a message's fault is told in one line."""
    text = "".join(template.root_render_func(template.new_context(context)))
    if len(text) > LONGEST_TEXT:
        raise BoundExceeded(f"the mail is longer than {LONGEST_TEXT} characters")
    return text


def _reply_to(template: Template | None, context: dict[str, Any]) -> Mailbox | None:
    if template is None:
        return None
    text = _rendered(template, context).strip()
    return parse_mailbox(text) if text else None
