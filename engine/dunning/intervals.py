"""How sure one can be of a difference between two shares."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959963984540054
"""The normal distribution's quantile for a two-sided interval of 95 %."""


def wilson(successes: int, of: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share; `of` is at least 1."""
    share = successes / of
    middle = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def newcombe(successes: int, of: int, other_successes: int, other_of: int, z: float = Z_95) -> tuple[float, float]:
    """The hybrid score interval of the first share minus the other, made of their Wilson limits.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998), 873-890, method 10. It stays within -1 and 1 and holds for few cases,
    where the textbook's normal approximation does not.
    """
    share, other = successes / of, other_successes / other_of
    low, high = wilson(successes, of, z)
    other_low, other_high = wilson(other_successes, other_of, z)
    difference = share - other
    return (
        difference - sqrt((share - low) ** 2 + (other_high - other) ** 2),
        difference + sqrt((high - share) ** 2 + (other - other_low) ** 2),
    )
