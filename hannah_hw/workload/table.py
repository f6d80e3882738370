"""The Workload: the one table that every cost model reads.

Structure of arrays with a leading population axis. A row of the kernel axis is one fused kernel slot of the
search space, in execution order; a candidate that does not use a slot has it inactive. A row of the buffer
axis is one tensor that lives in memory between kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Columns of a kernel and the value of a kernel kind to which the column means nothing.
#: Sizes are elements, bits are per element, ``macs`` counts multiply-accumulates of one inference,
#: ``weights`` and ``bias`` count elements, ``operands`` counts data inputs,
#: ``activation`` is an index into `ACTIVATIONS`. One-dimensional operators have height 1.
#: ``weight_bits`` and ``activation_bits`` are those of the weights and of the first operand, ``output_bits`` those
#: of the result; 8 in the integer network unless its graph says otherwise.
KERNEL_COLUMNS: Final[Mapping[str, int]] = {
    "groups": 1,
    "in_channels": 1,
    "out_channels": 1,
    "in_h": 1,
    "in_w": 1,
    "out_h": 1,
    "out_w": 1,
    "kernel_h": 1,
    "kernel_w": 1,
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h": 1,
    "dilation_w": 1,
    "pad_top": 0,
    "pad_left": 0,
    "pad_bottom": 0,
    "pad_right": 0,
    "operands": 1,
    "weights": 0,
    "bias": 0,
    "macs": 0,
    "activation": 0,
    "weight_bits": 8,
    "activation_bits": 8,
    "output_bits": 8,
}

#: Columns of `KERNEL_COLUMNS` that are bit widths.
BIT_COLUMNS: Final = ("weight_bits", "activation_bits", "output_bits")

#: Activations that a kernel applies to its output at no extra cost on integer targets.
ACTIVATIONS: Final = ("none", "relu", "relu6")


class ColumnTable(Mapping[str, IntArray]):
    """Columns of a population that need not exist as whole arrays until somebody asks for one."""

    def part(self, name: str, slot: int) -> IntArray | int:
        """One slot's values of a column: (P,), or one number for all candidates."""
        raise NotImplementedError

    def split(self, slot: int) -> tuple[Mapping[str, int], Mapping[str, IntArray]]:
        """One slot's columns that are one number for all candidates, and the others."""
        raise NotImplementedError


#: Kernel kinds that operators of this package and fusion give to kernels.
KERNEL_KINDS: Final = (
    "conv",
    "conv_transpose",
    "linear",
    "matmul",
    "add",
    "mul",
    "scale",
    "avg_pool",
    "max_pool",
    "softmax",
    "activation",
    "sigmoid",
    "hard_sigmoid",
    "hard_swish",
    "batch_norm",
    "layer_norm",
    "upsample",
    "concat",
    "slice",
    "permute",
    "pad",
    "quantize",
)


@dataclass(frozen=True)
class Kernels:
    """Kernel slots, K of them, of P candidates.

    Attributes:
        names: K unique names in execution order: ids of the graph's nodes, or names of an ONNX file's nodes.
        kinds: K operator kinds: ``conv``, ``linear``, ``add``, ``avg_pool``, ``max_pool``, ``softmax``,
            ``batch_norm``, ``activation``, ``quantize``, ..., or an operator's own name when it has no kernel rule.
        active: (P, K); the other columns of an inactive kernel are meaningless.
        columns: `KERNEL_COLUMNS` -> (P, K) int64.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    active: BoolArray
    columns: Mapping[str, IntArray]

    def __getitem__(self, column: str) -> IntArray:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.names)

    def part(self, column: str, slot: int) -> IntArray | int:
        """One slot's values of a column: (P,), or one number for all candidates."""
        if isinstance(self.columns, ColumnTable):
            return self.columns.part(column, slot)
        values: IntArray = self.columns[column][:, slot]
        return values

    def split(self, slot: int) -> tuple[Mapping[str, int], Mapping[str, IntArray]]:
        """One slot's columns that are known to be one number for all candidates, and (P,) values of the others."""
        if isinstance(self.columns, ColumnTable):
            return self.columns.split(slot)
        return {}, {name: values[:, slot] for name, values in self.columns.items()}

    def always(self, column: str, value: int) -> bool:
        """Whether a column is known to have one value in every slot of every candidate."""
        if isinstance(self.columns, ColumnTable):
            parts = (self.columns.part(column, slot) for slot in range(len(self.names)))
            return all(isinstance(part, int) and part == value for part in parts)
        return bool((self.columns[column] == value).all())


