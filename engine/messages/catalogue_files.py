"""Catalogues as translators get them: written from the mails, kept up to date, and looked over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from engine.messages.catalogues import FOLDER, forms_of, is_finished, key_of, parsed
from engine.messages.locales import babel_locale
from engine.messages.templates import MailTemplate
from engine.messages.translation import Message

_FLAG = "python-brace-format"
_HINT = re.compile(r"\{#-?\s*Translators:\s*(.*?)\s*-?#\}", re.DOTALL)
#: Lines of the head that change without anything having changed, or that name a tool.
_UNWANTED_HEAD = re.compile(
    r'^"(?:Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|'
    r'MIME-Version|Generated-By):.*\n', re.MULTILINE
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """How far a language is."""

    tag: str
    path: str
    complete: tuple[str, ...]  # mails that can be sent in it
    missing: tuple[str, ...]  # message ids
    fuzzy: tuple[str, ...]
    unused: tuple[str, ...]
    blocked: tuple[str, ...]  # mails that lack no text and cannot be sent in it: they have words outside trans


def path_of(tag: str) -> str:
    """Where the catalogue of a language is, in the project."""
    return f"{FOLDER}{tag}.po"


def updated(tag: str, text: str | None, mails: Iterable[MailTemplate], files: Mapping[str, str]) -> str:
    """The catalogue of a language with every text of these mails in it, in the order of their files.

    What was translated stays; what is like a text that is gone is kept as fuzzy; what no mail uses any more stands at
    the end, commented out. `text`: the catalogue as it is. Gives the same again for the same mails.
    """
    now = _template(mails, files)
    kept = parsed(tag, text) if text else Catalog(locale=tag.replace("-", "_"))
    kept.update(now)
    for entry in kept:
        _flag(entry.flags)
    kept.fuzzy = False
    kept.header_comment = f"# Texts of the mails in {babel_locale(tag).get_display_name('en')}."
    written = BytesIO()
    write_po(written, kept, width=120, include_lineno=False)
    return _UNWANTED_HEAD.sub("", written.getvalue().decode())


def standing(tag: str, text: str, mails: Iterable[MailTemplate]) -> Standing:
    """What a catalogue has and lacks."""
    mails = list(mails)
    wanted = {message.key: message for mail in mails for _, message in mail.messages}
    entries = {key_of(entry): entry for entry in parsed(tag, text) if entry.id}
    fuzzy = [key for key in wanted if key in entries and entries[key].fuzzy]
    missing = [key for key in wanted if key not in fuzzy and (key not in entries or not is_finished(entries[key]))]
    unused = [key for key in entries if key not in wanted and any(forms_of(entries[key]))]
    complete = [mail.name for mail in mails if tag in mail.translations]
    lacking = {*missing, *fuzzy}
    blocked = [
        mail.name
        for mail in mails
        if tag not in mail.translations and not any(message.key in lacking for _, message in mail.messages)
    ]
    return Standing(
        tag,
        path_of(tag),
        tuple(complete),
        missing=tuple(key[0] for key in missing),
        fuzzy=tuple(key[0] for key in fuzzy),
        unused=tuple(key[0] for key in unused),
        blocked=tuple(blocked),
    )


def _template(mails: Iterable[MailTemplate], files: Mapping[str, str]) -> Catalog:
    found: dict[tuple[str, str | None], list[tuple[str, Message]]] = {}
    for mail in mails:
        for path, message in mail.messages:
            found.setdefault(message.key, []).append((path, message))
    catalog = Catalog()
    for (singular, plural), places in found.items():
        hints = dict.fromkeys(hint for path, message in places if (hint := _hint(files[path], message.line)))
        paths = dict.fromkeys(path for path, _ in places)
        catalog.add(
            singular if plural is None else (singular, plural), locations=[(path, 0) for path in paths],
            auto_comments=list(hints),
        )  # fmt: skip
    return catalog


def _flag(flags: set[str]) -> None:
    flags.discard("python-format")  # Babel takes "50% of" for one
    flags.add(_FLAG)


def _hint(text: str, line: int) -> str:
    """What the author tells translators in a comment that ends on the line of a text or the one before."""
    for hint in _HINT.finditer(text):
        if line - 1 <= text.count("\n", 0, hint.end()) + 1 <= line:
            return " ".join(hint[1].split())
    return ""
