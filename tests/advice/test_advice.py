"""Advice against the networks that it leads to: each is built, read and priced on its own."""

import numpy as np
import pytest

import hannah_hw
from hannah_hw import advise
from hannah_hw.advice import advise_profile
from hannah_hw.advice.changes import changes
from hannah_hw.advice.elastic import ElasticNetwork
from hannah_hw.cost import price
from hannah_hw.cost.peak import peak
from hannah_hw.lowering.reader import read_onnx
from tests.advice.advice_networks import BASE, build, changed

FIGURES = ("latency_s", "energy_j", "ram_bytes", "flash_bytes")


@pytest.fixture(scope="module")
def network():
    return ElasticNetwork(read_onnx(build(BASE)))


def test_a_network_that_is_not_changed_is_the_one_of_the_file(network):
    read = read_onnx(build(BASE)).deployed()
    free = network.workload([{}])
    assert free.kernels.names == read.kernels.names
    for name, column in read.kernels.columns.items():
        assert np.array_equal(free.kernels.columns[name], column), name
    for part in ("bytes", "first", "last", "output"):
        assert np.array_equal(getattr(free.buffers, part), getattr(read.buffers, part)), part


@pytest.mark.parametrize("target", ["stm32l4r5zi", "nrf5340:cmsis_nn", "ethos_u55_128"])
def test_every_change_costs_what_the_changed_network_costs(network, target):
    tried = changes(network)
    chip = hannah_hw.load_target(target)
    workload = network.workload([change.values for change in tried])
    costs = price(workload, chip)
    impossible = set()
    for index, change in enumerate(tried):
        if not workload.exists[index]:
            impossible.add(change.text)
            continue
        report = hannah_hw.estimate(build(changed(change.values)), chip)
        for figure in FIGURES:
            found, told = getattr(costs, figure)[index], getattr(report, figure)
            assert (told is None and np.isnan(found)) or found == pytest.approx(told, rel=1e-12), change.text
        assert workload.macs[index] == report.macs
    # Behind a stride in one branch of the sum alone, the branches have other sizes.
    assert impossible == {f"a stride of 2 in {name} in place of 1" for name in ("c3", "c4")}
    kinds = {change.kind for change in tried}
    assert kinds == {"input", "out_channels", "kernel", "stride", "earlier_stride"}


def test_widths_that_a_sum_ties_are_changed_together_and_those_of_the_outputs_never(network):
    widths = {change.kernels for change in changes(network) if change.kind == "out_channels"}
    assert widths == {("c1",), ("pw", "c4"), ("c3", "se")}


def test_what_is_advised_says_what_is_done_and_saves_what_it_says():
    insight = advise(build(BASE), "stm32l4r5zi")
    before = hannah_hw.estimate(build(BASE), "stm32l4r5zi")
    assert {advice.metric for advice in insight.advice} == {"ram_bytes", "latency_s", "flash_bytes"}
    for advice in insight.advice:
        after = hannah_hw.estimate(build(changed(advice.values)), "stm32l4r5zi")
        assert advice.before == pytest.approx(getattr(before, advice.metric), rel=1e-12)
        assert advice.after == pytest.approx(getattr(after, advice.metric), rel=1e-12)
        assert advice.after <= 0.98 * advice.before
        assert advice.figures["macs"] == (before.macs, after.macs)
    texts = {advice.text for advice in insight.advice}
    assert "an input of 8 x 6 in place of 16 x 12" in texts
    assert any("output channels of" in text for text in texts)
    for metric in ("ram_bytes", "latency_s"):
        saved = [advice.before - advice.after for advice in insight.advice if advice.metric == metric]
        assert saved == sorted(saved, reverse=True)
        assert len(saved) <= 3


def test_the_largest_kernels_are_those_of_the_report():
    report = hannah_hw.estimate(build(BASE), "stm32l4r5zi")
    insight = advise(build(BASE), "stm32l4r5zi", report=report)
    rows = sorted(report.kernels, key=lambda row: -row.latency_s)[:3]
    assert [(name, latency) for name, latency, _ in insight.largest] == [
        (row.name, row.latency_s) for row in rows
    ]
    assert sum(row.latency_s for row in report.kernels) == pytest.approx(report.latency_s)
    assert insight.largest[0][2] == pytest.approx(rows[0].latency_s / report.latency_s)


def test_the_peak_names_what_is_live_and_adds_up():
    report = hannah_hw.estimate(build(BASE), "stm32l4r5zi")
    found = peak(report)
    # While c4 runs, its 24 channels of 8 x 6, the 24 of pw for the sum and the 8 of mul are live.
    assert found.kernel == "c4"
    assert found.buffers == {"pw": 24 * 8 * 6, "c4": 24 * 8 * 6, "mul": 8 * 8 * 6}
    assert found.scratch_bytes == next(row.scratch_bytes for row in report.kernels if row.name == "c4") > 0
    parts = sum(found.buffers.values()) - found.shared_bytes + found.gap_bytes
    assert parts + found.scratch_bytes + found.stack_bytes + found.runtime_bytes == report.ram_bytes
    assert str(found).startswith("1.1 KiB of pw + 1.1 KiB of c4 + 384 B of mul + ")