@dataclass(frozen=True)
class Buffers:
    """Buffers, B of them, of P candidates.

    Attributes:
        names: B unique names: that of the graph input, or of the kernel that writes the buffer.
        kinds: B kinds: ``input`` or ``activation``.
        bytes: (P, B) int64; 0 where the candidate does not have the buffer. Values of fewer than 8 bits are packed.
        first: (P, B) int64; index of the first kernel during which the buffer is live.
        last: (P, B) int64; index of the last one. Two buffers may share memory if and only if their
            closed intervals [first, last] do not meet. Graph inputs live from kernel 0, graph outputs until
            the last kernel.
        output: (P, B); whether the buffer is a graph output.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    bytes: IntArray
    first: IntArray
    last: IntArray
    output: BoolArray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Workload:
    """P candidates as tables of kernels and buffers.

    Attributes:
        kernels: The kernel slots.
        buffers: The buffers between them.
        reads: (K, B); whether kernel k may read buffer b in some candidate (for naming, not for costs).
        exists: (P,); False for a candidate whose parameters describe no network: a window that is larger than
            its input, shapes that do not fit, a size that is no positive integer. It has no kernels and no
            buffers. None: all exist.
    """

    kernels: Kernels
    buffers: Buffers
    reads: BoolArray
    exists: BoolArray | None = None

    @property
    def size(self) -> int:
        """Number of candidates P."""
        return int(self.kernels.active.shape[0])

    @property
    def macs(self) -> IntArray:
        """(P,) multiply-accumulates of one inference."""
        return self._total("macs")

    @property
    def bops(self) -> IntArray:
        """(P,) bit operations of one inference: multiply-accumulates x bits of a weight x bits of an activation.

        The leading term of the count of Baskin et al., "UNIQ: Uniform Noise Injection for the Quantization of Neural
        Networks" (arXiv 1804.10969), whose other terms are the additions.
        """
        kernels = self.kernels
        operations = kernels["macs"] * kernels["weight_bits"] * kernels["activation_bits"]
        total: IntArray = np.where(kernels.active, operations, 0).sum(axis=1)
        return total

    @property
    def weight_bytes(self) -> IntArray:
        """(P, K) bytes of weights of each kernel, biases apart."""
        bits = self.kernels["weights"] * self.kernels["weight_bits"]
        return np.where(self.kernels.active, (bits + 7) // 8, 0)

    def _total(self, column: str) -> IntArray:
        total: IntArray = np.where(self.kernels.active, self.kernels[column], 0).sum(axis=1)
        return total

    def candidate(self, index: int) -> Workload:
        """One candidate as a population of one, without the kernels and buffers it does not use."""
        keep = np.flatnonzero(self.kernels.active[index])
        live = np.flatnonzero(self.buffers.bytes[index] > 0)
        step = np.cumsum(self.kernels.active[index]) - 1
        row = slice(index, index + 1)
        # An interval begins and ends at active kernels, except that an input begins at slot 0.
        first = np.searchsorted(keep, self.buffers.first[row][:, live])
        last = self.buffers.last[row][:, live]
        last = np.maximum(step[last] if len(step) else last, first)
        return Workload(
            Kernels(
                tuple(self.kernels.names[k] for k in keep),
                tuple(self.kernels.kinds[k] for k in keep),
                self.kernels.active[row][:, keep],
                {name: column[row][:, keep] for name, column in self.kernels.columns.items()},
            ),
            Buffers(
                tuple(self.buffers.names[b] for b in live),
                tuple(self.buffers.kinds[b] for b in live),
                self.buffers.bytes[row][:, live],
                first.astype(np.int64),
                last.astype(np.int64),
                self.buffers.output[row][:, live],
            ),
            self.reads[np.ix_(keep, live)],
            None if self.exists is None else self.exists[row],
        )

    def rows(self, index: int = 0) -> Iterator[dict[str, int | str]]:
        """The active kernels of one candidate as mappings of column to value, in execution order."""
        for k in np.flatnonzero(self.kernels.active[index]):
            row: dict[str, int | str] = {"name": self.kernels.names[k], "kind": self.kernels.kinds[k]}
            row.update({name: int(column[index, k]) for name, column in self.kernels.columns.items()})
            yield row
