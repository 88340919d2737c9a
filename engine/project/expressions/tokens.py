"""Cutting an expression's text into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.project.faults import Fault

MAX_LENGTH = 4000  # characters

Kind = Literal["word", "number", "text", "sign", "end"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>--|/\*|\#)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<text>'(?:[^']|'')*')
      | (?P<foreign>==|&&|\|\||=>|=<|!(?!=)|::|->|\{\{|\$\{)
      | (?P<sign><>|!=|<=|>=|[=<>+\-*/(),.])""",
    re.VERBOSE,
)
_FOREIGN = {
    "==": ('"=="', "equality is written with one sign", '"="'),
    "&&": ('"&&"', "conditions are joined with and", '"and"'),
    "||": ('"||"', "conditions are joined with or", '"or"'),
    "!": ('"!"', "a condition is turned round with not", '"not"'),
    "=>": ('"=>"', "at least is written >=", '">="'),
    "=<": ('"=<"', "at most is written <=", '"<="'),
    "{{": ('"{{"', "templates do not reach into expressions; write the column's name", None),
    "${": ('"${"', "variables do not reach into expressions; write the value", None),
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text from `start` to before `end`. A word is folded to lower case, a text freed of its quotes."""

    kind: Kind
    value: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens in order, the last of kind "end". Raises `Fault` with the offset of what does not belong."""
    if len(text) > MAX_LENGTH:
        raise Fault("HF412", f"an expression of {len(text):,} characters", f"expected at most {MAX_LENGTH:,}")
    index = 0
    while index < len(text):
        match = _TOKEN.match(text, index)
        if match is None:
            raise _strange(text, index)
        if match.lastgroup != "space":
            yield _token(match, text)
        index = match.end()
    end = len(text.rstrip())
    yield Token("end", "", end, end)


def _token(match: re.Match[str], text: str) -> Token:
    found, start, end = match[0], match.start(), match.end()
    if match.lastgroup == "comment":
        raise Fault("HF405", f'a comment "{found}"', "comments belong into the YAML file, after a #", offset=start)
    if match.lastgroup == "foreign":
        what, expected, guess = _FOREIGN.get(found, (f'"{found}"', "this sign is not part of the language", None))
        raise Fault("HF404", what, expected, guess, start)
    if match.lastgroup == "number":
        tail = re.compile(r"\w+").match(text, end)
        if tail or re.match(r"0\d", found):
            whole = found + (tail[0] if tail else "")
            raise Fault(
                "HF409", f'"{whole}" is not a number', "expected digits such as 5000 or 2.5", _digits(whole), start
            )
        return Token("number", found, start, end)
    if match.lastgroup == "text":
        return Token("text", found[1:-1].replace("''", "'"), start, end)
    if match.lastgroup == "word":
        return Token("word", found.lower(), start, end)
    return Token("sign", found, start, end)


def _digits(text: str) -> str | None:
    bare = text.replace("_", "").lstrip("0")
    return f'"{bare}"' if re.fullmatch(r"\d{1,18}", bare) else None


def _strange(text: str, index: int) -> Fault:
    character = text[index]
    if character == "'":
        return Fault("HF402", "a text that is never closed", "expected a closing '", offset=index)
    if character in '"“”`':
        end = text.find(character, index + 1)
        inside = text[index + 1 : end] if 0 < end < index + 60 else ""
        guess = "'" + inside.replace("'", "''") + "'" if inside else None
        return Fault(
            "HF403", f"a {character} quote", "text stands between single quotes, columns without any", guess, index
        )
    if character in "‘’":  # noqa: RUF001 - what word processors make of '
        return Fault("HF403", f"a {character} quote", "expected the straight quote '", offset=index)
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return Fault("HF401", f'"{shown}"', "this character is not part of the language", offset=index)
