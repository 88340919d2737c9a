"""Languages, names and what is written into a page."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from web_world import CONFIG, Web

from engine import Project
from engine.messages.pages import Pages
from engine.web.site import PAGES, masked

TEXTS = Pages(PAGES, "en").texts


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_ten_languages_have_every_text_with_the_same_values() -> None:
    assert set(TEXTS) == {"en", "de", "fr", "es", "he", "ro", "ru", "bg", "zh", "pt"}
    for texts in TEXTS.values():
        assert {key: fields(text) for key, text in texts.items()} == {
            key: fields(text) for key, text in TEXTS["en"].items()
        }
        assert all(text.strip() for text in texts.values())


def test_no_translation_was_left_in_english() -> None:
    for language, texts in TEXTS.items():
        if language != "en":
            same = [text for key, text in texts.items() if text == TEXTS["en"][key]]
            assert [text for text in same if " " in text] == []


@pytest.mark.parametrize(
    ("locale", "lang", "direction", "word"),
    [
        ("de-AT", "de", "ltr", "Abmelden"), ("iw-IL", "he", "rtl", "הסירו אותי"), ("fr_CA", "fr", "ltr", "désabonner"),
        ("zh-Hant-TW", "zh", "ltr", "退订"), ("fi", "en", "ltr", "Unsubscribe"), (None, "en", "ltr", "Unsubscribe"),
        ("<x>", "en", "ltr", "Unsubscribe"),
    ],
)  # fmt: skip
def test_a_page_speaks_the_customers_language(
    web: Web, locale: str | None, lang: str, direction: str, word: str
) -> None:
    page = web.get(web.path("unsubscribe", web.plan(locale=locale))).text
    assert f'<html lang="{lang}" dir="{direction}">' in page
    assert word in page


def test_who_reads_no_language_of_ours_gets_the_workspaces(web: Web) -> None:
    web._write("config.yaml", CONFIG.replace("name: Corner Shop", "name: Corner Shop\n  locale: pt-BR"))
    web.project = Project.load(web.folder)
    assert 'lang="pt"' in web.get(web.path("unsubscribe", web.plan(locale="fi"))).text
    assert 'lang="pt"' in web.get("/u/x").text


@pytest.mark.parametrize("locale", sorted(TEXTS))
def test_every_page_comes_out_in_every_language(web: Web, locale: str) -> None:
    key = web.plan(locale=locale)
    unsubscribe, preferences = web.path("unsubscribe", key), web.path("preferences", key)
    form = {"do": "save", "shown": "tips", "often": "less", "until": "2026-12-24"}
    pages = [
        web.get(unsubscribe), web.get(preferences), web.post(preferences, form), web.post(preferences, form | {"until": "x"}),
        web.post(unsubscribe), web.get(preferences),
    ]  # fmt: skip
    for page in pages:
        assert f'<html lang="{locale}"' in page.text
        assert "1 Road, Town" in page.text
        assert not re.search(r"\{\w*\}|None|Undefined", page.text.split("</style>")[1])


def test_names_from_settings_and_values_are_escaped(web: Web) -> None:
    wild = '<script>alert(1)</script>"&{{7*7}}{x}'
    web._write(
        "config.yaml",
        CONFIG.replace("name: Corner Shop", f"name: '{wild}'").replace('"1 Road, Town"', f"'{wild}'")
        + f"web: {{topics: {{tips: {{en: '{wild}'}}}}}}\n",
    )
    web.project = Project.load(web.folder)
    key = web.plan(recipient='"<b>x"@example.com', locale='"><script>')
    for path in (web.path("unsubscribe", key), web.path("preferences", key), "/u/x"):
        page = web.get(path).text
        assert "<script" not in page
        assert "<b>" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&amp;{{7*7}}{x}" in page
    assert "tips" not in re.sub(
        r'value="tips"', "", web.get(web.path("preferences", key)).text.split("</style>")[1]
    ).replace("tips and offers", "")


def test_a_topic_has_the_name_the_settings_give_it(web: Web) -> None:
    web._write("config.yaml", CONFIG + "web: {topics: {tips: {en: Weekly tricks, de: Wöchentliche Kniffe}}}\n")
    web._write("rules/odd.yaml", web.rules["tips.yaml"].replace("tips", "board-games"))
    web.project = Project.load(web.folder)
    english = web.get(web.path("preferences", web.plan("ann"))).text
    german = web.get(web.path("preferences", web.plan("bob", locale="de"))).text
    french = web.get(web.path("preferences", web.plan("cleo", locale="fr"))).text
    assert "Weekly tricks" in english
    assert "Wöchentliche Kniffe" in german
    assert "Weekly tricks" in french
    assert "Board games" in english


@pytest.mark.parametrize(
    ("address", "shown"), [("ann@example.com", "a•••@example.com"), ("", ""), ("a@b.c", "a•••@b.c")]
)
def test_an_address_is_shown_in_part(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_forms_can_be_used_without_seeing_them(web: Web) -> None:
    page = web.get(web.path("preferences", web.plan())).text.split("</style>")[1]
    assert page.count("<fieldset>") == page.count("<legend>") == 3
    named = re.findall(r'<label class="choice">\s*<input', page)
    assert len(named) == len(re.findall(r'type="(?:checkbox|radio)"', page))
    assert '<label class="field" for="until">' in page
    assert page.count("<h1>") == page.count("<main>") == 1


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance of two #rrggbb."""

    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_that_aa_asks_for() -> None:
    schemes = re.findall(r":root \{(.*?)\}", (PAGES / "style.css").read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", scheme)) for scheme in schemes)
    for scheme in (light, light | dark):
        for text, ground in (("ink", "card"), ("ink", "paper"), ("ink", "note"), ("soft", "card"), ("soft", "paper"),
                             ("accent", "card"), ("on-accent", "accent"), ("alarm", "card")):  # fmt: skip
            assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
        assert contrast(scheme["edge"], scheme["card"]) >= 3
