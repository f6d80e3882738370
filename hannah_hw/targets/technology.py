"""Energies and areas that follow the size of a part, so that a search over hardware moves them.

A target's file writes ``read_pj: {fit: sram_45nm}`` for a memory, or ``mac_pj: {fit: mac_45nm}`` for the array; it
becomes a figure with the source ``fitted``, its reference and its error.

* ``sram_22nm``, ``sram_45nm``, ``sram_65nm``: power laws of size and width through our own runs of CACTI 7.0 (the
  binary that zigzag-dse 3.9.1 ships): 55 memories a node from 1 KiB to 4 MiB with words of 32 to 1024 bits and at
  least 64 words, cells and periphery ITRS LSTP, one read-write port, no error correction, 360 K. The runs are
  tests/targets/data/cacti_sram.csv. Published figures beside them: Horowitz (below) has 10, 20 and 100 pJ for 64 bits
  from caches of 8 KiB, 32 KiB and 1 MiB at 45 nm; the law gives 6.6, 14.5 and 103 pJ.
* ``register_45nm``: 0.009 pJ and 5.98 square micrometres a bit, as Aladdin characterised standard cells (Shao, Reagen,
  Wei, Brooks, ISCA 2014; table aladdin_register.csv of the Accelergy library).
* ``mac_45nm``: a product and a sum of integers between the published ones of 8 and 32 bits. Energies: Horowitz,
  "Computing's energy problem (and what we can do about it)", ISSCC 2014, 45 nm, 0.9 V: products 0.2 and 3.1 pJ, sums
  0.03 and 0.1 pJ. Areas, TSMC 45 nm: Dally, "High-performance hardware for machine learning", NIPS 2015: products 282
  and 3495, sums 36 and 137 square micrometres.
* ``dram_ddr3``: 1.3 to 2.6 nJ for 64 bits (Horowitz, the same); the middle, whatever the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hannah_hw.targets.fields import SourcedNumber, Strict

#: What a fit can be asked for.
Quantity = Literal["read_pj", "write_pj", "mac_pj", "area_mm2", "mac_mm2"]

_HOROWITZ: Final = 'Horowitz, "Computing\'s energy problem", ISSCC 2014'


@dataclass(frozen=True)
class PowerLaw:
    """scale x bytes^of_bytes x bits^of_bits.

    Attributes:
        scale: Value at one byte and one bit.
        of_bytes: Exponent of the size of one memory.
        of_bits: Exponent of the width of a word.
        error: 95 % of the points lie within this relative distance; None: not known.
        mean_error: Mean relative distance of the points.
    """

    scale: float
    of_bytes: float
    of_bits: float
    error: float | None = None
    mean_error: float | None = None

    def __call__(self, size: float, bits: float) -> float:
        """The value.

        Args:
            size: Bytes.
            bits: Bits of a word.
        """
        return float(self.scale * size**self.of_bytes * bits**self.of_bits)


@dataclass(frozen=True)
class MemoryFit:
    """What one kind of memory costs.

    Attributes:
        laws: Quantity -> its law; what is missing is not known of such memories.
        reference: Where the laws come from.
        sizes: Least and greatest bytes of the points; None: the size does not matter.
        widths: Least and greatest bits of a word of the points.
    """

    laws: Mapping[Quantity, PowerLaw]
    reference: str
    sizes: tuple[int, int] | None = None
    widths: tuple[int, int] | None = None

    def inside(self, size: float, bits: float) -> bool:
        """Whether a memory lies among the points, so that the law interpolates."""
        return all(
            limits is None or limits[0] <= value <= limits[1]
            for limits, value in ((self.sizes, size), (self.widths, bits))
        )


def _cacti(node: int, read: PowerLaw, write: PowerLaw, area: PowerLaw) -> MemoryFit:
    laws: dict[Quantity, PowerLaw] = {"read_pj": read, "write_pj": write, "area_mm2": area}
    reference = f"CACTI 7.0, own runs at {node} nm, ITRS LSTP, one read-write port"
    return MemoryFit(laws, reference, (1024, 4 << 20), (32, 1024))


#: Name -> fit of a memory.
MEMORIES: Final[Mapping[str, MemoryFit]] = {
    "sram_22nm": _cacti(
        22,
        read=PowerLaw(0.0006583, 0.553, 0.689, 0.41, 0.142),
        write=PowerLaw(0.0006943, 0.480, 0.855, 0.18, 0.087),
        area=PowerLaw(7.332e-07, 0.965, 0.127, 0.35, 0.106),
    ),
    "sram_45nm": _cacti(
        45,
        read=PowerLaw(0.002637, 0.565, 0.658, 0.45, 0.166),
        write=PowerLaw(0.00396, 0.462, 0.844, 0.18, 0.085),
        area=PowerLaw(3.233e-06, 0.961, 0.108, 0.31, 0.116),
    ),
    "sram_65nm": _cacti(
        65,
        read=PowerLaw(0.004386, 0.575, 0.654, 0.51, 0.178),
        write=PowerLaw(0.00797, 0.459, 0.840, 0.20, 0.093),
        area=PowerLaw(7.082e-06, 0.956, 0.106, 0.31, 0.116),
    ),
    "register_45nm": MemoryFit(
        {
            "read_pj": PowerLaw(0.009, 0.0, 1.0),
            "write_pj": PowerLaw(0.009, 0.0, 1.0),
            "area_mm2": PowerLaw(8 * 5.98e-6, 1.0, 0.0),
        },
        "Shao et al., Aladdin, ISCA 2014, 45 nm: 0.009 pJ and 5.98 square micrometres a bit",
    ),
    "dram_ddr3": MemoryFit(
        {"read_pj": PowerLaw(1950 / 64, 0.0, 1.0, 1 / 3), "write_pj": PowerLaw(1950 / 64, 0.0, 1.0, 1 / 3)},
        f"{_HOROWITZ}: 1.3 to 2.6 nJ for 64 bits",
    ),
}

#: (bits, value) of products and sums at 45 nm; see the module.
_PRODUCTS: Final[Mapping[Quantity, tuple[tuple[int, float], tuple[int, float]]]] = {
    "mac_pj": ((8, 0.2), (32, 3.1)),
    "mac_mm2": ((8, 282e-6), (32, 3495e-6)),
}
_SUMS: Final[Mapping[Quantity, tuple[tuple[int, float], tuple[int, float]]]] = {
    "mac_pj": ((8, 0.03), (32, 0.1)),
    "mac_mm2": ((8, 36e-6), (32, 137e-6)),
}
_MAC_REFERENCES: Final[Mapping[Quantity, str]] = {
    "mac_pj": f"{_HOROWITZ}, 45 nm, 0.9 V",
    "mac_mm2": 'Dally, "High-performance hardware for machine learning", NIPS 2015, TSMC 45 nm',
}


class MemoryFitName(Strict):
    """A figure of a memory that follows its size and width.

    Attributes:
        fit: A key of `MEMORIES`.
    """

    fit: Literal["sram_22nm", "sram_45nm", "sram_65nm", "register_45nm", "dram_ddr3"]


class MacFitName(Strict):
    """A figure of a multiplier that follows its widths.

    Attributes:
        fit: ``mac_45nm``.
        weight_bits: Bits of one factor.
        activation_bits: Bits of the other.
        sum_bits: Bits of the sum; None: those of a partial sum of the array.
    """

    fit: Literal["mac_45nm"]
    weight_bits: Annotated[int, Field(ge=1, le=64)] = 8
    activation_bits: Annotated[int, Field(ge=1, le=64)] = 8
    sum_bits: Annotated[int, Field(ge=1, le=128)] | None = None


def memory_schema(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a figure of a memory allow the name of a fit."""
    schema["anyOf"].append(MemoryFitName.model_json_schema())