def test_no_peak_is_told_where_the_figure_is_not_the_plan_of_one_arena():
    assert peak(hannah_hw.estimate(build(BASE), "ethos_u55_128")) is None
    # Without scratch memory the largest are what c1 writes, 16 channels of 16 x 12, and dw after it.
    found = peak(hannah_hw.estimate(build(BASE), "eyeriss"))
    assert (found.kernel, found.buffers) == ("dw", {"c1": 16 * 16 * 12, "dw": 16 * 8 * 6})
    assert found.bytes == 16 * 16 * 12 + 16 * 8 * 6


def test_there_is_no_advice_for_what_cannot_run():
    insight = advise(build(BASE), "ultratrail")
    assert insight.advice == ()
    assert "cannot run" in insight.note
    assert insight.to_dict()["changes"] == []


def test_advice_for_a_candidate_is_in_parameters_of_its_space():
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
    candidate = space.candidate(space.sample(seed=3))
    insight = advise(candidate, "stm32l4r5zi")
    assert insight.advice
    for advice in insight.advice:
        (name,) = advice.kernels
        other = space.candidate({**candidate.assignment, **advice.values})
        assert other.assignment[name] == advice.values[name] != candidate.assignment[name]
        report = hannah_hw.estimate(other, "stm32l4r5zi")
        assert advice.after == pytest.approx(getattr(report, advice.metric), rel=1e-12)
        assert advice.text.startswith(f"{name} = ")


def test_no_single_parameter_saves_more_than_what_is_advised():
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
    candidate = space.candidate(space.sample(seed=3))
    others = [
        {**candidate.assignment, name: value}
        for name in candidate.assignment
        for value in space.parameters[name].levels
    ]
    costs = hannah_hw.estimate_population(space, space.encoding.encode(others), "stm32l4r5zi")
    insight = advise(candidate, "stm32l4r5zi")
    found = next(advice for advice in insight.advice if advice.metric == "latency_s")
    assert found.after == pytest.approx(np.nanmin(costs.latency_s), rel=1e-12)


def test_a_profile_is_scaled_by_the_work_that_changed_networks_have_left():
    # Names as ONNX Runtime writes them: relu stands for c1, which it was fused into; the third is its own.
    operators = [("relu_nchwc", 4e-3), ("dw_token_1", 2e-3), ("ReorderOutput_token_3", 1e-3), ("c4", 3e-3)]
    insight = advise_profile(build(BASE), operators, 12e-3)
    assert insight.largest == (("relu_nchwc", 4e-3, 0.4), ("c4", 3e-3, 0.3), ("dw_token_1", 2e-3, 0.2))

    def macs(values):
        report = hannah_hw.estimate(build(changed(values)), "stm32l4r5zi")
        return {row.name: row.macs for row in report.kernels}

    before = macs({})
    assert before["c1"] == 16 * 3 * 25 * 16 * 12
    assert len(insight.advice) == 3
    for advice in insight.advice:
        after = macs(advice.values)
        left = {name: after[name] / before[name] for name in ("c1", "dw", "c4")}
        seconds = 4e-3 * left["c1"] + 2e-3 * left["dw"] + 1e-3 + 3e-3 * left["c4"]
        assert advice.after == pytest.approx(1.2 * seconds)
        assert (advice.metric, advice.before, advice.source) == ("latency_s", 12e-3, "scaled")


def test_a_profile_of_what_is_not_read_has_no_advice():
    insight = advise_profile(build(BASE), [("elsewhere", 1e-3)], 1e-3)
    assert insight.advice == ()
    assert insight.note == "no advice: no operator of the profile is one of the file"


def test_chips_that_the_description_allows_are_tried_too():
    space = hannah_hw.load_space("tc_resnet")
    candidate = space.candidate(space.default())
    insight = advise(candidate, "ultratrail[pe=4]")
    chips = {advice.metric: advice for advice in insight.advice if advice.kind == "hardware"}
    assert set(chips) == {"energy_j", "latency_s"}
    for metric, advice in chips.items():
        ((name, value),) = advice.values.items()
        other = hannah_hw.estimate(candidate, f"ultratrail[{name.removeprefix('target.')}={value}]")
        assert advice.after == pytest.approx(getattr(other, metric), rel=1e-12)
        assert f"{other.area_mm2:.3g} mm² in place of " in advice.text
    assert chips["latency_s"].text.startswith("a chip with pe = ")
