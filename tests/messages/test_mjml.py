"""MJML, inlined styles and what the tools between must not do to values and conditions."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import mrml
import pytest
from mail_world import front, load, problems, render

from engine.errors import SetupError
from engine.messages.inlining import inlined
from engine.messages.mail import Mail

HEAD = "<mj-head><mj-style>p { margin: 3px; } .big { color: #111111; }</mj-style></mj-head>"


def mjml(column: str, head: str = HEAD) -> str:
    return front(
        f"<mjml lang='{{{{ lang }}}}' dir='{{{{ dir }}}}'>{head}<mj-body><mj-section><mj-column>{column}"
        "</mj-column></mj-section></mj-body></mjml>"
    )


def mail_of(column: str, **customer: object) -> Mail:
    return render(load({"m/mail.mjml": mjml(column)}), customer)


class Seen(HTMLParser):
    """Tags with sorted attributes and declarations, and words: what a page is, however it is written."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        style = lambda text: sorted(part.replace(" ", "") for part in (text or "").split(";") if part)  # noqa: E731
        self.seen.append(
            (tag, sorted((name, style(value) if name == "style" else value or "") for name, value in attrs))
        )

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.seen.append(" ".join(data.split()))


def test_mjml_becomes_html_with_its_styles_in_the_tags() -> None:
    mail = mail_of("<mj-text><p class='big'>Hello {{ customer.name }}</p></mj-text>", name="<Ann>")
    assert re.search(
        r'<p class="big" style="[^"]*margin: 3px[^"]*color: #111111[^"]*">Hello &lt;Ann&gt;</p>', mail.html
    )
    assert "<mj-" not in mail.html
    assert mail.text == "Hello <Ann>\n"


def test_nothing_of_a_mail_is_loaded_from_elsewhere_unless_it_says_so() -> None:
    html = mail_of("<mj-text font-family='Roboto'>x</mj-text><mj-button href='https://x.example'>y</mj-button>").html
    assert "googleapis" not in html
    assert re.findall(r"url\(|@import|<link", html) == []


def test_conditions_stand_around_whole_elements_and_loops_inside_texts() -> None:
    column = (
        "{% if customer.plan %}<mj-button href='https://x.example/{{ customer.plan }}'>Go</mj-button>{% else %}"
        "<mj-text>None</mj-text>{% endif %}<mj-table><tr>{% for i in range(2) %}<td>{{ i }}</td>{% endfor %}</tr></mj-table>"
    )
    with_plan, without = mail_of(column, plan="pro"), mail_of(column, plan=None)
    assert 'href="https://x.example/pro"' in with_plan.html
    assert ("None" in with_plan.html, "None" in without.html, "x.example" in without.html) == (False, True, False)
    assert re.findall(r"<td[^>]*>(\d)</td>", without.html) == ["0", "1"]


def test_a_macro_may_hold_mjml() -> None:
    files = {
        "parts.mjml": "{% macro button(words, url) %}<mj-button href='{{ url }}'>{{ words }}</mj-button>{% endmacro %}",
        "m/mail.mjml": mjml("{% from 'parts.mjml' import button %}{{ button('A & B', 'https://x.example/?a=1&b=2') }}"),
    }
    assert re.search(r'<a href="https://x\.example/\?a=1&amp;b=2"[^>]*>A &amp; B</a>', render(load(files)).html)


def test_signs_that_mrml_would_spoil_in_attributes_come_through() -> None:
    html = mail_of("<mj-image src='https://x.example/a.png' alt='שלום\u00a0\u200f \\ é &quot;x&quot;' />").html
    assert 'alt="שלום\u00a0\u200f \\ é &quot;x&quot;"' in html


def test_inlining_before_rendering_equals_inlining_after() -> None:
    column = (
        "<mj-text css-class='c'><p>Hi {{ customer.name }} &amp; {{ 'x' | upper }}</p>{% if customer.name %}<p class='big'>"
        "<a href='https://x.example/{{ customer.name }}'>{{ customer.name }}</a></p>{% endif %}</mj-text>"
    )
    before = mail_of(column, name="Ann'o\"<").html
    source = (
        mjml(column)
        .split("---\n", 2)[2]
        .replace("{{ lang }}", "en")
        .replace("{{ dir }}", "ltr")
        .replace("{{ 'x' | upper }}", "X")
    )
    rendered = re.sub(r"\{% .*? %\}", "", source).replace("{{ customer.name }}", "Ann&#39;o&#34;&lt;")
    after = inlined(mrml.to_html(rendered, None, mrml.RenderOptions(fonts={})).content)
    assert Seen(before).seen == Seen(after).seen