def mac_schema(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a figure of the array allow the name of a fit."""
    schema["anyOf"].append(MacFitName.model_json_schema())


def memory_figure(given: Any, quantity: Quantity, size: float | None, bits: int) -> Any:
    """A figure of a memory: what is given, or what its fit says.

    Args:
        given: A figure with its source, or ``{fit: NAME}``.
        quantity: What it is of.
        size: Bytes of one instance.
        bits: Width of its words.

    Raises:
        ValueError: An unknown fit, one that does not know the quantity, or a memory without a size.
    """
    if not isinstance(given, dict) or "fit" not in given:
        return given
    name = MemoryFitName.model_validate(given).fit
    fit = MEMORIES[name]
    law = fit.laws.get(quantity)
    if law is None:
        raise ValueError(f"the fit {name!r} knows no {quantity}; it knows {', '.join(fit.laws)}")
    if size is None and law.of_bytes:
        raise ValueError(f"the fit {name!r} follows the size, and the memory has none; give 'size: 64 KiB'")
    value = law(size or 1, bits)
    known = fit.inside(size or 1, bits)
    said = f"{fit.reference}; {law.scale:g}"
    said += f" x bytes^{law.of_bytes:g}" if law.of_bytes else ""
    said += f" x bits^{law.of_bits:g}" if law.of_bits else ""
    if law.mean_error is not None:
        said += f", mean error {100 * law.mean_error:.0f} %"
    if not known:
        said += "; extrapolated"
    return SourcedNumber(value=value, source="fitted", reference=said, error=law.error if known else None)


def mac_figure(given: Any, quantity: Quantity, sum_bits: int) -> Any:
    """A figure of a multiply-accumulate: what is given, or what its fit says.

    Args:
        given: A figure with its source, or ``{fit: mac_45nm, weight_bits: 8, activation_bits: 8}``.
        quantity: ``mac_pj`` or ``mac_mm2``.
        sum_bits: Bits of a partial sum of the array.

    Raises:
        ValueError: An unknown fit.
    """
    if not isinstance(given, dict) or "fit" not in given:
        return given
    fit = MacFitName.model_validate(given)
    width = fit.sum_bits or sum_bits
    # A product of a by b bits has the partial products of one of sqrt(a b) by sqrt(a b) bits.
    value = _between(_PRODUCTS[quantity], (fit.weight_bits * fit.activation_bits) ** 0.5)
    value += _between(_SUMS[quantity], width)
    said = f"{_MAC_REFERENCES[quantity]}: product of {fit.weight_bits} by {fit.activation_bits} bits, sum of {width}"
    return SourcedNumber(value=value, source="fitted", reference=said)


def _between(points: tuple[tuple[int, float], tuple[int, float]], bits: float) -> float:
    """The power law through two points."""
    (low, small), (high, large) = points
    exponent = (math.log2(large) - math.log2(small)) / (math.log2(high) - math.log2(low))
    return float(small * (bits / low) ** exponent)
