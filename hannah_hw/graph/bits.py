"""Bit widths of values: which there are, and the uniform grid that each stands for.

A value that is kept with b bits is a whole multiple of one scale. Grids are symmetric about 0, so that 0 is on
the grid and a positive or negative factor of the scale maps a grid onto itself.
"""

from __future__ import annotations

from typing import Any, Final

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import And, Expression, Floor, Scalar
from hannah_hw.parameters import Parameter

#: Bits of a value that is not quantised.
FLOAT_BITS: Final = 32

#: Largest number of bits of a grid: its numbers are exact in float32.
MOST_BITS: Final = 16

#: Smallest scale of a grid, so that a value of nothing but zeros has one.
LEAST_SCALE: Final = 1e-30


def is_width(bits: Any, least: int = 1) -> bool:
    """Whether a plain number is a bit width: ``least`` to 16, or 32."""
    if isinstance(bits, bool) or not isinstance(bits, int | float) or bits != bits // 1:
        return False
    return least <= bits <= MOST_BITS or bits == FLOAT_BITS


def check_bits(bits: Scalar, what: str, least: int = 1) -> None:
    """Refuse a bit width that there is not; an expression other than a parameter is checked by its value.

    Args:
        bits: A number, a parameter or an expression.
        what: What has it, for the message.
        least: Smallest width that has a grid.

    Raises:
        SpaceError: A number, or a value of a parameter, that is no bit width.
    """
    if isinstance(bits, Expression) and not isinstance(bits, Parameter):
        return
    levels = bits.levels or (bits,) if isinstance(bits, Parameter) else (bits,)
    wrong = [level for level in levels if not is_width(level, least)]
    if wrong:
        raise SpaceError(
            f"{what} has {wrong[0]!r} bits; allowed are {least} to {MOST_BITS}, and {FLOAT_BITS} for no quantisation"
        )


def bits_condition(bits: Scalar, least: int = 1) -> Scalar:
    """Whether a number or an expression is a bit width; True for a parameter, which `check_bits` has checked."""
    if not isinstance(bits, Expression):
        return is_width(bits, least)
    if isinstance(bits, Parameter):
        return True
    widths = ((bits >= least) & (bits <= MOST_BITS)) | (bits == FLOAT_BITS)
    return widths if bits.whole else And(widths, Floor(bits) == bits)


def grid(bits: int, signed: bool = True) -> tuple[int, int]:
    """The smallest and the largest multiple of the scale.

    Args:
        bits: 1 to 16. One signed bit is the sign: -1 and 1, without 0.
        signed: Whether there are negative ones.

    Returns:
        ``-(2**(bits - 1) - 1), 2**(bits - 1) - 1`` with a sign, ``0, 2**bits - 1`` without.
    """
    if not signed:
        return 0, 2**bits - 1
    high = max(2 ** (bits - 1) - 1, 1)
    return -high, high
