from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_world import (
    KEY,
    LAYOUT,
    NOW,
    WORKSPACE,
    Row,
    body_problems,
    front,
    html_of,
    load,
    load_mail,
    render,
    renderer,
)

from engine.messages.mail import RenderFailed


def test_a_customers_text_is_escaped_in_html_and_plain_in_text() -> None:
    mail = render(load_mail("<p>{{ customer.name }}</p>"), {"name": "<script>alert(1)</script> & {{ 7*7 }}"})
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; {{ 7*7 }}" in mail.html
    assert mail.text == "<script>alert(1)</script> & {{ 7*7 }}\n"


@pytest.mark.parametrize("value", [None, "", "  ", "nan", "NaN", "None", "NaT", "<NA>"])
def test_a_value_the_customer_lacks_fails_the_mail_unless_guarded(value: object) -> None:
    with pytest.raises(RenderFailed, match=r"customer\.plan is empty for this customer"):
        html_of("{{ customer.plan }}", {"plan": value})
    with pytest.raises(RenderFailed, match=r"customer\.plan is empty"):
        html_of("{{ customer.plan | upper }}", {"plan": value})
    assert "no plan" in html_of("{{ customer.plan | default('no plan') }}", {"plan": value})
    assert "no plan" in html_of(
        "{% if customer.plan %}{{ customer.plan }}{% else %}no plan{% endif %}", {"plan": value}
    )
    assert "none" in html_of("{% if customer.plan is none %}none{% endif %}", {"plan": value})


@pytest.mark.parametrize(
    "filter_", ["int", "float", "abs", "round", "money('EUR')", "number", "date", "length", "truncate(3)"]
)
def test_no_filter_makes_something_of_a_missing_value(filter_: str) -> None:
    with pytest.raises(RenderFailed, match=r"customer\.x is empty"):
        html_of("{{ customer.x | " + filter_ + " }}", {"x": None})


@pytest.mark.parametrize("operator", ["+ 1", "~ 'x'", "- 1", "* 2", "< 3"])
def test_no_operator_makes_something_of_a_missing_value(operator: str) -> None:
    with pytest.raises(RenderFailed, match=r"customer\.x is empty"):
        html_of("{{ (customer.x " + operator + ") | string }}", {"x": None})


def test_a_value_that_was_not_packed_fails_the_mail_by_name() -> None:
    with pytest.raises(RenderFailed, match=r"customer\.plan is not among the values"):
        html_of("{{ customer.plan }}")


def test_nan_never_reaches_a_customer() -> None:
    mail_row = Row('{"customer": {"x": NaN}, "fact": {}}')
    with pytest.raises(RenderFailed, match=r"customer\.x is empty"):
        renderer(load_mail("{{ customer.x }}")).render(mail_row, NOW)


def test_yes_and_no_can_be_tested_but_not_printed() -> None:
    assert "gold" in html_of("{% if customer.vip %}gold{% endif %}", {"vip": True})
    with pytest.raises(RenderFailed, match="came out as true"):
        html_of("{{ customer.vip }}", {"vip": True})


def test_the_name_of_a_person_called_nan_or_null_is_kept() -> None:
    assert "Hello Nan Null" in html_of("Hello {{ customer.name }}", {"name": "Nan Null"})


def test_long_values_are_shortened_and_controls_removed() -> None:
    html = html_of("[{{ customer.name }}]", {"name": "a\x00b\x07" + "x" * 10_000})
    assert "[ab" + "x" * 1997 + "…]" in html


def test_a_direction_override_in_a_name_ends_with_the_name() -> None:
    assert "\u202e" not in html_of("{{ customer.name }}", {"name": "abc\u202edef"})


# Subject and addresses.


