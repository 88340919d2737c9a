"""Style sheets written into the tags, because some mail software reads nothing else. Rules behind `@` stay where they are."""

from __future__ import annotations

import re

import css_inline

_INLINER = css_inline.CSSInliner(keep_style_tags=False, keep_at_rules=True, load_remote_stylesheets=False)
_HAS_STYLES = re.compile(r"<style[\s>]", re.IGNORECASE)
_IS_WHOLE = re.compile(r"<html[\s>]", re.IGNORECASE)


class CannotInline(ValueError):  # noqa: N818 - told as a Problem by the caller
    """A style sheet that cannot be read; the message says why."""


def inlined(html: str) -> str:
    """A whole document with its styles in its tags; a fragment, or a document without a style sheet, as it is."""
    if not (_HAS_STYLES.search(html) and _IS_WHOLE.search(html)):
        return html
    try:
        return str(_INLINER.inline(html))
    except css_inline.InlineError as fault:
        raise CannotInline(str(fault)) from fault
