"""Float32 networks on emulated cores: what TVM's kernels compute is what ONNX Runtime computes, and what it costs."""

import numpy as np
import pytest

from hannah_hw import load_space, load_target
from hannah_hw.errors import EvaluationError, InputError
from hannah_hw.lowering.tvm import TvmWorker
from hannah_hw.measure.differences import difference
from hannah_hw.measure.float_firmware import measure_float_model
from tests.measure.float_models import CHIP, MACS, conv_and_relu, needs_tvm


@pytest.fixture(scope="module")
def worker():
    with TvmWorker() as started:
        yield started


def test_a_difference_is_relative_to_the_largest_element():
    assert difference(np.array([1.0, -4.0]), np.array([1.0, -4.0])) == 0
    assert difference(np.array([1.0, -4.0]), np.array([1.5, -4.0])) == 0.125
    assert difference(np.array([np.nan, 1.0]), np.array([np.nan, 1.0])) == 0
    assert difference(np.array([np.inf, 1.0]), np.array([1.0, 1.0])) == np.inf
    assert difference(np.array([1.0, 1.0]), np.array([np.nan, 1.0])) == np.inf


@needs_tvm
def test_one_convolution(worker):
    found = measure_float_model(conv_and_relu(), CHIP, worker=worker)
    (kernel,) = found.kernels
    assert (kernel.name, kernel.kind, kernel.macs) == ("conv", "conv", MACS)
    assert found.difference < 1e-6
    # Input, output, and a window of 3 x 3 x 3 float32 rounded up to 16 bytes.
    assert found.memory["arena"] == 4 * (192 + 256) + 112
    assert found.flash["constants"] >= 4 * (4 * 27 + 4)
    # A fused multiply-add takes 3 cycles, and 5 loads in 4 of them at least one each.
    assert 4.25 < kernel.core_cycles / MACS < 15
    # The chip's wait cycles and their error were found with int8 kernels.
    figures = [found.figures[key] for key in ("latency_s", "cycles", "energy_j")]
    assert [figure.error for figure in figures] == [None, None, None]
    assert "with int8 kernels, not known with these" in figures[0].note
    assert found == measure_float_model(conv_and_relu(), CHIP, worker=worker)


@needs_tvm
@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet", "pooled_cnn"])
def test_networks_of_spaces(worker, name):
    space = load_space(name)
    candidate = space.candidate(space.sample(seed=1))
    found = measure_float_model(candidate, CHIP, worker=worker)
    assert found.macs == candidate.macs
    assert found.difference < 1e-5
    assert found.weights == "random"
    values = candidate.workload().candidate(0).buffers.bytes
    assert found.memory["arena"] >= 4 * values.max()


@needs_tvm
def test_what_does_not_fit_says_how_much(worker):
    chip = load_target(CHIP).model_copy(update={"ram_bytes": 2000})
    with pytest.raises(EvaluationError, match=r"needs 1,904 bytes of arena .* has 2,000 bytes of RAM"):
        measure_float_model(conv_and_relu(), chip, worker=worker)
    chip = load_target(CHIP).model_copy(update={"flash_bytes": 500})
    with pytest.raises(EvaluationError, match="bytes of flash, and there are 500"):
        measure_float_model(conv_and_relu(), chip, worker=worker)


def test_wrong_requests_are_refused_before_tvm_starts():
    with pytest.raises(InputError, match="0 inputs"):
        measure_float_model(conv_and_relu(), CHIP, inputs=0)
    with pytest.raises(InputError, match="no emulator for Cortex-M55"):
        measure_float_model(conv_and_relu(), CHIP, core="m55")
