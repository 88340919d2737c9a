"""Mails put together at load say exactly what Jinja2 says when it works through the same files for each message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from layered import Layered
from mail_world import front, html_of, load, problems, render

from engine.messages.bounds import rendering
from engine.messages.composing import Composer
from engine.messages.merging import Tongue
from engine.messages.shelf import Shelf
from engine.messages.values import Values

LAYOUT = (
    "<h1>{% block head %}Head{% endblock %}</h1>{% set tone = 'calm' %}\n{% block body %}{% endblock %}\n"
    "{% block foot %}<i>{{ tone }} {{ lang }} {{ dir }}</i>{% endblock %}{{ self.head() }}"
)
PARTS = (
    "{% set colour = 'green' %}\n"
    "{% macro box(words, size=2) %}\n<b class='{{ colour }}' title='{{ size }}'>{{ words }}{{ customer.name }}</b>\n{% endmacro %}"
    "{% macro frame(title) %}{% set title = title ~ '!' %}[{{ title }}{{ caller() }}{{ title }}]{% endmacro %}"
    "{% macro twice(words) %}{{ box(words) }}{{ box(words, 3) }}{% endmacro %}"
)
USE = "{% from 'parts.html' import box, frame, twice with context %}"

BODIES = [
    "plain",
    "{% extends 'layout.html' %}",
    "{% extends 'layout.html' %}{% block body %}x{% set tone = 'loud' %}{{ tone }}{% endblock %}",
    "{% extends 'layout.html' %}{% block head %}<{{ super() }}>{% endblock %}",
    "{% extends 'layout.html' %}{% set word = customer.name %}{% block body %}{{ word }}{{ self.head() }}{% endblock %}",
    USE + "{{ box('a & b') }}{{ box(customer.name, size=5) }}{{ box(words='<x>') }}",
    USE + "{{ twice('w') }}{{ twice(customer.name) }}",
    USE + "{% call frame('t') %}in {{ customer.name }}{% endcall %}",
    USE + "{% set title = 'mine' %}{% call frame('theirs') %}{{ title }}{% endcall %}{{ title }}",
    USE + "{% set colour = 'red' %}{{ box('x') }}{{ colour }}",
    "{% import 'parts.html' as p with context %}{{ p.box('y') }}{{ p.colour }}",
    USE + "{% set b = box('z') %}{{ b }}{{ b | upper }}{{ box(box('inner')) }}",
    "{% include 'foot.html' %}{% set n = 2 %}{% include 'foot.html' %}{{ n }}",
    "{% for i in range(3) %}{{ loop.index }}{% if not loop.last %},{% endif %}{% else %}none{% endfor %}",
    "{% for i in range(0) %}x{% else %}none{% endfor %}",
    USE + "{% for size in range(2) %}{{ box('i', size) }}{{ size }}{% endfor %}",
    "{% set x = 1 %}{% for i in range(2) %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% if fact.n > 2 %}many{% elif fact.n == 2 %}two{% else %}one{% endif %}",
    "{% if lang == 'en' %}a{% elif dir == 'rtl' %}b{% else %}c{% endif %}{{ 'r' if dir == 'rtl' else 'l' }}",
    "{% with a = customer.name, b = 'B' %}{{ a }}{{ b }}{% endwith %}{{ a | default('-') }}",
    "{% set s %}<u>{{ customer.name }}</u>{% endset %}{{ s }}{{ s }}",
    "{% filter upper %}a{{ customer.name }}{% endfilter %}",
    "{% macro own(a, b='d') %}{{ a }}{{ b }}{% endmacro %}{{ own(customer.name) }}{{ own(1, b=2) }}",
    "{% trans %}Hi {{ customer.name }}, <b>welcome</b>{% endtrans %} {{ _('A & B') }}",
    "{% trans who=customer.name, n=fact.n %}{{ who }} has one{% pluralize n %}{{ who }} has {{ n }}{% endtrans %}",
    "{% if customer.none %}x{% else %}y{% endif %}{{ customer.none | default('z') }}",
]  # fmt: skip


def files_of(body: str) -> dict[str, str]:
    return {
        "templates/m/mail.html": front(body), "templates/layout.html": LAYOUT, "templates/parts.html": PARTS,
        "templates/foot.html": "{% set n = 1 %}<p>{{ n }}{{ customer.name }}</p>",
    }  # fmt: skip


def context() -> dict[str, Any]:
    customer = Values("customer", {"name": "<Ann & Bob>", "none": None})
    return {"customer": customer, "fact": Values("fact", {"n": 2}), "lang": "en", "dir": "ltr"}


def said(template: Any) -> str:
    rendering.begin(locale="en", zone="UTC", currency="EUR", right_to_left=False)
    return "".join(template.root_render_func(template.new_context(context())))


@pytest.mark.parametrize("body", BODIES)
def test_a_mail_put_together_says_what_jinja_says(body: str) -> None:
    files = files_of(body)
    composer = Composer(Shelf(files))
    merged = composer.source_html(composer.shelf.files["m/mail.html"], Tongue("en"))
    assert said(merged) == said(Layered(files, "en").template("m/mail.html"))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "a macro that calls itself"),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}", 'a macro called without "a"'),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "a macro called with other arguments than it takes"),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "a macro called with other arguments than it takes"),
        ("{% macro m() %}x{% endmacro %}{{ m() if customer.name else '' }}", "a macro call that only sometimes counts"),
        ("{% block a %}{{ self.a() }}{% endblock %}", 'the block "a" inside itself'),
        ("{{ self.nothing() }}", 'no block "nothing" here'),
        ("{% from 'parts.html' import nothing with context %}{{ nothing() }}", 'no "nothing" in templates/parts.html'),
    ],
)
def test_what_cannot_be_put_together_is_told_with_its_place(body: str, found: str) -> None:
    with pytest.raises(Exception, match=r"templates/m/mail\.html:4: ") as caught:
        load({path.removeprefix("templates/"): text for path, text in files_of(body).items()})
    assert found in str(caught.value)


def test_macros_that_multiply_are_refused_instead_of_filling_the_memory() -> None:
    macros = "".join(
        f"{{% macro m{n} () %}}{{{{ m{n - 1}() }}}}{{{{ m{n - 1}() }}}}{{% endmacro %}}" for n in range(1, 40)
    )
    assert problems({"m/mail.html": front("{% macro m0() %}x{% endmacro %}" + macros + "{{ m39() }}")}) == [
        "m/mail.html:4 HF505"
    ]


# Translations.

RUSSIAN = """msgid ""
msgstr ""
"Language: ru\\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\\n"

