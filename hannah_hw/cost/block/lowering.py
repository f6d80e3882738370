"""From layers to the operations of the processor: what the compiler makes of each kind.

What becomes what was found by compiling single layers with ethos-u-vela 5.2.0 and reading its table of operations:

* a grouped convolution is one convolution a group, with more than one output channel for each input channel of a
  depthwise one that many depthwise convolutions and seven transpositions;
* a stride above 3 is one convolution an output pixel; a dilation above 2 a larger window with zeros in it;
* a transposed convolution of stride 2 reads its input upscaled by zeros;
* an average over everything is a depthwise convolution with equal weights and a multiplication;
* softmax is 30 operations on rows of 8 and 32 bits;
* sigmoid and hard swish are tables that the operation before applies, concatenation and slice are addresses: all
  of them take no cycles of their own; a padding that stands alone copies its borders;
* activations by themselves and requantisation are poolings with a window of one element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.npu import ACTIVATION_ROWS, OUTPUT_ROWS
from hannah_hw.cost.block.operations import IntArray, Operations
from hannah_hw.workload.table import ACTIVATIONS

Lowered = list[Operations]

#: Activation of a layer that applies the table of the layer after it; beyond those of `ACTIVATIONS`.
BY_TABLE: Final = len(ACTIVATIONS)

_TABLE: Final = ACTIVATION_ROWS.index("table")
_CLAMP: Final = ACTIVATION_ROWS.index("clamp")
_NONE: Final = ACTIVATION_ROWS.index("other")
_ADD, _MUL, _MAX, _OTHER, _BINARY32, _UNARY32, _MUL32 = (
    OUTPUT_ROWS.index(row) for row in ("add", "mul", "max_pool", "other", "binary32", "unary32", "mul32")
)

#: Transpositions after a depthwise convolution with several output channels for each input channel.
_REORDERINGS: Final = 7
#: Steps of the iterations by which softmax divides: a difference, a product and three that correct it, thrice.
_NEWTON: Final = ("scalar", "vector", "scalar", "vector", "vector") * 3


def lower(layers: Layers, spills: bool, means: bool = True) -> Operations:
    """The operations of M layers of `LOWERED` kinds, in the order of the layers.

    Args:
        layers: The layers; those of other kinds have no operations.
        spills: Whether values that are not on chip lie in another memory. Where they do not, ``input_on_chip`` and
            ``output_on_chip`` only tell inputs and outputs of the network, which are stored row by row.
        means: Whether an average over everything is a mean rather than a pooling.
    """
    parts: Lowered = []
    rules = LOWERED if means else {**LOWERED, "avg_pool": _pool(_OTHER)}
    for kind, rule in rules.items():
        places = np.flatnonzero(layers.is_kind(kind))
        if len(places):
            some = layers.at(places)
            parts += [
                operations.replaced(layer=places[operations["layer"]])
                for operations in rule(some)
                if len(operations)
            ]
    joined = Operations.joined(parts)
    order = np.argsort(joined["layer"], kind="stable")
    joined = joined.at(order)
    if not spills:
        inside = np.ones(len(joined), np.int64)
        joined = joined.replaced(ifm_on_chip=inside, ofm_on_chip=inside)
    return joined.at(joined["repeats"] > 0)


def _activation(layers: Layers) -> IntArray:
    named = np.where(layers["activation"] == ACTIVATIONS.index("none"), _NONE, _CLAMP)
    return np.where(layers["activation"] == BY_TABLE, _TABLE, named)


def _common(layers: Layers) -> dict[str, IntArray]:
    """Columns of the one operation that a layer becomes."""
    return {
        "layer": np.arange(len(layers)),
        "ifm_h": layers["in_h"],
        "ifm_w": layers["in_w"],
        "ifm_c": layers["in_channels"],
        "ofm_h": layers["out_h"],
        "ofm_w": layers["out_w"],
        "ofm_c": layers["out_channels"],
        "ifm_bits": _whole_bytes(layers["activation_bits"]),
        "ofm_bits": _whole_bytes(layers["output_bits"]),
        "ifm_linear": 1 - layers["input_on_chip"],
        "ofm_linear": 1 - layers["output_on_chip"],
        "ifm_on_chip": layers["input_on_chip"],
        "ofm_on_chip": layers["output_on_chip"],
        "reserved_bytes": layers["reserved_bytes"],
        "activation": _activation(layers),
        "table": (layers["activation"] == BY_TABLE).astype(np.int64),
    }


def _whole_bytes(bits: IntArray) -> IntArray:
    return np.where(bits <= 8, 8, np.where(bits <= 16, 16, 32))


def _windows(layers: Layers) -> dict[str, IntArray]:
    """Columns of an operation with a window."""
    columns = _common(layers)
    for axis in "hw":
        dilation, window = layers[f"dilation_{axis}"], layers[f"kernel_{axis}"]
        even = dilation % 2 == 0
        stretched = (window - 1) * np.where(even, dilation // 2, dilation) + 1
        columns[f"kernel_{axis}"] = np.where(dilation > 2, stretched, window)
        columns[f"dilation_{axis}"] = np.where(dilation > 2, np.where(even, 2, 1), dilation)
        columns[f"stride_{axis}"] = layers[f"stride_{axis}"]
    return columns


def _by_pixel(columns: dict[str, IntArray]) -> None:
    """Make of an operation with long strides one that computes a pixel, as often as there are pixels."""
    long = (columns["stride_h"] > 3) | (columns["stride_w"] > 3)
    columns["repeats"] = np.where(long, columns["ofm_h"] * columns["ofm_w"], 1)
    for axis in "hw":
        extent = (columns[f"kernel_{axis}"] - 1) * columns[f"dilation_{axis}"] + 1
        columns[f"ifm_{axis}"] = np.where(
            long, np.minimum(extent, columns[f"ifm_{axis}"]), columns[f"ifm_{axis}"]
        )
        columns[f"ofm_{axis}"] = np.where(long, 1, columns[f"ofm_{axis}"])
        columns[f"stride_{axis}"] = np.where(long, 1, columns[f"stride_{axis}"])


def _part(columns: Mapping[str, IntArray], chosen: IntArray) -> dict[str, IntArray]:
    return {name: values[chosen] for name, values in columns.items()}


def _conv(layers: Layers) -> Lowered:
    columns = _windows(layers)
    _by_pixel(columns)
    columns["scales"] = np.ones(len(layers), np.int64)
    groups = np.maximum(layers["groups"], 1)
    each = layers["out_channels"] // groups
    # A depthwise convolution of one input channel is an ordinary one.
    depthwise = (groups == layers["in_channels"]) & (groups > 1)
    plain = _part(columns, np.flatnonzero(~depthwise))
    split, inputs = groups[~depthwise], (layers["in_channels"] // groups)[~depthwise]
    outputs = each[~depthwise]
    plain["ifm_c"], plain["ofm_c"], plain["repeats"] = inputs, outputs, plain["repeats"] * split
    # Parts of a tensor that do not begin at a brick need it row by row.
    plain["ifm_linear"] = np.where((split > 1) & (inputs % 16 != 0), 1, plain["ifm_linear"])
    plain["ofm_linear"] = np.where((split > 1) & (outputs % 16 != 0), 1, plain["ofm_linear"])
    parts = [Operations.of("conv", **plain)] if len(split) else []
    deep = np.flatnonzero(depthwise)
    if len(deep):
        many = each[deep]
        channels = _part(columns, deep)
        channels["ofm_c"] = groups[deep]
        channels["repeats"] = channels["repeats"] * many
        parts.append(Operations.of("depthwise", **channels))
        parts.append(
            Operations.of(
                "copy",
                layer=deep,
                **_moved(layers, deep),
                ifm_linear=1,
                ofm_linear=1,
                repeats=np.where(many > 1, _REORDERINGS, 0),
            )
        )
    return parts


def _moved(layers: Layers, places: IntArray) -> dict[str, IntArray]:
    """Sizes of a copy of the result of layers."""
    sizes = {}
    for axis, name in (("h", "out_h"), ("w", "out_w"), ("c", "out_channels")):
        sizes[f"ifm_{axis}"] = sizes[f"ofm_{axis}"] = layers[name][places]
    for side, name in (("ifm", "input_on_chip"), ("ofm", "output_on_chip")):
        sizes[f"{side}_on_chip"] = layers[name][places]
    return sizes


def _transposed(layers: Layers) -> Lowered:
    columns = _windows(layers)
    groups = np.maximum(layers["groups"], 1)
    columns["upscale"] = np.maximum(layers["stride_h"], layers["stride_w"])
    columns["stride_h"] = columns["stride_w"] = np.ones(len(layers), np.int64)
    columns["ifm_c"] = layers["in_channels"] // groups
    columns["ofm_c"] = layers["out_channels"] // groups
    columns["repeats"] = groups
    columns["scales"] = np.ones(len(layers), np.int64)
    return [Operations.of("conv", **columns)]


def _near_square(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Height and width into which a batch of rows is folded: as near to a square as its divisors allow."""
    high = np.ones_like(rows)
    for candidate in range(2, int(np.sqrt(rows.max(initial=1))) + 1):
        high = np.where((rows % candidate == 0) & (candidate * candidate <= rows), candidate, high)
    return high, rows // high


