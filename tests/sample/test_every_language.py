"""Every shipped mail in every language it has: what must hold whatever the customer's values are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.messages import Mail
from engine.messages.lint import lint
from engine.messages.made_up import made_up
from engine.messages.plain_text import outline
from engine.messages.translation import parts
from tests.sample.test_mails import NAMES, NOW, RENDERER, TEMPLATES, class_of, values_of

WHOLE = ("bg", "de", "en", "he", "ro", "ru", "zh")
EVERY = [(name, tag) for name, tag in product(NAMES, WHOLE)]
HOSTILE = "Zoë <b>&\"'(Ltd) {{ x }} None nan"
ISOLATE, POP = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def mail_in(name: str, tag: str, changes: Mapping[str, object] | None = None) -> Mail:
    values = made_up(TEMPLATES[name].names, {}, NOW, tag)
    for space in values.values():
        space.update({key: value for key, value in (changes or {}).items() if key in space})
    return RENDERER.render(values_of(name, values["customer"], values["fact"]), NOW)


def said(mail: Mail) -> str:
    return "\n".join((mail.subject, mail.preheader, mail.text, unescape(re.sub(r"<[^>]*>", " ", mail.html))))


@pytest.mark.parametrize(("name", "tag"), EVERY)
def test_every_shipped_mail_is_whole_in_every_shipped_language(name: str, tag: str) -> None:
    mail = mail_in(name, tag)
    assert TEMPLATES[name].choose(tag)[0].tag == tag
    assert f'lang="{tag}" dir="{"rtl" if tag == "he" else "ltr"}"' in mail.html
    assert not re.search(r"\{\{|\{%|⟦|\bNone\b|\bnan\b", said(mail))


@pytest.mark.parametrize(("name", "tag"), [case for case in EVERY if case[1] != "en"])
def test_no_mail_speaks_two_languages(name: str, tag: str) -> None:
    """No stretch of English of three words and more is left, but in values and where both languages say the same."""
    mail = mail_in(name, tag)
    read = " ".join(said(mail).split())
    for _, message in TEMPLATES[name].messages:
        for text in (message.singular, message.plural or ""):
            for literal, _ in parts(text):
                words = " ".join(outline(literal).split())
                if len(words.split()) >= 3:
                    assert words not in read


@pytest.mark.parametrize("tag", WHOLE)
@given(text=st.text(st.sampled_from("<>&\"'{}%()[]אבя😀 abc"), min_size=1, max_size=30), name=st.sampled_from(NAMES))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_customers_text_becomes_markup_or_reaches_the_mail_unescaped(tag: str, text: str, name: str) -> None:
    mail = mail_in(name, tag, {"first_name": f"<i>{text}", "product": f"<i>{text}", "plan": f"<i>{text}"})
    assert "<i>" not in mail.html
    assert "{{" not in unescape(mail.html).replace(text, "")


@pytest.mark.parametrize("name", [name for name in NAMES if ("customer", "first_name") in TEMPLATES[name].names])
def test_a_latin_name_in_hebrew_keeps_its_brackets(name: str) -> None:
    mail = mail_in(name, "he", {"first_name": HOSTILE})
    assert f"{ISOLATE}{HOSTILE}{POP}" in mail.text
    assert f"{ISOLATE}Zoë &lt;b&gt;&amp;&#34;&#39;(Ltd) {{{{ x }}}} None nan{POP}" in mail.html


@pytest.mark.parametrize(("name", "tag"), EVERY)
def test_nothing_is_left_to_mend_in_any_mail(name: str, tag: str) -> None:
    assert lint(mail_in(name, tag), class_of(name)) == []
