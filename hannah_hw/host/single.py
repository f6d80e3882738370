"""Models of one kernel, to run it alone as it runs inside of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import UnsupportedError
from hannah_hw.host.kernels import GRAPH, TENSOR, HostKernel, HostTensor
from hannah_hw.host.session import InputSpec, random_inputs
from hannah_hw.lowering.loading import PRODUCER

if TYPE_CHECKING:
    from onnx import ModelProto

#: Of the container. Any runtime that knows the operator sets in use reads it.
_IR_VERSION: Final = 9
#: Mean of positive constants: scales of quantised values, variances, biases.
_SMALL: Final = 0.05


def single_kernel_model(kernel: HostKernel, seed: int = 0) -> ModelProto:
    """A model of nothing but a kernel. It has to run without optimisation, which would change it again.

    Weights are drawn: their values do not change how long a kernel takes. Scales are positive and zero points zero, as
    weights have them.

    Args:
        kernel: The kernel.
        seed: Of the weights.

    Raises:
        UnsupportedError: It takes or gives what is no tensor, or holds a graph of its own; or what it says of itself,
            in a file, is nothing that ONNX can say.
    """
    _check(kernel)
    try:
        return _model(kernel, seed)
    except (
        AttributeError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:  # ONNX's builders and NumPy
        raise UnsupportedError(f"a kernel {kernel.op} is none that ONNX can write: {error}") from error


def _model(kernel: HostKernel, seed: int) -> ModelProto:
    """See `single_kernel_model`; what a kernel from a file has wrong raises anything."""
    from onnx import helper, numpy_helper

    names = [f"input_{i}" if tensor.dtype else "" for i, tensor in enumerate(kernel.inputs)]
    results = [f"output_{i}" for i, _ in enumerate(kernel.outputs)]
    rng = np.random.default_rng(seed)
    constants, inputs = [], []
    for name, tensor in zip(names, kernel.inputs, strict=True):
        if tensor.constant and tensor.dtype:
            constants.append(numpy_helper.from_array(_drawn(tensor, rng), name))
        elif tensor.dtype:
            inputs.append(_value_info(name, tensor))
    node = helper.make_node(kernel.op_type, names, results, name="kernel", domain=kernel.domain)
    node.attribute.extend(
        helper.make_attribute(name, _attribute(value)) for name, value in kernel.attributes if value != ()
    )
    outputs = [_value_info(name, tensor) for name, tensor in zip(results, kernel.outputs, strict=True)]
    return helper.make_model(
        helper.make_graph([node], "kernel", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid(kernel.domain, kernel.version)],
        ir_version=_IR_VERSION,
        producer_name=PRODUCER,
    )


def _check(kernel: HostKernel) -> None:
    """Refuse what cannot run alone.

    Raises:
        UnsupportedError: See `single_kernel_model`.
    """
    if not all(tensor.dtype for tensor in (*kernel.computed, *kernel.outputs)):
        raise UnsupportedError(
            f"a kernel {kernel.op} takes or gives what is no tensor; it cannot be run alone"
        )
    nested = next(
        (n for n, value in kernel.attributes if isinstance(value, tuple) and GRAPH in value[:1]), None
    )
    if nested is not None:
        raise UnsupportedError(f"a kernel {kernel.op} holds a graph in {nested!r}; it cannot be run alone")


def _attribute(value: Any) -> Any:
    """An attribute as ONNX takes it."""
    from onnx import numpy_helper

    if isinstance(value, tuple) and value[0] == TENSOR:
        _, dtype, shape, elements = value
        return numpy_helper.from_array(np.array(elements, dtype).reshape(shape))
    return value


def _value_info(name: str, tensor: HostTensor) -> Any:
    """What a graph says of a value at its border: an `onnx.ValueInfoProto`."""
    from onnx import helper

    dtype = np.dtype(object if tensor.dtype == "str" else tensor.dtype)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), tensor.shape)


def _drawn(tensor: HostTensor, rng: np.random.Generator) -> NDArray[Any]:
    """Values of a weight: those that it has to have, small positive scales, no zero points, or drawn ones."""
    dtype = np.dtype(tensor.dtype)
    if tensor.values is not None:
        return np.array(tensor.values, dtype).reshape(tensor.shape)
    if len(tensor.shape) < 2 and dtype.kind == "f":
        return rng.uniform(0.5 * _SMALL, 1.5 * _SMALL, tensor.shape).astype(dtype)
    if len(tensor.shape) < 2 and dtype.itemsize == 1:
        return np.zeros(tensor.shape, dtype)
    spec = InputSpec("", dtype.type, tensor.shape)
    return random_inputs([spec], int(rng.integers(1 << 31)))[""]
