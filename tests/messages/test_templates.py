from __future__ import annotations

import pytest
from mail_world import LAYOUT, body_problems, front, html_of, load, load_mail, problems, render

from engine.errors import SetupError
from engine.messages.mail import RenderFailed

# (body, code): the body begins on line 4 of its file.
REFUSED = [
    ("{% if x %}", "HF501"),
    ("{{ customer.name ", "HF501"),
    ("{% blok a %}", "HF501"),
    ("{{ customr.name }}", "HF505"),
    ("{{ headline }}", "HF503"),
    ("{{ links.unsubscrbe }}", "HF503"),
    ("{{ workspace.secret }}", "HF503"),
    ("{% for x in 'ab' %}{{ loop.indx }}{% endfor %}", "HF503"),
    ("{{ customer.name | upcase }}", "HF504"),
    ("{{ customer.name | safe }}", "HF504"),
    ("{{ customer.name | attr('x') }}", "HF504"),
    ("{{ customer.name | _link }}", "HF504"),
    ("{{ customer.name is odder }}", "HF504"),
    ("{{ lipsum(5) }}", "HF504"),
    ("{{ cycler('a') }}", "HF504"),
    ("{{ joiner() }}", "HF504"),
    ("{{ namespace() }}", "HF504"),
    ("{{ dict(a=1) }}", "HF504"),
    ("{{ fact.a | money }}{{ fact.a | money('EUR', 2) }}", "HF504"),
    ("{{ fact.a | money('EURO') }}", "HF504"),
    ("{{ fact.a | date('tall') }}", "HF504"),
    ("{{ customer }}", "HF505"),
    ("{% for x in customer %}{% endfor %}", "HF505"),
    ("{% set c = customer %}", "HF505"),
    ("{{ customer[fact.x] }}", "HF505"),
    ("{{ customer.__class__ }}", "HF505"),
    ("{{ customer['_x'] }}", "HF505"),
    ("{% set _x = 1 %}", "HF505"),
    ("{% set customer = 1 %}", "HF505"),
    ("{% autoescape false %}{{ customer.x }}{% endautoescape %}", "HF505"),
    ("{% include fact.file %}", "HF505"),
    ("{% include 'layouts/base.html' ignore missing %}", "HF505"),
    ("{{ 2 ** 99 }}", "HF505"),
    ("{{ {'a': 1} }}", "HF505"),
    ("{{ customer.name.upper() }}", "HF505"),
    ("{% for a in [1] recursive %}{% endfor %}", "HF505"),
    ("{% extends 'layouts/bse.html' %}", "HF506"),
    ("{% include '../config.yaml' %}", "HF506"),
    ("{% include 'm/mail.html' %}", "HF506"),
    ("<a href={{ links.unsubscribe }}>x</a>", "HF507"),
    ("<script>var a = '{{ customer.name }}'</script>", "HF507"),
    ("<style>p { color: {{ customer.c }} }</style>", "HF507"),
    ("<p style='color: {{ customer.c }}'>x</p>", "HF507"),
    ("<a onclick='x({{ customer.c }})'>x</a>", "HF507"),
    ("<div {{ customer.x }}>x</div>", "HF507"),
    ("{% raw %}{{ customer.name }}{% endraw %}", "HF513"),
    ("&#123;{ customer.name }}", "HF513"),
    ("{{ '{{ name }}' }}", "HF513"),
    ("<td {% if customer.x %}class='a'>{% else %}>{% endif %}x</td>", "HF517"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED)
def test_what_is_wrong_with_a_template_is_found_when_it_is_loaded(body: str, code: str) -> None:
    assert body_problems(body) == [code] * max(1, len(body_problems(body)))


def test_a_problem_names_file_line_and_the_likely_meaning() -> None:
    with pytest.raises(SetupError) as caught:
        load({"m/mail.html": front("<p>\n{{ fact.a | mony }}\n")})
    assert str(caught.value).startswith('templates/m/mail.html:5: unknown filter "mony"; expected one of')
    assert str(caught.value).endswith('Did you mean "money"? [HF504]')


def test_all_problems_of_all_files_come_at_once() -> None:
    files = {
        "a/mail.html": front("{{ x }}\n{{ customer.y | z }}"),
        "b/mail.html": "no front matter",
        "c/mail.html": front("", ""),
    }
    assert problems(files) == ["a/mail.html:5 HF504", "b/mail.html:1 HF502", "c/mail.html:2 HF502"]
    assert problems({"a/mail.html": front("{{ x }}\n{{ y }}")}) == ["a/mail.html:4 HF503", "a/mail.html:5 HF503"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\npreheader: x\n---\n", "m/mail.html:2:1 HF121"),
        ("---\nsubject: x\nsubjet: y\n---\n", "m/mail.html:3:1 HF120"),
        ("---\nsubject: x\nsubject: y\n---\n", "m/mail.html:3:1 HF108"),
        ("---\nsubject: '{{ customr }}'\n---\n", "m/mail.html:2 HF503"),
        ("---\npreheader: x\nsubject: '{{ customer.x | y }}'\n---\n", "m/mail.html:3 HF504"),
        ('---\nsubject: "a\\nb"\n---\n', "m/mail.html:2 HF502"),
        ('---\nsubject: "a\\u2028b"\n---\n', "m/mail.html:2 HF502"),
        ("---\nsubject: x\n", "m/mail.html:1 HF502"),
        ("", "m/mail.html:1 HF502"),
    ],
)
def test_front_matter_is_checked_with_its_place(text: str, expected: str) -> None:
    assert problems({"m/mail.html": text}) == [expected]


