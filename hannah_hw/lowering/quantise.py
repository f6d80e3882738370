"""Int8 models: static quantisation of a float ONNX model to the QDQ form.

Activations and weights are signed 8-bit, weights symmetric and by output channel, biases int32: the scheme of
the integer kernels that run on microcontrollers. A ReLU (or a clip) is merged into the convolution or addition
before it: that operator's output is quantised with the range after the ReLU, so saturation does the clipping.

The placement of the quantise and dequantise nodes is ONNX Runtime's own (`onnxruntime.quantization`); the
ranges are those of `hannah_hw.lowering.ranges`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.files import write_atomically
from hannah_hw.lowering.least_ranges import widened
from hannah_hw.lowering.loading import PRODUCER, checked, load, name_of, refusing
from hannah_hw.lowering.mixed import Pairs, has_own_bits, quantise_others
from hannah_hw.lowering.opsets import at_least
from hannah_hw.lowering.qdq import quantised
from hannah_hw.lowering.ranges import Ranges, collect_ranges, float_values

if TYPE_CHECKING:
    from onnx import ModelProto

#: The first operator set whose quantise and dequantise nodes have a scale a channel.
_OPSET: Final = 13
#: Operators whose results are not negative.
_POSITIVE: Final = frozenset({"Clip", "HardSigmoid", "Relu", "Sigmoid", "Softmax"})

#: Operators that are quantised where they occur; any other keeps computing in float.
_OPERATORS: Final = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)


def quantise_int8(
    float_model: str | Path | bytes,
    int8_path: str | Path,
    calibration: NDArray[np.float32],
) -> None:
    """Quantise a float32 ONNX model with one input to int8 QDQ.

    Values and weights that say with how many bits they are kept stay as they are; see `hannah_hw.lowering.mixed`.

    Args:
        float_model: Path or content of the model. Its batch may be symbolic or fixed. Batch normalisation
            that is not folded into a convolution is computed in float, between int8 values.
        int8_path: Where the result is written, at once or not at all.
        calibration: (N, ...) inputs, float32; from the training data.

    Raises:
        ModelError: The model cannot be read or run, or does not take the calibration data.
        OSError: The result cannot be written.
    """
    where = name_of(float_model)
    model = _prepared(
        checked(load(float_model if isinstance(float_model, bytes) else Path(float_model)), where), where
    )
    result = _with_ranges(model, _calibrated(model, calibration, where), where)
    write_atomically(Path(int8_path), result.SerializeToString())


def quantise_without_data(float_model: ModelProto) -> ModelProto:
    """The int8 QDQ model that `quantise_int8` makes of a model, with ranges that nothing was run for.

    Its outputs mean nothing; its nodes, shapes and types are those of the model that is calibrated, and so is the time
    that it takes. The ranges of no two values are equal, as those of data are not.

    Args:
        float_model: A float32 model; it is not changed.

    Raises:
        ModelError: It is not valid.
    """
    return quantise_with_ranges(float_model, _stand_in_ranges(float_model))


def quantise_with_ranges(float_model: ModelProto, ranges: Ranges) -> ModelProto:
    """The int8 QDQ form of a model whose values have known ranges.

    Args:
        float_model: A float32 model; it is not changed.
        ranges: Name of a value -> smallest and largest value; of all float32 values.

    Raises:
        ModelError: It is not valid.
    """
    quick = quantised(float_model, ranges)
    if quick is not None:
        return quick
    where = name_of(float_model)
    return _with_ranges(_prepared(checked(float_model, where), where), ranges, where)


def calibrated_ranges(float_model: ModelProto, calibration: NDArray[np.float32]) -> Ranges:
    """The ranges with which `quantise_int8` quantises a model.

    Args:
        float_model: A float32 model with one input; it is not changed.
        calibration: (N, ...) inputs, float32; from the training data.

    Raises:
        ModelError: The model does not run on the calibration data, or a value is not finite.
    """
    where = name_of(float_model)
    model = _prepared(checked(float_model, where), where)
    return _calibrated(model, calibration, where)


def _calibrated(model: Any, calibration: NDArray[np.float32], where: str) -> Ranges:
    """The ranges of a prepared model, as wide as integer kernels need them."""
    return widened(model.graph, collect_ranges(model, calibration, where=where))


def _stand_in_ranges(model: ModelProto) -> Ranges:
    """A range of every value, no two equal."""
    ranges: Ranges = {}
    positive = {name for node in model.graph.node if node.op_type in _POSITIVE for name in node.output}
    for number, name in enumerate(float_values(model)):
        width = np.float32(1 + number / 1024)
        ranges[name] = (np.float32(0) if name in positive else -width, width)
    return ranges


def _prepared(model: Any, where: str) -> Any:
    """A checked model with shapes, names of all nodes, and an operator set that has scales a channel."""
    import onnx

    model = at_least(model, _OPSET, where)
    with refusing(where):
        model = onnx.shape_inference.infer_shapes(model)
    _name_nodes(model)
    return model


def _with_ranges(model: Any, ranges: Ranges, where: str) -> ModelProto:
    """The int8 model of a prepared one."""
    import onnx

    result: ModelProto
    with refusing(where):
        if has_own_bits(model):
            result = quantise_others(model, ranges, frozenset(_OPERATORS))
        else:
            result = _quantised(model, ranges)
        result.producer_name = PRODUCER
        del result.metadata_props[:]
        onnx.checker.check_model(result)
    return result


def _quantised(model: Any, ranges: Ranges) -> Any:
    """The model with what ONNX Runtime's quantiser adds, nodes in their old order."""
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.quant_utils import add_infer_metadata

    add_infer_metadata(model)
    data = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=list(_OPERATORS),
        extra_options={
            "ActivationSymmetric": False,
            # Operators that only copy are quantised also where nothing before them is, as behind the input.
            "ForceQuantizeNoInputCheck": True,
            "WeightSymmetric": True,
            "TensorQuantOverrides": _by_tensor(model),
        },
    )
    order = [node.name for node in model.graph.node]
    quantizer.quantize_model()
    _round_normalised(quantizer.model.model.graph, ranges)
    _sort(quantizer.model.model.graph, order)
    return quantizer.model.model


