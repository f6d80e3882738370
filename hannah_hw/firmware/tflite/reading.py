"""What stands in a .tflite file, without computing it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from hannah_hw.errors import ModelError, require
from hannah_hw.firmware.tflite.file import IDENTIFIER

#: What reading a damaged FlatBuffer ends with.
_DAMAGED: Final = (struct.error, IndexError, ValueError, TypeError, AttributeError, UnicodeDecodeError)


@dataclass(frozen=True)
class Call:
    """An operator of the file.

    Attributes:
        code: The schema's name of it; of custom operators their own, such as ``ethos-u``.
        output: Name of the tensor that it writes first.
    """

    code: str
    output: str


@dataclass(frozen=True)
class Outline:
    """A file.

    Attributes:
        calls: Operators of the first graph, in order.
        constants: Tensor name -> bytes of each tensor of the first graph that has data.
    """

    calls: tuple[Call, ...]
    constants: dict[str, int]


def outline(content: bytes, where: str) -> Outline:
    """Read a file.

    Args:
        content: Of the file.
        where: Its name, for messages.

    Raises:
        ModelError: It is no .tflite file, or damaged.
        MissingExtraError: ``tflite`` is not installed.
    """
    schema = require("tflite", "tflite")
    if content[4:8] != IDENTIFIER:
        raise ModelError("no TFLite file: it does not have TFL3 at its fifth byte", where=where)
    try:
        return _outline(schema, content)
    except _DAMAGED as error:
        raise ModelError(f"the TFLite file is damaged: {error}", where=where) from error


def _outline(schema: Any, content: bytes) -> Outline:
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(place) for place in range(graph.TensorsLength())]
    calls = []
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        code = model.OperatorCodes(operator.OpcodeIndex())
        custom = code.CustomCode()
        # Files before version 3a of the schema have the code in the other field.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = custom.decode() if custom else names.get(number, f"operator {number}")
        calls.append(Call(name, tensors[operator.Outputs(0)].Name().decode()))
    constants = {}
    for tensor in tensors:
        size = model.Buffers(tensor.Buffer()).DataLength()
        if size:
            constants[tensor.Name().decode()] = size
    return Outline(tuple(calls), constants)
