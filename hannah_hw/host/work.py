"""Multiply-accumulates of a kernel as it runs: those of channels that fill up a block count too."""

from __future__ import annotations

from math import prod
from typing import Final

from hannah_hw.host.kernels import HostKernel

#: Operator type -> position of its weights, or of its second operand.
_CONVOLUTIONS: Final = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
_TRANSPOSED: Final = {"ConvTranspose": 1}
_PRODUCTS: Final = frozenset({"FusedMatMul", "MatMul", "MatMulInteger", "QLinearMatMul"})
_GEMMS: Final = frozenset({"FusedGemm", "Gemm", "QGemm"})


def executed_macs(kernel: HostKernel) -> int:
    """Multiply-accumulates of a convolution or a matrix product; 0 of what has none."""
    name = kernel.op_type
    if not kernel.inputs or not kernel.outputs:
        return 0
    source, result = kernel.inputs[0], kernel.outputs[0]
    if name in _CONVOLUTIONS:
        return result.elements * prod(kernel.inputs[_CONVOLUTIONS[name]].shape[1:])
    if name in _TRANSPOSED:
        return source.elements * prod(kernel.inputs[_TRANSPOSED[name]].shape[1:])
    if name in _PRODUCTS and source.shape:
        return result.elements * source.shape[-1]
    if name in _GEMMS and len(source.shape) == 2:
        return result.elements * source.shape[0 if kernel.attribute.get("transA") else 1]
    return 0
