"""Pricing layers on an Ethos-U: cycles of each layer, and where they come from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import LayerCosts, Layers
from hannah_hw.cost.block.blocks import Blocks, find_blocks
from hannah_hw.cost.block.cycles import unit_cycles
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.lowering import LOWERED, lower
from hannah_hw.cost.block.npu import EthosU, Memory, ethos_u
from hannah_hw.cost.block.operations import UNITS, BoolArray, IntArray, Operations
from hannah_hw.cost.block.slices import copy_cycles
from hannah_hw.cost.block.traffic import Traffic, access_cycles, feature_map_traffic, memories
from hannah_hw.cost.block.weights import WeightPlan, plan_weights
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.workload.table import KERNEL_KINDS

FloatArray = NDArray[np.float64]

_NO_BLOCK: Final = "no output block of this layer fits the shared memory of the processor"
_STRIDES: Final = (
    "conv_transpose: strides must be 1 or 2 and the same in both directions, except along an axis of size 1"
)
#: Why a layer has no operations.
_FREE: Final = "part of the operation before it, or of the addresses of its values"
_NO_OPERATION: Final = "{kind}: the processor has no operation for it"


@dataclass(frozen=True)
class Priced:
    """N operations and what they take.

    Attributes:
        operations: The operations.
        blocks: Their blocks.
        plan: How they get their weights.
        processor: (N,) cycles of the processor, copies of weights that nothing hides included.
        array: (N,) cycles of the multiplying array.
        output: (N,) cycles of the output stage.
        accesses: Memory -> (N,) cycles that it is busy.
        total: (N,) the largest of these, once.
    """

    operations: Operations
    blocks: Blocks
    plan: WeightPlan
    processor: IntArray
    array: IntArray
    output: IntArray
    accesses: dict[str, IntArray]
    total: IntArray


@dataclass(frozen=True)
class Prepared:
    """N operations and what does not depend on those around them.

    Attributes:
        operations: The operations.
        npu: The processor.
        encoding: Assumed compression of weights.
        blocks: Their blocks.
        traffic: What they move.
        alone: (N,) cycles of the processor.
    """

    operations: Operations
    npu: EthosU
    encoding: Encoding
    blocks: Blocks
    traffic: Traffic
    alone: IntArray

    @classmethod
    def of(
        cls, operations: Operations, npu: EthosU, encoding: Encoding, blocks: Blocks | None = None
    ) -> Prepared:
        """Prepare operations for pricing; their blocks are searched if they are not given."""
        blocks = find_blocks(operations, npu) if blocks is None else blocks
        traffic = feature_map_traffic(operations, blocks, npu)
        return cls(operations, npu, encoding, blocks, traffic, unit_cycles(operations, blocks, npu).total)

    def plan(self, slack: IntArray, first: BoolArray) -> WeightPlan:
        """How the operations get their weights; see `plan_weights`."""
        return plan_weights(
            self.operations,
            self.blocks,
            self.npu,
            self.encoding,
            self.traffic.refetches,
            self.traffic.ifm_bytes,
            slack,
            first,
        )


def price_operations(
    prepared: Prepared, slack: IntArray | None = None, first: BoolArray | None = None
) -> Priced:
    """Price operations.

    Args:
        prepared: N operations.
        slack: (N,) cycles of the operation before each, while which its first weights can come; None: as many as its
            own.
        first: (N,) whether there is none; None: there always is.
    """
    operations, npu, blocks = prepared.operations, prepared.npu, prepared.blocks
    traffic = prepared.traffic
    slack = prepared.alone if slack is None else slack
    first = np.zeros(len(operations), np.bool_) if first is None else first
    plan = prepared.plan(slack, first)
    cycles = unit_cycles(operations.replaced(weights_on_chip=plan.buffered.astype(np.int64)), blocks, npu)
    late = np.maximum(copy_cycles(plan.first_bytes, npu) - slack, 0)
    processor = np.where(
        plan.buffered,
        np.maximum(plan.transfer - slack + plan.last_slice, cycles.total + late),
        cycles.total,
    )
    moved = {name: bytes_.copy() for name, bytes_ in traffic.maps.items()}
    weights = plan.bytes - plan.scale_bytes
    during = np.maximum(weights - np.where(plan.early, plan.first_bytes, 0), 0)
    read = weights * traffic.refetches
    moved[npu.constants.name] += np.where(plan.buffered, during, read) + plan.scale_bytes * traffic.refetches
    moved[npu.staging.name] += np.where(plan.buffered, during + read, 0)
    accesses = {name: access_cycles(moved[name], memory) for name, memory in memories(npu).items()}
    copies = operations.is_unit("copy")
    if copies.any():
        there = [
            access_cycles(moved[memory.name], memory) + memory.read_latency
            for memory in (npu.staging, npu.feature_maps)
        ]
        processor = np.where(copies, np.maximum(*there), processor)
    total = np.maximum.reduce([processor, *accesses.values()])
    return Priced(operations, blocks, plan, processor, cycles.array, cycles.output, accesses, total)


def processor(target: Accelerator) -> tuple[EthosU, Encoding]:
    """The processor that a target describes, and how well weights are assumed to compress on it.

    Raises:
        TargetError: The target is priced in another way.
    """
    if not isinstance(target.model, BlockModel):
        raise TargetError(f"{target.name} is priced by {target.kind}, not by blocks")
    return _processor(target.model)


@functools.lru_cache(maxsize=64)
def _processor(model: BlockModel) -> tuple[EthosU, Encoding]:
    found = {
        area.name: Memory(
            area.name, area.bytes_per_cycle, area.burst_bytes, area.read_latency, area.write_latency
        )
        for area in model.areas
    }
    npu = ethos_u(
        model.macs,
        model.cores,
        found[model.staging],
        found[model.feature_maps],
        found[model.constants],
        model.staging_bytes,
    )
    bits, linear = (
        None if given is None else given.value for given in (model.weight_bits, model.linear_weight_bits)
    )
    return npu, Encoding(bits, linear)


def priced_kinds(_: Accelerator) -> Collection[str]:
    """Kernel kinds that the processor runs."""
    return tuple(LOWERED)


def price_block(layers: Layers, target: Accelerator) -> LayerCosts:
    """Price layers on the Ethos-U of a target.

    The cycles of a layer are those of its operations, each the larger of what the processor and what the busiest memory
    takes. There is no energy: Arm publishes none for these processors.

    Args:
        layers: M layers; kinds without an operation fail a rule that says so.
        target: The target.

    Raises:
        TargetError: The target is priced in another way.
    """
    npu, encoding = processor(target)
    means = not isinstance(target.model, BlockModel) or target.model.global_average == "mean"
    operations = lower(layers, npu.spills, means)
    priced = price_operations(Prepared.of(operations, npu, encoding))
    owner, repeats = operations["layer"], operations["repeats"]

    def total(values: IntArray | BoolArray) -> FloatArray:
        summed: FloatArray = np.bincount(owner, values * repeats, len(layers)).astype(np.float64)
        return summed

    failed, rules = _refused(layers, owner, priced.blocks)
    cycles = np.where(failed >= 0, np.nan, total(priced.total))
    held = priced.total - priced.processor
    hidden = np.maximum(priced.processor - np.maximum(priced.array, priced.output), 0)
    parts = {
        "array": np.where(priced.array >= priced.output, np.minimum(priced.array, priced.processor), 0),
        "output": np.where(priced.array < priced.output, np.minimum(priced.output, priced.processor), 0),
        "start": hidden,
    }
    busiest = np.array(list(priced.accesses)) if priced.accesses else np.array([], dtype=str)
    slowest = np.stack(list(priced.accesses.values())).argmax(axis=0) if len(owner) else np.zeros(0, int)
    for index, name in enumerate(busiest):
        parts[str(name)] = np.where(slowest == index, held, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        used = layers["macs"] / (cycles * npu.macs * npu.cores)
    return LayerCosts(
        cycles=cycles,
        energy_pj=np.full(len(layers), np.nan),
        failed=failed,
        rules=rules,
        cycle_parts={name: np.where(failed >= 0, np.nan, total(values)) for name, values in parts.items()},
        utilisation=np.where(layers["macs"] > 0, used, np.nan),
        detail=_detail(priced),
    )


def _refused(layers: Layers, owner: IntArray, blocks: Blocks) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """(M,) the rule that a layer fails, or -1, and the rules."""
    missing = [kind for kind in KERNEL_KINDS if kind not in LOWERED]
    rules = (_NO_BLOCK, _STRIDES, *(_NO_OPERATION.format(kind=kind) for kind in missing))
    failed = np.full(len(layers), -1, np.int32)
    failed[owner[~blocks.found]] = 0
    stride_h, stride_w = layers["stride_h"], layers["stride_w"]
    line = (layers["in_h"] == 1) & (layers["kernel_h"] == 1) | (layers["in_w"] == 1) & (
        layers["kernel_w"] == 1
    )
    possible = (np.maximum(stride_h, stride_w) <= 2) & ((stride_h == stride_w) | line)
    failed[layers.is_kind("conv_transpose") & ~possible] = 1
    for index, kind in enumerate(missing):
        failed[layers.is_kind(kind)] = 2 + index
    return failed, rules


def _detail(priced: Priced) -> Callable[[int], dict[str, Any]]:
    def of(position: int) -> dict[str, Any]:
        mine = np.flatnonzero(priced.operations["layer"] == position)
        told: dict[str, Any] = {"operations": [_told(priced, int(index)) for index in mine]}
        return told if len(mine) else {**told, "free": _FREE}

    return of


def _told(priced: Priced, index: int) -> dict[str, Any]:
    """What a report says of an operation."""
    blocks, plan = priced.blocks, priced.plan
    told: dict[str, Any] = {
        "unit": UNITS[int(priced.operations.units[index])],
        "repeats": int(priced.operations["repeats"][index]),
        "ofm_block": [int(size) for size in blocks.ofm[index]],
        "ifm_block": [int(size) for size in blocks.ifm[index]],
        "traversal": "part_kernel" if blocks.part_kernel[index] else "depth_first",
        "processor_cycles": int(priced.processor[index]),
        "memory_cycles": {name: int(cycles[index]) for name, cycles in priced.accesses.items()},
    }
    if plan.bytes[index]:
        told["encoded_bytes"] = int(plan.bytes[index])
        told["buffer_bytes"] = int(plan.buffer_bytes[index])
    return told
