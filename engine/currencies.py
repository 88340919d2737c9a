"""How many decimals a currency's minor unit has, by ISO 4217.

Amounts inside the engine are whole numbers of the minor unit. Babel's own table is not used for this: CLDR says how
many digits people *show* (none for the Serbian dinar, say), which is not how many the unit has.
"""

from __future__ import annotations

from babel.core import get_global

_EXPONENTS = {
    code: decimals
    for decimals, codes in {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }.items()
    for code in codes.split()
}
_CODES: frozenset[str] = frozenset(get_global("all_currencies"))


def exponent(code: str) -> int | None:
    """Decimals of the minor unit: EUR 2, JPY 0, KWD 3; None for a code that is no currency. Case does not matter."""
    upper = code.strip().upper()
    return _EXPONENTS.get(upper, 2) if upper in _CODES else None


def exponents() -> dict[str, int]:
    """Decimals of the minor unit of every currency, by code."""
    return {code: _EXPONENTS.get(code, 2) for code in sorted(_CODES)}
