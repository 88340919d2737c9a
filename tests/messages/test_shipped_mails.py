"""The shipped mails, put together once, say to the byte what Jinja2 says that works through all their files each time."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import mrml
import pytest
from jinja2 import Template
from layered import Layered
from test_mjml import Seen

from engine.messages import load_templates
from engine.messages.bounds import rendering
from engine.messages.catalogues import Catalogues
from engine.messages.composing import Composer
from engine.messages.inlining import inlined
from engine.messages.locales import direction
from engine.messages.made_up import made_up
from engine.messages.merging import Tongue
from engine.messages.shelf import Shelf
from engine.messages.values import AttributeText, Values

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "templates").rglob("*.*")}
TEMPLATES = load_templates(FILES, default_locale="en")
CASES = [(name, tag) for name, mail in TEMPLATES.mails.items() for tag in ("en", *mail.translations)]


@cache
def parts() -> tuple[Composer, Catalogues]:
    return Composer(Shelf(FILES)), Catalogues(FILES)


@cache
def layered(tag: str) -> Layered:
    return Layered(FILES, tag)


def said(template: Template, name: str, tag: str) -> str:
    made = made_up(TEMPLATES[name].names, {}, datetime(2026, 11, 22), tag)
    context: dict[str, Any] = {
        space: Values(space, made.get(space, {})) for space in ("customer", "fact", "subscription")
    }
    links = {"unsubscribe": "https://m.example.com/u/x", "preferences": "https://m.example.com/p/x"}
    workspace = {"name": "Corkline & Co", "postal_address": '1 "Road" <b>'}
    context |= {
        "links": Values("links", links), "workspace": Values("workspace", workspace), "lang": AttributeText(tag),
        "dir": AttributeText(direction(tag)), "subject": "A subject's <words>", "preheader": "A preheader",
    }  # fmt: skip
    rendering.begin(locale=tag, zone="Europe/London", currency="EUR", right_to_left=direction(tag) == "rtl")
    return "".join(template.root_render_func(template.new_context(context)))


def file_of(name: str) -> str:
    return TEMPLATES[name].default.path.removeprefix("templates/")


@pytest.mark.parametrize(("name", "tag"), CASES)
def test_a_mail_put_together_is_to_the_byte_what_jinja_makes_of_its_layers(name: str, tag: str) -> None:
    composer, catalogues = parts()
    tongue = Tongue(tag) if tag == "en" else Tongue(tag, lambda message: catalogues.words(tag, message))
    merged = composer.source_html(composer.shelf.files[file_of(name)], tongue)
    ours, jinjas = said(merged, name, tag), said(layered(tag).template(file_of(name)), name, tag)
    # What an author wrote is not set apart in right-to-left mails, even where it is handed to a macro.
    assert ours == jinjas if direction(tag) == "ltr" else bare(ours) == bare(jinjas)


@pytest.mark.parametrize(("name", "tag"), CASES)
def test_compiling_and_inlining_before_rendering_equals_doing_both_after(name: str, tag: str) -> None:
    before = said(TEMPLATES[name].choose(tag)[0].composed.html, name, tag)
    source = said(layered(tag).template(file_of(name)), name, tag)
    after = inlined(mrml.to_html(source, None, mrml.RenderOptions(fonts={})).content)
    assert seen(before, tag) == seen(after, tag)


def seen(html: str, tag: str) -> list[object]:
    """Tags and words; in Chinese without blanks, of which the engine takes away those between sentences."""
    found = Seen(bare(html)).seen
    return [one.replace(" ", "") if isinstance(one, str) and tag == "zh" else one for one in found if one]


def bare(html: str) -> str:
    """Without the marks that set values apart, also as mrml writes them into attributes."""
    return re.sub(r"[\u2068\u2069]|\\u\{206[89]\}", "", html)