def _linear(layers: Layers) -> Lowered:
    columns = _common(layers)
    high, wide = _near_square(np.maximum(layers["out_h"] * layers["out_w"], 1))
    features = layers["in_channels"] * layers["in_h"] * layers["in_w"] // (high * wide)
    columns["ifm_h"], columns["ifm_w"] = high, wide
    columns["ofm_h"], columns["ofm_w"] = high, wide
    # A flattened tensor is read row by row.
    columns["ifm_linear"] = np.where(features != layers["in_channels"], 1, columns["ifm_linear"])
    columns["ifm_c"] = features
    columns["scales"] = np.ones(len(layers), np.int64)
    return [Operations.of("fc", **columns)]


def _matmul(layers: Layers) -> Lowered:
    groups = np.maximum(layers["groups"], 1)
    rows = np.maximum(layers["out_h"] * layers["out_w"], 1)
    deep, columns = layers["in_channels"] // groups, layers["out_channels"] // groups
    both = {"layer": np.arange(len(layers)), "ifm_w": rows, "ifm_c": deep, "repeats": columns * groups}
    product = Operations.of(
        "elementwise",
        **both,
        ifm2_h=1,
        ifm2_w=rows,
        ifm2_c=deep,
        ofm_w=rows,
        ofm_c=deep,
        ofm_bits=32,
        output=_MUL32,
    )
    total = Operations.of("reduce", **both, ofm_w=rows, ofm_c=1, ifm_bits=32, ifm_linear=1)
    return [product, total]


