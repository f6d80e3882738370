"""Candidates whose space says with how many bits values are kept: what is scored is what is priced."""

from __future__ import annotations

import numpy as np
import pytest

from hannah_hw import CategoricalParameter, SearchSpace, estimate, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear, quantize
from hannah_hw.graph import Tensor
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import AdaptiveAvgPooling, Relu
from hannah_hw.scoring import Training, load_data, score_candidate
from hannah_hw.scoring.answers import model_errors
from tests.blocks import buffers_of, kernels_of

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def space(input_shape, classes):
    @search_space
    def n():
        weights = CategoricalParameter([2, 4, 8], name="weights")
        x = Tensor("input", (1, *input_shape))
        x = Relu()(batch_norm(conv2d(x, 12, 3, weight_bits=weights)))
        x = quantize(x, CategoricalParameter([2, 4, 8], name="values"), signed=False)
        x = Relu()(batch_norm(conv2d(x, 16, 3, stride=2, weight_bits=weights)))
        return linear(AdaptiveAvgPooling(2)(x), classes)

    return SearchSpace(n())


@pytest.mark.parametrize(("weights", "values", "most"), [(4, 4, 0.25), (8, 8, 0.2)])
def test_the_scored_file_is_the_priced_network(digits, tmp_path, weights, values, most):
    family = space(digits.input_shape, digits.classes)
    names = {name.rpartition(".")[2]: name for name in family.parameters}
    assignment = {names["weights"]: weights, names["values"]: values}
    score = score_candidate(family, assignment, digits, Training(epochs=5), 3, tmp_path)
    candidate = family.candidate(assignment)
    read = read_onnx(score.artifact)
    assert kernels_of(read.deployed()) == kernels_of(candidate.workload())
    assert buffers_of(read.deployed()) == buffers_of(candidate.workload())
    assert score.error == model_errors(score.artifact, (digits.x_val, digits.y_val))[0]
    assert score.error < most
    # Float training has the widths already, so that little is lost by what becomes int8 afterwards.
    assert abs(score.error - score.float_error) < 0.03
    assert "values that have bits of their own on their grids" in score.provenance["error"]
    of_file, of_candidate = (estimate(m, "stm32l4r5zi") for m in (score.artifact, candidate))
    assert of_file.supported is of_candidate.supported is (weights == values == 8)
    assert of_file.latency_s == of_candidate.latency_s
    assert [row.rule for row in of_file.unsupported] == [row.rule for row in of_candidate.unsupported]
    assert np.all(np.array(score.losses[1:]) < score.losses[0])