def test_the_subject_cannot_use_itself() -> None:
    assert problems({"m/mail.html": front("", "{{ preheader }}")}) == ["m/mail.html:2 HF503"]


def test_files_out_of_place_are_refused() -> None:
    mail = front("x")
    assert problems({"m/mail.he.html": mail}) == ["m/mail.he.html HF510"]
    assert problems({"m/mail.html": mail, "m/mail.klingon.html": mail}) == ["m/mail.klingon.html HF510"]
    assert problems({"m/mail.html": mail, "m/mail.he.txt": "x"}) == ["m/mail.he.txt HF510"]
    assert problems({"m/mail.html": mail, "m/mail.he.html": mail, "m/mail.iw.html": mail}) == ["m/mail.iw.html HF510"]
    assert problems({"m/mail.html": front("x" * 256_001)}) == ["m/mail.html HF510"]


def test_names_are_collected_through_layouts_includes_and_front_matter() -> None:
    files = {
        "layouts/base.html": "{{ workspace.name }}{% block b %}{{ customer.unused }}{% endblock %}{% include 'layouts/foot.html' %}",
        "layouts/foot.html": "{{ customer['plan'] }}",
        "m/mail.html": front(
            "{% extends 'layouts/base.html' %}{% block b %}{{ fact.x }}{% endblock %}", "{{ subscription.plan }}"
        ),
    }
    assert load(files)["m"].names == {
        ("workspace", "name"), ("customer", "unused"), ("customer", "plan"), ("fact", "x"), ("subscription", "plan")}  # fmt: skip
    assert load(files).values_needed("m") == {
        ("customer", "unused"), ("customer", "plan"), ("fact", "x"), ("subscription", "plan"), ("customer", "locale"),
        ("customer", "name")}  # fmt: skip


def test_a_value_nobody_provides_is_found_with_its_place() -> None:
    templates = load_mail("\n{{ customer.naem }} {{ fact.x }}")
    found = templates.check("m", "service", {"customer": ["name"], "fact": ["x"]})
    assert [str(problem) for problem in found] == [
        'templates/m/mail.html:5: "customer.naem" is provided by nobody; expected a name this rule and the tables have. '
        'Did you mean "name"? [HF514]'
    ]
    assert templates.check("m", "service", {"customer": ["naem"], "fact": ["x"]}) == []


