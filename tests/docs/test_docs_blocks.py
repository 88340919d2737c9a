from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from docs_pages import ROOT, Block, all_blocks, generator

from engine.channels import CHANNELS
from engine.errors import SetupError
from engine.messages import load_templates
from engine.project.loading import load_project
from engine.project.trigger_spec import TriggerParams
from engine.project.types import Window
from engine.project.yaml_source import load_documents
from engine.triggers import triggers

SHOP = {
    "workspace": 'workspace: {name: Shop, timezone: UTC, postal_address: "1 Road", public_url: https://mail.example.com}',
    "warehouse": "warehouse: {tables: {customers: {path: customers.csv}}}",
    "sender": 'sender: {marketing: {from: a@example.com}, service: {from: a@example.com}}',
}  # fmt: skip
OTHER_RULE = """rule: gone-quiet
trigger: {inactivity: {for: 30 days}}
topic: renewal
steps: [{send: other}]
"""
MAIL = "---\nsubject: Hello\n---\n<p>Hello</p>\n"


class LargeRefundParams(TriggerParams):
    """Of the trigger that the page about plug-ins defines."""

    at_least_minor: int
    within: Window


class _LargeRefund:
    """Stands for that trigger."""

    name, params = "large_refund", LargeRefundParams
    facts = staticmethod(lambda params: {})
    defaults = staticmethod(triggers()["sql"].defaults)


def _config(block: Block) -> str:
    keys = load_documents(block.text, str(block))[0].value
    assert isinstance(keys, dict)
    text = re.sub(r"use: lines, path: \S+\}", "use: outbox_dir}", block.text)
    return "\n".join([text, *(line for key, line in SHOP.items() if key not in keys)])


def _rule(block: Block) -> str:
    """The rule, or a fragment of one made whole."""
    keys = load_documents(block.text, str(block))[0].value
    assert isinstance(keys, dict)
    parts = {"rule": "rule: from-a-page\n", "trigger": "trigger: {inactivity: {for: 30 days}}\n"}
    text = "".join(line for key, line in parts.items() if key not in keys) + block.text
    return text if {"steps", "blocks"} & keys.keys() else text + "steps: [{after: 1 day, send: other}]\n"


def _is_config(block: Block) -> bool:
    return block.file == "config.yaml" or block.text.startswith("# config.yaml")


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def _load(folder: Path, config: str, rule: str) -> None:
    sends = [*re.findall(r"send: ([\w/-]+)", rule + OTHER_RULE)]
    queries = re.findall(r"query: ([\w-]+\.sql)", rule)
    _write(folder, {"config.yaml": config, "rules/a.yaml": rule})
    _write(folder, {f"templates/{send}/mail.html": MAIL for send in sends} | {f"rules/{name}": "" for name in queries})
    if "rule: gone-quiet\n" not in rule:
        _write(folder, {"rules/other.yaml": OTHER_RULE})
    known = {"large_refund": _LargeRefund(), **triggers()}
    load_project(folder, known, {name: channel.Settings for name, channel in CHANNELS.items()})


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_yaml_is_read_by_the_real_loader(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("# compose.yaml"):
        assert {"state", "engine", "web"} <= yaml.safe_load(block.text)["services"].keys()
    elif _is_config(block):
        _load(tmp_path, _config(block), OTHER_RULE)
    else:
        assert block.file or re.match(r"# (in a rule|rules/)", block.text), "a block says which file it is"
        _load(tmp_path, "\n".join(SHOP.values()), _rule(block))


def test_the_loader_would_refuse_a_misspelt_example(tmp_path: Path) -> None:
    wrong = Block("page.md", 1, "yaml", None, "# in a rule\nwhere: plan == 'pro'\n")
    with pytest.raises(SetupError, match="HF404"):
        _load(tmp_path, "\n".join(SHOP.values()), _rule(wrong))


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_python_parses(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_toml_parses(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [one for one in all_blocks("html") if one.text.startswith("---")], ids=str)
def test_mails_are_read_by_the_real_loader(block: Block) -> None:
    kind = "mjml" if ".mjml" in block.text else "html"
    layouts = (ROOT / "templates" / "layouts").glob("*.mjml")
    files = {f"templates/layouts/{path.name}": path.read_text("utf-8") for path in layouts}
    files |= {
        "templates/layouts/marketing.html": "{% block body %}{% endblock %}",
        f"templates/a/mail.{kind}": block.text,
    }
    assert load_templates(files, default_locale="en")["a"].default


def _command_lines() -> list[tuple[str, list[str]]]:
    lines = [(str(block), line) for block in all_blocks("console") for line in block.text.splitlines()]
    lines += [(str(block), line) for block in all_blocks("text") for line in block.text.splitlines() if "* * *" in line]
    found = [(place, re.search(r"\bholdfast (?!\[)(.+)", line)) for place, line in lines]
    return [(place, shlex.split(match[1])) for place, match in found if match]


@pytest.mark.parametrize("words", [pytest.param(words, id=place) for place, words in _command_lines()])
def test_command_lines_name_commands_and_options_there_are(words: list[str]) -> None:
    rest = words[2:] if words[0] == "-C" else words
    path = " ".join(rest[:2]) if rest[0] in {"data", "suppress", "db", "i18n"} else rest[0]
    one = generator().find_command(path)
    known = {name for parameter in one.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} - known == set()
    arguments = [parameter for parameter in one.params if parameter.param_type_name == "argument"]
    given = len(rest) - len(path.split()) - sum(1 + (not _is_flag(one, word)) for word in rest if word.startswith("--"))
    assert given <= len(arguments)
    assert given >= sum(parameter.required for parameter in arguments)


def _is_flag(one: object, option: str) -> bool:
    return any(option in parameter.opts and getattr(parameter, "is_flag", False) for parameter in one.params)


def test_there_are_command_lines_to_look_at() -> None:
    assert len(_command_lines()) > 15
