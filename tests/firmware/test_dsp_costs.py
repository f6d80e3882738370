"""What the cost library says of kernels with the DSP extension is what they have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES, Library
from hannah_hw.firmware import packing_dsp
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.network import workload_of
from tests.firmware.dsp_cases import Case, random_case, random_convolution, random_depthwise

SETS = (
    (LIBRARIES["hannah_dsp"], packing_dsp.IMPLEMENTATIONS),
    (LIBRARIES["hannah_dsp_slow_flash"], packing_dsp.IMPLEMENTATIONS_SLOW_FLASH),
)


def check(case: Case) -> str:
    """The class of a layer, whose bytes agree, whatever the flash is."""
    names = {_check(case, library, implementations) for library, implementations in SETS}
    assert len(names) == 1
    return names.pop()


def _check(case: Case, library: Library, implementations: Mapping[str, tuple[Implementation, ...]]) -> str:
    network, layer, _ = case
    kernels = workload_of(network).kernels
    entry = library.classes[int(library.classify(kernels)[0, 0])]
    entries = Entries.of_first(kernels)
    for way in implementations[entry.name]:
        if way.function == "hn_dw_any" and entry.name != "dw":
            continue  # what runs when scales are too large, which read_network refuses
        assert entry.constants is not None
        assert entry.scratch is not None
        assert len(way.pack(network, layer).data) == entry.constants(entries)[0]
        assert way.scratch(network, layer) == entry.scratch(entries)[0]
    return entry.name


@pytest.mark.parametrize("seed", range(40))
def test_bytes_of_convolutions(seed: int) -> None:
    assert check(random_convolution(np.random.default_rng(seed))) in (
        "conv",
        "conv_1xn",
        "conv_1x1",
        "conv_grouped",
    )


@pytest.mark.parametrize("seed", range(20))
def test_bytes_of_depthwise_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for size in (3, 5, 7):
        for stride in (1, 2):
            name = f"dw_{size}x{size}" + ("" if stride == 1 else "_s2")
            assert check(random_depthwise(rng, (size, size), (stride, stride))) == name
    assert check(random_depthwise(rng, (4, 1 + seed % 6), (1, 2), seed % 2 == 1)) == "dw"


@pytest.mark.parametrize("inputs", [1, 3, 16, 21])
@pytest.mark.parametrize("outputs", [1, 4, 7])
def test_bytes_of_vectors_and_points(inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(inputs)
    assert check(random_case(rng, "linear", (1, 1, inputs), outputs)) == "fc"
    assert check(random_case(rng, "conv", (3, 5, inputs), outputs, stride=(2, 1))) == "conv_1x1"
