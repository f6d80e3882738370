"""The arena that TFLite Micro (package tflite-micro) needs for an integer network, for comparison with ours."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.tflite import to_tflite


def tflm_arena(network: Network) -> tuple[int, int]:
    """Bytes of TFLite Micro's arena: what is planned for values and scratch memory, and what stays for good.

    The first is that of the chip; the second is of this machine, whose pointers have 64 bits.
    """
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(to_tflite(network), arena_size=1 << 22)
    text = _captured(interpreter.print_allocations)
    sizes = {}
    for word in ("head", "tail"):
        line = next(line for line in text.splitlines() if f"Arena allocation {word}" in line)
        sizes[word] = int(line.split(word)[1].split()[0])
    return sizes["head"], sizes["tail"]


def _captured(function: Any) -> str:
    """What a function in C writes to standard output and error."""
    with tempfile.TemporaryFile() as stream:
        kept = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
            function()
        finally:
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
        stream.seek(0)
        return stream.read().decode(errors="replace")
