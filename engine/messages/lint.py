"""What is allowed in a mail, and yet costs readers: found in finished mails, told as warnings.

Contrast is measured as WCAG 2.2 defines it (4.5 : 1, or 3 : 1 for large letters) against the nearest background written
in the tags, in the light scheme. 102,400 bytes is where Gmail cuts a mail off; subjects longer than 60 characters are
cut by most inboxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from engine.messages.mail import Mail

LONGEST_SUBJECT = 60
LARGEST_HTML = 100 * 1024
FEWEST_WORDS = 20  # beside images
LEAST_CONTRAST, LEAST_CONTRAST_LARGE = 4.5, 3.0
LARGE_PX, LARGE_BOLD_PX = 24.0, 18.66

_OFFER = re.compile(
    r"\d+\s?%\s*(?:off|discount|rabatt|reduction)|\bdiscounts?\b|\bcoupons?\b|\bvouchers?\b|\bpromo(?:tion)?(?:al)? codes?\b|"
    r"\bhalf price\b|\bfree (?:months?|trials?|weeks?)\b|\b(?:months?|weeks?) free\b|\bspecial offers?\b|\bsave \d|\bupgrade (?:now|today)\b",
    re.IGNORECASE,
)
_SHOUTED = re.compile(r"[!?]\s*[!?]\s*[!?]|!!")
_FALSE_REPLY = re.compile(r"^(?:re|fwd?|aw|wg)\s*:", re.IGNORECASE)
_RGB = re.compile(r"rgba?\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?:,\s*([\d.]+)\s*)?\)")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "blue": (0, 0, 255), "gray": (128, 128, 128),
          "grey": (128, 128, 128), "silver": (192, 192, 192), "yellow": (255, 255, 0), "green": (0, 128, 0)}  # fmt: skip
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_UNSEEN = frozenset({"head", "style", "script", "title"})

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Finding:
    """One thing to mend: its code, what was found, and what is better."""

    code: str
    found: str
    expected: str


def lint(mail: Mail, class_: str) -> list[Finding]:
    """What to mend in a finished mail, sent as `class_`; each thing once."""
    page = _Page()
    page.feed(mail.html)
    page.close()
    case = _Case(mail, class_, page)
    found = (finding for look in _LOOKS for finding in look(case))
    return list(dict.fromkeys(found))


def lint_subject(subject: str) -> list[Finding]:
    """What to mend in a subject, in any language."""
    return list(_subject(subject))


def _about_subject(case: _Case) -> Iterator[Finding]:
    yield from _subject(case.mail.subject)


def _subject(subject: str) -> Iterator[Finding]:
    if len(subject) > LONGEST_SUBJECT:
        yield Finding(
            "HF523",
            f'a subject of {len(subject)} characters: "{subject}"',
            f"{LONGEST_SUBJECT} are seen in most inboxes",
        )
    letters = [letter for letter in subject if letter.upper() != letter.lower()]
    capitals = [letter for letter in letters if letter.isupper()]
    if len(letters) >= 8 and len(capitals) > 0.7 * len(letters):
        yield Finding("HF521", f'a subject in capitals: "{subject}"', "spam filters and readers take it for shouting")
    if _SHOUTED.search(subject):
        yield Finding("HF521", f'a subject that shouts: "{subject}"', "one mark at most")
    if _FALSE_REPLY.search(subject):
        yield Finding(
            "HF521", f'a subject that pretends to be an answer: "{subject}"', "filters and readers take it amiss"
        )


def _about_preheader(case: _Case) -> Iterator[Finding]:
    if not case.mail.preheader:
        expected = "without one, inboxes show the first words of the mail beside the subject"
        yield Finding("HF524", "a mail without a preheader", expected)
    elif case.mail.preheader not in case.page.hidden_words and case.mail.preheader not in case.page.words:
        yield Finding(
            "HF524", "a preheader that is nowhere in the HTML", "print {{ preheader }} at the head of the body"
        )


def _about_offers(case: _Case) -> Iterator[Finding]:
    """Advertising in a mail that is sent without consent makes it marketing, in law and in the reader's eyes."""
    if case.class_ == "marketing":
        return
    for place, text in (
        ("the subject", case.mail.subject),
        ("the preheader", case.mail.preheader),
        ("the text", case.page.words),
    ):
        if offer := _OFFER.search(text):
            yield Finding(
                "HF520", f'"{offer[0]}" in {place} of a {case.class_} mail', "offers belong into marketing mail"
            )


