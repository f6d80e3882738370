"""Temporal loops as factors, whose orderings and splits over memories a search tries."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

#: Loops of one case: (position in `LOOPS`, iterations), inner first where the order counts.
Factors = tuple[tuple[int, int], ...]


@lru_cache(maxsize=65536)
def primes(number: int) -> tuple[int, ...]:
    """Prime factors from the smallest; none of 1."""
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return (*found, number) if number > 1 else tuple(found)


def prime_factors(temporal: Iterable[int], limit: int) -> Factors:
    """Prime factors of temporal loops, merged to few.

    The two smallest factors of the loop with the most factors (the earliest of equals) merge until ``limit`` are
    left, or one a loop: the rule of ZigZag's mapper LOMA (Symons et al., AICAS 2021).

    Args:
        temporal: Iterations of each loop.
        limit: Most factors.

    Returns:
        At least one factor: (0, 1) where nothing is left to loop over.
    """
    return _merged(tuple(int(size) for size in temporal), limit)


@lru_cache(maxsize=65536)
def _merged(temporal: tuple[int, ...], limit: int) -> Factors:
    factors = {loop: list(primes(size)) for loop, size in enumerate(temporal) if size > 1}
    count = sum(map(len, factors.values()))
    while count > max(limit, len(factors)):
        longest = max(factors, key=lambda loop: len(factors[loop]))
        first, second, *others = sorted(factors[longest])
        factors[longest] = sorted([first * second, *others])
        count -= 1
    return tuple((loop, factor) for loop, found in factors.items() for factor in found) or ((0, 1),)
