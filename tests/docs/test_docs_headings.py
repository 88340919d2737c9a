from __future__ import annotations

import re

import pytest
from docs_pages import DOCS, generator, headings

from engine.channels import CHANNELS
from engine.cli.root import COMMANDS
from engine.codes import CODES
from engine.messages.filters import AUTHORS
from engine.messages.loading import FrontMatter
from engine.messages.sandbox import KEPT_FILTERS
from engine.messages.templates import LINKS, WORKSPACE
from engine.planning.reasons import Outcome, Reason
from engine.project.settings import Settings
from engine.store.suppressions import KINDS
from engine.triggers import triggers
from engine.warehouse.sources import SOURCES
from engine.warehouse.tables import TABLES, Kind


def test_every_setting_has_a_heading() -> None:
    paths = [setting.path for setting in generator().written_values.settings_of(Settings)]
    wanted = {re.sub(r"\.?<\w+>", "", path) for path in paths}
    assert wanted - set(headings(DOCS / "settings.md")) == set()
    assert {"workspace.name", "guard", "guard.share", "caps.topics", "warehouse.tables.path", "channels.use"} <= wanted


def test_no_heading_names_a_setting_there_is_not() -> None:
    known = {re.sub(r"\.?<\w+>", "", one.path) for one in generator().written_values.settings_of(Settings)}
    dotted = {heading for heading in headings(DOCS / "settings.md") if "." in heading}
    assert dotted - known == {"warehouse.tables"} - known


def test_every_kind_of_channel_has_a_heading() -> None:
    assert set(CHANNELS) - set(headings(DOCS / "settings.md")) == set()


def test_every_key_of_a_rule_has_a_heading() -> None:
    keys = {key.name for key in generator().written_values.keys_of(generator().RuleText)}
    named = {word for heading in headings(DOCS / "rules.md") for word in heading.split(", ")}
    assert keys - named == set()


def test_every_trigger_has_a_heading() -> None:
    assert set(triggers()) - set(headings(DOCS / "rules.md")) == set()


def test_every_table_has_a_heading_and_every_kind_of_column_and_source_an_explanation() -> None:
    page = (DOCS / "tables.md").read_text("utf-8")
    assert set(TABLES) - set(headings(DOCS / "tables.md")) == set()
    assert [kind for kind in Kind if not re.search(rf"^- (`\w+`, )*`{kind}`", page, re.MULTILINE)] == []
    assert [source for source in SOURCES if f"`{source.scheme[0]}://" not in page] == []


def test_every_command_has_a_heading() -> None:
    found = headings(DOCS / "commands.md")
    for name in (name for group in COMMANDS.values() for name in group):
        assert name in found
        below = getattr(generator().find_command(name), "commands", {})
        assert [second for second in below if f"{name} {second}" not in found] == []


def test_every_code_has_a_heading() -> None:
    found = headings(DOCS / "errors.md")
    assert [code for code, row in CODES.items() if f"{code}: {row.title}" not in found] == []


def test_every_outcome_and_reason_has_a_heading() -> None:
    assert {*Outcome, *Reason} - set(headings(DOCS / "reasons.md")) == set()


def test_every_kind_of_suppression_is_explained() -> None:
    page = (DOCS / "commands.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_every_filter_and_name_of_a_mail_is_on_the_page() -> None:
    page = (DOCS / "templates.md").read_text("utf-8")
    filters = {*AUTHORS, *KEPT_FILTERS}
    assert [name for name in filters if not re.search(rf"`{name}`|\\| {name}[(`]", page)] == []
    assert [name for name in LINKS if f"`links.{name}`" not in page] == []
    assert [name for name in (*WORKSPACE, *FrontMatter.model_fields) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 70, 130])
def test_every_exit_code_is_explained(code: int) -> None:
    assert f"\n| {code} | " in (DOCS / "commands.md").read_text("utf-8")


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\*\*(.+?)\.\*\*", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert words == sorted(words, key=str.casefold)
    assert len(words) == len(set(words)) > 40