def test_the_subject_is_one_line_of_plain_text() -> None:
    mail = render(load_mail("x", subject="Hi {{ customer.name }} & co"), {"name": "A\r\nBcc: x@y.de\u2028Z\u0085"})
    assert mail.subject == "Hi A Bcc: x@y.deZ & co"


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("{% if not customer.plan %}{% else %}x{% endif %}", "is empty"),
        ("x" * 990 + "{{ customer.name }}", "longer than 998"),
    ],
)
def test_a_subject_that_comes_out_empty_or_too_long_fails_the_mail(subject: str, why: str) -> None:
    with pytest.raises(RenderFailed, match=why):
        render(load_mail("x", subject=subject), {"plan": None, "name": "y" * 30})


@given(st.text(st.sampled_from('ab \r\n\t\x00\x0b\x0c\x1c\x85\u2028\u2029\x7f:<>@",;é\U0001f600\u202e'), max_size=40))
def test_no_customer_can_break_out_of_a_header(text: str) -> None:
    templates = load_mail("x", subject="S {{ customer.name | default('-') }}", reply_to="help@example.com")
    mail = render(templates, {"name": text})
    for value in (mail.subject, mail.to.name, mail.message_id, *(value for _, value in mail.headers)):
        assert not any(
            ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u2028\u2029" for character in value
        )
    assert "@" not in mail.to.name
    assert mail.to.address == "ann@example.com"


def test_reply_to_may_be_a_customers_column_and_is_parsed_strictly() -> None:
    templates = load_mail("x", reply_to="{{ customer.manager }}")
    assert render(templates, {"manager": "Eve@Example.com"}).reply_to == ("", "eve@example.com")
    for text in ("a@b.de, c@d.de", "a@b.de\r\nBcc: c@d.de", '"x@y.de" <a@b.de>, z'):
        with pytest.raises(RenderFailed, match="an address is not usable"):
            render(templates, {"manager": text})


def test_reply_to_falls_back_to_the_senders() -> None:
    templates = load_mail('{% extends "layouts/base.html" %}')
    assert render(templates, class_="marketing").reply_to == ("", "hello@example.com")
    assert render(templates).reply_to is None


@pytest.mark.parametrize("recipient", ["a@b.de\nBcc: c@d.de", "Ann <a@b.de>", "a@b.de,c@d.de", ""])
def test_a_recipient_that_is_not_one_address_fails_the_mail(recipient: str) -> None:
    with pytest.raises(RenderFailed, match="an address is not usable"):
        render(load_mail("x"), recipient=recipient)


def test_the_senders_follow_the_class() -> None:
    templates = load_mail('{% extends "layouts/base.html" %}')
    assert render(templates, class_="marketing").sender == ("Acme", "hello@example.com")
    assert render(templates, class_="service").sender == render(templates, class_="legal").sender


def test_the_message_id_follows_from_the_key() -> None:
    templates = load_mail("x")
    assert render(templates).message_id == f"<{KEY[:40]}@example.com>" == render(templates).message_id
    assert render(templates, key="ab" * 32).message_id != render(templates).message_id


# Marketing.


def test_marketing_mail_carries_the_one_click_headers_and_shows_the_same_link() -> None:
    mail = render(load_mail('{% extends "layouts/base.html" %}'), class_="marketing")
    headers = dict(mail.headers)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = headers["List-Unsubscribe"].removeprefix("<").removesuffix(">")
    assert url.startswith("https://mail.example.com/u/")
    assert f'href="{url}"' in mail.html
    assert f"<{url}>" in mail.text
    assert "1 Road, Town" in mail.html
    assert "1 Road, Town" in mail.text


def test_service_mail_carries_no_unsubscribe_header() -> None:
    assert render(load_mail("x")).headers == ()


def test_marketing_mail_that_hides_its_link_behind_an_if_is_not_sent() -> None:
    body = "{% if customer.vip %}{{ links.unsubscribe }}{% endif %}"
    with pytest.raises(RenderFailed, match="without its unsubscribe link"):
        render(load_mail(body), {"vip": False}, class_="marketing")


