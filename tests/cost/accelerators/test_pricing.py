"""Populations on accelerators against the cost model asked layer by layer; the cache; limits; figures."""

import numpy as np
import pytest
import torch

from hannah_hw import ExpectedCost, estimate_population, load_space
from hannah_hw.cost import CostReport, price
from hannah_hw.cost.accelerators.book import SHELF, Shelf
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.accelerators.models import MODELS
from hannah_hw.errors import InputError, TargetError, UnsupportedError
from hannah_hw.search.figures import check_figures
from hannah_hw.search.metrics import Goals
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.spaces import as_space
from hannah_hw.workload import KERNEL_COLUMNS
from tests.cost.accelerators.chips import CPU, DRAM, SRAM, chip, figure, lone, residual

FIGURES = ("latency_s", "energy_j", "ram_bytes", "flash_bytes", "cycles", "kernel_cycles", "kernel_energy_j")


@pytest.fixture(scope="module")
def population():
    space = load_space("resnet")
    return space.workload(space.sample_population(12, seed=5))


def same(costs, other, rows=slice(None)):
    for name in FIGURES:
        np.testing.assert_allclose(getattr(costs, name), getattr(other, name)[rows], rtol=1e-12, err_msg=name)


def test_kernels_cost_what_the_model_says_of_each_layer_alone(population):
    target = chip(size="24 KiB")
    SHELF.clear()
    costs = price(population, target)
    kernels, checked = population.kernels, 0
    for p in range(0, 12, 5):
        for k in np.flatnonzero(kernels.active[p]):
            if kernels.kinds[k] not in ("conv", "linear"):
                continue
            code = int(costs.placements[p, k])
            layer = Layers.of(
                kernels.kinds[k],
                **{name: [kernels[name][p, k]] for name in KERNEL_COLUMNS},
                input_on_chip=code & 1,
                output_on_chip=code >> 1 & 1,
                weights_on_chip=code >> 2 & 1,
                reserved_bytes=(code >> 3) * (24 * 1024 // 32),
            )
            alone = MODELS["closed_form"](layer, target)
            assert costs.kernel_cycles[p, k] == alone.cycles[0]
            assert costs.kernel_energy_j[p, k] == pytest.approx(alone.energy_pj[0] * 1e-12, rel=1e-12)
            checked += 1
    assert checked > 20


def test_figures_are_sums_over_kernels(population):
    target = chip(more=f"static_w: {figure(0.002)}\n")
    costs = price(population, target)
    np.testing.assert_allclose(costs.cycles, costs.kernel_cycles.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(costs.latency_s, costs.cycles / 100e6, rtol=1e-12)
    dynamic = costs.kernel_energy_j.sum(axis=1)
    np.testing.assert_allclose(costs.energy_j, dynamic + 0.002 * costs.latency_s, rtol=1e-12)
    active = np.where(
        population.kernels.active, population.kernels["weights"] + 4 * population.kernels["bias"], 0
    )
    assert costs.flash_bytes.tolist() == active.sum(axis=1).tolist()


def test_ram_is_the_peak_of_live_activations():
    space = as_space(residual())
    costs = price(space.candidate(space.default()).workload(), chip())
    # The first and the second value and their sum.
    assert costs.ram_bytes.tolist() == [3 * 512]


def test_one_candidate_costs_what_it_costs_among_others(population):
    target = chip(size="24 KiB")
    together = price(population, target)
    for index in range(population.size):
        alone = price(population.candidate(index), target)
        active = population.kernels.active[index]
        for name in FIGURES[:5]:
            assert getattr(alone, name)[0] == getattr(together, name)[index], name
        assert alone.kernel_cycles[0].tolist() == together.kernel_cycles[index, active].tolist()


def test_what_was_priced_before_changes_nothing(population):
    target = chip(size="24 KiB")
    SHELF.clear()
    cold = price(population, target)
    warm = price(population, target)
    SHELF.clear()
    for name in FIGURES:
        assert np.array_equal(getattr(cold, name), getattr(warm, name), equal_nan=True)
    for index in range(population.size):
        price(population.candidate(index), target)
    same(price(population, target), cold)


def test_rules_are_told_apart_however_many_there_are():
    """A layer without a mapping has a text of its own, and a long search meets more of them than 16 bits count."""
    target = chip(ops=("{match: conv}",))
    book = SHELF.book((target.fingerprint, MODELS["closed_form"]))
    for number in range(1 << 15):
        book.rule(f"no mapping: {number} B")
    kept = len(book.rules)
    assert book.rule("no mapping: 7 B") == 7
    # An operator that the target has no rule for.
    costs = price(lone("layer_norm", in_channels=[8], out_channels=[8]), target)
    assert costs.failed_rules.tolist() == [[kept]]
    assert costs.report().unsupported[0].rule.startswith("layer_norm")
    SHELF.clear()


def test_a_warm_cache_asks_no_model(population, monkeypatch):
    asked = []
    model = MODELS["closed_form"]

    def counting(layers, target):
        asked.append(len(layers))
        return model(layers, target)

    monkeypatch.setitem(MODELS, "closed_form", counting)
    price(population, chip())
    distinct = sum(asked)
    assert len(asked) == 1
    assert distinct < population.kernels.active.sum()
    price(population, chip())
    assert len(asked) == 1
    price(population, chip(size="32 KiB"))
    assert len(asked) == 2


def test_the_shelf_forgets_the_target_that_was_used_longest_ago(population):
    shelf = Shelf(limit=100)
    books = {name: shelf.book(name) for name in "ab"}
    for book in books.values():
        book.price(
            np.arange(60),
            lambda _, layers: {
                "cycles": layers * 1.0,
                "energy": layers * 1.0,
                "failed": np.zeros(len(layers), np.int16),
            },
        )
    assert len(books["a"]) == 60
    assert shelf.book("b") is books["b"]
    assert shelf.book("a") is not books["a"]
    assert shelf.book("b") is books["b"]


def test_a_layer_without_a_mapping_beside_resident_values_has_one_without_them():
    """A memory that the first value fills leaves no room for a single sum of the layer that reads it."""
    sums = SRAM.replace("name: sram", "name: sums").replace("[I, W, O]", "[O]").replace("SIZE", "2 B")
    sums = sums.replace("[D1, D2]", "[D2]")
    weights = SRAM.replace("name: sram", "name: wmem").replace("[I, W, O]", "[W]").replace("SIZE", "64 KiB")
    values = SRAM.replace("[I, W, O]", "[I, O]")
    options = {
        "model": "{kind: loop_nest}",
        "more": "dataflow: {spatial: [{D1: {K: 8}, D2: {C: 8}}]}\n",
        "memories": sums + (weights + values).replace("max_bits: 128", "max_bits: 4096") + DRAM,
    }
    space = as_space(residual())
    workload = space.candidate(space.default()).workload()
    roomy = price(workload, chip(**options, size="640 B"))
    assert roomy.supported[0], roomy.report(0).unsupported
    assert roomy.on_chip[0].tolist() == [False, True, False, False, True, True, False]
    full = price(workload, chip(**options, size="512 B"))
    assert full.supported[0], full.report(0).unsupported
    assert not full.on_chip.any()
    assert not full.placements.any()


def test_what_cannot_be_mapped_at_all_says_why_or_runs_on_the_processor():
    options = {
        "size": "16 B",
        "model": "{kind: loop_nest}",
        "memories": SRAM.replace("max_bits: 128", "max_bits: 4096") + DRAM,
    }
    spatial = "dataflow: {spatial: [{D1: {K: 8}, D2: {C: 8}}]}\n"
    space = as_space(residual())
    workload = space.candidate(space.default()).workload()
    refused = price(workload, chip(**options, more=spatial)).report(0)
    assert not refused.supported
    assert all("no mapping" in row.rule for row in refused.unsupported)
    moved = price(workload, chip(**options, more=spatial + CPU, unsupported="cpu_fallback")).report(0)
    assert moved.supported
    units = {row.name.split(".")[1]: row.kernel_class for row in moved.kernels}
    assert units["Conv2d_1"] == "cpu"
    assert "no mapping" in moved.kernels[1].detail["not on the accelerator"]


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ("{layers: 5}", "limits: layers <= 5"),
        ("{when: [weight_bytes <= 800]}", "limits: weight_bytes <= 800"),
        ("{when: [biases < 10]}", "limits: biases < 10"),
        ("{when: [array_layers <= 2]}", "limits: array_layers <= 2"),
        ("{when: [vector_layers + cpu_layers < 3]}", "limits: vector_layers + cpu_layers < 3"),
        ("{when: [macs <= 50 * 1000]}", "limits: macs <= 50 * 1000"),
        ("{when: [ram_bytes < 3 * 512]}", "limits: ram_bytes < 3 * 512"),
    ],
)
def test_limits_name_themselves(limits, rule):
    space = as_space(residual())
    workload = space.candidate(space.default()).workload()
    costs = price(workload, chip(limits=limits))
    report = costs.report(0)
    assert [(row.kernel, row.rule) for row in report.unsupported] == [("network", rule)]
    assert report.latency_s is None
    assert np.isnan(costs.energy_j[0])


