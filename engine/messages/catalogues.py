"""The words of other languages: gettext catalogues, `templates/locales/<language>.po`.

They are read as text, one file for each language, so that a translator's change is a line in a review. Only finished
entries count: an empty or fuzzy one is as good as none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as Entry
from babel.messages.pofile import PoFileError, read_po

from engine.errors import Problem
from engine.messages.locales import canonical, chain
from engine.messages.translation import Message, Words, plain, values_in

FOLDER = "templates/locales/"
_TAGS = re.compile(r"</?[A-Za-z][^>]*>")

Key = tuple[str, str | None]


@dataclass
class Catalogue:
    """One language's file. `entries` are by message id and its plural."""

    path: str
    tag: str
    rule: str = "0"
    entries: dict[Key, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def words(self, message: Message) -> Words | None:
        """The finished words for a message."""
        entry = self.entries.get(message.key)
        return None if entry is None or not is_finished(entry) else Words(forms_of(entry), self.rule)


class Catalogues:
    """All languages of a project."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.by_tag: dict[str, Catalogue] = {}
        self.problems: list[Problem] = []
        for path in sorted(files):
            if path.startswith(FOLDER) and path.endswith(".po"):
                self._take(path, files[path])

    def words(self, tag: str, message: Message) -> Words | None:
        """The words of a language, or of a wider one: `pt` serves `pt-BR`."""
        for wider in chain(tag):
            found = self.by_tag[wider].words(message) if wider in self.by_tag else None
            if found:
                return found
        return None

    def _take(self, path: str, text: str) -> None:
        name = path.removeprefix(FOLDER).removesuffix(".po")
        tag = canonical(name)
        if tag is None:
            found = f'unknown language "{name}"'
            self.problems.append(Problem(path, None, None, "HF510", found, "expected a code such as de, he or pt-BR"))
        elif tag in self.by_tag:
            found = f'a second catalogue for "{tag}"'
            self.problems.append(Problem(path, None, None, "HF510", found, f"{self.by_tag[tag].path} is the first"))
        else:
            self.by_tag[tag] = catalogue = _read(path, tag, text)
            self.problems += catalogue.problems


def is_finished(entry: Entry) -> bool:
    """Whether somebody has translated it and nobody doubts it."""
    return not entry.fuzzy and bool(entry.string) and all(forms_of(entry))


def forms_of(entry: Entry) -> tuple[str, ...]:
    """Its words, one for each form."""
    return (entry.string,) if isinstance(entry.string, str) else tuple(entry.string or ())


def key_of(entry: Entry) -> Key:
    """The message id and its plural."""
    return (entry.id, None) if isinstance(entry.id, str) else (entry.id[0], entry.id[1])


def parsed(tag: str, text: str) -> Catalog:
    """A catalogue as Babel reads it. Raises PoFileError."""
    return read_po(BytesIO(text.encode()), locale=tag.replace("-", "_"), charset="utf-8", abort_invalid=True)


def _read(path: str, tag: str, text: str) -> Catalogue:
    catalogue = Catalogue(path, tag)
    try:
        found = parsed(tag, text)
    except PoFileError as fault:
        catalogue.problems.append(
            Problem(path, fault.lineno + 1, None, "HF516", f"{fault}", "expected a gettext catalogue")
        )
        return catalogue
    catalogue.rule = found.plural_expr
    for entry in found:
        if entry.id:
            catalogue.entries[key_of(entry)] = entry
            catalogue.problems += _faults(catalogue, entry)
    return catalogue


def _faults(catalogue: Catalogue, entry: Entry) -> Iterator[Problem]:
    """What would make a finished translation say something else than its original."""
    if not is_finished(entry):
        return
    singular, plural = key_of(entry)
    said = forms_of(entry)

    def problem(code: str, found: str, expected: str) -> Problem:
        return Problem(catalogue.path, entry.lineno, None, code, found, expected)

    try:
        wanted = values_in(singular) | values_in(plural or "")
        for words in said:
            has = values_in(words)
            if unknown := sorted(has - wanted):
                yield problem("HF508", f'a translation with "{{{unknown[0]}}}"', "its original has no such value")
            needed = values_in(plural) if plural is not None else wanted
            # The form for one may say "one" in words.
            if missing := sorted(needed - has if plural is None or words == said[-1] else ()):
                yield problem(
                    "HF508", f'a translation without "{{{missing[0]}}}"', "expected, since its original has it"
                )
    except ValueError as fault:
        yield problem("HF516", f"braces that hold no value: {fault}", "double a brace that is meant as such")
        return
    if any(sorted(_TAGS.findall(words)) != sorted(_TAGS.findall(singular)) for words in said) and not plural:
        yield problem("HF516", "a translation with other tags than its original", "expected the same tags")
    if any("{{" in plain(words) or "{%" in words for words in said):
        yield problem("HF513", '"{{" or "{%" as literal text', "it would reach the customer; leave it out")
