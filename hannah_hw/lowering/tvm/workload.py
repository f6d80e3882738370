"""TVM's view of a model as a Workload: its fused kernels, and its values as buffers.

Multiply-accumulates, constants, bytes and lifetimes are TVM's. A kernel's kind and geometry are those of the operator
that does most of its work, as our own readers see it: TVM's loops do not say what a stride is. Buffers have the names
that our own Workload gives to the same values, so that the two can be compared; what lies only in TVM's memory has that
of its ONNX node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hannah_hw.graph import Op
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.lowering.tvm.agreement import owners
from hannah_hw.workload.table import BIT_COLUMNS, KERNEL_COLUMNS, Buffers, Kernels, Workload

if TYPE_CHECKING:
    from hannah_hw.lowering.reader import OnnxModel
    from hannah_hw.lowering.tvm.lowered import Lowered, TvmKernel, Value


class LoweredValues:
    """The values of a lowered model that need memory, each under the value that it is a view of."""

    def __init__(self, model: OnnxModel, lowered: Lowered) -> None:
        self._model = model
        self.root: dict[str, str] = {}
        self.values: dict[str, Value] = {}
        self.made: dict[str, int] = {}
        step = 0
        for kernel in lowered.kernels:
            for value in kernel.reads:
                if not value.constant:
                    self.values.setdefault(self.of(value), value)
            for value in kernel.writes:
                if kernel.view:
                    self.root[value.id] = self.of(kernel.reads[0])
                else:
                    # What two kernels compute is one value, there from the first on.
                    self.values.setdefault(value.id, value)
                    self.made.setdefault(value.id, step)
            step += not kernel.view
        self.names = self._named()

    def of(self, value: Value) -> str:
        """The id of the value whose memory a value is in."""
        return self.root.get(value.id, value.id)

    def _named(self) -> dict[str, str]:
        """Id of a value -> name of its buffer; of values that are one buffer for us, the last has its name."""
        owner = owners(self._model, self._model.workload())
        names: dict[str, str] = {}
        taken: set[str] = set()
        for key, value in reversed(self.values.items()):
            node = self._model.values.get(value.name)
            wanted = [owner[node.id], node.id] if node is not None else [value.name or f"value {key}"]
            choice = next((name for name in wanted if name not in taken), wanted[-1])
            taken.add(choice)
            names[key] = choice
        return dict(zip(self.values, reversed(list(unique(names.values()))), strict=True))


def unique(names: Iterable[str]) -> Iterator[str]:
    """Names of which no two are equal: those that were there before get a number."""
    taken: set[str] = set()
    for wanted in names:
        name, number = wanted, 1
        while name in taken:
            name, number = f"{wanted}:{number}", number + 1
        taken.add(name)
        yield name


def lowered_workload(model: OnnxModel, lowered: Lowered) -> Workload:
    """The Workload of a lowered model, a population of one.

    Args:
        model: The model, of float32.
        lowered: The same, by TVM.

    Returns:
        One kernel for each of TVM's that is no view, in their order, named as the buffer that it writes; values are
        float32.
    """
    values = LoweredValues(model, lowered)
    kernels = [kernel for kernel in lowered.kernels if not kernel.view]
    ids = list(values.values)
    index = {key: b for b, key in enumerate(ids)}
    first = np.array([values.made.get(key, 0) for key in ids], np.int64)
    last = first.copy()
    reads = np.zeros((len(kernels), len(ids)), np.bool_)
    for k, kernel in enumerate(kernels):
        for value in kernel.reads:
            if not value.constant:
                reads[k, index[values.of(value)]] = True
        for value in (*kernel.reads, *kernel.writes):
            if not value.constant:
                last[index[values.of(value)]] = k
    output = np.zeros(len(ids), np.bool_)
    for kernel in lowered.kernels:
        for value in (*kernel.reads, *kernel.writes):
            if value.name in lowered.outputs and not value.constant:
                b = index[values.of(value)]
                output[b], last[b] = True, max(len(kernels) - 1, 0)
    rows = [_row(model, kernel) for kernel in kernels]
    table = {name: np.array([[row[name] for _, row in rows]], np.int64) for name in KERNEL_COLUMNS}
    return Workload(
        Kernels(
            tuple(unique(values.names[kernel.writes[0].id] for kernel in kernels)),
            tuple(kind for kind, _ in rows),
            np.ones((1, len(kernels)), np.bool_),
            table,
        ),
        Buffers(
            tuple(values.names.values()),
            tuple("activation" if key in values.made else "input" for key in ids),
            np.array([[values.values[key].bytes for key in ids]], np.int64),
            first[None],
            last[None],
            output[None],
        ),
        reads,
        np.ones(1, np.bool_),
    )


def _row(model: OnnxModel, kernel: TvmKernel) -> tuple[str, Mapping[str, int]]:
    """Kind and columns of a kernel."""
    nodes = [model.values[name] for name in kernel.nodes if name in model.values]
    parts = [(node, node.row()) for node in nodes if isinstance(node, Op)]
    computing = [(node, row) for node, row in parts if row.part != "view"]
    columns = dict(KERNEL_COLUMNS)
    kind = kernel.name
    if computing:
        node, main = max(
            computing, key=lambda part: (_number(part[1].columns.get("macs", 0)), part[1].part == "kernel")
        )
        kind = main.kind
        columns |= {name: _number(value) for name, value in main.columns.items()}
        clamps = [
            row.activation for other, row in computing if other is not node and row.part == "activation"
        ]
        columns["activation"] = clamps[-1] if clamps else 0
    constants = sorted((value.elements for value in kernel.reads if value.constant), reverse=True)
    weights = sum(constants[:1]) if kernel.macs else 0
    data = sum(not value.constant for value in kernel.reads)
    columns |= {"macs": kernel.macs, "weights": weights, "bias": sum(constants) - weights, "operands": data}
    return kind, columns | dict.fromkeys(BIT_COLUMNS, FLOAT_BITS)


def _number(value: object) -> int:
    """A column of a file's operator, which depends on no parameter."""
    return int(value)  # type: ignore[call-overload, no-any-return]
