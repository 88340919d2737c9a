"""MJML, compiled to HTML that mail software understands.

`mrml` compiles, but is lenient: it copies unknown tags and drops unknown attributes without a word, moves raw markup in
columns, and writes some signs in attributes as Rust writes them. So tags, attributes and nesting are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import mrml

from engine.errors import did_you_mean
from engine.messages.marked_text import CLOSING, OPENING, Marked

_BLOCK = "align background-color border border-bottom border-left border-radius border-right border-top color " \
         "container-background-color css-class font-family font-size font-style font-weight height letter-spacing " \
         "line-height padding padding-bottom padding-left padding-right padding-top text-align text-decoration " \
         "text-transform title vertical-align width mj-class"  # fmt: skip
_CONTENT = ("mj-accordion", "mj-button", "mj-carousel", "mj-divider", "mj-hero", "mj-image", "mj-navbar", "mj-social",
            "mj-spacer", "mj-table", "mj-text")  # fmt: skip
_SECTIONS = ("mj-section", "mj-wrapper", "mj-hero", "mj-raw")

#: Each tag: what may stand directly in it (None: any HTML and text; (): nothing), and its attributes beside those of
#: every block. After MJML 4.
_TAGS: dict[str, tuple[tuple[str, ...] | None, str]] = {
    "mjml": (("mj-head", "mj-body"), "lang dir owa"),
    "mj-head": (
        ("mj-attributes", "mj-breakpoint", "mj-font", "mj-html-attributes", "mj-preview", "mj-raw", "mj-style", "mj-title"),
        "",
    ),
    "mj-attributes": (("mj-all", "mj-class", "mj-body", *_SECTIONS, "mj-column", "mj-group", *_CONTENT), ""),
    "mj-all": ((), "*"),
    "mj-class": ((), "*"),
    "mj-breakpoint": ((), "width"),
    "mj-font": ((), "name href"),
    "mj-preview": (None, ""),
    "mj-title": (None, ""),
    "mj-style": (None, "inline"),
    "mj-raw": (None, "position"),
    "mj-body": (_SECTIONS, "width background-color css-class id"),
    "mj-wrapper": (("mj-section", "mj-hero", "mj-raw"), "full-width gap background-url background-repeat background-size "
                   "background-position direction id"),
    "mj-section": (("mj-column", "mj-group", "mj-raw"), "full-width background-url background-repeat background-size "
                   "background-position background-position-x background-position-y direction id"),
    "mj-group": (("mj-column", "mj-raw"), "direction"),
    "mj-column": (_CONTENT, "inner-background-color inner-border inner-border-radius inner-border-bottom "
                  "inner-border-left inner-border-right inner-border-top direction"),
    "mj-hero": (_CONTENT, "mode background-height background-width background-url background-position "
                "inner-background-color inner-padding"),
    "mj-text": (None, ""),
    "mj-button": (None, "href inner-padding rel target name"),
    "mj-table": (None, "cellpadding cellspacing role table-layout"),
    "mj-image": ((), "src alt href target rel srcset sizes usemap name fluid-on-mobile max-height"),
    "mj-divider": ((), "border-color border-style border-width"),
    "mj-spacer": ((), ""),
    "mj-social": (("mj-social-element",), "icon-height icon-padding icon-size inner-padding mode table-layout text-padding"),
    "mj-social-element": (None, "alt href icon-height icon-padding icon-position icon-size name rel sizes src srcset "
                          "target text-padding"),
    "mj-navbar": (("mj-navbar-link",), "base-url hamburger ico-align ico-close ico-color ico-font-family ico-font-size "
                  "ico-line-height ico-open ico-padding ico-padding-bottom ico-padding-left ico-padding-right "
                  "ico-padding-top ico-text-decoration ico-text-transform"),
    "mj-navbar-link": (None, "href name rel target"),
    "mj-accordion": (("mj-accordion-element",), "icon-align icon-height icon-position icon-unwrapped-alt "
                     "icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url"),
    "mj-accordion-element": (("mj-accordion-title", "mj-accordion-text"), "icon-align icon-height icon-position "
                             "icon-unwrapped-alt icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url"),
    "mj-accordion-title": (None, ""),
    "mj-accordion-text": (None, ""),
    "mj-carousel": (("mj-carousel-image",), "icon-width left-icon right-icon tb-border tb-border-radius "
                    "tb-hover-border-color tb-selected-border-color tb-width thumbnails"),
    "mj-carousel-image": ((), "alt href rel src target thumbnails-src"),
}  # fmt: skip

_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_ATTRIBUTE = re.compile(r"(?P<before>[\w-]+\s*=\s*)(?P<quote>[\"'])(?P<value>.*?)(?P=quote)", re.DOTALL)
_TAG = re.compile(r"<mj[\w-]*(?:\s(?:[^>\"']|\"[^\"]*\"|'[^']*')*)?>")
#: What mrml would not copy into an attribute as it stands.
_DELICATE = re.compile(rf"(?:&\w+;|&#\w+;|[^\x20-\x7e{OPENING}{CLOSING}]|[\\&])+")

#: Nothing is fetched: no other file while compiling, no font from a stranger's server when a customer reads the mail.
_ALONE = mrml.ParserOptions(include_loader=mrml.noop_loader())
_WITHOUT_FONTS = mrml.RenderOptions(fonts={})


class CannotCompile(Exception):  # noqa: N818 - told as a Problem by the caller
    """MJML that cannot be compiled; the message says why."""


Fault = tuple[int, str, str, str | None]
"""Line, what was found, what was expected, did you mean."""


def compiled(marked: Marked) -> str:
    """The HTML of an MJML document, marks in it. Raises CannotCompile."""
    _check_nesting(marked.text)
    text = _TAG.sub(lambda tag: _ATTRIBUTE.sub(lambda given: _guarded(given, marked), tag[0]), marked.text)
    try:
        html = str(mrml.to_html(text, _ALONE, _WITHOUT_FONTS).content)
    except (OSError, ValueError) as fault:
        raise CannotCompile(f"MJML that is not well-formed: {fault}; see that every tag is closed") from fault
    if re.search(rf"<!--\[if(?:(?!-->).)*<!--{OPENING}", html, re.DOTALL):
        raise CannotCompile("a condition between mj-wrapper and its sections; put it around or inside them")
    return html


def faults(source: str) -> Iterator[Fault]:
    """Tags and attributes in the text of a file that MJML does not know, with their lines."""
    names = _Names()
    names.feed(_JINJA.sub(lambda found: "\n" * found[0].count("\n") or "x", source))
    yield from names.faults


def _guarded(given: re.Match[str], marked: Marked) -> str:
    value = _DELICATE.sub(lambda part: marked.hide(part[0]), given["value"])
    return f"{given['before']}{given['quote']}{value}{given['quote']}"


def _check_nesting(text: str) -> None:
    nesting = _Nesting()
    nesting.feed(text)
    if nesting.found:
        raise CannotCompile(nesting.found)
    if not nesting.is_whole:
        raise CannotCompile("no <mjml> with an <mj-body> in it; extend a layout that has them")


class _Names(HTMLParser):
    """Looks at each tag by itself: a file may hold only a part of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Fault] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Only MJML's own tags; HTML in texts is the author's."""
        if not tag.startswith("mj"):
            return
        line = self.getpos()[0]
        if tag == "mj-include":
            self.faults.append((line, "<mj-include>", "expected {% include %}, which sees the values", None))
            return
        if tag not in _TAGS:
            guess = did_you_mean(tag, _TAGS)
            self.faults.append((line, f"unknown tag <{tag}>", "expected a tag of MJML", guess))
            return
        own = _TAGS[tag][1]
        known = {*own.split(), *_BLOCK.split()}
        for name, _ in attrs:
            if own != "*" and name not in known:
                expected = f"expected one of {', '.join(sorted(known if not own else own.split()))}"
                self.faults.append(
                    (line, f'unknown attribute "{name}" of <{tag}>', expected, did_you_mean(name, known))
                )


class _Nesting(HTMLParser):
    """What stands in what, in a whole document; the first fault counts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found = ""
        self.is_whole = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins; inside texts, HTML is not looked at."""
        above = self._above()
        allowed = _TAGS[above][0] if above else ("mjml",)
        if tag not in allowed if allowed is not None else tag.startswith("mj"):
            self._note(f"<{tag}> in <{above}>" if above else f"<{tag}> outside <mjml>", allowed or ())
        elif tag in _TAGS:
            self.is_whole |= tag == "mj-body"
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<mj-image />`."""
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """A tag ends."""
        if tag in _TAGS:
            if self._above() == tag:
                self.open.pop()
            else:
                self._note(f"</{tag}> where <{self._above()}> is open", ())

    def handle_data(self, data: str) -> None:
        """Words must stand in a text."""
        above = self._above()
        if data.strip() and above and _TAGS[above][0] is not None:
            self._note(f'"{data.strip()[:40]}" directly in <{above}>', ("mj-text",))

    def _above(self) -> str:
        return self.open[-1] if self.open else ""

    def _note(self, found: str, allowed: tuple[str, ...]) -> None:
        expected = f"; expected {' or '.join(f'<{tag}>' for tag in allowed)} there" if allowed else ""
        self.found = self.found or found + expected