@pytest.mark.parametrize("missing", ["links.unsubscribe", "links.preferences", "workspace.postal_address"])
def test_marketing_mail_needs_its_links_and_the_postal_address_in_both_parts(missing: str) -> None:
    parts = {"links.unsubscribe", "links.preferences", "workspace.postal_address"}
    whole = " ".join("{{ " + part + " }}" for part in sorted(parts))
    less = " ".join("{{ " + part + " }}" for part in sorted(parts - {missing}))
    assert load_mail(whole).check("m", "marketing", {}) == []
    assert [one.code for one in load_mail(less).check("m", "marketing", {})] == ["HF509"]
    assert load_mail(less).check("m", "service", {}) == []
    own_text = load({"m/mail.html": front(whole), "m/mail.txt": less})
    assert [one.found for one in own_text.check("m", "marketing", {})] == [
        f"a marketing mail whose text lacks {'a link to ' if 'links' in missing else ''}{{{{ {missing} }}}}"
    ]


# Translations.


def test_a_translation_that_lacks_a_value_of_its_default_is_refused() -> None:
    files = {"m/mail.html": front("{{ customer.name }} {{ fact.x }}"), "m/mail.de.html": front("{{ customer.name }}")}
    assert problems(files) == ["m/mail.de.html HF508"]
    assert problems(files | {"m/mail.de.html": front("{{ customer.name }}", "{{ fact.x }}")}) == []


def test_a_translation_whose_layout_has_no_words_in_its_language_falls_back_as_a_whole() -> None:
    mail = "{% extends 'layouts/base.html' %}{% block b %}{{ customer.name }}{% endblock %}"
    files = {
        "layouts/base.html": "<p>{% block b %}{% endblock %}</p><p>Bye</p>",
        "m/mail.html": front(mail, "Hello"),
        "m/mail.de.html": front(mail, "Hallo"),
    }
    templates = load(files)
    assert [str(one) for one in templates.warnings] == [
        'templates/m/mail.de.html: warning: "templates/layouts/base.html" has no text in "de"; until it has, these '
        "customers get the whole mail in the default language. [HF512]"
    ]
    assert render(templates, {"name": "Ann", "locale": "de"}).subject == "Hello"
    whole = load(files | {"layouts/base.de.html": "<p>{% block b %}{% endblock %}</p><p>Tschüss</p>"})
    mail_in_german = render(whole, {"name": "Ann", "locale": "de-AT"})
    assert (mail_in_german.subject, "Tschüss" in mail_in_german.html) == ("Hallo", True)


def test_a_layout_without_words_serves_every_language() -> None:
    mail = "{% extends 'layouts/base.html' %}{% block b %}x{% endblock %}"
    layout = "<style>p{}</style><p title='&nbsp;'>{% block b %}{% endblock %}</p> · {{ workspace.name }}"
    templates = load({"layouts/base.html": layout, "m/mail.html": front(mail), "m/mail.de.html": front(mail, "Hallo")})
    assert templates.warnings == ()
    assert list(templates["m"].translations) == ["de"]


def test_a_translated_layout_draws_in_translated_parts_even_through_a_neutral_one() -> None:
    files = {
        "layouts/frame.html": "<p>{% block b %}{% endblock %}</p>{% include 'layouts/foot.html' %}",
        "layouts/foot.html": "Goodbye",
        "layouts/foot.de.html": "Auf Wiedersehen",
        "m/mail.html": front("{% extends 'layouts/frame.html' %}"),
        "m/mail.de.html": front("{% extends 'layouts/frame.html' %}"),
    }
    assert "Auf Wiedersehen" in render(load(files), {"locale": "de"}).html
    assert "Goodbye" in render(load(files), {"locale": "fr"}).html


