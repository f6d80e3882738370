"""A model as TVM lowers it: what its worker answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hannah_hw.lowering.reader import OnnxModel
    from hannah_hw.workload import Workload


@dataclass(frozen=True)
class LoopNest:
    """One loop nest of a kernel.

    Attributes:
        name: What TVM calls it.
        extents: Trips of its loops.
        reduced: Those of its loops that a result is summed over.
    """

    name: str
    extents: tuple[int, ...]
    reduced: tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor that a kernel reads or writes.

    Attributes:
        id: What identifies it in this model.
        name: Of the ONNX value; empty for one that is none, such as a reshaped weight.
        elements: How many.
        bytes: As TVM keeps it, in float32.
        constant: Whether it depends on no input of the graph: weights and biases.
    """

    id: str
    name: str
    elements: int
    bytes: int
    constant: bool


@dataclass(frozen=True)
class TvmKernel:
    """One fused kernel.

    Attributes:
        name: What TVM calls it; kernels with the same code have the same name.
        nodes: First outputs of the ONNX nodes that it comes from.
        macs: Multiply-accumulates.
        reads: Its operands, each once.
        writes: Its results.
        scratch_bytes: Buffers inside of it, before any schedule shrinks them.
        loops: Its loop nests in order.
        view: Whether it only renames its operand.
        features: (stores, 164) what TVM's cost models see of it, see `hannah_hw.lowering.tvm.features`; empty where it
            was not asked for.
    """

    name: str
    nodes: tuple[str, ...]
    macs: int
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    scratch_bytes: int
    loops: tuple[LoopNest, ...]
    view: bool
    features: tuple[tuple[float, ...], ...] = ()

    @property
    def read_bytes(self) -> int:
        """Bytes of activations that it reads."""
        return sum(value.bytes for value in self.reads if not value.constant)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights and biases that it reads."""
        return sum(value.bytes for value in self.reads if value.constant)

    @property
    def write_bytes(self) -> int:
        """Bytes that it writes."""
        return sum(value.bytes for value in self.writes)


@dataclass(frozen=True)
class Lowered:
    """A model as TVM lowers it.

    Attributes:
        kernels: What runs, in order.
        outputs: Names of the graph's outputs.
        planned_bytes: Storages of TVM's static plan, without inputs, outputs and scratch; no RAM figure of a chip.
    """

    kernels: tuple[TvmKernel, ...]
    outputs: tuple[str, ...]
    planned_bytes: int

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Lowered:
        """From the worker's answer."""
        kernels = tuple(
            TvmKernel(
                name=row["name"],
                nodes=tuple(row["nodes"]),
                macs=row["macs"],
                reads=tuple(Value(**value) for value in row["reads"]),
                writes=tuple(Value(**value) for value in row["writes"]),
                scratch_bytes=row["scratch_bytes"],
                loops=tuple(
                    LoopNest(nest["name"], tuple(nest["extents"]), tuple(nest["reduced"]))
                    for nest in row["loops"]
                ),
                view=row["view"],
                features=tuple(tuple(store) for store in row.get("features", ())),
            )
            for row in document["kernels"]
        )
        return cls(kernels, tuple(document["outputs"]), document["planned_bytes"])

    def workload(self, model: OnnxModel) -> Workload:
        """TVM's kernels and values as a Workload, with its fusion; see `hannah_hw.lowering.tvm.workload`.

        Args:
            model: The model that this was lowered from.
        """
        from hannah_hw.lowering.tvm.workload import lowered_workload

        return lowered_workload(model, self)
