"""Kernels with Helium under QEMU, against plain loops over the window, and the bytes that the cost library says."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.cores import CORES
from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.emulation import memory_map
from hannah_hw.emulation.qemu import QEMU, QemuEmulator
from hannah_hw.firmware import libraries, packing_mve, reference
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.linking import link, start_objects
from hannah_hw.firmware.network import workload_of
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects
from hannah_hw.firmware.toolchain import find
from tests.firmware.dsp_cases import Case, random_case, random_convolution, random_depthwise
from tests.firmware.kernel_calls import EmulatedKernels, single
from tests.firmware.test_dsp_kernels import plain_loops

pytest.importorskip("elftools")

CORE = CORES["m55"]
LIBRARY = LIBRARIES["hannah_helium"]
CONV, POINT, FC, DEPTHWISE, ADD = (
    packing_mve.IMPLEMENTATIONS[name][0] for name in ("conv", "conv_1x1", "fc", "dw", "add")
)


class HeliumKernels(EmulatedKernels):
    """On QEMU's board, whose RAM is smaller than that of other emulated cores."""

    def __init__(self, compiler: str) -> None:
        tools = find(CORE, compiler)
        sources = sorted({source for way in (CONV, FC, DEPTHWISE, ADD) for source in way.sources})
        with tempfile.TemporaryDirectory() as folder:
            main = Path(folder, "main.c")
            main.write_text("int main(void) { return 0; }\n")
            objects = compile_objects(tools, [*(KERNEL_FOLDER / s for s in sources), main])
            path = Path(folder, "kernels.elf")
            flags = ["-Wl,--no-gc-sections"]
            elf = link(tools, [*objects, *start_objects(tools)], path, title="kernels", flags=flags)
            self.emulator = QemuEmulator(elf.read_bytes(), CORE)
        self._base = memory_map(CORE).ram.start + (1 << 17)


@pytest.fixture(scope="module", params=["zig", "gcc"])
def kernels(request: pytest.FixtureRequest) -> HeliumKernels:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not on PATH")
    if request.param == "zig":
        pytest.importorskip("ziglang")
    elif shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    return HeliumKernels(request.param)


def check(kernels: HeliumKernels, case: Case, way: Implementation, **how: int) -> None:
    network, layer, x = case
    assert way.refuses(network, layer) is None
    y = kernels.run(network, layer, way, [x], **how)
    np.testing.assert_array_equal(y, plain_loops(network, layer, x))


@pytest.mark.parametrize("seed", range(7))
def test_convolutions_are_exact(kernels: HeliumKernels, seed: int) -> None:
    check(kernels, random_convolution(np.random.default_rng(seed)), CONV, misaligned=seed % 2)


def test_rows_of_several_segments_are_exact(kernels: HeliumKernels) -> None:
    rng = np.random.default_rng(0)
    check(kernels, random_case(rng, "conv", (2, 37, 5), 6, (2, 3), pads=(1, 1, 0, 1)), CONV)
    check(kernels, random_case(rng, "conv", (1, 70, 3), 3, (1, 4), (1, 2), dilation=(1, 3)), CONV)


@pytest.mark.parametrize("channels", [1, 9, 32])
def test_points_and_vectors_are_exact(kernels: HeliumKernels, channels: int) -> None:
    rng = np.random.default_rng(channels)
    check(kernels, random_case(rng, "conv", (3, 5, channels), 7), POINT)
    check(kernels, random_case(rng, "conv", (3, 6, channels), 4, stride=(2, 2)), POINT, misaligned=3)
    check(kernels, random_case(rng, "linear", (1, 1, 5 * channels), 9, saturates=False), FC)


