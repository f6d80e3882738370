"""Estimates against emulated firmware, for the networks that are published and for random candidates."""

import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")
pytest.importorskip("ziglang")

from hannah_hw.errors import TargetError
from hannah_hw.estimation import estimate
from hannah_hw.measure.comparison import RUNTIME, compare, compare_mlperf_tiny, estimated_target, to_dict
from hannah_hw.measure.emulated import measure_model
from hannah_hw.spaces import load_space
from hannah_hw.targets import load_target

TARGET = "stm32l4r5zi"


@pytest.fixture(scope="module")
def networks():
    return {network.network: network for network in compare_mlperf_tiny(load_target(TARGET))}


def test_estimates_of_the_published_networks_are_those_of_their_firmware(networks):
    assert set(networks) == {"ic", "kws", "vww", "ad"}
    for network in networks.values():
        assert network.reason is None
        assert network.checked == 2
        assert abs(network.figures["latency_s"].error) < 0.05
        assert abs(network.figures["flash_bytes"].error) < 0.02
        # The stack is the only part of the RAM that is not exact.
        ram = network.figures["ram_bytes"]
        assert abs(ram.estimated - ram.measured) < 512


def test_every_kernel_is_compared_and_the_errors_are_those_of_its_cycles(networks):
    for network in networks.values():
        assert sum(kernel.macs for kernel in network.kernels) == network.macs
        for kernel in network.kernels:
            assert kernel.error == pytest.approx(kernel.estimated_cycles / kernel.measured_cycles - 1)
            assert abs(kernel.error) < 0.25
    document = to_dict(list(networks.values()))
    assert {row["kernel_class"] for row in document["classes"]} >= {"conv", "conv_1x1", "dw_3x3", "fc"}
    assert document["largest_errors"]["latency_s"] == max(
        abs(network.figures["latency_s"].error) for network in networks.values()
    )


def test_a_random_candidate_is_compared_with_its_own_estimate():
    space, target = load_space("tc_resnet"), load_target(TARGET).using(RUNTIME)
    candidate = space.candidate(space.sample(seed=1))
    found = compare("it", candidate, target)
    assert found.figures["latency_s"].estimated == pytest.approx(estimate(candidate, target).latency_s)
    assert found.figures["ram_bytes"].measured == measure_model(candidate, target).value("ram_bytes")


def test_the_arena_is_estimated_to_the_byte():
    target = load_target(TARGET).using(RUNTIME)
    for name in ("mlperf_tiny:ds_cnn_kws", "tc_resnet", "ds_cnn"):
        space = load_space(name)
        candidate = space.candidate(space.sample(seed=2))
        report = estimate(candidate, target)
        measured = measure_model(candidate, target).memory["arena"]
        assert report.memory.arena + report.memory.scratch == measured


def test_what_cannot_be_measured_has_a_reason_and_no_figure():
    tiny = load_target(TARGET).model_copy(update={"flash_bytes": 8192})
    space = load_space("mlperf_tiny:fc_autoencoder")
    found = compare("ad", space.candidate(space.default()), tiny)
    assert (found.figures, found.kernels) == ({}, ())
    assert "bytes of flash, and there are 8,192" in found.reason


def test_a_chip_without_our_runtime_has_nothing_to_compare():
    target = load_target(TARGET)
    model = target.model.using("cmsis_nn")
    others = {name: runtime for name, runtime in model.runtimes.items() if name != RUNTIME}
    with pytest.raises(TargetError, match="estimates are of other kernels"):
        estimated_target(target.model_copy(update={"model": model.model_copy(update={"runtimes": others})}))