def test_right_to_left_is_decided_before_mjml_is_compiled() -> None:
    column = "<mj-text align=\"{{ 'right' if dir == 'rtl' else 'left' }}\">{% trans %}Hello{% endtrans %}</mj-text>"
    hebrew = 'msgid ""\nmsgstr ""\n"Language: he\\n"\n\nmsgid "Hello"\nmsgstr "שלום"\n'
    files = {"m/mail.mjml": mjml(column).replace("Hello\n", "{{ _('Hello') }}\n", 1), "locales/he.po": hebrew}
    files["m/mail.mjml"] = files["m/mail.mjml"].replace('subject: "Hello"', "subject: \"{{ _('Hello') }}\"")
    assert 'align="right"' in render(load(files), {"locale": "he"}).html
    assert 'align="left"' in render(load(files), {"locale": "en"}).html


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("<mj-txet>x</mj-txet>", "unknown tag <mj-txet>; expected a tag of MJML. Did you mean \"mj-text\"?"),
        ("<mj-text colour='red'>x</mj-text>", 'unknown attribute "colour" of <mj-text>'),
        ("<mj-include path='x.mjml' />", "<mj-include>; expected {% include %}"),
        ("<p>x</p>", "<p> in <mj-column>"),
        ("words", '"words" directly in <mj-column>'),
        ("<mj-text><mj-button>x</mj-button></mj-text>", "<mj-button> in <mj-text>"),
        ("<mj-text><p>x</mj-text>", "not well-formed"),
        ("<mj-raw><b>x</b></mj-raw>", "<mj-raw> in <mj-column>"),
        ("<mj-text>⟦1⟧</mj-text>", "the signs ⟦ and ⟧ cannot stand in a mail"),
        ("<mj-text><p {% if customer.x %}class='a'{% endif %}>x</p></mj-text>", "a condition stands inside a tag"),
    ],
)  # fmt: skip
def test_mjml_that_mrml_would_let_pass_is_refused(column: str, found: str) -> None:
    with pytest.raises(SetupError, match=r"templates/m/mail\.mjml") as caught:
        load({"m/mail.mjml": mjml(column)})
    assert found in str(caught.value)


def test_a_value_that_html_forbids_where_it_stands_is_moved_and_not_lost() -> None:
    assert "Ann" in mail_of("<mj-table>{{ customer.name }}<tr><td>y</td></tr></mj-table>", name="Ann").html


def test_a_tag_that_is_not_mjmls_is_named_with_its_line() -> None:
    assert "m/mail.mjml:6 HF515" in problems({"m/mail.mjml": mjml("\n\n<mj-oops />")})


def test_a_condition_that_would_be_moved_by_the_repair_of_a_table_is_refused() -> None:
    style = "<html><head><style>p{margin:0}</style></head><body><table>{% if customer.x %}a{% endif %}<tr><td>b</td></tr></table></body></html>"
    assert problems({"m/mail.html": front(style)}) in ([], ["m/mail.html HF517"])


def test_an_html_mail_gets_its_styles_inlined_and_keeps_media_rules() -> None:
    page = (
        "<html><head><style>p { color: #222222 } @media (max-width: 9px) { p { color: red !important } }</style></head>"
        "<body><p>{{ customer.name }}</p></body></html>"
    )
    html = render(load({"m/mail.html": front(page)}), {"name": "Ann"}).html
    assert re.search(r'<p style="color: #222222;?">Ann</p>', html)
    assert "@media (max-width: 9px)" in html


def test_two_mails_in_one_folder_are_refused() -> None:
    assert problems({"m/mail.html": front("x"), "m/mail.mjml": mjml("")}) == ["m/mail.mjml HF510"]