def _about_size(case: _Case) -> Iterator[Finding]:
    size = len(case.mail.html.encode())
    if size > LARGEST_HTML:
        expected = "Gmail cuts off what is behind 100 kB, the unsubscribe link too"
        yield Finding("HF525", f"{size / 1024:.0f} kB of HTML", expected)


def _about_images(case: _Case) -> Iterator[Finding]:
    for source in case.page.images_without_alt:
        yield Finding("HF522", f'an image without alt: "{source}"', 'say what it shows, or alt="" if it says nothing')
    if case.page.images and len(case.page.words.split()) < FEWEST_WORDS:
        expected = "many readers do not load images, and spam filters distrust mails made of them"
        yield Finding("HF521", f"images and only {len(case.page.words.split())} words", expected)


def _about_links(case: _Case) -> Iterator[Finding]:
    for address in case.page.links:
        if not address.startswith(("https://", "mailto:", "tel:", "#")):
            yield Finding("HF526", f'a link without https: "{address}"', "expected https://")


def _about_contrast(case: _Case) -> Iterator[Finding]:
    for words, colour, ground, wanted in case.page.faint:
        found = f'{contrast(colour, ground):.1f} : 1 between text and background at "{words[:40]}"'
        yield Finding("HF527", found, f"expected {wanted:g} : 1, or readers with weak eyes cannot read it")


_LOOKS: tuple[Callable[[_Case], Iterator[Finding]], ...] = (
    _about_subject, _about_preheader, _about_offers, _about_size, _about_images, _about_links, _about_contrast,
)  # fmt: skip


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [value / 255 for value in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def colour_of(text: str) -> Colour | None:
    """A colour as style sheets write it; None for what is transparent or not known here."""
    text = text.strip().lower()
    if re.fullmatch(r"#[0-9a-f]{3}|#[0-9a-f]{6}", text):
        digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    rgb = _RGB.fullmatch(text)
    if rgb and (rgb[4] is None or float(rgb[4]) == 1):
        return int(rgb[1]), int(rgb[2]), int(rgb[3])
    return _NAMED.get(text)


@dataclass(frozen=True)
class _Look:
    """How text comes out inside an element."""

    tag: str
    colour: Colour
    ground: Colour
    size_px: float
    is_bold: bool
    is_hidden: bool


@dataclass(frozen=True)
class _Case:
    """One mail, what it is sent as, and its HTML as it is read."""

    mail: Mail
    class_: str
    page: _Page


class _Page(HTMLParser):
    """Reads a page as a reader sees it: words, links, images, colours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words, self.hidden_words = "", ""
        self.links: list[str] = []
        self.images: list[str] = []
        self.images_without_alt: list[str] = []
        self.faint: list[tuple[str, Colour, Colour, float]] = []
        self.looks = [_Look("", (0, 0, 0), (255, 255, 255), 16.0, is_bold=False, is_hidden=False)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"].strip())
        if tag == "img":
            self.images.append(given.get("src", ""))
            if "alt" not in given:
                self.images_without_alt.append(given.get("src", ""))
        if tag not in _VOID:
            self.looks.append(self._look(tag, given))

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and all that were left open in it."""
        if tag in {look.tag for look in self.looks}:
            while self.looks.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Words, judged by how they come out."""
        look, words = self.looks[-1], " ".join(data.split())
        if not words:
            return
        if look.is_hidden:
            self.hidden_words += words + " "
            return
        self.words += words + " "
        is_large = look.size_px >= LARGE_PX or (look.is_bold and look.size_px >= LARGE_BOLD_PX)
        wanted = LEAST_CONTRAST_LARGE if is_large else LEAST_CONTRAST
        if any(letter.isalnum() for letter in words) and contrast(look.colour, look.ground) < wanted:
            self.faint.append((words, look.colour, look.ground, wanted))

    def _look(self, tag: str, given: dict[str, str]) -> _Look:
        above = self.looks[-1]
        style = dict(_declarations(given.get("style", "")))
        ground = style.get("background-color") or style.get("background", "").split(" ")[0] or given.get("bgcolor", "")
        size = re.fullmatch(r"([\d.]+)px", style.get("font-size", ""))
        weight = style.get("font-weight", "bold" if tag in {"b", "strong", "th", "h1", "h2", "h3"} else "")
        return _Look(
            tag,
            colour_of(style.get("color", "")) or above.colour,
            colour_of(ground) or above.ground,
            float(size[1]) if size else above.size_px,
            weight in {"bold", "600", "700", "800", "900"} if weight else above.is_bold,
            above.is_hidden or tag in _UNSEEN or style.get("display") == "none",
        )


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            yield name.strip().lower(), value.replace("!important", "").strip().lower()