def test_an_import_that_cannot_see_the_values_it_reads_is_refused() -> None:
    files = {"layouts/m.html": "{% macro hi() %}{{ customer.name }}{% endmacro %}"}
    assert problems(files | {"m/mail.html": front("{% from 'layouts/m.html' import hi %}{{ hi() }}")}) == [
        "m/mail.html:4 HF505"
    ]
    assert (
        problems(files | {"m/mail.html": front("{% from 'layouts/m.html' import hi with context %}{{ hi() }}")}) == []
    )


def test_macros_and_calls_work() -> None:
    files = {
        "layouts/m.html": "{% macro button(label, url) %}<a href='{{ url }}'>{{ label }}</a>{% endmacro %}"
        "{% macro box() %}<b>{{ caller() }}</b>{% endmacro %}",
        "m/mail.html": front(
            "{% import 'layouts/m.html' as m %}{{ m.button('Go & see', customer.url) }}{% call m.box() %}in{% endcall %}"
            "{% for i in range(3) %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}"
        ),
    }
    mail = render(load(files), {"url": "https://example.com/?a=1&b=2"})
    assert mail.html == "<a href='https://example.com/?a=1&amp;b=2'>Go &amp; see</a><b>in</b>1a2b3a"
    assert mail.text == "Go & see <https://example.com/?a=1&b=2>in1a2b3a\n"


# The sandbox. Taken from published advisories and the usual collections; each must be refused or come to nothing.

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ customer.__class__ }}",
    "{{ customer['__init__'] }}",
    "{{ customer | attr('__class__') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ loop.__init__ }}",
    "{{ range.__globals__ }}",
    "{{ super.__self__ }}",
    "{{ '{0.__class__}'.format(1) }}",  # CVE-2016-10745
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",  # CVE-2019-10906
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",  # CVE-2024-56326
    "{{ ''|attr('format') }}",  # CVE-2025-27516
    "{{ {'a b=1 c': 1} | xmlattr }}",  # CVE-2024-22195, CVE-2024-34064
    "{{ ['x'] | map('upper') }}",
    "{{ [1] | map(attribute='__class__') | list }}",
    "{{ [1] | groupby('__class__') }}",
    "{{ [1] | sort(attribute='__class__') }}",
    "{{ [1] | sum(attribute='__class__') }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% include '../../etc/passwd' %}",
    "{{ ''.join.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m.name }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}",
    "{{ (customer.name, 1).__class__ }}",
    "{{ caller.__closure__ }}",
    "{{ customer.name.format(customer) }}",
    "{{ ''.ljust(999999999) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 'x' * 999999999 }}",
    "{{ 'x' | center(999999999) }}",
    "{{ 'x' | indent(999999999) }}",
    "{{ '%s' | format('x') }}",
    "{{ 1 | pprint }}",
    "{{ customer | tojson }}",
    "{% do customer.clear() %}",
    "{% debug %}",
]


@pytest.mark.parametrize("body", ESCAPES)
def test_no_known_way_out_of_the_sandbox_even_loads(body: str) -> None:
    if not body_problems(body):
        with pytest.raises(RenderFailed):
            html_of(body, {"name": "x"})


def test_a_value_that_looks_like_a_template_is_only_text() -> None:
    assert "{{ 7*7 }} {% if x %}" in html_of("{{ customer.name }}", {"name": "{{ 7*7 }} {% if x %}"})


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:x",
        "data:text/html,x",
        "//evil.example",
        "x",
        "\tjavascript:x",
    ],
)
def test_a_customers_link_needs_an_ordinary_scheme(url: str) -> None:
    with pytest.raises(RenderFailed, match="a link must begin with"):
        html_of("<a href='{{ customer.site }}'>x</a>", {"site": url})


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=1", "http://example.com", "mailto:a@example.com", "tel:+4912345"]
)
def test_ordinary_links_pass(url: str) -> None:
    assert f"href='{url}'" in html_of("<a href='{{ customer.site }}'>x</a>", {"site": url})


def test_the_layout_used_in_tests_is_whole() -> None:
    assert load({"layouts/base.html": LAYOUT}).mails == {}
