"""Bytes that an operation moves to and from each memory, and the cycles that the memory needs for them.

An input block is read again for every output block that needs it, weights for every block of output pixels. Formulas:
``EthosU55Performance::MeasureElementAccess`` and its neighbours in the C++ core of ethos-u-vela 5.2.0, read for facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.blocks import Blocks
from hannah_hw.cost.block.cycles import transferred
from hannah_hw.cost.block.npu import BRICK, SUBKERNEL, EthosU, Memory
from hannah_hw.cost.block.operations import MAC_UNITS, IntArray, Operations, ceil_div, round_up

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Traffic:
    """Bytes that N operations keep the memories busy with, by memory name; bursts that are cut short count as whole.

    Attributes:
        maps: Reads and writes of inputs and outputs -> (N,).
        refetches: (N,) how many times the weights are read from first to last.
        ifm_bytes: (N,) bytes read of the first operand, without what cut bursts add.
    """

    maps: Mapping[str, IntArray]
    refetches: IntArray
    ifm_bytes: IntArray


def memories(npu: EthosU) -> dict[str, Memory]:
    """The memories of a processor by name."""
    return {memory.name: memory for memory in (npu.staging, npu.feature_maps, npu.constants)}


def feature_map_traffic(operations: Operations, blocks: Blocks, npu: EthosU) -> Traffic:
    """What inputs and outputs of operations move, and how often their weights are read.

    Args:
        operations: N operations.
        blocks: Their blocks.
        npu: The processor.
    """
    sizes = np.stack([operations["ofm_h"], operations["ofm_w"], operations["ofm_c"]], axis=1)
    sources = np.stack([operations["ifm_h"], operations["ifm_w"], operations["ifm_c"]], axis=1)
    seconds = np.stack([operations["ifm2_h"], operations["ifm2_w"], operations["ifm2_c"]], axis=1)
    ofm = np.maximum(np.minimum(blocks.ofm, sizes), 1)
    ifm = np.minimum(blocks.ifm, sources)
    counts = ceil_div(sizes, ofm)
    whole_depth = operations.is_unit("depthwise", "pool")
    many = counts[:, 0] * counts[:, 1] * np.where(whole_depth, 1, counts[:, 2])
    parts = ceil_div(operations["kernel_h"], SUBKERNEL) * ceil_div(operations["kernel_w"], SUBKERNEL)
    parts = np.where(operations.is_unit("fc"), 1, parts)
    in_granule = np.where(operations["ifm_linear"] > 0, 1, BRICK)
    fetched = ifm[:, 0] * ifm[:, 1] * round_up(operations["ifm_c"], in_granule) * parts * many

    written = operations["ofm_h"] * operations["ofm_w"]
    as_stored = written * round_up(operations["ofm_c"], np.where(operations["ofm_linear"] > 0, 1, BRICK))
    operand = written * round_up(operations["ofm_c"], in_granule)
    wide = operations["ifm_bits"] > 8
    # A scalar of 8 bits is an immediate of the command; a wider one is read.
    first_scalar = operations.ifm_elements == 1
    second_scalar = operations.ifm2_elements == 1
    first = np.where(first_scalar, np.where(wide, round_up(np.ones_like(operand), in_granule), 0), operand)
    second = np.where(second_scalar, np.where(wide, round_up(np.ones_like(operand), in_granule), 0), operand)
    second = np.where(first_scalar & ~operations.binary, 0, second)
    mac = operations.is_unit(*MAC_UNITS)
    first = np.where(mac, fetched, np.where(operations.is_unit("copy"), operations.ifm_elements, first))
    second = np.where(operations.is_unit("elementwise") & operations.binary, second, 0)

    maps = {name: np.zeros(len(operations), np.int64) for name in memories(npu)}
    bits = operations["ifm_bits"]
    linear = operations["ifm_linear"] > 0
    for chip, memory in enumerate((npu.feature_maps, npu.staging)):
        here = operations["ifm_on_chip"] == chip
        moved = transferred(first, blocks.ifm, sources, bits, linear, memory, npu.cores, True)
        maps[memory.name] += np.where(here, moved, 0)
        there = here & (operations["constant2"] == 0)
        moved = transferred(second, blocks.ifm, seconds, bits, linear, memory, npu.cores, True)
        maps[memory.name] += np.where(there, moved, 0)
        here = operations["ofm_on_chip"] == chip
        stored = operations["ofm_linear"] > 0
        moved = transferred(
            as_stored, blocks.ofm, sizes, operations["ofm_bits"], stored, memory, npu.cores, False
        )
        maps[memory.name] += np.where(here, moved, 0)
    constant = operations["constant2"] > 0
    moved = transferred(second, blocks.ifm, seconds, bits, linear, npu.constants, npu.cores, True)
    maps[npu.constants.name] += np.where(constant, moved, 0)
    weighted = operations.is_unit("conv", "depthwise", "fc")
    return Traffic(maps, np.where(weighted, counts[:, 0] * counts[:, 1], 0), first * bits // 8)


def access_cycles(bytes_: IntArray, memory: Memory) -> IntArray:
    """(N,) cycles of a memory for bytes at its full rate."""
    cycles: IntArray = np.floor(bytes_ / memory.bytes_per_cycle).astype(np.int64)
    return cycles
