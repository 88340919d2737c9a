"""From the texts of a project's template files to `Templates`, with everything wrong with them found on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from engine.errors import Problem, SetupError, did_you_mean
from engine.messages.catalogues import Catalogues
from engine.messages.composing import CannotCompose, Composer, MailSource
from engine.messages.grammar import CUSTOMER_NAMESPACES, NAMESPACES, TOP_NAMES, Name
from engine.messages.header_text import HeaderTextError, one_line
from engine.messages.locales import canonical, chain
from engine.messages.merging import Tongue
from engine.messages.shelf import File, Sheet, Shelf
from engine.messages.templates import LINKS, WORKSPACE, MailTemplate, NoteTemplate, Templates, Variant
from engine.messages.translation import Message
from engine.project.types import DayCount, StrictModel
from engine.project.yaml_source import validate

_MAIL = re.compile(r"(?!layouts/)(?P<name>.+)/mail\.(?:html|mjml)\Z")
_TRANSLATED_MAIL = re.compile(r"(?!layouts/)(?P<name>.+)/mail\.(?P<tag>[^/]+)\.(?:html|mjml|txt)\Z")
_NOTE = re.compile(r"(?!layouts/)(?P<name>.+)/note\.txt\Z")
_FRONT_NAMES = frozenset({*NAMESPACES, "lang", "dir"})


class FrontMatter(StrictModel):
    """What stands between the two `---` lines at the head of a mail."""

    subject: str
    preheader: str = ""
    reply_to: str | None = None


class NoteFrontMatter(StrictModel):
    """What stands between the two `---` lines at the head of a note."""

    title: str
    assignee: str | None = None
    due_in: DayCount | None = None


@dataclass(frozen=True)
class _Reading:
    """A mail's or note's files in one language: those it names and all they draw in, and what stands at its head."""

    file: File
    front: Mapping[str, Sheet]
    drawn: Sequence[File]

    @property
    def names(self) -> dict[Name, tuple[str, int]]:
        """The values read, with the place of the first use."""
        found: dict[Name, tuple[str, int]] = {}
        for path, sheet in self._sheets:
            for name, line in sheet.reading.names.items():
                found.setdefault(name, (path, line))
        return found

    @property
    def messages(self) -> list[tuple[str, Message]]:
        """Everything to be translated, with its path."""
        return [(path, message) for path, sheet in self._sheets for message in sheet.reading.messages]

    @property
    def _sheets(self) -> Iterator[tuple[str, Sheet]]:
        for file in self.drawn:
            yield file.path, file.sheet
        for sheet in self.front.values():
            yield self.file.path, sheet


def load_templates(files: Mapping[str, str], *, default_locale: str) -> Templates:
    """Read all templates among `files` (path in the project -> text; other files are passed over).

    `default_locale` is the language of the texts without one in their name: the workspace's. Raises SetupError with
    every problem of every template.
    """
    shelf, catalogues = Shelf(files), Catalogues(files)
    loader = _Loader(shelf, catalogues, canonical(default_locale) or "en")
    mails = {mail.name: mail for mail in loader.mails()}
    loader.warn_of_beginnings(mails.values())
    notes = dict(loader.notes())
    problems = {
        *loader.problems,
        *catalogues.problems,
        *(one for file in shelf.files.values() for one in file.problems),
    }
    if any(problem.severity == "error" for problem in problems):
        raise SetupError(problems)
    return Templates(mails, problems, notes)


class _Lacking(Exception):  # noqa: N818 - a signal inside this file
    """A mail cannot be read; its problems are noted."""


class _Loader:
    """Finds the mails of a shelf and the languages each can be sent in."""

    def __init__(self, shelf: Shelf, catalogues: Catalogues, default_tag: str) -> None:
        self.shelf, self.catalogues, self.default_tag = shelf, catalogues, default_tag
        self.composer = Composer(shelf)
        self._fixed_words: dict[str, bool] = {}
        self.problems: set[Problem] = set()

    def mails(self) -> Iterator[MailTemplate]:
        """Every folder with a `mail.html` or `mail.mjml`."""
        seen: set[str] = set()
        for file in list(self.shelf.files.values()):
            match = _MAIL.fullmatch(file.name)
            if match is None:
                self._refuse_orphan(file)
            elif match["name"] in seen:
                self._note(file, None, "HF510", "a second mail in this folder", "keep one of mail.html and mail.mjml")
            else:
                seen.add(match["name"])
                mail = self._mail(match["name"], file)
                if mail:
                    yield mail

    def notes(self) -> Iterator[tuple[str, NoteTemplate]]:
        """Every folder with a `note.txt`."""
        for file in list(self.shelf.files.values()):
            match = _NOTE.fullmatch(file.name)
            note = self._note_template(file) if match else None
            if match and note:
                yield match["name"], note

    def _note_template(self, file: File) -> NoteTemplate | None:
        tongue = Tongue(self.default_tag)
        try:
            front, reading = self._read(file, None, NoteFrontMatter, "title", self.default_tag)
            self._know_names(reading.names)
            made = {key: self.composer.line(file, sheet, tongue) for key, sheet in reading.front.items()}
            text = self.composer.text(file, tongue)
        except _Lacking:
            return None
        except CannotCompose as fault:
            self.problems.add(fault.problem)
            return None
        due_in = front.due_in if isinstance(front, NoteFrontMatter) else None
        return NoteTemplate(file.path, made["title"], made.get("assignee"), due_in, text, reading.names)

    def _refuse_orphan(self, file: File) -> None:
        match = _TRANSLATED_MAIL.fullmatch(file.name)
        if match is None:
            return
        tag = canonical(match["tag"])
        mails = self._mail_files(match["name"])
        if tag is None:
            found = f'unknown language "{match["tag"]}"'
            self._note(file, None, "HF510", found, "expected a code such as de, he or pt-BR")
        elif not any(name in self.shelf.files for name in mails):
            self._note(file, None, "HF510", "a translation without a default", "expected mail.html beside it")
        elif file.name.endswith(".txt") and tag not in self.shelf.locales_of(*mails):
            expected = f"expected mail.{match['tag']}.html beside it"
            self._note(file, None, "HF510", "a text part without its HTML", expected)

    def _mail_files(self, name: str) -> tuple[str, str]:
        return f"{name}/mail.html", f"{name}/mail.mjml"

    def _note(
        self, file: File, line: int | None, code: str, found: str, expected: str, suggestion: str | None = None
    ) -> None:
        self.problems.add(Problem(file.path, line, None, code, found, expected, suggestion))

    def _mail(self, name: str, file: File) -> MailTemplate | None:
        text = self.shelf.files.get(f"{name}/mail.txt")
        default = self._default(file, text)
        translations = {}
        for tag, path in sorted(self.shelf.locales_of(*self._mail_files(name)).items()):
            own_text = self.shelf.locales_of(f"{name}/mail.txt").get(tag)
            variant = self._translation(self.shelf.files[path], self.shelf.files.get(own_text or ""), tag, default)
            if variant:
                translations[tag] = variant
        if default is None:
            return None
        for tag in self.catalogues.by_tag:
            if tag not in translations and self._speaks(default[1], tag, text):
                translations[tag] = self._variant(file, text, default[1], tag)
        return MailTemplate(name, default[0], translations, tuple(default[1].messages))

    def _default(self, file: File, text: File | None) -> tuple[Variant, _Reading] | None:
        """The mail in its authors' language, put together to see that it can be."""
        try:
            _, reading = self._read(file, text, FrontMatter, "subject", self.default_tag)
        except _Lacking:
            return None
        self._know_names(reading.names)
        variant = self._variant(file, text, reading, self.default_tag, source=True)
        return (variant, reading) if self._is_composed(variant) else None

    def _translation(
        self, file: File, text: File | None, tag: str, default: tuple[Variant, _Reading] | None
    ) -> Variant | None:
        """A mail with files of its own for a language; None where it may not be used."""
        try:
            _, reading = self._read(file, text, FrontMatter, "subject", tag)
        except _Lacking:
            return None
        self._know_names(reading.names)
        variant = self._variant(file, text, reading, tag)
        if default is None or not self._is_whole(reading, default[0], variant, tag):
            return None
        return variant if self._is_composed(variant) else None

    def _variant(self, file: File, text: File | None, reading: _Reading, tag: str, *, source: bool = False) -> Variant:
        tongue = Tongue(tag) if source else Tongue(tag, partial(self.catalogues.words, tag))
        made = MailSource(file, text, dict(reading.front))
        return Variant(
            file.path, tag, text is None, reading.names, partial(self.composer.mail, made, tongue),
            partial(self.composer.line, file, reading.front["subject"], tongue),
        )  # fmt: skip

    def _is_composed(self, variant: Variant) -> bool:
        try:
            return variant.composed is not None
        except CannotCompose as fault:
            self.problems.add(fault.problem)
            return False

    def _read(
        self, file: File, text: File | None, model: type[StrictModel], first: str, tag: str
    ) -> tuple[StrictModel, _Reading]:
        """A mail's or note's files in a language. Raises _Lacking, with the problems noted."""
        given = self._front(file, model, first)
        drawn = [one for part in (file, text) if part for one in self._part(part, tag)]
        if given is None:
            raise _Lacking
        return given[0], _Reading(file, given[1], drawn)

    # Languages.

    def _speaks(self, reading: _Reading, tag: str, own_text: File | None) -> bool:
        """Whether a language's catalogue has every word of a mail."""
        if not reading.messages or self._has_foreign_words(reading, own_text, tag):
            return False
        return all(self.catalogues.words(tag, message) for _, message in reading.messages)

    def warn_of_beginnings(self, mails: Collection[MailTemplate]) -> None:
        """A warning for each mail of whose own texts most are translated, and not all: something was overlooked."""
        uses = Counter(key for mail in mails for key in {message.key for _, message in mail.messages})
        for mail, tag in product(mails, self.catalogues.by_tag):
            texts = {message.key: message for _, message in mail.messages}
            own = [one for key, one in texts.items() if uses[key] == 1]
            lacking = [one for one in texts.values() if self.catalogues.words(tag, one) is None]
            begun = [one for one in own if self.catalogues.words(tag, one)]
            if lacking and tag not in mail.translations and 2 * len(begun) > len(own):
                found = f'{mail.default.path}: without words here are {len(lacking)}, such as "{lacking[0].singular}"'
                expected = "until they have, these customers get the whole mail in the default language"
                path = self.catalogues.by_tag[tag].path
                self.problems.add(Problem(path, None, None, "HF512", found, expected, severity="warning"))

    def _has_foreign_words(self, reading: _Reading, own_text: File | None, tag: str) -> bool:
        """Whether something of a mail would stay in the authors' language whatever the catalogue says."""
        foreign = [file for file in reading.drawn if self._is_foreign(file, None, tag)]
        if not foreign or any(self.shelf.locales_of(file.name) for file in reading.drawn):
            return bool(foreign)
        if reading.file.path not in self._fixed_words:  # a file alone does not tell letters of a style from words
            source = MailSource(reading.file, own_text, {})
            self._fixed_words[reading.file.path] = self.composer.has_fixed_words(source, tag)
        return self._fixed_words[reading.file.path]

    def _is_whole(self, reading: _Reading, default: Variant, variant: Variant, tag: str) -> bool:
        """Whether a translation may be used: every value of the default is in it, and all words are of its language."""
        file = reading.file
        for space, name in sorted(default.names.keys() - variant.names.keys()):
            if space in (*CUSTOMER_NAMESPACES, "links"):
                expected = f"expected here too, since {default.path} uses it"
                self._note(file, None, "HF508", f'a translation without "{space}.{name}"', expected)
        foreign = {other.path for other in reading.drawn if self._is_foreign(other, file, tag)}
        foreign |= {path for path, one in reading.messages if path != file.path and not self.catalogues.words(tag, one)}
        for path in sorted(foreign):
            self.problems.add(
                Problem(
                    file.path,
                    None,
                    None,
                    "HF512",
                    f'"{path}" has no text in "{tag}"',
                    "until it has, these customers get the whole mail in the default language",
                    severity="warning",
                )
            )
        return not foreign

    def _is_foreign(self, other: File, mail: File | None, tag: str) -> bool:
        return other is not mail and self.shelf.tags.get(other.name) not in tuple(chain(tag)) and other.has_words

    # Front matter.

    def _front(self, file: File, model: type[StrictModel], first: str) -> tuple[StrictModel, dict[str, Sheet]] | None:
        """What stands at the head of a file: as read, and each of its texts compiled; `first` must not be empty."""
        if file.front is None or not isinstance(file.front.value, dict):
            if not file.problems:
                expected = f"expected --- and a {first} at the head of the file"
                what = "a mail" if first == "subject" else "a note"
                self._note(file, 1, "HF502", f"{what} without front matter", expected)
            return None
        try:
            front = validate(model, file.front, file.path)
        except SetupError as error:
            self.problems |= set(error.problems)
            return None
        sheets = {}
        for key, text in front:
            if not isinstance(text, str):
                continue
            node = file.front.value.get(key)
            sheets[key] = self.shelf.line_of_text(text, file.path, node.line if node else 1)
            self._check_front(file, key, text, sheets[key], node.line if node else 1, required=key == first)
        return (front, sheets) if all(sheet.tree for sheet in sheets.values()) else None

    def _check_front(self, file: File, key: str, text: str, sheet: Sheet, line: int, *, required: bool) -> None:
        self.problems |= set(sheet.reading.problems)
        self._refuse_free(file, sheet, _FRONT_NAMES, sheet.reading.set_here)
        try:
            if text or required:
                one_line(text, key)
        except HeaderTextError as fault:
            self._note(file, line, "HF502", str(fault), "expected one line of text")

    # Bodies.

    def _part(self, file: File, tag: str) -> list[File]:
        """A file and all it draws in, the file first. Raises _Lacking, with the problems noted."""
        drawn = list(self._draw_in(file, tag, ()))
        set_somewhere = {name for one in drawn for name in one.sheet.reading.set_here}
        for one in drawn:
            self._refuse_free(one, one.sheet, frozenset(TOP_NAMES), set_somewhere)
        return drawn

    def _draw_in(self, file: File, tag: str, above: tuple[str, ...]) -> Iterator[File]:
        """The file and all it refers to, the file first; each as often as it is referred to."""
        if file.sheet.tree is None:
            self.problems |= set(file.sheet.reading.problems)
            raise _Lacking
        yield file
        for reference in file.sheet.reading.references:
            path = self.shelf.resolve(reference.target, tag)
            if path is None:
                found, guess = f'no file "{reference.target}"', self.shelf.suggestion(reference.target)
                self._note(file, reference.line, "HF506", found, "expected a file under templates/", guess)
                raise _Lacking
            if path in {*above, file.name}:
                found = f'"{reference.target}" comes back to this file'
                self._note(file, reference.line, "HF506", found, "expected no circle")
                raise _Lacking
            if self.shelf.files[path].is_html != file.is_html:
                found = f'"{reference.target}" in a {"mail" if file.is_html else "text"}'
                self._note(file, reference.line, "HF506", found, "expected HTML in HTML, and plain text in plain text")
                raise _Lacking
            for drawn in self._draw_in(self.shelf.files[path], tag, (*above, file.name)):
                its = drawn.sheet.reading
                if not reference.sees_values and (its.names or its.free):
                    self._note(
                        file,
                        reference.line,
                        "HF505",
                        f'"{reference.target}" reads values it cannot see here',
                        "add with context, or hand the values over as arguments",
                    )
                yield drawn

    # Names.

    def _refuse_free(self, file: File, sheet: Sheet, top: frozenset[str], set_somewhere: set[str]) -> None:
        for name in sheet.reading.free - top - set_somewhere:
            line = sheet.reading.lines.get(name)
            self._note(
                file,
                line,
                "HF503",
                f'unknown name "{name}"',
                f"expected one of {', '.join(sorted(top))}",
                did_you_mean(name, top),
            )

    def _know_names(self, names: Mapping[Name, tuple[str, int]]) -> None:
        for (space, name), (path, line) in names.items():
            known = {"links": LINKS, "workspace": WORKSPACE}.get(space)
            if known is not None and name not in known:
                self.problems.add(
                    Problem(
                        path,
                        line,
                        None,
                        "HF503",
                        f'unknown name "{space}.{name}"',
                        f"expected one of {', '.join(sorted(known))}",
                        did_you_mean(name, known),
                    )
                )
