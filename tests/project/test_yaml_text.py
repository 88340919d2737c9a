from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SetupError
from engine.project.nodes import Node, position
from engine.project.yaml_source import load_documents

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=12)
KEYS = st.text(st.sampled_from("abcxyz_-é"), min_size=1, max_size=6).filter(lambda key: key.strip("-"))
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(value) for value in node.value]
    return node.value


def only(text: str) -> Node:
    (node,) = load_documents(text, "r.yaml")
    return node


@pytest.mark.parametrize(
    "word", ["no", "on", "22:00", "012", "1e3", "2026-01-31", "0x1F", "1_000", ".inf", "true", "=", "1.10"]
)
def test_scalars_stay_the_text_that_was_written(word: str) -> None:
    assert plain(only(f"a: {word}\nb: '{word}'\n")) == {"a": word, "b": word}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_nothing_is_none_and_quoted_nothing_is_text(nothing: str) -> None:
    assert plain(only(f"a: {nothing}\nb: '{nothing}'\n")) == {"a": None, "b": nothing}


def test_documents_are_told_apart_and_empty_ones_left_out() -> None:
    assert [plain(node) for node in load_documents("---\na: x\n---\n---\nb: y\n", "r.yaml")] == [{"a": "x"}, {"b": "y"}]


def test_lines_count_from_the_given_first_line() -> None:
    (node,) = load_documents("a: x\n", "mail.html", first_line=4)
    assert (node.line, node.keys["a"]) == (4, (4, 1))
    with pytest.raises(SetupError, match=r"mail\.html:5:4"):
        load_documents("a: x\nb: @y\n", "mail.html", first_line=4)


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert plain(only("\ufeffa: x\n")) == {"a": "x"}


def test_comments_are_not_part_of_values() -> None:
    assert plain(only("a: x # why\nb: 'x # y'\n")) == {"a": "x", "b": "x # y"}


@settings(max_examples=150, derandomize=True, deadline=None)
@given(TREES)
def test_what_an_emitter_quotes_reads_back_the_same(tree: object) -> None:
    assert plain(
        only(yaml.safe_dump({"a": tree}, default_style='"', allow_unicode=True, default_flow_style=False))
    ) == {"a": tree}


WORDS = st.lists(st.sampled_from(["plan", "=", "and", "(x)", "it's", 'say "x"', "é", "\\"]), min_size=1, max_size=8)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(WORDS, st.sampled_from(["plain", "single", "double", "folded", "literal"]))
def test_every_character_of_a_text_knows_where_it_stands(words: list[str], style: str) -> None:
    """Words of a text, each on a line of its own: the place of each word's first letter is where it is in the file."""
    source = (
        "a:\n"
        + {
            "plain": lambda: "  x " + "\n    ".join(words) + "\n",
            "single": lambda: "  'x " + "\n    ".join(word.replace("'", "''") for word in words) + "'\n",
            "double": lambda: (
                '  "x ' + "\n    ".join(word.replace("\\", "\\\\").replace('"', '\\"') for word in words) + '"\n'
            ),
            "folded": lambda: "  >-\n    x " + "\n    ".join(words) + "\n",
            "literal": lambda: "  |\n    x " + "\n    ".join(words) + "\n",
        }[style]()
    )
    assert isinstance(only(source).value, dict)
    node = only(source).value["a"]  # type: ignore[index, call-overload]
    lines = source.split("\n")
    offset = 0
    for word in words:
        offset = node.value.index(word, offset)
        line, column = position(node.runs, offset)
        at = lines[line - 1][column - 1 :]
        assert at.startswith((word[0], "\\" + word[0], "''" if word[0] == "'" else word[0]))
        assert line == (2 if style not in {"folded", "literal"} else 3) + words.index(word) or words.count(word) > 1
        offset += len(word)
