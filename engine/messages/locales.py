"""Which language variant of a mail serves a customer, and which way it is read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from babel import Locale, UnknownLocaleError

#: Codes ISO 639 replaced in 1989 and older software still writes.
OLD_LANGUAGES = {"iw": "he", "in": "id", "ji": "yi"}


@lru_cache(maxsize=1024)
def canonical(tag: str) -> str | None:
    """`he_il`, `iw-IL` or `HE-il` as `he-IL`; None for what Babel does not know as a language."""
    parts = tag.strip().replace("_", "-").split(".")[0].split("-")
    parts[0] = OLD_LANGUAGES.get(parts[0].lower(), parts[0])
    try:
        return str(Locale.parse("-".join(parts), sep="-")).replace("_", "-")
    except (UnknownLocaleError, ValueError, TypeError):
        return canonical(parts[0]) if len(parts) > 1 else None


def chain(tag: str) -> Iterator[str]:
    """The tag and its wider forms, most special first: `zh-Hant-TW`, `zh-Hant`, `zh`."""
    parts = tag.split("-")
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])


def language(tag: str) -> str:
    """The language of a tag: `he` of `he-IL`."""
    return tag.partition("-")[0]


@lru_cache(maxsize=1024)
def babel_locale(tag: str) -> Locale:
    """Babel's locale of a canonical tag."""
    return Locale.parse(tag, sep="-")


@lru_cache(maxsize=1024)
def direction(tag: str) -> str:
    """`rtl` or `ltr`."""
    return str(babel_locale(tag).text_direction)
