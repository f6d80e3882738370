"""What an accelerator consists of: an array of multipliers, memories with ports, a vector unit."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field, ValidationInfo, field_validator

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Bytes, Hertz, Size, SourcedNumber, Strict, parsed_by
from hannah_hw.targets.limits import parse_limit
from hannah_hw.targets.technology import Quantity, mac_figure, mac_schema, memory_figure, memory_schema

#: Input activations, weights, output activations.
Operand = Literal["I", "W", "O"]
#: Movements through a port, seen from its memory: ``fill`` from the memory above (further from the array), ``read``
#: to the memory below or the array, ``update`` from below, ``drain`` to the memory above.
Move = Literal["fill", "read", "update", "drain"]

#: Kind of a port -> movements that it can carry.
MOVES: Final[dict[str, tuple[Move, ...]]] = {
    "read": ("read", "drain"),
    "write": ("fill", "update"),
    "read_write": ("fill", "read", "update", "drain"),
}
#: Loops of a layer: batch, output channels of a group, groups, output columns and rows, input channels of a group,
#: columns and rows of the window.
LOOP_NAMES: Final = ("B", "K", "G", "OX", "OY", "C", "FX", "FY")

_Positive = Annotated[int, Field(ge=1)]


class MacArray(Strict):
    """The multipliers.

    Attributes:
        dims: Name of each dimension of the array -> number of multipliers along it.
        systolic: Dimensions through which values are handed on by a multiplier a cycle, so that an array drains.
        partial_sum_bits: Bits of a sum that is not complete.
        mac_pj: Energy of one multiply-accumulate, picojoules; None: not known. Files may name a fit; see
            `hannah_hw.targets.technology`.
        mac_mm2: Area of one multiplier with its adder; None: not known. Files may name a fit.
    """

    dims: Annotated[dict[str, _Positive], Field(min_length=1)]
    systolic: tuple[str, ...] = ()
    partial_sum_bits: Annotated[int, Field(ge=8, le=64)] = 16
    mac_pj: SourcedNumber | None = Field(default=None, json_schema_extra=mac_schema)
    mac_mm2: SourcedNumber | None = Field(default=None, json_schema_extra=mac_schema)

    @field_validator("mac_pj", "mac_mm2", mode="before")
    @classmethod
    def _fitted(cls, given: Any, info: ValidationInfo) -> Any:
        return mac_figure(given, cast("Quantity", info.field_name), info.data.get("partial_sum_bits", 16))


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

    @field_validator("min_bits")
    @classmethod
    def _part_of_a_word(cls, bits: int | None, info: ValidationInfo) -> int | None:
        most = info.data.get("max_bits")
        if bits is not None and most is not None and bits > most:
            raise ValueError(f"must be at most max_bits, {most}")
        return bits

    @field_validator("carries")
    @classmethod
    def _possible(
        cls, carries: dict[Operand, tuple[Move, ...]], info: ValidationInfo
    ) -> dict[Operand, tuple[Move, ...]]:
        kind = info.data.get("kind")
        for operand, moves in carries.items():
            if not moves:
                raise ValueError(f"{operand} has no direction; name some of {', '.join(MOVES['read_write'])}")
            for move in moves:
                allowed = possible_moves(kind, operand) if kind is not None else moves
                if move not in allowed:
                    raise ValueError(
                        str(TargetError(f"a {kind} port cannot carry {move!r} of {operand}", allowed=allowed))
                    )
        return carries


def possible_moves(kind: str, operand: Operand) -> tuple[Move, ...]:
    """Movements of an operand through a port of some kind; only outputs come from below."""
    return tuple(move for move in MOVES[kind] if operand == "O" or move in ("fill", "read"))


class MemoryLevel(Strict):
    """One memory, or one each of several parts of the array.

    Attributes:
        name: Its name.
        size: Bytes of one instance; None: without bound, of the outermost memory.
        holds: Operands that it holds.
        served: Dimensions of the array that share an instance.
        ports: Its ports.
        read_pj: Energy of reading a word as wide as the port at most moves, picojoules; None: not known. Files may
            name a fit; see `hannah_hw.targets.technology`.
        write_pj: Of writing one.
        double_buffer: Whether one half is filled while the other is in use: ``auto`` where it fits.
        area_mm2: Area of one instance; None: not known.
    """

    name: str = Field(min_length=1)
    size: Size | None = None
    holds: Annotated[tuple[Operand, ...], Field(min_length=1)]
    served: tuple[str, ...] = ()
    ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    read_pj: SourcedNumber | None = Field(default=None, json_schema_extra=memory_schema)
    write_pj: SourcedNumber | None = Field(default=None, json_schema_extra=memory_schema)
    double_buffer: Literal["auto"] | bool = "auto"
    area_mm2: SourcedNumber | None = Field(default=None, json_schema_extra=memory_schema)

    @field_validator("read_pj", "write_pj", "area_mm2", mode="before")
    @classmethod
    def _fitted(cls, given: Any, info: ValidationInfo) -> Any:
        if not {"size", "ports"} <= set(info.data):
            # Their own mistakes are what is reported.
            return None
        other = {"read_pj": "write", "write_pj": "read"}.get(info.field_name or "")
        widths = [port.max_bits for port in info.data["ports"] if port.kind != other]
        widths = widths or [port.max_bits for port in info.data["ports"]]
        return memory_figure(given, cast("Quantity", info.field_name), info.data["size"], max(widths))

    def carried(self) -> dict[str, dict[Operand, tuple[Move, ...]]]:
        """Port -> operand -> its movements there.

        A port that does not say what it carries takes what its kind allows, no port names and none before it took.
        """
        taken = {
            (operand, move)
            for port in self.ports
            for operand, moves in port.carries.items()
            for move in moves
        }
        found: dict[str, dict[Operand, tuple[Move, ...]]] = {}
        for port in self.ports:
            carries = dict(port.carries)
            if not carries:
                for operand in self.holds:
                    free = tuple(m for m in possible_moves(port.kind, operand) if (operand, m) not in taken)
                    if free:
                        carries[operand] = free
                    taken |= {(operand, move) for move in free}
            found[port.name] = carries
        return found


class Dataflow(Strict):
    """How loops are laid out.

    Attributes:
        spatial: Dimension of the array -> loop dimensions -> how many of each are unrolled along it; several of them:
            the best for each layer is taken. ``search``: all that use the array well.
        temporal: ``search``: the best ordering for each layer. Names of loops, from the innermost outwards: that
            order for all layers; those left out come last.
    """

    spatial: Literal["search"] | tuple[dict[str, dict[str, _Positive]], ...] = "search"
    temporal: Literal["search"] | tuple[str, ...] = "search"

    @field_validator("spatial")
    @classmethod
    def _is_one(
        cls, spatial: Literal["search"] | tuple[dict[str, dict[str, int]], ...]
    ) -> Literal["search"] | tuple[dict[str, dict[str, int]], ...]:
        if not spatial:
            raise ValueError("lists no unrolling; give one, such as [{D1: {K: 32}}], or 'search'")
        return spatial

    @field_validator("temporal")
    @classmethod
    def _is_an_order(cls, order: Literal["search"] | tuple[str, ...]) -> Literal["search"] | tuple[str, ...]:
        if isinstance(order, str):
            return order
        for name in order:
            if name not in LOOP_NAMES:
                raise ValueError(str(TargetError(f"{name!r} is no loop", allowed=LOOP_NAMES, given=name)))
        if len(set(order)) < len(order):
            raise ValueError("a loop occurs twice")
        return order


class VectorUnit(Strict):
    """What computes pooling, additions and activations.

    Attributes:
        lanes: Results of one operation (a comparison, an addition, ...) a cycle.
        op_pj: Energy of one operation, picojoules; None: not known.
        source: Where the figures come from.
    """

    lanes: SourcedNumber
    op_pj: SourcedNumber | None = None

    @field_validator("lanes")
    @classmethod
    def _compute(cls, lanes: SourcedNumber) -> SourcedNumber:
        if lanes.value == 0:
            raise ValueError("a vector unit of 0 lanes never ends; give 1 or more, or remove the section")
        return lanes


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
    when: Annotated[tuple[str, ...], parsed_by(parse_limit)] = ()


class CpuFallback(Strict):
    """A processor beside the accelerator that runs what the accelerator cannot.

    Attributes:
        clock_hz: Its clock; None: the accelerator's.
        cycles_per_mac: Of multiply-accumulates.
        cycles_per_value: Of every other operation, for each value that it reads or writes.
        active_w: Its power, watts; None: not known, and then a network that uses it has no energy.
    """

    clock_hz: Hertz | None = None
    cycles_per_mac: SourcedNumber
    cycles_per_value: SourcedNumber
    active_w: SourcedNumber | None = None
