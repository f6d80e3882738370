"""What an operator says of itself to the Workload: its part, its kind and its columns.

An operator computes with a kernel of its own, or is folded into its producer, or only renames a buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from hannah_hw.expressions import Scalar

#: ``kernel``: computes, writes a buffer of its own. ``view``: another name for its operand's buffer.
#: ``activation``: a clamp that its producer applies for nothing where it can, else a kernel.
#: ``affine``: a scale and offset a channel that folds into its producer's weights where it can, else a kernel.
#: ``quantize``: a bit width that its producer writes for nothing where it can, else a kernel.
Part = Literal["kernel", "view", "activation", "affine", "quantize"]

#: Kernel kinds whose output stage clamps to an activation's range at no cost (fused activation in
#: TFLite, CMSIS-NN and ONNX Runtime's integer kernels).
CLAMPING: Final = frozenset({"conv", "conv_transpose", "linear", "add", "mul", "avg_pool", "max_pool"})

#: Kernel kinds into whose weights a following batch normalisation folds.
FOLDING: Final = frozenset({"conv", "conv_transpose", "linear"})


@dataclass(frozen=True)
class Row:
    """One operator's row, before fusion.

    Attributes:
        part: What it is to memory and time.
        kind: Operator kind, as in `hannah_hw.workload.Kernels`.
        columns: Columns of `KERNEL_COLUMNS`; those left out take the value that means nothing.
        activation: Index into `ACTIVATIONS`, for the part ``activation``.
        bits: Bits of each value behind it, for the part ``quantize``.
    """

    part: Part
    kind: str
    columns: Mapping[str, Scalar] = field(default_factory=dict)
    activation: int = 0
    bits: Scalar = 0