def test_limits_that_hold_refuse_nothing():
    space = as_space(residual())
    workload = space.candidate(space.default()).workload()
    held = (
        "weight_bytes <= 872",
        "biases <= 10",
        "array_layers == 3",
        "vector_layers == 3",
        "ram_bytes <= 1536",
    )
    assert price(workload, chip(limits=f"{{layers: 6, when: [{', '.join(held)}]}}")).supported[0]


def test_a_limit_over_an_unknown_total_is_refused_when_read():
    with pytest.raises(TargetError, match="layers"):
        chip(limits="{when: [layer <= 4]}")


def test_the_report_adds_up_and_survives_a_round_trip(population):
    costs = price(population, chip(size="24 KiB", more=f"static_w: {figure(0.002)}\n"))
    report = costs.report(3)
    assert sum(row.cycles for row in report.kernels) == pytest.approx(report.cycles)
    dynamic = sum(row.energy_j for row in report.kernels)
    assert report.energy_j == pytest.approx(dynamic + 0.002 * report.latency_s)
    for row in report.kernels:
        assert sum(row.cycle_parts.values()) == pytest.approx(row.cycles)
        assert sum(row.energy_parts_j.values()) == pytest.approx(row.energy_j)
    assert {b.memory for b in report.memory.buffers} == {"sram", "dram"}
    assert CostReport.from_dict(report.to_dict()) == report


