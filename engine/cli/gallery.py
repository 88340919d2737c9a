"""The gallery: every mail on one page as readers see it, in the light, in the dark and on a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.cli.looks import headers, remarks, sizes
from engine.messages import Mail, Note
from engine.messages.locales import direction
from engine.messages.pages import page
from engine.preview import Look

_PAGE = Path(__file__).parent / "gallery.html"
_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)", re.IGNORECASE)
_LIGHT = re.compile(r"\(\s*prefers-color-scheme\s*:\s*light\s*\)", re.IGNORECASE)
_BOTH = re.compile(r"\b(light\s+dark|dark\s+light)\b(\s+only)?")
_ALWAYS, _NEVER = "(min-width: 0)", "(max-width: 0)"


@dataclass(frozen=True)
class View:
    """A mail seen one way, in a frame of its own."""

    name: str
    scheme: str
    width_px: int
    html: str


def views(html: str) -> list[View]:
    """Light and dark at the width of a desktop inbox, and a phone."""
    light, dark = in_scheme(html, "light"), in_scheme(html, "dark")
    return [View("Light", "light", 640, light), View("Dark", "dark", 640, dark), View("Phone", "light", 390, light)]


def in_scheme(html: str, scheme: str) -> str:
    """The mail as it looks in a colour scheme, whatever the scheme of whoever looks at it."""
    is_dark = scheme == "dark"
    html = _DARK.sub(_ALWAYS if is_dark else _NEVER, html)
    html = _LIGHT.sub(_NEVER if is_dark else _ALWAYS, html)
    return re.sub(
        r"color-scheme[^;>]*", lambda found: _BOTH.sub(scheme, found[0]), html
    )  # its own word, in a meta tag or a style


def gallery_page(name: str, looks: Sequence[Look]) -> str:
    """The page, whole: no file, font or script from elsewhere. `name`: the workspace's."""
    rules: dict[str, list[Look]] = {}
    for look in looks:
        rules.setdefault(look.rule.id, []).append(look)
    return page(
        _PAGE,
        name=name, rules=rules, count=len(looks), warnings=sum(len(look.findings) for look in looks),
        is_mail=lambda look: isinstance(look.content, Mail), is_note=lambda look: isinstance(look.content, Note),
        views=lambda look: views(look.content.html), headers=lambda look: headers(look.content),
        sizes=lambda look: sizes(look.content), remarks=remarks, direction=direction,
    )  # fmt: skip
