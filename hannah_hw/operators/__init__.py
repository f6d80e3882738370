"""The operators: each entry holds its shape rule, requirements, torch computation, ONNX form and Workload row.

Nothing else knows operators by name. To add one, write a subclass of `hannah_hw.graph.Op` in a module of this
package and name it in ``__all__``.
"""

from hannah_hw.graph import Op
from hannah_hw.operators.activation import HardSigmoid, HardSwish, Relu, Relu6, Sigmoid
from hannah_hw.operators.convolution import Conv1d, Conv2d
from hannah_hw.operators.copying import Concat, Permute, Slice, ZeroPad
from hannah_hw.operators.elementwise import Add, Mul, Scale
from hannah_hw.operators.linear import Linear
from hannah_hw.operators.matmul import MatMul
from hannah_hw.operators.normalisation import BatchNorm, LayerNorm
from hannah_hw.operators.pooling import AdaptiveAvgPooling, AvgPooling, MaxPooling
from hannah_hw.operators.quantise import Quantize, Requantize
from hannah_hw.operators.resampling import Upsample
from hannah_hw.operators.softmax import Softmax
from hannah_hw.operators.structural import Dropout, Flatten, Identity, Reshape
from hannah_hw.operators.transposed import ConvTranspose1d, ConvTranspose2d

__all__ = [
    "AdaptiveAvgPooling",
    "Add",
    "AvgPooling",
    "BatchNorm",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNorm",
    "Linear",
    "MatMul",
    "MaxPooling",
    "Mul",
    "Permute",
    "Quantize",
    "Relu",
    "Relu6",
    "Requantize",
    "Reshape",
    "Scale",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Upsample",
    "ZeroPad",
    "onnx_readers",
]


def onnx_readers() -> dict[str, type[Op]]:
    """ONNX operator type -> the operator that reads it."""
    exported = [globals()[name] for name in __all__]
    operators: list[type[Op]] = [value for value in exported if isinstance(value, type)]
    return {onnx_type: operator for operator in operators for onnx_type in operator.onnx_types}
