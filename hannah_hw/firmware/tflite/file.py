"""The content of a .tflite file: tensors, constants and operators of one graph, as a FlatBuffer.

Tables are written with the functions that the package ``tflite`` has from the format's schema: pure Python and 150 kB,
where the packages with an interpreter (ai-edge-litert, tflite-micro) or a compiler (ethos-u-vela) weigh a hundred times
as much. Names of tables and fields are the schema's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import require

#: Version of the schema, and what stands in a file at byte 4.
_VERSION: Final = 3
IDENTIFIER: Final = b"TFL3"
#: Interpreters read constants where they lie, so each begins at a multiple of this, as the schema demands.
_ALIGNMENT: Final = 16
#: The largest code that fits the field of old files; larger ones write this there.
_LARGEST_OLD_CODE: Final = 127

#: NumPy's name of an element type -> the schema's.
_TYPES: Final[Mapping[str, str]] = {"int8": "INT8", "int32": "INT32"}


@dataclass(frozen=True)
class Quantisation:
    """What the steps of a tensor stand for: ``scale * (step - zero_point)``.

    Attributes:
        scales: One, or one for each index of `axis`.
        zero_point: Of all of them.
        axis: Of the scales.
    """

    scales: tuple[float, ...]
    zero_point: int
    axis: int = 0

    def same(self, other: Quantisation) -> bool:
        """Whether both are the same to a file, which has float32 scales."""
        mine, theirs = (np.asarray(grid.scales, np.float32) for grid in (self, other))
        return self.zero_point == other.zero_point and np.array_equal(mine, theirs)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: Its name.
        shape: With the batch.
        type: ``int8`` or ``int32``.
        quantisation: None of shapes and the like.
        data: Of a constant.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    quantisation: Quantisation | None
    data: NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """A call of a builtin operator.

    Attributes:
        code: Its name, of the schema's ``BuiltinOperator``.
        version: The version of it that the call needs.
        inputs: Indices of tensors.
        output: Index of a tensor.
        options: Name of the table of options, or empty.
        fields: Of that table.
    """

    code: str
    version: int
    inputs: tuple[int, ...]
    output: int
    options: str
    fields: Mapping[str, Any]


@dataclass
class TfliteFile:
    """A graph that is being written.

    Attributes:
        name: Of the model.
        tensors: All tensors.
        operators: In execution order.
        inputs: Indices of the graph's inputs.
        outputs: Indices of the graph's outputs.
    """

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        quantisation: Quantisation | None,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor, int8 unless its data say otherwise.

        Returns:
            Its index.
        """
        kind = "int8" if data is None else data.dtype.name
        # Compilers write names between quotes into their tables, and do not escape those within.
        name = name.replace('"', "'")
        self.tensors.append(Tensor(name, tuple(int(size) for size in shape), kind, quantisation, data))
        return len(self.tensors) - 1

    def call(
        self,
        code: str,
        version: int,
        inputs: Sequence[int],
        output: int,
        options: str = "",
        **fields: Any,
    ) -> int:
        """Add an operator.

        Returns:
            Its output.
        """
        self.operators.append(Operator(code, version, tuple(inputs), output, options, fields))
        return output

    def serialise(self) -> bytes:
        """The content of the file; the same for the same graph.

        Raises:
            MissingExtraError: ``tflite`` is not installed.
        """
        return _Writer(self).content()


class _Writer:
    """One pass over a graph; a FlatBuffer is written from its leaves to its root."""

    def __init__(self, file: TfliteFile) -> None:
        self._schema = require("tflite", "tflite")
        import flatbuffers

        self._file = file
        self._builder = flatbuffers.Builder(1 << 16)

    def content(self) -> bytes:
        file = self._file
        codes = sorted({(operator.code, operator.version) for operator in file.operators})
        constants: list[NDArray[Any] | None] = [None]
        places = []
        for tensor in file.tensors:
            places.append(0 if tensor.data is None else len(constants))
            if tensor.data is not None:
                constants.append(tensor.data)
        buffers = [self._buffer(data) for data in constants]
        tensors = [self._tensor(*pair) for pair in zip(file.tensors, places, strict=True)]
        operators = [self._operator(operator, codes) for operator in file.operators]
        graph = self._table(
            "SubGraph",
            Tensors=self._offsets(tensors),
            Inputs=self._numbers(file.inputs, np.int32),
            Outputs=self._numbers(file.outputs, np.int32),
            Operators=self._offsets(operators),
            Name=self._builder.CreateString(file.name),
        )
        root = self._table(
            "Model",
            Version=_VERSION,
            OperatorCodes=self._offsets([self._code(*code) for code in codes]),
            Subgraphs=self._offsets([graph]),
            Description=self._builder.CreateString("written by hannah_hw"),
            Buffers=self._offsets(buffers),
        )
        self._builder.Finish(root, file_identifier=IDENTIFIER)
        return bytes(self._builder.Output())

    def _table(self, kind: str, **fields: Any) -> int:
        """A table whose parts have been written."""
        getattr(self._schema, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            getattr(self._schema, f"{kind}Add{name}")(self._builder, value)
        offset: int = getattr(self._schema, f"{kind}End")(self._builder)
        return offset

    def _offsets(self, parts: Sequence[int]) -> int:
        self._builder.StartVector(4, len(parts), 4)
        for part in reversed(parts):
            self._builder.PrependUOffsetTRelative(part)
        offset: int = self._builder.EndVector()
        return offset

    def _numbers(self, values: Any, kind: Any) -> int:
        offset: int = self._builder.CreateNumpyVector(np.asarray(values, kind))
        return offset

    def _buffer(self, data: NDArray[Any] | None) -> int:
        if data is None:
            return self._table("Buffer")
        raw = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<")).tobytes()
        self._builder.Prep(_ALIGNMENT, len(raw))
        return self._table("Buffer", Data=self._builder.CreateByteVector(raw))

    def _tensor(self, tensor: Tensor, place: int) -> int:
        fields = {
            "Shape": self._numbers(tensor.shape, np.int32),
            "Name": self._builder.CreateString(tensor.name),
        }
        grid = tensor.quantisation
        if grid is not None:
            fields["Quantization"] = self._table(
                "QuantizationParameters",
                Scale=self._numbers(grid.scales, np.float32),
                ZeroPoint=self._numbers([grid.zero_point] * len(grid.scales), np.int64),
                QuantizedDimension=grid.axis,
            )
        kind = getattr(self._schema.TensorType, _TYPES[tensor.type])
        return self._table("Tensor", **fields, Type=kind, Buffer=place)

    def _code(self, name: str, version: int) -> int:
        code = getattr(self._schema.BuiltinOperator, name)
        return self._table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(code, _LARGEST_OLD_CODE),
            BuiltinCode=code,
            Version=version,
        )

    def _operator(self, operator: Operator, codes: Sequence[tuple[str, int]]) -> int:
        fields = {
            "OpcodeIndex": codes.index((operator.code, operator.version)),
            "Inputs": self._numbers(operator.inputs, np.int32),
            "Outputs": self._numbers([operator.output], np.int32),
        }
        if operator.options:
            fields["BuiltinOptions"] = self._table(operator.options, **operator.fields)
            fields["BuiltinOptionsType"] = getattr(self._schema.BuiltinOptions, operator.options)
        return self._table("Operator", **fields)