@pytest.mark.parametrize("url", ["", "http://mail.example.com"])
def test_marketing_mail_needs_a_public_https_address(url: str) -> None:
    unlinked = renderer(load_mail('{% extends "layouts/base.html" %}'), replace(WORKSPACE, public_url=url))
    with pytest.raises(RenderFailed):
        unlinked.render(Row(class_="marketing"), NOW)


def test_links_in_a_mail_hold_neither_address_nor_customer_id() -> None:
    mail = render(load_mail('{% extends "layouts/base.html" %}'), {"customer_id": "c42"}, class_="marketing")
    links = [part.split('"')[0] for part in mail.html.split('href="')[1:]]
    assert links
    assert not any("ann" in link or "c42" in link for link in links)


# Languages.

HE = front(
    '<p>שלום {{ customer.name }} {{ fact.a | money(\'ILS\') }}</p><img alt="{{ customer.name }}"><a href="{{ fact.url }}">ל</a>',
    "שלום",
)
EN = front(
    '<p>Hello {{ customer.name }} {{ fact.a | money(\'ILS\') }}</p><img alt="{{ customer.name }}"><a href="{{ fact.url }}">go</a>',
    "Hello",
)
FACT = {"a": 1990, "url": "https://example.com/?q=1"}


@pytest.mark.parametrize("locale", ["he", "he-IL", "iw", "iw_IL", "HE-il"])
def test_a_locale_falls_back_to_its_language_and_old_codes_are_known(locale: str) -> None:
    mail = render(load({"m/mail.html": EN, "m/mail.he.html": HE}), {"name": "Ann", "locale": locale}, fact=FACT)
    assert mail.subject == "שלום"


@pytest.mark.parametrize("locale", [None, "", "fr", "xx-YY", "not a locale", "'; drop"])
def test_everybody_else_gets_the_default_language(locale: object) -> None:
    mail = render(load({"m/mail.html": EN, "m/mail.he.html": HE}), {"name": "Ann", "locale": locale}, fact=FACT)
    assert mail.subject == "Hello"


def test_values_in_right_to_left_mail_are_isolated_but_not_in_links() -> None:
    mail = render(load({"m/mail.html": EN, "m/mail.he.html": HE}), {"name": "Ann", "locale": "he"}, fact=FACT)
    assert "<p>שלום \u2068Ann\u2069 \u2068\u200f19.90" in mail.html
    assert 'alt="Ann"' in mail.html
    assert 'href="https://example.com/?q=1"' in mail.html
    assert "שלום \u2068Ann\u2069" in mail.text
    assert "<https://example.com/?q=1>" in mail.text


def test_values_in_left_to_right_mail_are_not_isolated() -> None:
    mail = render(load({"m/mail.html": EN, "m/mail.he.html": HE}), {"name": "Ann", "locale": "en"}, fact=FACT)
    assert "\u2068" not in mail.html + mail.text


def test_layouts_know_language_and_direction() -> None:
    files = {"layouts/base.html": '<html lang="{{ lang }}" dir="{{ dir }}">{% block b %}{% endblock %}</html>'}
    mail = '{% extends "layouts/base.html" %}{% block b %}x{% endblock %}'
    templates = load(files | {"m/mail.html": front(mail), "m/mail.he.html": front(mail, "ש")})
    assert '<html lang="he" dir="rtl">' in render(templates, {"locale": "he-IL"}).html
    assert '<html lang="en" dir="ltr">' in render(templates, {"locale": "de"}).html


def test_amounts_follow_the_customers_region_within_the_language_of_the_text() -> None:
    templates = load_mail("{{ fact.on | date('short') }}")
    assert "1/31/26" in render(templates, {"locale": "en-US"}, fact={"on": "2026-01-31"}).html
    assert "31/01/2026" in render(templates, {"locale": "en-GB"}, fact={"on": "2026-01-31"}).html
    assert "1/31/26" in render(templates, {"locale": "de-DE"}, fact={"on": "2026-01-31"}).html


