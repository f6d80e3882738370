"""Reading an int8 ONNX model as an integer network."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.network.constants import Constants, Grid
from hannah_hw.firmware.network.kinds import KEEPING, Site, layer_of, why_not
from hannah_hw.firmware.network.order import memory_shape, same_order
from hannah_hw.firmware.network.stored import Stored, grid_of, stored_values
from hannah_hw.graph import Node, Op
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.lowering.loading import name_of
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import OnnxModel, read_onnx
from hannah_hw.workload.table import BIT_COLUMNS

if TYPE_CHECKING:
    from onnx import ModelProto


def read_network(
    source: str | os.PathLike[str] | ModelProto, *, shapes: GivenShapes | None = None
) -> Network:
    """Read an int8 ONNX model in the QDQ form.

    Args:
        source: A file, or a model.
        shapes: Input name -> shape, or that of the only input, where the file leaves it open.

    Returns:
        The integer network: its layers are the kernels of ``read_onnx(source).deployed()``, with their names and in
        their order; its values are the buffers.

    Raises:
        ModelError: No readable ONNX, or a value between kernels that is not quantised.
        UnsupportedError: An operator that has no integer kernel, or another bit width.
    """
    where = name_of(source)
    name = Path(source).stem if isinstance(source, str | os.PathLike) else source.graph.name
    return _read(read_onnx(source, shapes=shapes), name or "model", where)


def _read(model: OnnxModel, name: str, where: str) -> Network:
    if model.bits == FLOAT_BITS:
        raise ModelError(
            "it has no QuantizeLinear nodes: it is a float model; quantise it to int8 first, with --calibration "
            "samples.npy or, in Python, hannah_hw.lowering.quantise.quantise_int8",
            where=where,
        )
    rows = list(model.deployed().rows())
    _refuse(model, rows, where)
    kernels = frozenset(str(row["name"]) for row in rows)
    constants = Constants(model.model, where)
    buffers = stored_values(model.order, kernels, where)
    grids = constants.grids(model.values)
    values: list[Value] = []
    places: dict[int, int] = {}
    layers: list[Layer] = []

    def place(buffer: Stored, grid: Grid) -> None:
        places[id(buffer)] = len(values)
        shape = memory_shape(_sizes(buffer.owner))
        values.append(Value(buffer.owner.id, shape, grid.scale, grid.zero_point))

    columns = {str(row["name"]): row for row in rows}
    for node in model.order:
        buffer = buffers[id(node)]
        if buffer.owner is not node:
            continue
        grid = grid_of(buffer, grids, where)
        if not isinstance(node, Op):
            if _sizes(node)[0] != 1:
                raise UnsupportedError(
                    f"{where}: the input {node.id!r} has the shape {_sizes(node)}; firmware runs batches of 1"
                )
            if grid is None:
                raise ModelError(
                    f"the input {node.id!r} is not quantised: no QuantizeLinear takes it; quantise the whole model",
                    where=where,
                )
            place(buffer, grid)
            continue
        row = columns[node.id]
        operands = [buffers[id(operand)] for operand in node.data_operands()]
        if grid is None and row["kind"] in KEEPING:
            grid = KEEPING[str(row["kind"])] or _grid(values[places[id(operands[0])]])
        if grid is None:
            raise ModelError(
                f"the result of {node.id!r} ({model.sources[node.id].op_type}) is not quantised: no QuantizeLinear "
                "takes it; quantise the whole model, for example with hannah_hw.lowering.quantise.quantise_int8",
                where=where,
            )
        place(buffer, grid)
        site = Site(
            node,
            model.sources[node.id],
            {key: int(value) for key, value in row.items() if key not in ("name", "kind")},
            buffer,
            operands,
            tuple(places[id(operand)] for operand in operands),
            places[id(buffer)],
            values,
            grids,
            constants,
        )
        layers.append(layer_of(str(row["kind"]), site))
    outputs = [_output(node, buffers[id(node)], where) for node in model.outputs]
    return Network(
        name,
        tuple(values),
        tuple(layers),
        tuple(places[id(buffers[id(node)])] for node in model.order if not isinstance(node, Op)),
        tuple(places[id(buffer)] for buffer in outputs),
    )


def _sizes(node: Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.shape())  # type: ignore[arg-type]


def _grid(value: Value) -> Grid:
    return Grid(value.scale, value.zero_point)


def _refuse(model: OnnxModel, rows: list[dict[str, int | str]], where: str) -> None:
    """Refuse operators that nothing reads or computes, and widths other than 8.

    Raises:
        UnsupportedError: There are some.
    """
    refuse_foreign(model, where)
    for row in rows:
        name = str(row["name"])
        widths = {column: row[column] for column in BIT_COLUMNS if row[column] != 8}
        if widths:
            raise UnsupportedError(
                f"{where}: {name!r} has {', '.join(f'{c} {w}' for c, w in widths.items())}; firmware kernels are int8 "
                "throughout"
            )
        reason = why_not(str(row["kind"]))
        if reason:
            raise UnsupportedError(
                f"{where}: {name!r} ({model.sources[name].op_type}, kind {row['kind']}) has no integer kernel: {reason}"
            )


def refuse_foreign(model: OnnxModel, where: str) -> None:
    """Refuse a model with operators that nothing reads.

    Raises:
        UnsupportedError: There are some; they are counted by type.
    """
    if not model.foreign:
        return
    name, reason = next(iter(model.foreign.items()))
    kinds = Counter(model.sources[other].op_type for other in model.foreign)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    more = f"; in all {len(model.foreign)} are not: {counts}" if len(model.foreign) > 1 else ""
    raise UnsupportedError(
        f"{where}: {name!r} ({model.sources[name].op_type}) cannot be read: {reason}{more}; replace "
        f"{'them' if more else 'it'} in the model, or end the network before"
    )


def _output(node: Node, buffer: Stored, where: str) -> Stored:
    """The buffer of a graph output.

    Raises:
        UnsupportedError: Its order in memory is not that of the file.
    """
    if not same_order(_sizes(buffer.owner), _sizes(node)):
        raise UnsupportedError(
            f"{where}: the output {node.id!r} flattens {_sizes(buffer.owner)} to {_sizes(node)}, which is no view of "
            f"channels-last memory; end the network at {buffer.owner.id!r}"
        )
    return buffer
