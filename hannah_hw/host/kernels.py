"""Kernels of ONNX Runtime: what one node of its optimised graph computes, on which shapes.

Two nodes with equal keys take equally long: values of weights and names do not count, shapes, types and attributes do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np

from hannah_hw.wording import shortened

#: Domain of the operators on blocked layouts: NCHWc, channels in blocks as wide as a vector register.
NCHWC: Final = "com.microsoft.nchwc"

#: Operators that give the same bytes another shape. Inside of a graph they copy nothing.
VIEWS: Final = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})

#: How an attribute that is a tensor or a graph begins.
TENSOR: Final = "tensor"
GRAPH: Final = "graph"

#: Operator type without its domain -> what the class of its kernels is called.
_NAMES: Final = {
    "Add": "add",
    "AveragePool": "pool",
    "Concat": "concat",
    "DequantizeLinear": "dequantize",
    "FusedGemm": "gemm",
    "FusedMatMul": "matmul",
    "Gemm": "gemm",
    "GlobalAveragePool": "global_pool",
    "GlobalMaxPool": "global_pool",
    "MatMul": "matmul",
    "MaxPool": "pool",
    "Mul": "mul",
    "QGemm": "q_gemm",
    "QLinearAdd": "q_add",
    "QLinearAveragePool": "q_pool",
    "QLinearConcat": "q_concat",
    "QLinearGlobalAveragePool": "q_global_pool",
    "QLinearMatMul": "q_matmul",
    "QLinearMul": "q_mul",
    "QuantizeLinear": "quantize",
    "ReorderInput": "reorder_in",
    "ReorderOutput": "reorder_out",
    "Transpose": "transpose",
}
_CONVOLUTIONS: Final = frozenset({"Conv", "FusedConv", "NhwcFusedConv"})
_EIGHT_BITS: Final = frozenset({"int8", "uint8"})
#: Most that the tensors of a kernel from a file hold together: 2 GiB, as much as an ONNX file.
_MOST_BYTES: Final = 1 << 31
#: Fewest channels of a block. Fewer channels stay in the plain layout, as those of an image do.
_LEAST_BLOCK: Final = 8


@dataclass(frozen=True)
class HostTensor:
    """What a kernel takes or gives.

    Attributes:
        dtype: NumPy's name of the element type; empty for an optional input that is absent, and for what is no tensor.
        shape: Its sizes as the kernel sees them: channels of a blocked layout are whole blocks.
        constant: Whether it is a weight, known before the kernel runs.
        values: Its elements in their order, of constants that decide how much there is to do, such as the shape that
            a Reshape takes.
    """

    dtype: str
    shape: tuple[int, ...]
    constant: bool = False
    values: tuple[Any, ...] | None = None

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape) if self.dtype else 0

    @property
    def bytes(self) -> int:
        """Bytes of its elements; 0 of texts."""
        return self.elements * np.dtype(self.dtype).itemsize if self.dtype not in ("", "str") else 0


#: An optional input that a node does not take.
ABSENT: Final = HostTensor("", (), constant=True)


@dataclass(frozen=True)
class HostKernel:
    """One node of an optimised graph.

    Attributes:
        op: Operator type, with its domain unless that is ONNX's own, such as ``com.microsoft.nchwc.Conv``.
        inputs: In the operator's order, absent ones among them.
        outputs: In the operator's order.
        attributes: (name, value) by name. Lists are tuples; a tensor is (`TENSOR`, dtype, shape, values), a nested
            graph (`GRAPH`, its hash).
        version: Operator set that brought the operator's definition.
    """

    op: str
    inputs: tuple[HostTensor, ...]
    outputs: tuple[HostTensor, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    version: int = 1

    @property
    def domain(self) -> str:
        """Domain of the operator; empty of ONNX's own."""
        return self.op.rpartition(".")[0]

    @property
    def op_type(self) -> str:
        """Operator type without its domain."""
        return self.op.rpartition(".")[2]

    @cached_property
    def attribute(self) -> dict[str, Any]:
        """Attributes by name."""
        return dict(self.attributes)

    @property
    def computed(self) -> tuple[HostTensor, ...]:
        """Inputs that other kernels computed."""
        return tuple(tensor for tensor in self.inputs if not tensor.constant)

    @property
    def is_view(self) -> bool:
        """Whether it only gives its input another shape."""
        return not self.domain and self.op_type in VIEWS

    @cached_property
    def kernel_class(self) -> str:
        """What one law of time covers.

        ``nchwc_stem`` reads the plain layout and writes blocks; ``nchwc_grouped`` (and so on) has groups of several
        channels. Kernels of 8-bit values have the prefix ``q_``. An operator without a rule is a class of its own, by
        its type.
        """
        if self.is_view:
            return "view"
        if self.op_type in _CONVOLUTIONS or self.op_type == "QLinearConv":
            return self._convolution()
        if self.domain not in ("", "com.microsoft", NCHWC) or self.op_type not in _NAMES:
            return self.op
        name = _NAMES[self.op_type]
        if self.domain == NCHWC and not name.startswith("reorder"):
            return f"nchwc_{name}"
        quantised = bool(self.inputs) and self.inputs[0].dtype in _EIGHT_BITS
        return f"q_{name}" if quantised and name in ("concat", "pool", "transpose") else name

    def _convolution(self) -> str:
        quantised = self.op_type == "QLinearConv"
        weight = self.inputs[3 if quantised else 1].shape
        prefix = "q" if quantised else "nchwc" if self.domain == NCHWC else "plain"
        if self.attribute.get("group", 1) > 1:
            return f"{prefix}_depthwise" if weight[1] == 1 else f"{prefix}_grouped"
        if prefix == "nchwc":
            if weight[1] < _LEAST_BLOCK or weight[1] % _LEAST_BLOCK:
                return "nchwc_stem"
            if all(size == 1 for size in weight[2:]):
                return "nchwc_pointwise"
        return f"{prefix}_conv"

    @cached_property
    def key(self) -> str:
        """Hash of all that its time depends on: 16 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """All of it as one line of JSON; `from_json` reads it."""

        def tensor(value: HostTensor) -> list[Any]:
            row: list[Any] = [value.dtype, list(value.shape), int(value.constant)]
            return row if value.values is None else [*row, list(value.values)]

        document = {
            "op": self.op,
            "version": self.version,
            "inputs": [tensor(value) for value in self.inputs],
            "outputs": [tensor(value) for value in self.outputs],
            "attributes": dict(self.attributes),
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HostKernel:
        """A kernel from what `to_json` wrote.

        Raises:
            ValueError: The text is not JSON, not that of a kernel, or one of its tensors is no weight and no value of a
                network that fits into memory.
        """
        try:
            document = json.loads(text)
            found = cls(
                op=str(document["op"]),
                inputs=tuple(_tensor(row) for row in document["inputs"]),
                outputs=tuple(_tensor(row) for row in document["outputs"]),
                attributes=tuple(sorted((name, _frozen(v)) for name, v in document["attributes"].items())),
                version=int(document["version"]),
            )
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"not a kernel: {text[:80]}") from error
        if sum(tensor.bytes for tensor in (*found.inputs, *found.outputs)) > _MOST_BYTES:
            raise ValueError(f"a kernel {shortened(found.op)} with tensors of more than {_MOST_BYTES} bytes")
        return found


def _tensor(row: Any) -> HostTensor:
    """A tensor from its list.

    Raises:
        ValueError: It is not one that a kernel has.
    """
    dtype, shape, constant, *values = row
    if dtype not in ("", "str"):
        element = np.dtype(dtype)  # refuses types that there are not
        # Kinds of NumPy's own that are no numbers; types of other packages, such as bfloat16, are.
        if element.isbuiltin != 2 and element.kind not in "biufc":
            raise ValueError(f"a tensor of {dtype!r}, which are no numbers")
    found = HostTensor(
        dtype, tuple(int(size) for size in shape), bool(constant), tuple(values[0]) if values else None
    )
    if min(found.shape, default=0) < 0 or max(found.bytes, found.elements) > _MOST_BYTES:
        raise ValueError(f"a tensor of {dtype} with the sizes {shortened(str(list(found.shape)))}")
    if found.values is not None and len(found.values) != found.elements:
        raise ValueError(f"a tensor of {found.elements} elements with {len(found.values)} values")
    return found


def _frozen(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
