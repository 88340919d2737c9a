"""From the texts of a project's template files to `Templates`, with everything wrong with them found on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import Template

from engine.errors import Problem, SetupError, did_you_mean
from engine.messages.grammar import CUSTOMER_NAMESPACES, NAMESPACES, TOP_NAMES, Name
from engine.messages.header_text import HeaderTextError, one_line
from engine.messages.locales import canonical, chain
from engine.messages.sandbox import MailEnvironment
from engine.messages.shelf import File, LanguageLoader, Sheet, Shelf
from engine.messages.templates import LINKS, WORKSPACE, MailTemplate, NoteTemplate, Templates, Variant
from engine.project.types import DayCount, StrictModel
from engine.project.yaml_source import validate

_MAIL = re.compile(r"(?!layouts/)(?P<name>.+)/mail\.html\Z")
_TRANSLATED_MAIL = re.compile(r"(?!layouts/)(?P<name>.+)/mail\.(?P<tag>[^/]+)\.(?:html|txt)\Z")
_NOTE = re.compile(r"(?!layouts/)(?P<name>.+)/note\.txt\Z")
_FRONT_NAMES = frozenset({*NAMESPACES, "lang", "dir"})

SheetOf = Callable[[File], Sheet | None]


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
class _Part:
    """One file with all files it draws in, in one language."""

    template: Template
    readings: tuple[tuple[File, Sheet], ...]

    @property
    def names(self) -> dict[Name, tuple[str, int]]:
        return {
            name: (file.path, line)
            for file, sheet in reversed(self.readings)
            for name, line in sheet.reading.names.items()
        }


def load_templates(files: Mapping[str, str], *, default_locale: str) -> Templates:
    """Read all templates among `files` (path in the project -> text; other files are passed over).

    `default_locale` is the language of the texts without one in their name: the workspace's. Raises SetupError with
    every problem of every template.
    """
    loader = _Loader(Shelf(files), canonical(default_locale) or "en")
    mails = {mail.name: mail for mail in loader.mails()}
    notes = dict(loader.notes())
    problems = {*loader.problems, *(problem for file in loader.shelf.files.values() for problem in file.problems)}
    if any(problem.severity == "error" for problem in problems):
        raise SetupError(problems)
    return Templates(mails, problems, notes)


class _Lacking(Exception):  # noqa: N818 - a signal inside this file
    """A part cannot be put together; its problems are noted."""


class _Loader:
    """Puts the mails of a shelf together."""

    def __init__(self, shelf: Shelf, default_tag: str) -> None:
        self.shelf, self.default_tag = shelf, default_tag
        self.problems: set[Problem] = set()
        self._environments: dict[tuple[str, bool], MailEnvironment] = {}
        self._drawn: dict[str, list[File]] = {}  # by the path of a mail's HTML: every file that mail is made of

    def mails(self) -> Iterator[MailTemplate]:
        """Every folder with a `mail.html`."""
        for file in list(self.shelf.files.values()):
            match = _MAIL.fullmatch(file.name)
            if match:
                mail = self._mail(match["name"], file)
                if mail:
                    yield mail
            else:
                self._refuse_orphan(file)

    def notes(self) -> Iterator[tuple[str, NoteTemplate]]:
        """Every folder with a `note.txt`."""
        for file in list(self.shelf.files.values()):
            match = _NOTE.fullmatch(file.name)
            note = self._note_template(file) if match else None
            if match and note:
                yield match["name"], note

    def _note_template(self, file: File) -> NoteTemplate | None:
        given = self._front(file, NoteFrontMatter, "title")
        try:
            body = self._part(file, self.default_tag, is_html=False)
        except _Lacking:
            return None
        if given is None:
            return None
        front, sheets = given
        names = body.names | _names_at_head(file, sheets)
        self._know_names(names)
        made = {key: self._template(sheet, self.default_tag, is_html=False) for key, sheet in sheets.items()}
        due_in = front.due_in if isinstance(front, NoteFrontMatter) else None
        return NoteTemplate(file.path, made["title"], made.get("assignee"), due_in, body.template, names)

    def _refuse_orphan(self, file: File) -> None:
        match = _TRANSLATED_MAIL.fullmatch(file.name)
        if match is None:
            return
        tag = canonical(match["tag"])
        if tag is None:
            found = f'unknown language "{match["tag"]}"'
            self._note(file, None, "HF510", found, "expected a code such as de, he or pt-BR")
        elif f"{match['name']}/mail.html" not in self.shelf.files:
            self._note(file, None, "HF510", "a translation without a default", "expected mail.html beside it")
        elif file.name.endswith(".txt") and tag not in self.shelf.locales_of(f"{match['name']}/mail.html"):
            expected = f"expected mail.{match['tag']}.html beside it"
            self._note(file, None, "HF510", "a text part without its HTML", expected)

    def _note(
        self, file: File, line: int | None, code: str, found: str, expected: str, suggestion: str | None = None
    ) -> None:
        self.problems.add(Problem(file.path, line, None, code, found, expected, suggestion))

    def _mail(self, name: str, file: File) -> MailTemplate | None:
        default = self._variant(file, self.default_tag, f"{name}/mail.txt")
        translations = {}
        for tag, path in sorted(self.shelf.locales_of(file.name).items()):
            text_path = self.shelf.locales_of(f"{name}/mail.txt").get(tag)
            variant = self._variant(self.shelf.files[path], tag, text_path)
            if default and variant and self._is_whole(variant, default, tag):
                translations[tag] = variant
        return MailTemplate(name, default, translations) if default else None

    def _variant(self, file: File, tag: str, text_path: str | None) -> Variant | None:
        text_file = self.shelf.files.get(text_path) if text_path else None
        given = self._front(file, FrontMatter, "subject")
        try:
            html = self._part(file, tag, is_html=True)
            text = self._part(text_file or file, tag, is_html=False)
        except _Lacking:
            return None
        if given is None:
            return None
        front = given[1]
        names = html.names | text.names | _names_at_head(file, front)
        self._know_names(names)
        self._drawn[file.path] = [drawn for part in (html, text) for drawn, _ in part.readings]
        made = {key: self._template(sheet, tag, is_html=False) for key, sheet in front.items()}
        return Variant(
            file.path, tag, made["subject"], made["preheader"], made.get("reply_to"), html.template, text.template,
            text_file is None, names, (frozenset(html.names), frozenset(text.names)),
        )  # fmt: skip

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
        return (front, sheets) if all(sheet.code for sheet in sheets.values()) else None

    def _check_front(self, file: File, key: str, text: str, sheet: Sheet, line: int, *, required: bool) -> None:
        self.problems |= set(sheet.reading.problems)
        self._refuse_free(file, sheet, _FRONT_NAMES, sheet.reading.set_here)
        try:
            if text or required:
                one_line(text, key)
        except HeaderTextError as fault:
            self._note(file, line, "HF502", str(fault), "expected one line of text")

    # Bodies.

    def _part(self, file: File, tag: str, *, is_html: bool) -> _Part:
        readings = tuple(self._draw_in(file, tag, _sheets(is_html=is_html), ()))
        set_somewhere = {name for _, sheet in readings for name in sheet.reading.set_here}
        for drawn, sheet in readings:
            self._refuse_free(drawn, sheet, frozenset(TOP_NAMES), set_somewhere)
        root = readings[0][1]
        return _Part(self._template(root, tag, is_html=is_html), readings)

    def _draw_in(self, file: File, tag: str, sheet_of: SheetOf, above: tuple[str, ...]) -> Iterator[tuple[File, Sheet]]:
        """The file and all it refers to, the file first; each as often as it is referred to."""
        sheet = sheet_of(file)
        if sheet is None or sheet.code is None:
            self.problems |= set(sheet.reading.problems if sheet else ())
            raise _Lacking
        yield file, sheet
        for reference in sheet.reading.references:
            path = self.shelf.resolve(reference.target, tag)
            if path is None:
                found, guess = f'no file "{reference.target}"', self.shelf.suggestion(reference.target)
                self._note(file, reference.line, "HF506", found, "expected a file under templates/", guess)
                raise _Lacking
            if path in {*above, file.name}:
                found = f'"{reference.target}" comes back to this file'
                self._note(file, reference.line, "HF506", found, "expected no circle")
                raise _Lacking
            for drawn, its_sheet in self._draw_in(self.shelf.files[path], tag, sheet_of, (*above, file.name)):
                if not reference.sees_values and (its_sheet.reading.names or its_sheet.reading.free):
                    self._note(
                        file,
                        reference.line,
                        "HF505",
                        f'"{reference.target}" reads values it cannot see here',
                        "add with context, or hand the values over as arguments",
                    )
                yield drawn, its_sheet

    def _template(self, sheet: Sheet, tag: str, *, is_html: bool) -> Template:
        environment = self._environment(tag, is_html=is_html)
        if sheet.code is None:
            raise _Lacking
        return environment.template_class.from_code(environment, sheet.code, dict(environment.globals))

    def _environment(self, tag: str, *, is_html: bool) -> MailEnvironment:
        key = (tag, is_html)
        if key not in self._environments:
            loader = LanguageLoader(self.shelf, tag, _sheets(is_html=is_html))
            self._environments[key] = MailEnvironment(loader, html=is_html)
        return self._environments[key]

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

    def _is_whole(self, variant: Variant, default: Variant, tag: str) -> bool:
        """Whether a translation may be used: every value of the default is in it, and all words are of its language."""
        file = self.shelf.files[variant.path.removeprefix("templates/")]
        for space, name in sorted(default.names.keys() - variant.names.keys()):
            if space in (*CUSTOMER_NAMESPACES, "links"):
                expected = f"expected here too, since {default.path} uses it"
                self._note(file, None, "HF508", f'a translation without "{space}.{name}"', expected)
        foreign = sorted(other.path for other in self._drawn[variant.path] if self._is_foreign(other, file, tag))
        for path in foreign:
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

    def _is_foreign(self, other: File, mail: File, tag: str) -> bool:
        return other is not mail and self.shelf.tags.get(other.name) not in tuple(chain(tag)) and other.has_words


def _names_at_head(file: File, front: Mapping[str, Sheet]) -> dict[Name, tuple[str, int]]:
    return {name: (file.path, at) for sheet in front.values() for name, at in sheet.reading.names.items()}


def _sheets(*, is_html: bool) -> SheetOf:
    return (lambda file: file.html) if is_html else (lambda file: file.text)
