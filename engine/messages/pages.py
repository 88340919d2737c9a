"""Our own web pages, rendered: templates that come with the engine, escaped, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from engine.messages.formats import date_text
from engine.messages.locales import canonical, chain, direction
from engine.project.yaml_source import load_documents

Texts = Mapping[str, str]


class Pages:
    """The pages in a folder, with one file of texts for each language under `texts/`.

    `default`: who reads neither language of theirs, nor the workspace's, gets English.
    """

    def __init__(self, folder: Path, default: str) -> None:
        self._environment = _environment(folder)
        self.texts = {path.stem: _read(path) for path in sorted((folder / "texts").glob("*.yaml"))}
        self.default = self._served(default) or "en"

    def language(self, wanted: str | None) -> str:
        """The language that serves a locale."""
        return (wanted and self._served(wanted)) or self.default

    def say(self, language: str, key: str, **values: str) -> str:
        """A text with its values, plain."""
        return self.texts[language][key].format(**values)

    def render(self, name: str, language: str, **values: Any) -> str:
        """A page. Inside it, `say(key, …)` is a text whose inserted values are escaped and set apart for direction."""
        texts = self.texts[language]

        def say(key: str, **inserted: str) -> Markup:
            apart = {name: Markup("<bdi>{}</bdi>").format(value) for name, value in inserted.items()}
            return escape(texts[key]).format(**apart)

        def plain(key: str, **inserted: str) -> str:
            return self.say(language, key, **inserted)

        def day(when: date) -> str:
            return date_text(when, "long", language)

        template = self._environment.get_template(name)
        return template.render(lang=language, dir=direction(language), say=say, plain=plain, day=day, **values)

    def _served(self, wanted: str) -> str | None:
        tag = canonical(wanted)
        return next((wider for wider in chain(tag) if wider in self.texts), None) if tag else None


def page(path: Path, **values: Any) -> str:
    """A page of our own that is not served, escaped, from the template in a file."""
    return _environment(path.parent).get_template(path.name).render(**values)


def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip


def _read(path: Path) -> Texts:
    found = load_documents(path.read_text("utf-8"), path.name)[0].value
    return {key: str(node.value) for key, node in found.items()} if isinstance(found, dict) else {}
