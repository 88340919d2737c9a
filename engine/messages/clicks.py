"""Links of marketing mail led through us, so that clicks can be counted. Only the HTML part; opens are never tracked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape

from engine.messages.links import PATHS, Links, link_id

#: Stores destinations by their ids; when it returns, the links may be sent.
KeepLinks = Callable[[Mapping[str, str]], None]

_MOST_REMEMBERED = 100_000
_ANCHOR = re.compile(r"<a\s(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>", re.IGNORECASE)
_HREF = re.compile(r"(?P<before>\shref\s*=\s*)(?P<quote>[\"'])(?P<url>.*?)(?P=quote)", re.IGNORECASE | re.DOTALL)
_WEB = re.compile(r"https?://[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*", re.IGNORECASE)


def through_us(html: str, message_key: str, links: Links, keep: KeepLinks) -> str:
    """The HTML with its http(s) links led through us. Our own links, mailto: and the like stay as they are.

    The destinations are kept before this returns.
    """
    own = tuple(f"{links.public_url}/{path}/" for path in PATHS.values())
    found: dict[str, str] = {}

    def led(href: re.Match[str]) -> str:
        url = unescape(href["url"]).strip()
        if not _WEB.fullmatch(url) or url.startswith(own):
            return href[0]
        found[link_id(url)] = url
        return f'{href["before"]}"{links.click_url(message_key, link_id(url))}"'

    changed = _ANCHOR.sub(lambda anchor: _HREF.sub(led, anchor[0], count=1), html)
    if found:
        keep(found)
    return changed


def remembering(keep: KeepLinks) -> KeepLinks:
    """`keep`, not asked again about destinations it has stored: most mails lead to the same few places."""
    known: set[str] = set()

    def keep_new(urls: Mapping[str, str]) -> None:
        new = {name: url for name, url in urls.items() if name not in known}
        if new:
            keep(new)
        if len(known) > _MOST_REMEMBERED:
            known.clear()
        known.update(new)

    return keep_new
