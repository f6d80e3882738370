"""The front door prices a candidate, its file, its model and its row of a population alike."""

import numpy as np
import pytest

from hannah_hw import estimate, estimate_population, load_space, load_target, to_onnx
from hannah_hw.errors import CatalogError, ModelError

FIGURES = ("latency_s", "energy_j", "ram_bytes", "flash_bytes", "cycles")


@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet"])
def test_every_form_of_a_candidate_has_the_same_price(name, tmp_path):
    space, target = load_space(name), load_target("stm32l4r5zi")
    X = space.sample_population(6, seed=4)
    costs = estimate_population(space, X, target)
    for index, row in enumerate(X):
        candidate = space.candidate(space.encoding.assignment(row))
        model = to_onnx(candidate, tmp_path / "model.onnx")
        forms = [
            candidate,
            candidate.workload(),
            model,
            tmp_path / "model.onnx",
            str(tmp_path / "model.onnx"),
        ]
        reports = [estimate(form, target) for form in forms]
        for figure in FIGURES:
            values = [getattr(report, figure) for report in reports]
            assert values == pytest.approx([values[0]] * len(values), rel=1e-12), figure
            assert getattr(costs, figure)[index] == pytest.approx(values[0], rel=1e-12), figure
            assert values[0] > 0
        assert sum(kernel.macs for kernel in reports[0].kernels) == candidate.macs


def test_targets_by_name_and_open_shapes(tmp_path):
    candidate = load_space("ds_cnn", input_shape=(1, 16, 16), max_blocks=1).candidate({})
    to_onnx(candidate, tmp_path / "open.onnx", batch="N")
    with pytest.raises(ModelError, match="dynamic shape"):
        estimate(tmp_path / "open.onnx", "stm32l4r5zi")
    given = estimate(tmp_path / "open.onnx", "stm32l4r5zi", shapes={"ds_cnn_0.input": (1, 1, 16, 16)})
    assert given.latency_s == pytest.approx(estimate(candidate, "stm32l4r5zi").latency_s, rel=1e-12)
    with pytest.raises(CatalogError, match="did you mean 'stm32l4r5zi'"):
        estimate(candidate, "stm32l4r5z")


def test_more_channels_cost_more():
    space = load_space("ds_cnn")
    width = "ds_cnn_0.Conv2d_0.weight.out_channels"
    X = space.encoding.encode([{width: value} for value in (8, 16, 24, 32)])
    costs = estimate_population(space, X, "stm32l4r5zi")
    for figure in ("latency_s", "ram_bytes", "flash_bytes"):
        assert (np.diff(getattr(costs, figure)) > 0).all()