def _round_normalised(graph: Any, ranges: Ranges) -> None:
    """Round what batch normalisations that stand by themselves read and write, where nothing does so far.

    ONNX Runtime's own rule for them would round their factors to one scale for all channels.
    """
    taken = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    emitter = Pairs({})
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            continue
        (source, result) = node.input[0], node.output[0]
        if source in ranges and source not in rounded | taken:
            node.input[0] = emitter.pair(source, f"{source}/int8", ranges[source])
            taken.add(source)
        if result in ranges and result not in taken:
            node.output[0] = f"{result}/float"
            emitter.pair(node.output[0], result, ranges[result])
            taken.add(result)
    graph.node.extend(emitter.nodes)
    graph.initializer.extend(emitter.constants.values())


def _by_tensor(model: Any) -> dict[str, list[dict[str, Any]]]:
    """Weights that have one scale instead of one a channel: those of transposed convolutions with groups.

    The output channels of such a weight are those of one group, so that its scales would not fit its bias.
    """
    from onnxruntime.quantization import QuantType

    whole = {"quant_type": QuantType.QInt8, "symmetric": True}
    return {
        node.input[1]: [dict(whole)]
        for node in model.graph.node
        if node.op_type == "ConvTranspose" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    }


def _sort(graph: Any, names: list[str]) -> None:
    """Put nodes behind those whose values they take, and otherwise in the order of the names.

    The order decides how long values live: that of the source is the network's own.
    """
    nodes = list(graph.node)
    producer = {output: index for index, node in enumerate(nodes) for output in node.output}
    rank = {name: index for index, name in enumerate(names)}
    ordered: dict[int, Any] = {}
    for root in sorted(range(len(nodes)), key=lambda index: rank.get(nodes[index].name, len(rank))):
        stack = [root]
        while stack:
            index = stack[-1]
            waiting = [producer[name] for name in nodes[index].input if name in producer]
            waiting = [other for other in waiting if other not in ordered]
            if index in ordered or not waiting:
                ordered.setdefault(stack.pop(), nodes[index])
            else:
                stack.extend(reversed(waiting))
    del graph.node[:]
    graph.node.extend(ordered.values())


def _name_nodes(model: Any) -> None:
    """Give nodes without a name a stable one: the quantiser tells nodes apart by name."""
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{index}"
