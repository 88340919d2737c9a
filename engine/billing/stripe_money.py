"""Stripe's amounts in the minor units of ISO 4217.

Stripe counts in hundredths, but in whole units where a currency has (in its books) none, and in thousandths where it
has three decimals. Two of its books differ from ISO 4217: Malagasy ariary are whole, Icelandic krónur and Ugandan
shillings hundredths although they have no smaller coin (docs.stripe.com/currencies).
"""

from __future__ import annotations

from engine.currencies import exponents

_WHOLE = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def iso_minor(amount: int, currency: str) -> int:
    """An amount as Stripe counts it, in ISO 4217 minor units; what is smaller than one is cut off.

    An unknown currency is left as it is.
    """
    code = currency.upper()
    theirs = 0 if code in _WHOLE else 3 if code in _THOUSANDTHS else 2
    ours = exponents().get(code, theirs)
    return amount * int(10 ** (ours - theirs)) if ours >= theirs else amount // int(10 ** (theirs - ours))