msgid "Hello {name},"
msgstr "Здравствуйте, {name}!"

msgid "You have one board."
msgid_plural "You have {count} boards."
msgstr[0] "У вас {count} доска."
msgstr[1] "У вас {count} доски."
msgstr[2] "У вас {count} досок."

msgid "Open"
msgstr "Открыть"
"""
MAIL = front(
    "<p>{% trans %}Hello {{ customer.name }},{% endtrans %}</p>"
    "<p>{% trans count=fact.n %}You have one board.{% pluralize %}You have {{ count }} boards.{% endtrans %}</p>"
    "<a href='https://x.example' title='{{ _('Open') }}'>{{ _('Open') }}</a>",
    "{% trans %}Open{% endtrans %}",
)


def in_russian(files: Mapping[str, str], n: int = 1, locale: str = "ru-RU") -> Any:
    return render(load(files), {"name": "Ann", "locale": locale}, fact={"n": n})


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1 доска"), (21, "21 доска"), (3, "3 доски"), (11, "11 досок"), (25, "25 досок")]
)
def test_a_number_takes_the_form_its_language_has_for_it(n: int, words: str) -> None:
    mail = in_russian({"m/mail.html": MAIL, "locales/ru.po": RUSSIAN}, n)
    assert f"У вас {words}." in mail.html
    assert (mail.subject, "title='Открыть'>Открыть" in mail.html, "Открыть <https" in mail.text) == (
        "Открыть",
        True,
        True,
    )


def test_a_mail_that_lacks_one_text_in_a_language_falls_back_whole() -> None:
    lacking = RUSSIAN.replace('msgstr "Открыть"', 'msgstr ""')
    templates = load({"m/mail.html": MAIL, "locales/ru.po": lacking})
    mail = render(templates, {"name": "Ann", "locale": "ru"}, fact={"n": 3})
    assert (mail.subject, "Hello Ann," in mail.html, "Здрав" in mail.html) == ("Open", True, False)
    assert [one.code for one in templates.warnings] == ["HF512"]
    few = RUSSIAN.replace('msgstr[2] "У вас {count} досок."\n', "")
    assert in_russian({"m/mail.html": MAIL, "locales/ru.po": few}).subject == "Open"
    fuzzy = RUSSIAN.replace('msgid "Open"', '#, fuzzy\nmsgid "Open"')
    assert in_russian({"m/mail.html": MAIL, "locales/ru.po": fuzzy}).subject == "Open"


def test_a_mail_with_words_that_no_catalogue_can_replace_is_never_mixed() -> None:
    mail = in_russian({"m/mail.html": MAIL + "<p>Bye</p>", "locales/ru.po": RUSSIAN})
    assert ("Hello Ann," in mail.html, "Открыть" in mail.html) == (True, False)


def test_a_file_of_its_own_goes_before_the_catalogue() -> None:
    own = front("<p>Привет {{ customer.name }} {{ fact.n }}</p>", "Своё")
    assert in_russian({"m/mail.html": MAIL, "m/mail.ru.html": own, "locales/ru.po": RUSSIAN}).subject == "Своё"


@pytest.mark.parametrize(
    ("change", "code", "found"),
    [
        (("Здравствуйте, {name}!", "Здравствуйте!"), "HF508", 'a translation without "{name}"'),
        (("Здравствуйте, {name}!", "Здравствуйте, {nmae}!"), "HF508", 'a translation with "{nmae}"'),
        (("Здравствуйте, {name}!", "Здравствуйте, {name}! <b>x</b>"), "HF516", "other tags"),
        (("Здравствуйте, {name}!", "Здравствуйте, {name!"), "HF516", "braces that hold no value"),
        (('msgid "Open"', 'garbage\nmsgid "Open"'), "HF516", "gettext catalogue"),
    ],
)  # fmt: skip
def test_a_wrong_translation_does_not_load_and_is_named_with_its_line(
    change: tuple[str, str], code: str, found: str
) -> None:
    with pytest.raises(Exception, match=r"templates/locales/ru\.po:\d+: ") as caught:
        load({"m/mail.html": MAIL, "locales/ru.po": RUSSIAN.replace(*change)})
    assert f"[{code}]" in str(caught.value)
    assert found in str(caught.value)


def test_an_old_language_code_names_the_same_catalogue() -> None:
    hebrew = 'msgid ""\nmsgstr ""\n"Language: he\\n"\n\nmsgid "Hello"\nmsgstr "שלום"\n'
    mail = front("<p dir='{{ dir }}'>{% trans %}Hello{% endtrans %}</p>", "{{ _('Hello') }}")
    for name in ("he", "iw"):
        made = render(load({"m/mail.html": mail, f"locales/{name}.po": hebrew}), {"locale": "iw-IL"})
        assert (made.subject, made.html) == ("שלום", "<p dir='rtl'>שלום</p>")


@pytest.mark.parametrize(
    "body",
    [
        "{% trans %}Hi {% if customer.x %}a{% endif %}{% endtrans %}",
        "{% trans %}{{ customer.a }} {{ fact.a }}{% endtrans %}",
        "{% trans %}{{ 1 + 2 }}{% endtrans %}",
        "{% trans %}a{% pluralize %}b{% endtrans %}",
        "{% trans %}",
        "{% trans a %}x{% endtrans %}",
    ],
)
def test_a_trans_that_translators_could_not_use_is_refused(body: str) -> None:
    assert [one.split(" ")[1] for one in problems({"m/mail.html": front(body)})] == ["HF501"]


def test_words_are_never_put_into_a_tag_where_their_quotes_would_end_it() -> None:
    assert problems({"m/mail.html": front("<p title='{% trans %}x{% endtrans %}'>y</p>")}) == ["m/mail.html:4 HF507"]
    assert "title='it&#39;s'" in html_of("<p title='{{ _(\"it's\") }}'>y</p>")


def test_chinese_sets_no_blank_between_sentences_and_keeps_its_paragraphs() -> None:
    chinese = """msgid ""
msgstr ""
"Language: zh\\n"

msgid "One."
msgstr "一。"

msgid "Two {name}."
msgstr "二 {name}。"
"""
    body = (
        "<p>{% trans %}One.{% endtrans %} {% trans %}Two {{ customer.name }}.{% endtrans %}{% if customer.name %}"
        " {% trans %}One.{% endtrans %}{% endif %}</p><p>{% trans %}One.{% endtrans %}</p>"
    )
    files = {"m/mail.html": front(body, "{{ _('One.') }}"), "locales/zh.po": chinese}
    mail = render(load(files), {"name": "Ann", "locale": "zh-CN"})
    assert mail.html == "<p>一。二 Ann。一。</p><p>一。</p>"
    assert mail.text == "一。二 Ann。一。\n\n一。\n"
