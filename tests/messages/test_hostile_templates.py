"""Templates that want out, and templates that want to eat the machine. None gets either.

The escapes follow the published ones of Jinja's sandbox: CVE-2016-10745 (str.format), CVE-2019-10906 (str.format_map),
CVE-2024-22195 and CVE-2024-34064 (xmlattr), CVE-2024-56201 (file names), CVE-2024-56326 (a stored str.format),
CVE-2025-27516 (the attr filter), and the usual ladders from a literal to `os`.
"""

from __future__ import annotations

import itertools
import time

import pytest
from mail_world import front, load_mail, problems, render

from engine.messages import RenderFailed

LADDERS = [
    "''.__class__.__mro__[1].__subclasses__()", "().__class__.__base__.__subclasses__()", "[].__class__.__bases__",
    "{}.__class__", "customer.__class__", "customer.__init__.__globals__", "fact.__dict__", "links.__class__.__mro__",
    "workspace.__reduce_ex__(2)", "self.__init__.__globals__", "self._TemplateReference__context", "self.__class__",
    "lipsum.__globals__['os'].popen('id').read()", "cycler.__init__.__globals__.os.popen('id').read()",
    "joiner.__init__.__globals__.os", "namespace.__init__.__globals__.os", "get_flashed_messages.__globals__",
    "url_for.__globals__", "config.items()", "request.application.__globals__", "range.__class__", "range.__call__",
    "dict.__class__", "caller.__globals__", "loop.__class__", "varargs.__class__", "kwargs.__class__",
    "customer|attr('__class__')", "customer|attr('\\x5f\\x5fclass\\x5f\\x5f')", "''|attr('format')",
    "'{0.__class__.__init__.__globals__}'.format(customer)", "'{0.__class__}'.format_map({'0': customer})",
    "'%s'.__mod__(customer)", "('{0.__class__}'|string).format(customer)", "''.join.__self__", "'a'.format.__self__",
    "customer['__class__']", "customer['__' ~ 'class__']", "customer[['__cl', 'ass__']|join]", "(1).__class__",
    "(1).real.__class__", "1.0.__class__", "true.__class__", "none.__class__", "(customer, fact).__class__",
    "customer.items()", "customer.keys()", "customer.values()", "customer.get('name').__class__", "[customer]|map('attr')|list",
    "[customer]|map(attribute='__class__')|list", "[customer]|groupby('__class__')", "[customer]|sum(attribute='__class__')",
    "[customer]|selectattr('__class__')|list", "customer|tojson", "customer|pprint", "customer|xmlattr", "{'onload': 'x'}|xmlattr",
    "customer.name|safe", "('<script>'|safe)", "'<b>'|forceescape", "debug()", "_('x'|safe)", "gettext('%(x)s')",
    "__import__('os').system('id')", "eval('1')", "open('/etc/passwd').read()", "customer.name.encode().hex()",
    "customer.name.__len__()", "(customer.name.format)('x')", "customer.name.format_map({})", "'a'.zfill(10)",
]  # fmt: skip
STATEMENTS = [
    "{% import 'os' as os %}", "{% include '/etc/passwd' %}", "{% include '../config.yaml' %}", "{% extends customer.name %}",
    "{% include customer.name %}", "{% from 'm/mail.html' import x %}{{ x.__class__ }}", "{% do customer.clear() %}",
    "{% set x = ''.format %}{{ x.__self__ }}", "{% set f = '{0.__class__}'.format %}{{ f(customer) }}", "{% debug %}",
    "{% autoescape false %}{{ customer.name }}{% endautoescape %}", "{% call customer() %}{% endcall %}",
    "{% filter attr('__class__') %}x{% endfilter %}", "{% for a in ''.__class__.__mro__ %}{{ a }}{% endfor %}",
    "{% if ''.__class__ %}x{% endif %}", "{% with x = ''.__class__ %}{{ x }}{% endwith %}", "{% trans %}{{ x }}{% endtrans %}",
    "{% macro m(x=''.__class__) %}{{ x }}{% endmacro %}{{ m() }}", "{% block __class__ %}{% endblock %}",
    "{% set customer.name = 'x' %}", "{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}",
]  # fmt: skip
BAIT = (
    "<class",
    "<function",
    "<built-in",
    "root:",
    "uid=",
    "__main__",
    "&lt;class",
    "&lt;function",
    "&lt;built-in",
    "engine.",
)


def attempt(body: str) -> str:
    """What the template gets out: nothing when it is refused, else its mail."""
    files = {"m/mail.html": front(body)}
    if problems(files):
        return ""
    try:
        mail = render(load_mail(body), {"name": "<script>Ann</script>"}, fact={"n": 1})
    except RenderFailed:
        return ""
    return mail.html + mail.text + mail.subject


@pytest.mark.parametrize("body", [*(f"{{{{ {ladder} }}}}" for ladder in LADDERS), *STATEMENTS])
def test_no_template_gets_out(body: str) -> None:
    said = attempt(body)
    assert not any(bait in said for bait in BAIT)


def test_an_escape_in_the_subject_is_refused_too() -> None:
    assert problems({"m/mail.html": front("<p>x</p>", "{{ ''.__class__ }}")})


# Every way to make much, in every place it can stand: 12 x 9.
GROWTHS = [
    "{{% for a in range({n}) %}}{inner}{{% endfor %}}",
    "{{% for a in range({n}) %}}{{% for b in range({n}) %}}{inner}{{% endfor %}}{{% endfor %}}",
    "{{% macro m(d) %}}{inner}{{% if d > 0 %}}{{{{ m(d - 1) }}}}{{{{ m(d - 1) }}}}{{% endif %}}{{% endmacro %}}{{{{ m(60) }}}}",
    "{{% set s = 'xxxxxxxx' %}}" + "{{% set s = s ~ s %}}" * 50 + "{{{{ s }}}}{inner}",
    "{{% set s = 'xxxxxxxx' %}}" + "{{% set s = s + s %}}" * 50 + "{{{{ s|length }}}}{inner}",
    "{{% set s = 'xx' %}}" + "{{% set s = s|replace('x', 'xxxx') %}}" * 50 + "{{{{ s }}}}{inner}",
    "{{% set n = 99999999 %}}" + "{{% set n = n * n %}}" * 50 + "{{{{ n }}}}{inner}",
    "{{% set s %}}{inner}xxxx{{% endset %}}" + "{{% set s %}}{{{{ s }}}}{{{{ s }}}}{{% endset %}}" * 50 + "{{{{ s }}}}",
    "{{{{ 'x'|center({n}000000) }}}}{inner}",
    "{{{{ '%1000000000d' % {n} }}}}{inner}",
    "{{{{ 'x' * {n}000000 }}}}{inner}",
    "{{{{ range({n}000000)|list }}}}{inner}",
]
INNERS = ["x", "x" * 500, "{{ customer.name }}", "{{ 'a'|upper }}", "{{ a|default('x') }}", "{{ 'a,b'|replace(',', 'x' ~ 'y') }}",
          "{% set q = 'z' ~ 'z' %}", "{% if 1 < 2 %}y{% endif %}", "{{ 12345|string|length }}"]  # fmt: skip
BOMBS = [growth.format(n=1000, inner=inner) for growth, inner in itertools.product(GROWTHS, INNERS)]


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_every_bomb_ends_within_two_seconds_and_harms_its_own_mail_only(number: int) -> None:
    begun_s = time.monotonic()
    said = attempt(BOMBS[number])
    assert time.monotonic() - begun_s < 2.5  # the bound is 2 s; the rest is loading
    assert len(said) < 3_000_000
    assert "Ann" in attempt("{{ customer.name }}")