@pytest.mark.parametrize("seed", range(4))
def test_depthwise_convolutions_are_exact(kernels: HeliumKernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = (3, 3) if seed % 2 else (1 + seed, 4 + seed // 2)
    check(kernels, random_depthwise(rng, window, (1 + seed % 2, 1 + seed // 2), gaps=seed == 2), DEPTHWISE)


def test_depthwise_results_may_replace_their_operand(kernels: HeliumKernels) -> None:
    rng = np.random.default_rng(1)
    for window, pads, dilation in (((3, 3), (1, 1, 1, 1), (1, 1)), ((2, 5), (2, 3, 0, 5), (2, 2))):
        case = random_case(rng, "conv", (9, 6, 21), 21, window, (1, 1), pads, dilation, 21)
        entries = Entries.of_first(workload_of(case[0]).kernels)
        assert LIBRARY["dw"].in_place is not None
        assert LIBRARY["dw"].in_place(entries)[0]
        check(kernels, case, DEPTHWISE, in_place=0)


def test_largest_sums_are_exact(kernels: HeliumKernels) -> None:
    # All products of a depthwise window are -128 * -127, two of which are the most that 16 bits hold.
    for kind, shape, window, groups, way in (
        ("linear", (1, 1, 1024), (1, 1), 1, FC),
        ("conv", (3, 3, 17), (3, 3), 17, DEPTHWISE),
    ):
        network, layer, x = random_case(
            np.random.default_rng(0), kind, shape, 17, window, groups=groups, saturates=False
        )
        x[:] = -128
        weights = np.full(layer.weights.shape, -127, np.int8)
        weights[::2] = 127
        scales = np.full(17, 2.0**-10 if kind == "conv" else 2.0**-17)
        extreme = dataclasses.replace(layer, weights=weights, scales=scales, low=-128, high=127)
        check(kernels, (network, extreme, x), way)


@pytest.mark.parametrize("clamp", [(-128, 127), (-20, 90)])
def test_additions_are_exact(kernels: HeliumKernels, clamp: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    shape, scales = (3, 5, 3), rng.uniform(0.2, 1.3, 2)
    network, layer = single(
        "add", [shape, shape], shape, [3, -7], 11, scales=scales, low=clamp[0], high=clamp[1]
    )
    operands = [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(2)]
    expected = reference.run_layer(network, layer, operands)
    for in_place in (None, 0, 1):
        y = kernels.run(network, layer, ADD, operands, in_place=in_place)
        np.testing.assert_array_equal(y, expected)


def test_weights_without_room_are_refused() -> None:
    network, layer, _ = random_depthwise(np.random.default_rng(0), (3, 3), (1, 1))
    lowest = layer.weights.copy()
    lowest[0, 0, 0, 0] = -128
    assert "-128" in str(DEPTHWISE.refuses(network, dataclasses.replace(layer, weights=lowest)))
    steep = dataclasses.replace(layer, scales=np.full(len(layer.scales), 0.5))
    assert "0.5" in str(DEPTHWISE.refuses(network, steep))
    chosen = libraries.choose(dataclasses.replace(network, layers=(steep,)), steep, CORE)
    assert chosen.implementation.function == "hn_dw_any"
    assert libraries.choose(network, layer, CORE).implementation is DEPTHWISE


@pytest.mark.parametrize("seed", range(30))
def test_bytes_agree_with_the_cost_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, stride = (int(rng.integers(1, 6)), 3), (1 + seed % 2, 1 + seed % 3)
    for network, layer, _ in (
        random_convolution(rng),
        random_depthwise(rng, window, stride, seed % 2 == 0),
        random_case(rng, "conv", (3, 5, 1 + seed), 7, stride=(2, 1)),
        random_case(rng, "conv", (1, 40, 1 + seed), 6, (1, 3)),
        random_case(rng, "linear", (1, 1, 5 + 9 * seed), 1 + seed),
    ):
        kernels = workload_of(network).kernels
        entry, entries = LIBRARY.classes[int(LIBRARY.classify(kernels)[0, 0])], Entries.of_first(kernels)
        way = packing_mve.IMPLEMENTATIONS[entry.name][0]
        assert entry.constants is not None
        assert entry.scratch is not None
        assert len(way.pack(network, layer).data) == entry.constants(entries)[0]
        assert way.scratch(network, layer) == entry.scratch(entries)[0]
