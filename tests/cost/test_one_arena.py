"""Prices of a runtime of our own kernels, whose classes say what constants, scratch and the arena take."""

import numpy as np
import pytest
import yaml

import hannah_hw as hw
from hannah_hw.cost import load_cost_model, price
from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.operators import Conv2d
from hannah_hw.spaces import as_space
from hannah_hw.targets import load_target
from hannah_hw.workload.arena import plan_arena

LIBRARY = LIBRARIES["hannah_dsp"]
STACK, STATIC, CODE, CALL = 400, 16, 500, 40
#: Beyond that, the stack of kernels by class.
DEEPER = {"conv_1x1": 60, "softmax": 200, "dw_3x3": 120, "avg_pool": 300}


def memory(size):
    return {"bytes": size, "source": "assumed", "reference": "test"}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A chip whose kernels cost one cycle per unit of every feature, and whose code has 100 bytes a class."""
    folder = tmp_path_factory.mktemp("mine")
    error = {"n": 0, "method": "none", "band": 0.1}
    model = {
        "format": "hannah-cost-model/2",
        "name": "m4/mine",
        "title": "test",
        "library": LIBRARY.name,
        "reference": "test",
        "classes": {
            entry.name: {
                "cycles": dict.fromkeys(entry.features, 1.0),
                "source": "assumed",
                "reference": "test",
                "error": error,
            }
            for entry in LIBRARY.classes
        },
        "runtime": {
            "stack": memory(STACK),
            "stack_by_class": DEEPER,
            "ram": memory(STATIC),
            "code": memory(CODE),
            "code_per_kernel": memory(CALL),
            "code_by_class": {entry.name: memory(100) for entry in LIBRARY.classes},
        },
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(model))
    chip = yaml.safe_load(load_target("stm32l4r5zi").origin.read_text())
    runtime = chip["model"]["runtimes"]["cmsis_nn"] | {"coefficients": "mine.yaml", "ops": "hannah"}
    chip["model"] = {"kind": "kernels", "runtime": "mine", "runtimes": {"mine": runtime}}
    chip["model"]["runtimes"]["mine"]["flash_wait_cycles"] = {
        "value": 0,
        "source": "assumed",
        "reference": "test",
    }
    (folder / "chip.yaml").write_text(yaml.safe_dump(chip))
    return load_target(folder / "chip.yaml")


@pytest.fixture(scope="module")
def population():
    space = hw.load_space("mcunet")
    return space.workload(space.sample_population(14, seed=2))


def test_a_candidate_costs_what_its_classes_say(target, population):
    costs = price(population, target)
    assert costs.supported.all()
    for index in range(population.size):
        alone = population.candidate(index)
        classes = LIBRARY.classify(alone.kernels)[0]
        cycles, constants = np.zeros((2, len(alone.kernels)))
        for number in set(classes):
            entry, places = LIBRARY.classes[number], np.flatnonzero(classes == number)
            entries = Entries(alone.kernels, places, places)
            cycles[places] = sum(feature(entries) for feature in entry.features.values())
            constants[places] = 0 if entry.constants is None else entry.constants(entries)
        np.testing.assert_allclose(
            costs.kernel_cycles[index, population.kernels.active[index]], cycles, rtol=1e-12
        )
        code = CODE + CALL * len(classes) + 100 * len(set(classes))
        assert costs.flash_bytes[index] == constants.sum() + code
        plan = plan_arena(alone, *LIBRARY.memory(alone.kernels))
        deepest = max(DEEPER.get(LIBRARY.classes[number].name, 0) for number in classes)
        assert costs.ram_bytes[index] == plan.arena_bytes[0] + STACK + deepest + STATIC
        assert costs.arena_bytes[index] == plan.buffer_bytes[0]


def test_reports_show_one_arena(target, population):
    costs = price(population, target)
    for index in range(0, population.size, 5):
        report, alone = costs.report(index), population.candidate(index)
        plan = plan_arena(alone, *LIBRARY.memory(alone.kernels))
        rows = report.memory.buffers
        assert [row.offset for row in rows] == plan.offsets[0].tolist()
        assert max(row.offset + row.bytes for row in rows) <= report.memory.arena
        assert report.ram_bytes == sum(
            (report.memory.arena, report.memory.scratch, report.memory.stack, report.memory.runtime)
        )
        assert report.memory.stack - STACK in DEEPER.values()
        assert report.flash_bytes == sum(
            (report.flash.weights, report.flash.requantisation, report.flash.code)
        )
        assert "above live buffers" in report.figures["ram_bytes"].note
        assert report.target == "stm32l4r5zi:mine"


def test_results_over_operands_save_memory(target, population):
    costs = price(population, target)
    alone = [population.candidate(index) for index in range(population.size)]
    apart = np.array(
        [
            plan_arena(
                one, np.zeros(one.kernels.active.shape, bool), LIBRARY.memory(one.kernels)[1]
            ).arena_bytes[0]
            for one in alone
        ]
    )
    together = costs.arena_bytes + costs.scratch_bytes
    assert (together <= apart).all()
    assert together.sum() < 0.95 * apart.sum()


def test_what_no_class_runs_has_no_figure(target):
    workload = hw.load_space("mlperf_tiny:ds_cnn_kws").candidate({}).workload()
    model = target.model.model_copy(
        update={"ops": tuple(rule for rule in target.ops if "conv" not in rule.kinds)}
    )
    report = price(workload, target.model_copy(update={"model": model})).report()
    assert report.ram_bytes is report.flash_bytes is None
    assert {row.rule for row in report.unsupported} == {"conv: the target has no rule for this operator"}


def test_depths_at_which_weights_decide_widen_the_error():
    """A 7x7 convolution over 40 channels was emulated with unpaired weights at 1.92 times its estimate."""
    network = hw.load_target("stm32l4r5zi")
    bands = {}
    for channels in (8, 40):
        image = hw.Tensor("input", (1, channels, 14, 14), ("N", "C", "H", "W"))
        weight = hw.Tensor("weight", (40, channels, 7, 7), ("O", "I", "kH", "kW"), grad=True)
        space = as_space(Conv2d(padding=3)(image, weight))
        report = hw.estimate(space.candidate(space.default()), network)
        (kernel,) = report.kernels
        bands[channels] = kernel.error, report.figures["latency_s"].error
    band = price_band("stm32l4r5zi", "conv")
    assert bands[8][0] == band
    assert bands[40][0] == band + 1.0 > 0.92
    assert bands[40][1] > 0.92 > bands[8][1]


def price_band(name, kernel_class):
    """The band of a class in the cost model of a target."""
    model = load_cost_model(hw.load_target(name).model.coefficients)
    return model.classes[kernel_class].error.band
