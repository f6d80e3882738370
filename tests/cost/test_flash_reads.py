"""Waiting for flash: reads that a cost model has fitted are priced like those of a library's formula."""

import pytest

from hannah_hw.cost import price
from hannah_hw.cost.coefficients import cost_model_text, load_cost_model
from hannah_hw.spaces import load_space
from hannah_hw.targets import SourcedNumber, load_target


def waiting(target, cycles, **changes):
    figure = SourcedNumber(value=cycles, source="assumed", reference="test")
    return target.model_copy(
        update={"model": target.model.model_copy(update={"flash_wait_cycles": figure, **changes})}
    )


def test_fitted_reads_take_the_place_of_the_formula(tmp_path):
    target, model = load_target("stm32l4r5zi:cmsis_nn"), load_cost_model("m4/cmsis_nn")
    as_many = {
        name: {key: 0.25 * value for key, value in entry.cycles.items()}
        for name, entry in model.classes.items()
    }
    classes = {
        name: entry.model_copy(update={"flash_reads": as_many[name]}) for name, entry in model.classes.items()
    }
    path = tmp_path / "fitted.yaml"
    path.write_text(cost_model_text(model.model_copy(update={"classes": classes})))
    space = load_space("mlperf_tiny:resnet8")
    workload = space.candidate(space.default()).workload()
    free = price(workload, waiting(target, 0.0, coefficients=str(path))).kernel_cycles[0]
    waits = price(workload, waiting(target, 3.0, coefficients=str(path))).kernel_cycles[0]
    # Each class reads a quarter as often as it takes cycles.
    assert waits == pytest.approx(free * (1 + 3 * 0.25))
    by_formula = price(workload, waiting(target, 3.0)).kernel_cycles[0]
    assert by_formula != pytest.approx(waits, rel=0.01)
