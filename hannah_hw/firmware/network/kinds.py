"""One integer layer for each kind of kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import arithmetic
from hannah_hw.firmware.layers import Layer, Value
from hannah_hw.firmware.network.constants import Constants, Grid
from hannah_hw.firmware.network.order import loops, memory_axis, memory_order, same_order
from hannah_hw.firmware.network.stored import RANGES, Stored, clamp_of, number
from hannah_hw.firmware.network.weights import integer_bias, integer_weights
from hannah_hw.graph import Op
from hannah_hw.operators import BatchNorm, Concat, Permute, Scale, Slice, Upsample

if TYPE_CHECKING:
    from onnx import NodeProto

#: Most nested loops of a permutation.
_LOOPS: Final = 3

#: Kinds whose result has a grid where the file says none -> that grid; None: the operand's.
KEEPING: Final[Mapping[str, Grid | None]] = {
    "softmax": Grid(1.0 / 256.0, -128),
    **dict.fromkeys(("max_pool", "slice", "pad", "permute", "upsample", "activation")),
}


@dataclass(frozen=True)
class Site:
    """An operator and what surrounds it.

    Attributes:
        op: The operator.
        node: Where it was read from.
        columns: Its row of the Workload.
        buffer: What it writes.
        operands: What it reads.
        inputs: Indices of the operands in `values`.
        output: Index of the result.
        values: All values so far.
        grids: Grids of the nodes of the graph.
        constants: Of the file.
    """

    op: Op
    node: NodeProto
    columns: Mapping[str, int]
    buffer: Stored
    operands: list[Stored]
    inputs: tuple[int, ...]
    output: int
    values: list[Value]
    grids: Mapping[int, Grid]
    constants: Constants

    @property
    def result(self) -> Value:
        """What it writes."""
        return self.values[self.output]

    @property
    def first(self) -> Value:
        """Its first operand."""
        return self.values[self.inputs[0]]

    def refused(self, kind: str, reason: str) -> UnsupportedError:
        """The error that it has no kernel."""
        return UnsupportedError(
            f"{self.constants.where}: {self.op.id!r} ({self.node.op_type}, kind {kind}) has no integer kernel: {reason}"
        )

    def layer(self, kind: str, **parts: Any) -> Layer:
        """The layer with the clamp of what folds into it."""
        low, high = clamp_of(self.buffer, Grid(self.result.scale, self.result.zero_point), self.grids)
        return Layer(self.op.id, kind, self.inputs, self.output, self.columns, low, high, **parts)

    def check_order(self, kind: str) -> None:
        """Refuse operands whose order in memory is not that of channels last.

        Raises:
            UnsupportedError: A reshape that is no view lies between.
        """
        for operand, buffer in zip(self.op.data_operands(), self.operands, strict=True):
            if not same_order(_sizes(buffer.owner), _sizes(operand)):
                raise self.refused(
                    kind,
                    f"its operand {operand.id!r} reshapes {_sizes(buffer.owner)} to {_sizes(operand)}, which is no "
                    "view of channels-last memory; only fully connected layers and transpositions may follow it",
                )


def why_not(kind: str) -> str:
    """Why a kind has no integer kernel, and what to do; empty where it has one."""
    return "" if kind in _KINDS else _WHY_NOT.get(kind, "nothing computes it in int8")


def layer_of(kind: str, site: Site) -> Layer:
    """The integer layer of an operator.

    Args:
        kind: One that has a kernel; see `why_not`.
        site: The operator.

    Raises:
        UnsupportedError: Its kernel does not compute it.
    """
    build = _KINDS[kind]
    if kind not in ("linear", "permute", "softmax"):
        site.check_order(kind)
    try:
        return build(kind, site)
    except UnsupportedError as error:
        if str(error).startswith(site.constants.where):
            raise
        raise site.refused(kind, str(error)) from error


def _sizes(node: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in node.shape())


def _weighted(kind: str, site: Site) -> Layer:
    weights, scales = integer_weights(site.constants, kind, site.node, site.columns["groups"])
    if kind == "linear":
        # Features in the order of memory.
        weights = np.ascontiguousarray(weights[..., memory_order(_sizes(site.operands[0].owner))])
    grid = Grid(site.first.scale, site.first.zero_point)
    steps = scales * grid.scale
    bias = integer_bias(site.constants, site.node, steps, weights, grid)
    factors = steps * site.buffer.factor / site.result.scale
    arithmetic.q32_multipliers(factors)
    return site.layer(kind, weights=weights, bias=bias, scales=factors)


def _add(kind: str, site: Site) -> Layer:
    ratios = np.array([site.values[index].scale for index in site.inputs]) / site.result.scale
    zero_points = tuple(site.values[index].zero_point for index in site.inputs)
    arithmetic.sum_constants(ratios, (zero_points[0], zero_points[1]), site.result.zero_point)
    return site.layer(kind, scales=ratios)


def _batch_norm(kind: str, site: Site) -> Layer:
    scale, offset, mean, variance = (
        np.asarray(site.constants.real(name), np.float64) for name in site.node.input[1:5]
    )
    statistics = [part.astype(np.float32) for part in (mean, variance, scale, offset)]
    with np.errstate(invalid="ignore", divide="ignore"):  # a variance that is none; refused below
        factor, shift = cast("BatchNorm", site.op).affine(statistics)
    result = site.result
    constants = arithmetic.affine_constants(
        factor * site.first.scale / result.scale,
        shift / result.scale,
        site.first.zero_point,
        result.zero_point,
    )
    return site.layer(
        kind,
        scales=factor * site.first.scale / result.scale,
        bias=constants.offsets,
        options={"bits": constants.bits},
    )


def _mul(kind: str, site: Site) -> Layer:
    product = site.first.scale * site.values[site.inputs[1]].scale / site.result.scale
    arithmetic.multiplier(product)
    return site.layer(kind, scales=np.array([product]))


def _average(kind: str, site: Site) -> Layer:
    return site.layer(kind, scales=np.array([site.first.scale / site.result.scale]))


def _copy(kind: str, site: Site) -> Layer:
    _same_grid(kind, site)
    options: dict[str, int | tuple[int, ...]] = {}
    if isinstance(site.op, Slice):
        rank = len(_sizes(site.op))
        options = {"axis": _axis(kind, site, site.op.axis % rank), "begin": int(site.op.begin)}  # type: ignore[arg-type]
    if isinstance(site.op, Upsample) and site.op.mode != "nearest":
        raise site.refused(kind, f"its mode is {site.op.mode!r}; use nearest")
    return site.layer(kind, options=options)


def _permute(kind: str, site: Site) -> Layer:
    _same_grid(kind, site)
    data, dims = site.op.data_operands()[0], cast("Permute", site.op).dims
    logical = np.arange(site.first.size).reshape(_sizes(data)[1:])
    moved = logical.transpose([dim - 1 for dim in dims[1:]]).ravel()
    place = np.empty(site.first.size, np.int64)
    place[memory_order(_sizes(site.operands[0].owner))] = np.arange(site.first.size)
    nest = loops(place[moved[memory_order(_sizes(site.op))]])
    if nest is None or len(nest[0]) > _LOOPS:
        raise site.refused(kind, "it is no three nested loops through memory; split it in two")
    return site.layer(kind, options={"sizes": nest[0], "steps": nest[1]})


def _concat(kind: str, site: Site) -> Layer:
    axis = cast("Concat", site.op).axis % len(_sizes(site.op))
    options = {"axis": _axis(kind, site, axis)}
    operands = [site.values[index] for index in site.inputs]
    target = (site.result.scale, site.result.zero_point)
    tables = None
    if any((value.scale, value.zero_point) != target for value in operands):
        tables = np.stack([table_of(value, site.result, lambda x: x) for value in operands])
    return site.layer(kind, table=tables, options=options)


def _axis(kind: str, site: Site, axis: int) -> int:
    rank = len(_sizes(site.op))
    if rank > 4:
        raise site.refused(kind, f"its operand has {rank} dimensions; at most 4 are supported")
    return memory_axis(axis, rank)


def _softmax(kind: str, site: Site) -> Layer:
    owner, data = _sizes(site.operands[0].owner), _sizes(site.op.data_operands()[0])
    rows, classes = site.columns["in_w"], site.columns["in_channels"]
    if not np.array_equal(memory_order(owner), np.arange(rows * classes)):
        raise site.refused(
            kind,
            f"it is over the last dimension of {data}, whose values do not lie side by side, channels last",
        )
    arithmetic.softmax_constants(site.first.scale, site.result.scale, classes)
    return site.layer(kind)


def _curve(kind: str, site: Site) -> Layer:
    return site.layer(kind, table=table_of(site.first, site.result, _function(site.op, kind)))


def _function(op: Op, kind: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if isinstance(op, Scale):
        factor = number(op)
        return lambda x: x * factor
    if type(op) in RANGES:
        low, high = RANGES[type(op)]
        return lambda x: np.clip(x, low, high)
    return CURVES[kind]


def table_of(
    operand: Value, result: Value, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.int8]:
    """A function of one value, from -128 to 127, as ONNX rounds its results."""
    real = arithmetic.to_real(np.arange(-128, 128), operand.scale, operand.zero_point)
    return arithmetic.to_steps(function(real.astype(np.float64)), result.scale, result.zero_point)


def _same_grid(kind: str, site: Site) -> None:
    """Refuse a copy to another grid.

    Raises:
        UnsupportedError: Operand and result have different scales or zero points.
    """
    source, result = site.first, site.result
    if (source.scale, source.zero_point) != (result.scale, result.zero_point):
        raise site.refused(
            kind,
            f"its operand has the scale {source.scale:g} and the zero point {source.zero_point}, its result "
            f"{result.scale:g} and {result.zero_point}; quantise both alike, since it only copies",
        )


#: Functions of one value that are tables.
CURVES: Final[Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_swish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
}

_KINDS: Final[Mapping[str, Callable[[str, Site], Layer]]] = {
    **dict.fromkeys(("conv", "conv_transpose", "linear"), _weighted),
    **dict.fromkeys(("max_pool", "slice", "pad", "upsample"), _copy),
    **dict.fromkeys((*CURVES, "activation", "scale"), _curve),
    "add": _add,
    "avg_pool": _average,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "mul": _mul,
    "permute": _permute,
    "softmax": _softmax,
}

#: Kinds without a kernel -> why, and what to do.
_WHY_NOT: Final[Mapping[str, str]] = {
    "layer_norm": "it needs floating point; use batch normalisation",
    "matmul": "products of two computed values are not supported; use fully connected layers",
    "quantize": "firmware reads models whose values are quantised by QuantizeLinear, all to int8",
}
