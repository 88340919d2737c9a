"""One strict reading of an e-mail address.

What is accepted, precisely. Spaces (U+0020) around the text are dropped. Then either

1. the text is all ASCII, at most 254 characters long, holds no label beginning `xn--`, and its lower-case form
   matches `PLAIN_ADDRESS` whole: that lower-case form is canonical; or
2. it has exactly one `@`, an ASCII dot-atom before it, and an internationalised domain after it that passes
   IDNA 2008 (email-validator decides): the canonical form carries the domain in its `xn--` spelling.

Everything else is refused: lists, display names, comments, quoted local parts, IP literals, domains without a dot,
trailing dots, control characters, line breaks, letters outside ASCII before the `@`. Nothing is repaired and
"the first of several" is never taken: `email.utils.parseaddr` does that, and returns the wrong one of
`"a@x" <b@y>`-like texts (CVE-2023-27043).

`PLAIN_ADDRESS` is written without look-around, so RE2 and DuckDB's `regexp_full_match` read it alike: a column is
settled in bulk by case 1, and the few texts left over that are not ASCII or hold `xn--` go through `parse_address`.
Test for ASCII *before* lowering (in DuckDB: `strlen(x) = length(x)`): the Kelvin sign lowers to a plain k.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

#: Matches, whole, a lower-case ASCII address. The part before the `@` has at most 64 characters (a further condition
#: in SQL: `position('@' IN x) <= 65`); the last label ends with a letter.
PLAIN_ADDRESS = rf"{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+([a-z0-9]([a-z0-9-]{{0,61}}[a-z])|[a-z])"

LONGEST_ADDRESS = 254  # octets; RFC 5321 4.5.3.1.3 without the angle brackets
_LONGEST_LOCAL = 64  # RFC 5321 4.5.3.1.1
_PLAIN = re.compile(PLAIN_ADDRESS)


class AddressError(ValueError):
    """A text that is not one plain e-mail address; the message says why and never quotes the text."""


class Mailbox(NamedTuple):
    """A display name (may be empty) and a canonical address."""

    name: str
    address: str


def parse_address(text: str) -> str:
    """The canonical form of one address, or AddressError. Two spellings of one mailbox give the same result."""
    bare = text.strip(" ")
    if len(bare) > LONGEST_ADDRESS:
        raise AddressError(f"longer than {LONGEST_ADDRESS} characters")
    lower = bare.lower()
    if bare.isascii() and "@xn--" not in lower and ".xn--" not in lower:
        return _plain(lower)
    return _international(bare)


def _plain(lower: str) -> str:
    if not _PLAIN.fullmatch(lower) or lower.index("@") > _LONGEST_LOCAL:
        raise AddressError("not one plain address of the form name@domain")
    return lower


def _international(bare: str) -> str:
    try:
        parsed = validate_email(
            bare,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            check_deliverability=False,
            globally_deliverable=True,
            test_environment=True,
        )
    except EmailNotValidError as fault:
        raise AddressError(str(fault).rstrip(".")) from fault
    canonical = (parsed.ascii_email or "").lower()
    if len(canonical) > LONGEST_ADDRESS:
        raise AddressError(f"longer than {LONGEST_ADDRESS} characters with its domain in ASCII")
    return _plain(canonical)


def parse_mailbox(text: str) -> Mailbox:
    """`Name <address>` or a bare address, as written in settings; the name must be free of control characters."""
    stripped = text.strip()
    if not stripped.endswith(">"):
        return Mailbox("", parse_address(stripped))
    name, _, address = stripped[:-1].rpartition("<")
    name = name.strip().strip('"').strip()
    if any(mark in name for mark in '<>",@\\') or not name.isprintable():
        raise AddressError('the name before "<" must be plain text, without quotes, commas or control characters')
    return Mailbox(name, parse_address(address))
