"""The template files of a project: read, checked and compiled once, found again by name and language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, TemplateSyntaxError

from engine.errors import Problem, SetupError, did_you_mean
from engine.messages import grammar
from engine.messages.grammar import Reading
from engine.messages.locales import canonical, chain
from engine.messages.plain_text import text_template, visible_words
from engine.messages.sandbox import MailEnvironment
from engine.project.yaml_source import Node, load_documents

FOLDER = "templates/"
LONGEST_FILE = 256_000  # characters

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_LOCALIZED = re.compile(r"(?P<stem>.+)\.(?P<tag>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)\.(?P<ending>html|txt)\Z")


@dataclass(frozen=True)
class Sheet:
    """One compiled text: a file as HTML, a file as text, the text derived from an HTML file, or a subject."""

    reading: Reading
    code: CodeType | None  # None when it has problems


@dataclass
class File:
    """One file below `templates/`. `path` includes that folder; `name` does not, and is what templates write."""

    name: str
    body: str  # its line numbers are those of the file
    front: Node | None
    html: Sheet | None = None
    text: Sheet | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def path(self) -> str:
        """As the user knows it."""
        return FOLDER + self.name

    def refuse(self, code: str, found: str, expected: str) -> None:
        """Note a problem of the file as a whole."""
        self.problems.append(Problem(self.path, None, None, code, found, expected))

    @property
    def has_words(self) -> bool:
        """Whether it holds words of some language, rather than only structure."""
        if self.name.endswith(".html"):
            return visible_words(self.body)
        return any(character.isalpha() for character in re.sub(r"\{[{%#].*?[}%#]\}", "", self.body, flags=re.DOTALL))


class Shelf:
    """All files, and which of them serves a name in a language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.environments = {html: MailEnvironment(_Nowhere(), html=html) for html in (True, False)}
        self.files: dict[str, File] = {}
        for path in sorted(texts):
            if path.startswith(FOLDER) and path.endswith((".html", ".txt")):
                name = path.removeprefix(FOLDER)
                self.files[name] = self._read(name, texts[path])
        self.tags: dict[str, str] = {}  # file -> the language in its name
        self._localized = self._index()

    def _index(self) -> dict[tuple[str, str], str]:
        """(`layouts/base.html`, `he`) -> `layouts/base.iw.html`."""
        found: dict[tuple[str, str], str] = {}
        for name, file in self.files.items():
            split = _LOCALIZED.fullmatch(name)
            tag = canonical(split["tag"]) if split else None
            if split is None or tag is None:
                continue
            key = (f"{split['stem']}.{split['ending']}", tag)
            if key in found:
                file.refuse("HF510", f'a second text for "{tag}"', f"{FOLDER}{found[key]} is the first; keep one")
            self.tags[name] = tag
            found.setdefault(key, name)
        return found

    def resolve(self, name: str, tag: str) -> str | None:
        """The file that serves `name` in a language: its own, a wider one's, or the one without a language."""
        for wider in chain(tag):
            if (name, wider) in self._localized:
                return self._localized[name, wider]
        return name if name in self.files else None

    def locales_of(self, name: str) -> dict[str, str]:
        """Language -> file, for every localized variant of a file."""
        return {tag: file for (base, tag), file in self._localized.items() if base == name}

    def suggestion(self, name: str) -> str | None:
        """The file name closest to a wrong one."""
        return did_you_mean(name, self.files)

    def _read(self, name: str, text: str) -> File:
        if len(text) > LONGEST_FILE:
            file = File(name, "", None)
            file.refuse("HF510", f"{len(text):,} characters", f"a template may hold {LONGEST_FILE:,}")
            return file
        file = _with_front_matter(name, text.removeprefix("\ufeff"))
        if name.endswith(".html"):
            file.html = self._compile(file.body, file.path, html=True)
            if not file.html.reading.problems:
                file.text = self._derived(file, file.html.reading)
        else:
            file.text = self._compile(file.body, file.path, html=False)
        file.problems += (file.html or file.text or _NO_SHEET).reading.problems
        return file

    def _derived(self, file: File, original: Reading) -> Sheet:
        """The text made from an HTML file; its faults matter only where no `.txt` takes its place."""
        sheet = self._compile(text_template(file.body), file.path, html=False)
        sheet.reading.stand_at(original)
        if sheet.code is None:
            found = "the plain text cannot be derived from this HTML"
            sheet.reading.problems[:] = [
                Problem(file.path, None, None, "HF511", found, "write the text part as a .txt file beside it")
            ]
        return sheet

    def line_of_text(self, text: str, path: str, line: int) -> Sheet:
        """A short text without markup, such as a subject, that begins on `line` of its file."""
        return self._compile("\n" * (line - 1) + text, path, html=False, strip=True)

    def _compile(self, source: str, path: str, *, html: bool, strip: bool = False) -> Sheet:
        environment = self.environments[html]
        try:
            tree = environment.parse(source, path, path)
            if strip:
                _drop_leading_lines(tree)
            reading = grammar.read(tree, path, environment, is_html=html)
            code = None if reading.problems else environment.compile(tree, path, path)
        except TemplateSyntaxError as fault:
            return _unreadable(path, fault.lineno, (fault.message or "a template that cannot be read").rstrip("."))
        except RecursionError:
            return _unreadable(path, None, "nested too deeply")
        return Sheet(reading, code)


_NO_SHEET = Sheet(Reading(), None)


def _unreadable(path: str, line: int | None, found: str) -> Sheet:
    return Sheet(Reading(problems=[Problem(path, line, None, "HF501", found, "expected Jinja")]), None)


def _drop_leading_lines(tree: Any) -> None:
    """Remove the line feeds that only put a text on its own line number."""
    for output in tree.body[:1]:
        first = output.nodes[0] if getattr(output, "nodes", None) else None
        if first is not None and hasattr(first, "data"):
            first.data = first.data.lstrip("\n")


def _with_front_matter(name: str, text: str) -> File:
    match = _FRONT_MATTER.match(text)
    if match is None:
        return File(name, text, None)
    lines = match[0].count("\n")
    file = File(name, "{#" + "\n" * lines + "#}" + text[match.end() :], None)
    try:
        documents = load_documents(match[1], FOLDER + name, 2)
    except SetupError as error:
        file.problems += error.problems
    else:
        file.front = documents[0] if documents else None
    return file


class _Nowhere(BaseLoader):
    """The shared environments only parse and compile."""


class LanguageLoader(BaseLoader):
    """Hands out compiled files, each in the variant that serves one language."""

    def __init__(self, shelf: Shelf, tag: str, sheet_of: Callable[[File], Sheet | None]) -> None:
        self.shelf, self.tag, self.sheet_of = shelf, tag, sheet_of

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - all mails share those of the sandbox
    ) -> Template:
        """Called by Jinja for extends, include and import."""
        resolved = self.shelf.resolve(name, self.tag)
        sheet = self.sheet_of(self.shelf.files[resolved]) if resolved else None
        if sheet is None or sheet.code is None:
            raise TemplateNotFound(name)
        return environment.template_class.from_code(environment, sheet.code, dict(environment.globals))