def test_expected_costs_need_layers_that_do_not_depend_on_each_other():
    space = load_space("tc_resnet")
    first = next(iter(space.parameters.values())).id
    target = chip()
    with pytest.raises(UnsupportedError, match="on_chip"):
        ExpectedCost(space, target, "energy_j", parameters=[first])
    alone = target.model_copy(update={"on_chip": None})
    for metric in ("latency_s", "energy_j"):
        expected = ExpectedCost(space, alone, metric, parameters=[first])
        chosen = torch.zeros(len(space.parameters[first].levels), dtype=torch.float64)
        chosen[0] = 1.0
        assignment = {**space.default().to_dict(), first: space.parameters[first].levels[0]}
        figure_ = getattr(price(space.candidate(assignment).workload(), alone), metric)[0]
        assert expected({first: chosen}).item() == pytest.approx(figure_, rel=1e-9)


def test_a_search_for_figures_that_no_network_has_does_not_start():
    space = load_space("tc_resnet")
    silent = chip(memories=(SRAM + DRAM).replace(f"  read_pj: {figure(512)}\n", ""))
    with pytest.raises(InputError, match="read_pj of the memory dram"):
        check_figures(SpaceProblem(space, silent), Goals({"energy": "min"}, ()))
    check_figures(SpaceProblem(space, silent), Goals({"latency": "min"}, ()))
    check_figures(SpaceProblem(space, chip()), Goals({"energy": "min"}, ()))
    costs = estimate_population(space, space.sample_population(3, seed=0), silent)
    assert np.isnan(costs.energy_j).all()
    assert not np.isnan(costs.latency_s).any()


def test_a_microcontroller_is_no_accelerator():
    from hannah_hw import load_target
    from hannah_hw.cost.accelerators.pricing import price_accelerator

    space = as_space(residual())
    with pytest.raises(TargetError, match="microcontroller"):
        price_accelerator(space.candidate(space.default()).workload(), load_target("stm32l4r5zi"))


def test_a_network_that_does_not_exist_costs_nothing_and_says_so(population):
    gone = population.candidate(0)
    none = type(gone)(
        type(gone.kernels)(
            gone.kernels.names, gone.kernels.kinds, np.zeros_like(gone.kernels.active), gone.kernels.columns
        ),
        type(gone.buffers)(
            gone.buffers.names,
            gone.buffers.kinds,
            np.zeros_like(gone.buffers.bytes),
            gone.buffers.first,
            gone.buffers.last,
            gone.buffers.output,
        ),
        gone.reads,
        np.array([False]),
    )
    report = price(none, chip()).report(0)
    assert report.latency_s is None
    assert report.unsupported[0].kernel == "network"
