"""What an Ethos-U of the U55 and U65 generations is, as far as cycles and memory depend on it.

Sources of the constants: `ethosu/vela/architecture_features.py` of ethos-u-vela 5.2.0 (Arm, Apache-2.0), which states
microblocks, shared memory and cycles per element of every configuration, and `ethosu/config_files/Arm/vela.ini` of the
same package, which states clocks, memories and memory modes. The C++ core of that package uses the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Rows of `EthosU.output_cycles`: which operation writes the element.
OUTPUT_ROWS: Final = ("unary32", "binary32", "mul32", "mul", "add_simple", "add", "max_pool", "other")

#: Rows of `EthosU.activation_cycles`; ``other`` also where no activation is fused.
ACTIVATION_ROWS: Final = ("table", "clamp", "other")

#: The largest output block: height, width, depth.
LARGEST_BLOCK: Final = (32, 64, 128)

#: A window is computed in parts of at most this many rows and columns.
SUBKERNEL: Final = 8

#: Block depths grow in steps of this many channels.
DEPTH_STEP: Final = 16

#: Bytes of a bank of the shared memory, banks that the output always has, and channels of a brick (NHCWB16).
BANK_BYTES: Final = 1024
OUTPUT_BANKS: Final = 2
BRICK: Final = 16

#: Bytes of bias, multiplier and shift of one output channel.
SCALE_BYTES: Final = 10

#: Encoded weights, buffers and the arena begin at multiples of this many bytes.
ALIGNMENT: Final = 16


@dataclass(frozen=True)
class Memory:
    """A memory behind the processor's ports.

    Attributes:
        name: Name of the area, such as ``sram``.
        bytes_per_cycle: Bytes a cycle of the processor's clock.
        burst_bytes: Longest burst.
        read_latency: Cycles.
        write_latency: Cycles.
    """

    name: str
    bytes_per_cycle: float
    burst_bytes: int
    read_latency: int
    write_latency: int


@dataclass(frozen=True)
class EthosU:
    """One configuration in one system.

    Attributes:
        macs: Multiply-accumulates a cycle of a core.
        cores: Cores, which share every layer.
        ofm_ublock: Height, width, depth of what a core computes at a time.
        ifm_ublock_depth: Input channels it multiplies at a time.
        banks: Banks of the shared memory of a core.
        ifm_granules: Bits of an input element (8, 16, 32) -> banks that input buffers are multiples of.
        accumulator_granules: The same for accumulators of 32 and 40 bits.
        output_cycles: Cycles an output element, by `OUTPUT_ROWS`; the cores share the elements.
        activation_cycles: Cycles an output element, by `ACTIVATION_ROWS`.
        staging: On-chip memory for activations and copied weights.
        feature_maps: Memory that activations come from that are not on chip; inputs and outputs of the network.
        constants: Memory of weights, scales and tables.
        staging_bytes: How much of ``staging`` may be used; None: unlimited.
    """

    macs: int
    cores: int
    ofm_ublock: tuple[int, int, int]
    ifm_ublock_depth: int
    banks: int
    ifm_granules: tuple[tuple[int, int], ...]
    accumulator_granules: tuple[tuple[int, int], ...]
    output_cycles: tuple[float, ...]
    activation_cycles: tuple[float, ...]
    staging: Memory
    feature_maps: Memory
    constants: Memory
    staging_bytes: int | None = None

    @property
    def spills(self) -> bool:
        """Whether activations live off chip unless they are staged (memory mode ``Dedicated_Sram``)."""
        return self.feature_maps != self.staging

    @property
    def copies_weights(self) -> bool:
        """Whether weights may be copied on chip before they are read."""
        return self.constants != self.staging

    @property
    def end_banks(self) -> int:
        """Banks at the end of the shared memory that nothing but tables may use."""
        return 2 if self.banks > 16 else 0

    @property
    def small(self) -> bool:
        """Whether it is the configuration of 32 multipliers, which has other pipeline delays."""
        return self.macs == 32


@dataclass(frozen=True)
class _Core:
    ofm_ublock: tuple[int, int, int]
    banks: int
    ifm_granules: tuple[tuple[int, int], ...]
    accumulator_granules: tuple[tuple[int, int], ...]
    output_cycles: tuple[float, ...]
    activation_cycles: tuple[float, ...]


_CORES: Final = {
    32: _Core(
        (1, 1, 4),
        16,
        ((8, 2), (16, 2), (32, 4)),
        ((32, 4), (40, 4)),
        (2.0, 3.0, 3.0, 3.0, 4.0, 6.0, 1.0, 2.0),
        (1.0, 1.0, 0.0),
    ),
    64: _Core(
        (1, 1, 8),
        16,
        ((8, 2), (16, 2), (32, 4)),
        ((32, 4), (40, 8)),
        (1.0, 1.5, 1.5, 1.5, 2.0, 3.0, 0.5, 1.0),
        (1.0, 1.0, 0.0),
    ),
    128: _Core(
        (1, 2, 8),
        24,
        ((8, 4), (16, 4), (32, 8)),
        ((32, 8), (40, 12)),
        (0.75, 1.25, 0.75, 0.75, 1.0, 1.5, 0.25, 0.5),
        (1.0, 0.5, 0.0),
    ),
    256: _Core(
        (2, 2, 8),
        48,
        ((8, 8), (16, 8), (32, 16)),
        ((32, 16), (40, 20)),
        (0.625, 1.125, 0.5, 0.375, 0.5, 0.75, 0.125, 0.25),
        (1.0, 0.25, 0.0),
    ),
}


def ethos_u(
    macs: int,
    cores: int,
    staging: Memory,
    feature_maps: Memory,
    constants: Memory,
    staging_bytes: int | None = None,
) -> EthosU:
    """A configuration by the multipliers of a core, in a system of memories.

    Args:
        macs: 32, 64, 128 or 256.
        cores: 1, or 2 of 256 multipliers (Ethos-U65-512).
        staging: See `EthosU`.
        feature_maps: See `EthosU`.
        constants: See `EthosU`.
        staging_bytes: See `EthosU`.
    """
    core = _CORES[macs]
    return EthosU(
        macs,
        cores,
        core.ofm_ublock,
        8,
        core.banks,
        core.ifm_granules,
        core.accumulator_granules,
        tuple(cycles / cores for cycles in core.output_cycles),
        tuple(cycles / cores for cycles in core.activation_cycles),
        staging,
        feature_maps,
        constants,
        staging_bytes,
    )