def _binary(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = _common(layers)
        for axis in "hwc":
            columns[f"ifm_{axis}"] = columns[f"ifm2_{axis}"] = columns[f"ofm_{axis}"]
        columns["output"] = np.full(len(layers), row)
        columns["repeats"] = np.maximum(layers["operands"] - 1, 1)
        return [Operations.of("elementwise", **columns)]

    return build


def _with_scalar(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = _common(layers)
        one = np.ones(len(layers), np.int64)
        columns.update({"ifm2_h": one, "ifm2_w": one, "ifm2_c": one, "output": np.full(len(layers), row)})
        return [Operations.of("elementwise", **columns)]

    return build


def _hard_sigmoid(layers: Layers) -> Lowered:
    return [*_with_scalar(_ADD)(layers), *_with_scalar(_MUL)(layers)]


def _pool(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = _windows(layers)
        _by_pixel(columns)
        columns["output"] = np.full(len(layers), row)
        return [Operations.of("pool", **columns)]

    return build


def _average(layers: Layers) -> Lowered:
    whole = (layers["kernel_h"] == layers["in_h"]) & (layers["kernel_w"] == layers["in_w"])
    whole &= (layers["out_h"] == 1) & (layers["out_w"] == 1) & (layers["kernel_h"] * layers["kernel_w"] > 1)
    parts: Lowered = []
    for chosen, build in ((np.flatnonzero(~whole), _pool(_OTHER)), (np.flatnonzero(whole), _mean)):
        if len(chosen):
            parts += [part.replaced(layer=chosen[part["layer"]]) for part in build(layers.at(chosen))]
    return parts


def _mean(layers: Layers) -> Lowered:
    columns = _windows(layers)
    one = np.ones(len(layers), np.int64)
    inside = {"ofm_bits": 32 * one, "ofm_linear": 0 * one, "ofm_on_chip": one, "activation": _NONE * one}
    total = Operations.of("depthwise", **{**columns, **inside, "scales": one, "uniform": one})
    divided = Operations.of(
        "elementwise",
        layer=np.arange(len(layers)),
        ifm_c=layers["out_channels"],
        ifm2_h=1,
        ifm2_w=1,
        ifm2_c=1,
        constant2=1,
        ofm_c=layers["out_channels"],
        ifm_bits=32,
        ofm_linear=columns["ofm_linear"],
        ofm_on_chip=columns["ofm_on_chip"],
        output=_BINARY32,
        activation=columns["activation"],
    )
    return [total, divided]


def _single(layers: Layers) -> Lowered:
    return [Operations.of("pool", **_common(layers))]


def _batch_norm(layers: Layers) -> Lowered:
    return [Operations.of("depthwise", **_common(layers), scales=1)]


def _softmax(layers: Layers) -> Lowered:
    """The largest of a row, exponentials by a table, their sum, and a division by iterations on 32 bits."""
    number = np.arange(len(layers))
    rows = np.maximum(layers["in_h"] * layers["in_w"], 1)
    classes = layers["in_channels"]
    row = {"layer": number, "ifm_w": rows, "ofm_w": rows}
    wide = {**row, "ifm_bits": 32, "ofm_bits": 32}
    one = {"ifm2_h": 1, "ifm2_w": 1, "ifm2_c": 1}
    vector = {**wide, "ifm_c": 1, "ofm_c": 1}
    scalar = {**vector, **one, "constant2": 1, "output": _BINARY32}
    pair = {**vector, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "output": _BINARY32}
    whole = {**wide, "ifm_c": classes, "ofm_c": classes}
    outside = {"ofm_on_chip": layers["output_on_chip"], "ofm_linear": 1 - layers["output_on_chip"]}
    largest = Operations.of(
        "pool", layer=number, ifm_h=rows, ifm_w=classes, ofm_h=rows, kernel_w=classes, output=_MAX
    )
    less = Operations.of(
        "elementwise",
        **{**row, "ifm_c": classes, "ofm_c": classes, "ofm_bits": 32},
        ifm2_h=1,
        ifm2_w=rows,
        ifm2_c=1,
        output=_ADD,
        activation=ACTIVATION_ROWS.index("table"),
        table=1,
    )
    shifted = Operations.of("elementwise", **{**whole, **one, "constant2": 1, "output": _BINARY32})
    total = Operations.of("reduce", **{**wide, "ifm_c": classes, "ofm_c": 1, "ifm_linear": 1})
    leading = Operations.of("elementwise", **{**vector, "output": _UNARY32})
    steps = [
        Operations.of("elementwise", **(scalar if step == "scalar" else pair))
        for step in (
            "scalar",
            "scalar",
            "vector",
            "scalar",
            "scalar",
            "vector",
            *_NEWTON,
            "scalar",
            "vector",
            "scalar",
        )
    ]
    weighed = Operations.of(
        "elementwise", **{**whole, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "output": _BINARY32}
    )
    rounded = Operations.of("elementwise", **{**whole, **one, "constant2": 1, "output": _BINARY32})
    last = Operations.of(
        "elementwise",
        **{**whole, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "ofm_bits": 8, "output": _BINARY32, **outside},
    )
    return [largest, less, shifted, total, leading, *steps, weighed, rounded, last]


def _upsample(layers: Layers) -> Lowered:
    """Doublings one after the other."""
    columns = _common(layers)
    factor = np.maximum(layers["out_h"] // layers["in_h"], layers["out_w"] // layers["in_w"])
    parts: Lowered = []
    for step in range(int(np.ceil(np.log2(max(int(factor.max(initial=1)), 1))))):
        doubled = dict(columns)
        for axis in "hw":
            before, after = layers[f"in_{axis}"], layers[f"out_{axis}"]
            doubled[f"ifm_{axis}"] = np.minimum(before * 2**step, after)
            doubled[f"ofm_{axis}"] = np.minimum(before * 2 ** (step + 1), after)
        doubled["repeats"] = (factor > 2**step).astype(np.int64)
        parts.append(Operations.of("pool", **doubled, upscale=2, nearest=1))
    return parts


def _permute(layers: Layers) -> Lowered:
    columns = _common(layers)
    columns["ifm_linear"] = columns["ofm_linear"] = np.ones(len(layers), np.int64)
    return [Operations.of("copy", **columns)]


def _pad(layers: Layers) -> Lowered:
    columns = _common(layers)
    parts: Lowered = []
    for side, axis in (("top", "h"), ("bottom", "h"), ("left", "w"), ("right", "w")):
        strip = dict(columns)
        for other in "hwc":
            strip[f"ifm_{other}"] = strip[f"ofm_{other}"]
        strip[f"ifm_{axis}"] = strip[f"ofm_{axis}"] = layers[f"pad_{side}"]
        strip["repeats"] = (layers[f"pad_{side}"] > 0).astype(np.int64)
        strip[f"ifm_{axis}"] = strip[f"ofm_{axis}"] = np.maximum(strip[f"ofm_{axis}"], 1)
        strip["ifm_linear"] = strip["ofm_linear"] = np.ones(len(layers), np.int64)
        parts.append(Operations.of("pool", **strip))
    return parts


def _free(_: Layers) -> Lowered:
    return []


#: Kernel kind -> what it becomes; kinds that are not here are refused.
LOWERED: Final[Mapping[str, Callable[[Layers], Lowered]]] = {
    "conv": _conv,
    "conv_transpose": _transposed,
    "linear": _linear,
    "matmul": _matmul,
    "add": _binary(_ADD),
    "mul": _binary(_MUL),
    "scale": _with_scalar(_MUL),
    "avg_pool": _average,
    "max_pool": _pool(_MAX),
    "softmax": _softmax,
    "activation": _single,
    "quantize": _single,
    "batch_norm": _batch_norm,
    "sigmoid": _free,
    "hard_swish": _free,
    "hard_sigmoid": _hard_sigmoid,
    "upsample": _upsample,
    "concat": _free,
    "slice": _free,
    "permute": _permute,
    "pad": _pad,
}