# The text part.


def test_the_text_is_derived_with_its_links_and_without_markup() -> None:
    body = (
        "<style>a{}</style><h1>Hello {{ customer.name }}</h1><div style='display:none'>hidden {{ customer.name }}</div>"
        "<p>One<br>two &amp; three</p><ul>{% for i in range(2) %}<li>item {{ i }}</li>{% endfor %}</ul>"
        "<p><a href='https://example.com/{{ customer.name }}'>Open</a> <a href='#top'>up</a> <img src='https://x.de/a.png' alt='Logo'></p>"
        "<!-- note {{ customer.name }} --><table><tr><td>a</td><td>b</td></tr></table>"
    )
    assert render(load_mail(body), {"name": "Ann"}).text == (
        "Hello Ann\n\nOne\ntwo & three\n\n- item 0\n- item 1\n\nOpen <https://example.com/Ann> up Logo\n\na b\n"
    )


def test_ones_own_text_part_is_taken_as_it_stands() -> None:
    templates = load({"m/mail.html": front("<p>html</p>"), "m/mail.txt": "Hi  {{ customer.name }},\n\n\n  bye\n"})
    assert render(templates, {"name": "A & B"}).text == "Hi  A & B,\n\n\n  bye\n"


# What a template may cost.

BOMBS = [
    "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}" + "x" * 10_000 + "{% endfor %}",
    "{{ range(99999) | join('x') }}",
    "{% for a in range(100000000) %}{% endfor %}",
    "{% set s = 'x' * 1 %}",
    "{% set s = 'xxxxxxxxxx' %}" + "{% set s = s + s %}" * 40 + "{{ s }}",
    "{% set s = 'xxxxxxxxxx' %}" + "{% set s = s ~ s %}" * 40 + "{{ s }}",
    "{% set s = 'xxxxxxxxxx' %}" + "{% set s %}{{ s }}{{ s }}{% endset %}" * 40 + "{{ s }}",
    "{% set s = 'x' %}" + "{% set s = s | replace('x', 'xx') %}" * 60 + "{{ s }}",
    "{% set s = 'x' %}" + "{% set s = [s, s] | join %}" * 60 + "{{ s }}",
    "{% set n = 9 %}" + "{% set n = n * n %}" * 40 + "{{ n }}",
    "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% macro m(n) %}{% set a = m(n - 1) if n > 0 %}{% set b = m(n - 1) if n > 0 %}{% endmacro %}{{ m(40) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% block a %}" + "x" * 100_000 + "{% endblock %}" + "{{ self.a() }}" * 60,
    "{{ 'x' | truncate(10 ** 9) }}",
]  # fmt: skip


@pytest.mark.parametrize("body", BOMBS)
def test_a_template_bomb_fails_its_mail_quickly(body: str) -> None:
    import time

    begun = time.monotonic()
    if not body_problems(body):
        with pytest.raises(RenderFailed):
            html_of(body)
    assert time.monotonic() - begun < 5


def test_the_engine_goes_on_after_a_bomb() -> None:
    with pytest.raises(RenderFailed):
        html_of(BOMBS[1])
    assert "fine" in html_of("fine")


def test_a_mail_has_at_most_a_million_characters() -> None:
    with pytest.raises(RenderFailed, match="longer than 1000000"):
        html_of("{% for i in range(1000) %}" + "x" * 1100 + "{% endfor %}")


def test_renderers_are_shared_between_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    templates = load({"m/mail.html": EN, "m/mail.he.html": HE, "layouts/base.html": LAYOUT})
    shared = renderer(templates)

    def one(n: int) -> bool:
        values = {"customer": {"name": f"N{n}", "locale": ["he", "en"][n % 2]}, "fact": FACT}
        mail = shared.render(Row(json.dumps(values)), NOW)
        return f"N{n}" in mail.html and ("\u2068" in mail.html) == (n % 2 == 0)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))
