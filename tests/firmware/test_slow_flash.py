"""The kernels for slow flash: a target whose cost model is of them gets firmware of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hannah_hw.cores import CORES, core_named, runtimes
from hannah_hw.cost import load_cost_model, price
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import InputError
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.libraries import core_of_library, cost_library, library
from hannah_hw.firmware.network import workload_of
from hannah_hw.firmware.project import Project, generate
from hannah_hw.targets import Target, load_target
from tests.firmware.dsp_cases import random_case

TARGET = "stm32l4r5zi"


@pytest.fixture
def network() -> Network:
    return random_case(np.random.default_rng(0), "conv", (9, 7, 6), 10, (3, 3), pads=(1, 1, 1, 1))[0]


def with_coefficients(name: str) -> Target:
    target = load_target(TARGET).using("hannah")
    return target.model_copy(update={"model": target.model.model_copy(update={"coefficients": name})})


def arena(network: Network, target: Target) -> int:
    costs = price(workload_of(network), target)
    return int(costs.arena_bytes[0] + costs.scratch_bytes[0])


@pytest.mark.parametrize(
    ("coefficients", "function"), [("m4/hannah", "hn_conv_4x2"), ("m4/hannah_slow_flash", "hn_conv_2x4")]
)
def test_firmware_has_the_kernels_of_the_cost_model(
    network: Network, tmp_path: Path, coefficients: str, function: str
) -> None:
    target = with_coefficients(coefficients)
    project: Project = generate(network, target.processor, folder=tmp_path, target=target)
    assert project.design.functions == (function,)
    assert project.design.memory.arena_bytes == arena(network, target)
    assert function in (tmp_path / "layers.c").read_text()


def test_other_cores_and_no_target_take_their_own_kernels(network: Network, tmp_path: Path) -> None:
    target = with_coefficients("m4/hannah_slow_flash")
    for place, core in (("none", core_named("m4")), ("m33", core_named("m33"))):
        given = None if place == "none" else target
        project = generate(network, core, folder=tmp_path / place, target=given)
        assert project.design.functions == ("hn_conv_4x2",)
    assert generate(network, None, folder=tmp_path, target=target).design.core is None


def test_the_chip_with_slow_flash_uses_them() -> None:
    model = load_cost_model(load_target(f"{TARGET}:hannah").model.coefficients)
    assert model.library == "hannah_dsp_slow_flash"


@pytest.mark.parametrize("name", CORES)
def test_each_runtime_of_a_core_has_its_library(name: str) -> None:
    core = core_named(name)
    assert runtimes(core)["hannah"] is core
    for other in runtimes(core).values():
        assert set(library(other)) <= {entry.name for entry in cost_library(other).classes}
        assert core_of_library(core, cost_library(other).name) == other
    assert core_of_library(core, "cmsis_nn") is core


def test_only_convolutions_differ() -> None:
    usual, slow = LIBRARIES["hannah_dsp"], LIBRARIES["hannah_dsp_slow_flash"]
    changed = [a.name for a, b in zip(usual.classes, slow.classes, strict=True) if a != b]
    cores = runtimes(core_named("m4"))
    ways = [library(cores[name]) for name in ("hannah", "hannah_slow_flash")]
    assert sorted(changed) == sorted(name for name in ways[0] if ways[0][name] != ways[1][name])
    assert sorted(changed) == ["conv", "conv_1x1", "conv_1xn", "conv_grouped"]


def test_the_shipped_model_is_of_the_kernels_in_this_package() -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    from hannah_hw.firmware.toolchain import find
    from hannah_hw.measure.provenance import kernel_hashes

    model = load_cost_model("m4/hannah_slow_flash")
    now = kernel_hashes(find(runtimes(core_named("m4"))["hannah_slow_flash"], "zig"))
    assert model.provenance is not None
    stale = sorted(name for name, value in now.items() if model.provenance.kernels.get(name) != value)
    assert not stale, "run hannah-hw calibrate m4 --runtime hannah_slow_flash --out cost_models"


def test_a_core_without_them_is_refused() -> None:
    from hannah_hw.cli.calibrate import calibrate

    with pytest.raises(InputError, match="no runtime 'hannah_slow_flash'"):
        calibrate("m0p", runtime="hannah_slow_flash", shapes=1)
