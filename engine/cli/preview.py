"""`preview` and `send-test`: mails to look at, on the screen, as files, side by side in a page, or in one's own inbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.addresses import AddressError, parse_address
from engine.api import Project
from engine.channels.mime import mime_bytes
from engine.cli.command import DONE, HELD, SOME_FAILED, UNAVAILABLE, RequestError, command
from engine.cli.gallery import gallery_page
from engine.cli.looks import headers, heading, mailbox_text, remarks, sizes
from engine.cli.opening import find_state, open_project, open_state, require_known
from engine.cli.screen import Screen
from engine.cli.sent import tell_test_mode
from engine.cli.wording import number_of
from engine.clock import utc_now
from engine.delivery import marked
from engine.messages import Mail, Note
from engine.messages.locales import canonical
from engine.preview import Look, Looker, Person, looker, person_of
from engine.project.rules import Rule
from engine.sending import TestSent, send_test
from engine.store import Store, customer_key

Customer = Annotated[
    str | None, typer.Option("--customer", metavar="C", help="with this customer's values, not made-up ones")
]
Locale = Annotated[
    str | None, typer.Option("--locale", metavar="L", help="in this language: he, pt-BR (default: the customer's)")
]
StepNumber = Annotated[
    int | None, typer.Option("--step", min=1, metavar="N", help="only the rule's N-th step, counted from 1")
]

_GALLERY = Path("preview")
_EXIT_CODES = {"accepted": DONE, "paused": HELD, "held": HELD, "channel_down": UNAVAILABLE, "not_sent": UNAVAILABLE}
_OUTCOMES = {
    "accepted": ("sent", "green"), "suppressed": ("not sent: the address is suppressed", "red"),
    "refused": ("refused", "red"), "failed": ("cannot be made", "red"), "cancelled": ("stopped", "red"),
    "expired": ("stopped: it waited too long", "red"), "held": ("held", "yellow"), "paused": ("held", "yellow"),
    "in_doubt": ("may have been sent; look into the inbox", "yellow"),
    "channel_down": ("not sent: the channel is unavailable", "red"), "not_sent": ("not sent; try again", "red"),
}  # fmt: skip


@command
def preview(
    screen: Screen,
    rule: Annotated[str | None, typer.Argument(metavar="[RULE]", help="a rule's id; optional with --gallery")] = None,
    customer: Customer = None,
    locale: Locale = None,
    step: StepNumber = None,
    all_locales: Annotated[bool, typer.Option("--all-locales", help="in every language the mails have")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="write .html, .txt and .eml files into this folder")
    ] = None,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="write one page with the mails side by side: light, dark, phone")
    ] = False,
) -> int:
    """Show a rule's mails as they would come out, for a made-up customer or a real one. Nothing is sent or written.

    JSON: `mails` (rule, step, variant, template, language, falls_back, customer, found; from, reply_to, to, subject,
    preheader, headers, html, text, html_bytes, text_bytes, warnings: code, found, expected; or for a note title, text;
    or failure), `files`, `gallery` (path or null).
    """
    if rule is None and not gallery:
        raise RequestError("expected a rule; `holdfast preview --gallery` shows the mails of all of them")
    if locale is not None and all_locales:
        raise RequestError("--locale and --all-locales exclude one another")
    project = open_project(screen)
    rules = [_rule(project, rule, step)] if rule else list(project.rules)
    with screen.meter() as meter:
        meter.stage("looking at the tables")
        with find_state(project) as store, _looks_at(project, store, rules, customer) as (look_at, people):
            looks: list[Look] = []
            for done, one in enumerate(rules):
                meter.part("rendering", done, len(rules))
                number = step - 1 if step else None
                wanted = _language(locale)
                looks += look_at.looks(one, people.get(one.id), step_no=number, locale=wanted, all_locales=all_locales)
    folder = (out or _GALLERY) if gallery else out
    files = _write_files(out, looks, all_locales or locale is not None) if out and not gallery else []
    page = _write_gallery(folder, project, looks) if folder and gallery else None
    screen.emit({"mails": [_document(look) for look in looks], "files": files, "gallery": page})
    if page is not None:
        screen.say(f"{number_of(len(looks), 'mail')} side by side: ", (str(page), "bold"))
    for look in looks if page is None else ():
        _show(screen, look)
    if files:
        screen.title(f"Written to {out}")
        for file in files:
            screen.say(f"  {file.name}")
    return _tell_failures(screen, looks)


@command
def try_sending(
    screen: Screen,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="a rule's id")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="who gets it: you")],
    customer: Customer = None,
    locale: Locale = None,
    step: StepNumber = None,
) -> int:
    """Send a rule's mails to an address of your own, the way every mail goes; it counts for nobody.

    JSON: `sent` (rule, step, variant, template, subject, to, outcome, reason, provider_id), `notes_left_out`
    (how many steps are no mail).
    """
    project = open_project(screen)
    chosen = _rule(project, rule, step)
    address = _address(to)
    with screen.meter() as meter:
        meter.stage("looking at the tables")
        with find_state(project) as known, _looks_at(project, known, [chosen], customer) as (look_at, people):
            number = step - 1 if step else None
            looks = list(look_at.looks(chosen, people.get(rule), step_no=number, locale=_language(locale)))
    mails = [look for look in looks if not isinstance(look.content, Note)]
    if not mails:
        raise RequestError("there is no mail in it: it tells the company's own people; `holdfast preview` shows it")
    if code := _tell_failures(screen, mails):
        return code
    tell_test_mode(screen, project.settings)
    with open_state(screen, project.settings, create=True) as store:
        sent = [(look, send_test(project, store, look, address)) for look in mails]
    left_out = len(looks) - len(mails)
    screen.emit({"sent": [_sent_document(look, address, one) for look, one in sent], "notes_left_out": left_out})
    for look, one in sent:
        _show_sent(screen, project, look, address, one)
    if left_out:
        screen.say((f"{number_of(left_out, 'step')} left out: no mail to a customer", "dim"))
    return max(_EXIT_CODES.get(one.outcome, SOME_FAILED) for _, one in sent)


# What is asked for.


def _rule(project: Project, name: str, step: int | None) -> Rule:
    require_known(name, [rule.id for rule in project.rules], "rule")
    found = next(rule for rule in project.rules if rule.id == name)
    if step is not None and step > len(found.steps):
        raise RequestError(f"rule {name} has {number_of(len(found.steps), 'step')}; there is no step {step}")
    return found


def _language(locale: str | None) -> str | None:
    if locale is None:
        return None
    tag = canonical(locale)
    if tag is None:
        raise RequestError(f'--locale "{locale}" is not a language; expected a code such as he or pt-BR')
    return tag


def _address(text: str) -> str:
    try:
        return parse_address(text)
    except AddressError as error:
        raise RequestError(f"--to is not an address: {error}") from None


@contextmanager
def _looks_at(
    project: Project, store: Store | None, rules: Sequence[Rule], customer: str | None
) -> Iterator[tuple[Looker, dict[str, Person]]]:
    """What looks at the mails of these rules, and the customer as each rule sees them."""
    now = utc_now()
    people: dict[str, Person] = {}
    if customer is not None:
        _refuse_erased(project, store, customer)
        for rule in rules:
            person = person_of(project, store, rule, customer, now)
            if person is None:
                raise RequestError(f'there is no customer "{customer}" in the customers table')
            people[rule.id] = person
    with looker(project, rules, now) as look_at:
        yield look_at, people


def _refuse_erased(project: Project, store: Store | None, customer: str) -> None:
    key = customer_key(project.settings.signing_secret(live=project.live), customer)
    if store is not None and any(entry.kind == "erased" for entry in store.suppressions.of(key)):
        raise RequestError(f'customer "{customer}" has asked to be forgotten; nothing of theirs is shown')


# On the screen.


def _show(screen: Screen, look: Look) -> None:
    template = look.specimen.template
    screen.say((heading(look), "bold"), (f"  {template}" if template != look.step.id else "", "dim"))
    for remark in remarks(look):
        screen.say("  ", ("! ", "yellow"), remark)
    content = look.content
    if isinstance(content, Note):
        screen.say("  ", ("Note, in the company's language", "dim"))
        screen.say("  ", ("Title        ", "dim"), content.title)
        _indented(screen, content.text)
    elif content is not None:
        rows = [*headers(content), ("Size", sizes(content))]
        width = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            screen.say("  ", (name.ljust(width), "dim"), value)
        for finding in look.findings:
            screen.say("  ", ("! ", "yellow"), f"{finding.found}; {finding.expected} [{finding.code}]")
        _indented(screen, content.text)


def _indented(screen: Screen, text: str) -> None:
    screen.say()
    for line in text.rstrip("\n").split("\n"):
        screen.say(f"    {line}" if line else "")
    screen.say()


def _tell_failures(screen: Screen, looks: Sequence[Look]) -> int:
    failed = [look for look in looks if look.failure]
    for look in failed:
        screen.warn((heading(look), "bold"), " cannot be made: ", (str(look.failure), "red"))
    return SOME_FAILED if failed else DONE


def _show_sent(screen: Screen, project: Project, look: Look, address: str, sent: TestSent) -> None:
    words, style = _OUTCOMES.get(sent.outcome, (sent.outcome, "red"))
    folders = [
        project.root / model.path for name, model in project.settings.channels.items()
        if name == look.step.channel and project.settings.uses[name] == "outbox_dir"
    ]  # fmt: skip
    place = f": {folders[0] / sent.provider_id}" if folders and sent.provider_id else ""
    why = f" ({sent.reason})" if sent.reason else ""
    screen.say((heading(look), "bold"), f" to {address}: ", (words, style), f"{why}{place}")


# Documents and files.


def _document(look: Look) -> dict[str, object]:
    about: dict[str, object] = {
        "rule": look.rule.id, "step": look.step.no + 1, "variant": look.variant, "template": look.specimen.template,
        "language": look.tag, "falls_back": look.falls_back,
        "customer": look.person.customer_id if look.person else None,
        "found": look.person.is_found if look.person else None,
    }  # fmt: skip
    content = look.content
    if isinstance(content, Note):
        return about | {"title": content.title, "text": content.text}
    if content is None:
        return about | {"failure": look.failure}
    return about | {
        "from": mailbox_text(content.sender), "reply_to": mailbox_text(content.reply_to) if content.reply_to else None,
        "to": mailbox_text(content.to), "subject": content.subject, "preheader": content.preheader,
        "headers": dict(content.headers), "html": content.html, "text": content.text,
        "html_bytes": len(content.html.encode()), "text_bytes": len(content.text.encode()),
        "warnings": [vars(finding) for finding in look.findings],
    }  # fmt: skip


def _sent_document(look: Look, address: str, sent: TestSent) -> dict[str, object]:
    subject = marked(look.content.subject) if isinstance(look.content, Mail) else None
    return {
        "rule": look.rule.id, "step": look.step.no + 1, "variant": look.variant, "template": look.specimen.template,
        "subject": subject, "to": address, **vars(sent),
    }  # fmt: skip


def _write_files(folder: Path, looks: Sequence[Look], with_locale: bool) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for look in looks:
        parts = [look.rule.id, str(look.step.no + 1), look.variant, look.tag if with_locale else None]
        name = "-".join(part for part in parts if part)
        if isinstance(look.content, Note):
            files.append(_write(folder / f"{name}.txt", f"{look.content.title}\n\n{look.content.text}".encode()))
        elif look.content is not None:
            files.append(_write(folder / f"{name}.html", look.content.html.encode()))
            files.append(_write(folder / f"{name}.txt", look.content.text.encode()))
            files.append(_write(folder / f"{name}.eml", mime_bytes(look.content, {})))
    return files


def _write_gallery(folder: Path, project: Project, looks: Sequence[Look]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return _write(folder / "index.html", gallery_page(project.settings.workspace.name, looks).encode())


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
