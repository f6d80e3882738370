"""What an accelerator consists of: an array of multipliers, memories with ports, a vector unit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hannah_hw.errors import InputError
from hannah_hw.targets.fields import Bytes, SourcedNumber, Strict
from hannah_hw.targets.limits import parse_limit

#: Input activations, weights, output activations.
Operand = Literal["I", "W", "O"]
#: Movements through a port, seen from its memory: ``fill`` from the memory above (further from the array), ``read``
#: to the memory below or the array, ``update`` from below, ``drain`` to the memory above.
Move = Literal["fill", "read", "update", "drain"]

_Positive = Annotated[int, Field(ge=1)]


class MacArray(Strict):
    """The multipliers.

    Attributes:
        dims: Name of each dimension of the array -> number of multipliers along it.
        mac_pj: Energy of one multiply-accumulate, picojoules; None: not known.
        systolic: Dimensions through which values are handed on by a multiplier a cycle, so that an array drains.
        partial_sum_bits: Bits of a sum that is not complete.
        mac_mm2: Area of one multiplier with its adder; None: not known.
    """

    dims: Annotated[dict[str, _Positive], Field(min_length=1)]
    mac_pj: SourcedNumber | None = None
    systolic: tuple[str, ...] = ()
    partial_sum_bits: Annotated[int, Field(ge=8, le=64)] = 16
    mac_mm2: SourcedNumber | None = None


class Port(Strict):
    """One port of a memory.

    Attributes:
        name: Its name.
        kind: Directions.
        max_bits: Most bits a cycle.
        min_bits: Least bits that an access moves; None: as many as at most.
        carries: Operand -> its movements through this port. Empty: all of the memory that its kind allows.
    """

    name: str = Field(min_length=1)
    kind: Literal["read", "write", "read_write"]
    max_bits: _Positive
    min_bits: _Positive | None = None
    carries: dict[Operand, tuple[Move, ...]] = Field(default_factory=dict)


class MemoryLevel(Strict):
    """One memory, or one each of several parts of the array.

    Attributes:
        name: Its name.
        size: Bytes of one instance; None: without bound, of the outermost memory.
        holds: Operands that it holds.
        served: Dimensions of the array that share an instance.
        ports: Its ports.
        read_pj: Energy of reading a word as wide as the port at most moves, picojoules; None: not known.
        write_pj: Of writing one.
        double_buffer: Whether one half is filled while the other is in use: ``auto`` where it fits.
        area_mm2: Area of one instance; None: not known.
    """

    name: str = Field(min_length=1)
    size: Bytes | None = None
    holds: Annotated[tuple[Operand, ...], Field(min_length=1)]
    served: tuple[str, ...] = ()
    ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    read_pj: SourcedNumber | None = None
    write_pj: SourcedNumber | None = None
    double_buffer: Literal["auto"] | bool = "auto"
    area_mm2: SourcedNumber | None = None


class Dataflow(Strict):
    """How loops are laid out.

    Attributes:
        spatial: Dimension of the array -> loop dimensions -> how many of each are unrolled along it; several of them:
            the best for each layer is taken. ``search``: all that use the array well.
        temporal: ``search``: the best ordering for each layer.
    """

    spatial: Literal["search"] | tuple[dict[str, dict[str, _Positive]], ...] = "search"
    temporal: Literal["search"] = "search"


class VectorUnit(Strict):
    """What computes pooling, additions and activations.

    Attributes:
        lanes: Results of one operation (a comparison, an addition, ...) a cycle.
        op_pj: Energy of one operation, picojoules; None: not known.
        source: Where the figures come from.
    """

    lanes: SourcedNumber
    op_pj: SourcedNumber | None = None


class Limits(Strict):
    """Bounds on a whole network.

    Attributes:
        layers: Kernels of one inference.
        ram_bytes: Peak of live activations.
        flash_bytes: Weights and biases.
        when: Conditions over totals of the network that must hold for it to run; see `hannah_hw.targets.limits`.
    """

    layers: _Positive | None = None
    ram_bytes: Bytes | None = None
    flash_bytes: Bytes | None = None
    when: tuple[str, ...] = ()

    @field_validator("when")
    @classmethod
    def _parses(cls, conditions: tuple[str, ...]) -> tuple[str, ...]:
        for condition in conditions:
            try:
                parse_limit(condition)
            except InputError as failure:
                raise ValueError(str(failure)) from failure
        return conditions


class CpuFallback(Strict):
    """A processor beside the accelerator that runs what the accelerator cannot.

    Attributes:
        clock_hz: Its clock; None: the accelerator's.
        cycles_per_mac: Of multiply-accumulates.
        cycles_per_value: Of every other operation, for each value that it reads or writes.
        active_w: Its power, watts; None: not known, and then a network that uses it has no energy.
    """

    clock_hz: Annotated[float, Field(gt=0)] | None = None
    cycles_per_mac: SourcedNumber
    cycles_per_value: SourcedNumber
    active_w: SourcedNumber | None = None
