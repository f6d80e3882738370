"""Calls of single kernels in C, on this machine and on emulated cores, with guards around all that they may write."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.cores import core_named
from hannah_hw.errors import MissingToolError
from hannah_hw.firmware.calls import layer_calls, pack_fields
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.linking import link, start_objects
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects
from hannah_hw.firmware.toolchain import find
from hannah_hw.workload.table import KERNEL_COLUMNS

GUARD = 64
#: Where this many results of all kinds of kernels are compared.
PLACES = ("host", "host, no long product", "m0p", "m3", "m4", "rv32imc")


def single(
    kind: str,
    shapes: list[tuple[int, int, int]],
    out_shape: tuple[int, int, int],
    zero_points: list[int],
    zero_out: int,
    *,
    value_scales: tuple[float, ...] = (),
    **facts: object,
) -> tuple[Network, Layer]:
    """A network of one layer; whole numbers named as columns are such."""
    scales = value_scales or (1.0,) * (len(shapes) + 1)
    values = [
        Value(f"x{i}", s, scales[i], z) for i, (s, z) in enumerate(zip(shapes, zero_points, strict=True))
    ]
    values.append(Value("y", out_shape, scales[-1], zero_out))
    (in_h, in_w, in_c), (out_h, out_w, out_c) = shapes[0], out_shape
    columns = {**KERNEL_COLUMNS, "in_h": in_h, "in_w": in_w, "in_channels": in_c}
    columns |= {"out_h": out_h, "out_w": out_w, "out_channels": out_c, "operands": len(shapes)}
    columns |= {n: facts.pop(n) for n in list(facts) if n in KERNEL_COLUMNS and isinstance(facts[n], int)}
    layer = Layer("layer", kind, tuple(range(len(shapes))), len(shapes), columns, **facts)  # type: ignore[arg-type]
    return Network("one", tuple(values), (layer,), layer.inputs, (layer.output,)), layer


class Kernels:
    """Kernels of some sources at one place."""

    #: Instructions and cycles of the last call, where they are counted.
    counts: object = None

    def run(
        self,
        network: Network,
        layer: Layer,
        implementation: Implementation,
        operands: list[np.ndarray],
        *,
        in_place: int | None = None,
        misaligned: int = 0,
    ) -> np.ndarray:
        """The result of all calls of a layer; fails where a guard was written over.

        Args:
            network: The network.
            layer: The layer.
            implementation: The kernel.
            operands: Int8 values.
            in_place: Which operand the result lies on.
            misaligned: Bytes by which operands and result lie behind a multiple of four.
        """
        packed = implementation.pack(network, layer)
        scratch = implementation.scratch(network, layer)
        size = network.values[layer.output].size
        result = np.full(size, 85, np.int8)
        for call in layer_calls(network, layer, packed):
            read = [np.ascontiguousarray(operands[number], np.int8).reshape(-1) for number in call.reads]
            buffers = read if len(read) > 1 else [*read, np.zeros(0, np.int8)]
            text = pack_fields(call.fields)
            function = implementation.function
            after, result = self._call(
                function, text, packed.data, buffers, result, scratch, in_place, misaligned
            )
            for number, (x, later) in enumerate(zip(read, after, strict=False)):
                assert number == in_place or (x == later).all(), "an operand was written over"
        return result.reshape(network.values[layer.output].shape)

    def _call(self, function, text, constants, buffers, before, scratch, in_place, misaligned):
        raise NotImplementedError


def _guarded(data: np.ndarray | bytes, offset: int) -> tuple[np.ndarray, slice]:
    """A copy with guards on both sides, at a multiple of 16 bytes plus an offset, and where in it the data is."""
    raw = np.frombuffer(bytes(data), np.int8) if isinstance(data, bytes) else data
    area = np.full(len(raw) + 2 * GUARD + 32, 0x5A, np.int8)
    start = GUARD + (-(area.ctypes.data + GUARD)) % 16 + offset
    part = slice(start, start + len(raw))
    area[part] = raw
    return area, part


def _check(area: np.ndarray, part: slice, what: str) -> None:
    assert (area[: part.start] == 0x5A).all(), f"bytes before the {what} were written"
    assert (area[part.stop :] == 0x5A).all(), f"bytes behind the {what} were written"


class HostKernels(Kernels):
    """As a shared object of this machine."""

    def __init__(self, sources: tuple[str, ...], defines: tuple[str, ...] = ()) -> None:
        compiler = find(None)
        folder = tempfile.mkdtemp(prefix="hannah-hw-tests-")
        output = Path(folder, "kernels.so")
        flags = ["-std=c11", "-O2", "-Wall", "-shared", "-fPIC", *(f"-D{define}" for define in defines)]
        compiler.run([*flags, *(str(KERNEL_FOLDER / s) for s in sources), "-o", str(output)], "compile")
        self._library = ctypes.CDLL(str(output))

    def _call(self, function, text, constants, buffers, before, scratch, in_place, misaligned):
        guarded = [_guarded(b, misaligned) for b in buffers]
        layer, packed = _guarded(text, 0), _guarded(constants, 0)
        work = _guarded(np.full(scratch, 0x77, np.int8), 0)
        result = _guarded(before, misaligned) if in_place is None else guarded[in_place]
        areas = (layer, packed, *guarded, result, work)
        pointers = [ctypes.c_void_p(area.ctypes.data + part.start) for area, part in areas]
        getattr(self._library, function)(*pointers)
        names = ("layer", "constants", "operand", "second operand", "result", "scratch")
        for (area, part), name in zip(areas, names, strict=True):
            _check(area, part, name)
        assert layer[0][layer[1]].tobytes() == text
        assert packed[0][packed[1]].tobytes() == constants
        return [area[part] for area, part in guarded], result[0][result[1]].copy()


class EmulatedKernels(Kernels):
    """On an emulated core."""

    def __init__(self, core: str, sources: tuple[str, ...], compiler: str | None = None) -> None:
        from hannah_hw.emulation import Emulator, memory_map

        built_for = core_named(core)
        tools = find(built_for, prefer=compiler)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as folder:
            main = Path(folder, "main.c")
            main.write_text("int main(void) { return 0; }\n")
            objects = compile_objects(tools, [*(KERNEL_FOLDER / s for s in sources), main])
            elf = link(
                tools,
                [*objects, *start_objects(tools)],
                Path(folder, "kernels.elf"),
                title="kernels",
                flags=["-Wl,--no-gc-sections"],
            )
            self.emulator = Emulator(elf.read_bytes(), built_for)
        self._base = memory_map(built_for).ram.start + (1 << 20)

    def _call(self, function, text, constants, buffers, before, scratch, in_place, misaligned):
        offsets = [0, 0, *(misaligned for _ in buffers), misaligned, 0]
        contents = [text, constants, *(b.tobytes() for b in buffers), before.tobytes(), b"\x77" * scratch]
        places, address = [], self._base
        for content, offset in zip(contents, offsets, strict=True):
            self.emulator.write(address, b"\x5a" * (len(content) + 2 * GUARD + 32))
            places.append(address + GUARD + offset)
            self.emulator.write(places[-1], content)
            address += (len(content) + 2 * GUARD + 47) & ~15
        if in_place is not None:
            places[4] = places[2 + in_place]
        self.counts = self.emulator.call(function, *places[:4], places[4], places[5])
        for place, content in zip(places, contents, strict=True):
            size = len(content) if place != places[4] else len(before)
            assert self.emulator.read(place - 32, 32) == b"\x5a" * 32
            assert self.emulator.read(place + size, 32) == b"\x5a" * 32
        read = [
            np.frombuffer(self.emulator.read(p, len(b)), np.int8)
            for p, b in zip(places[2:4], buffers, strict=True)
        ]
        return read, np.frombuffer(self.emulator.read(places[4], len(before)), np.int8)


@functools.cache
def kernels_at(place: str, sources: tuple[str, ...]) -> Kernels:
    """Kernels at one of `PLACES`; skips the test where a compiler or the emulator is missing."""
    if place.startswith("host"):
        try:
            return HostKernels(sources, ("HN_NO_LONG_MULTIPLY=1",) if "," in place else ())
        except MissingToolError as error:
            pytest.skip(str(error))
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    return EmulatedKernels(place, sources)
