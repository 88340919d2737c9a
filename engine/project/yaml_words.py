"""The YAML parser's complaints in words for people who have never read the YAML specification."""

from __future__ import annotations

Words = tuple[str, str, str, str | None]
"""Code, what was found, what was expected, suggestion."""

_PHRASES = (
    ("expected the node content", "nothing where a value belongs", "expected a value, or a closing bracket above"),
    ("found unexpected end of stream", "a quote that is never closed", "close it, or double it inside the text"),
    ("could not find expected ':'", "a line without a colon", 'expected "key: value"'),
    ("expected ',' or ']'", "a list in brackets that is never closed", 'expected "]" at its end and "," between items'),
    ("expected ',' or '}'", "a mapping in braces that is never closed", 'expected "}" at its end and "," between keys'),
    (
        "expected <block end>",
        "a line that does not fit the lines above",
        "line its first character up with its siblings",
    ),
    (
        "found unknown escape character",
        "an unknown \\ escape",
        "use single quotes, in which \\ is an ordinary character",
    ),
    ("expected '<document start>'", "text after the end of the document", 'begin another document with a line "---"'),
    ("sequence entries are not allowed", 'a "-" in the middle of a line', "start the list on a line of its own"),
    ("expected a comment or a line break", 'text on the line of "|" or ">"', "begin the text on the next line"),
    ("found unexpected document separator", 'a line "---" inside a quoted text', "close the quote first"),
    ("mapping values are not allowed", "a line indented deeper than its siblings", "line it up with them"),
)

_OPENINGS = ("a quoted scalar", "a flow sequence", "a flow mapping", "an alias", "an anchor", "a simple key")


def opens_here(context: str, problem: str) -> bool:
    """Whether the place to show is where the construct began and not where the parser gave up."""
    return any(opening in context for opening in _OPENINGS) and "cannot start any token" not in problem


def explain_syntax(problem: str, rest: str, before: str) -> Words:
    """Words for the parser's `problem`, given the text from the marked place on and what precedes it on its line."""
    if "'\\t'" in problem:
        return "HF102", "a tab", "indent with spaces", None
    if "cannot start any token" in problem:
        return "HF104", f'a value that begins with "{rest[:1]}"', "in YAML such a text needs quotes", _quoted(rest)
    if "expected alphabetic or numeric" in problem:
        return "HF104", f'a value that begins with "{rest[:1]}"', "in YAML such a text needs quotes", _quoted(rest)
    if "mapping values are not allowed" in problem and ": " in before:
        return (
            "HF104",
            'a second ": " on one line',
            "quote the text if the colon belongs to it",
            _one_pair(before, rest),
        )
    for phrase, found, expected in _PHRASES:
        if phrase in problem:
            return "HF101", found, expected, None
    return "HF101", "text that is not YAML", f"the parser says: {problem}", None


def _one_pair(before: str, rest: str) -> str | None:
    key, _, start = before.partition(": ")
    text = start.strip() + rest.split("\n", 1)[0].rstrip()
    return f'{key.strip()}: "{text}"' if '"' not in text and len(text) < 60 else None


def _quoted(rest: str) -> str | None:
    text = rest.split("\n", 1)[0].split(" #", 1)[0].strip()
    return f'"{text}"' if 0 < len(text) < 60 and '"' not in text and text[0] != '"' else None
