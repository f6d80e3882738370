"""Prices against the measured sweep, against arithmetic by hand, and against themselves one at a time."""

import json
import math

import numpy as np
import pytest

from hannah_hw.cost import CostReport, load_cost_model, price
from hannah_hw.cost.distinct import distinct
from hannah_hw.measure.sweep import read_sweep, sweep_kernels
from hannah_hw.targets import OperatorRule, SourcedNumber, load_target
from hannah_hw.workload import KERNEL_COLUMNS, Buffers, Kernels, Workload

STACK_AND_STATIC = 644 + 64


@pytest.fixture(scope="module")
def target():
    return load_target("stm32l4r5zi:cmsis_nn")


def waiting(target, cycles):
    figure = SourcedNumber(value=cycles, source="assumed", reference="test")
    return target.model_copy(update={"model": target.model.model_copy(update={"flash_wait_cycles": figure})})


def alone(kernels):
    """Kernels with one small buffer."""
    count = kernels.active.shape[0]
    ones, zeros = np.ones((count, 1), np.int64), np.zeros((count, 1), np.int64)
    buffers = Buffers(("input",), ("input",), ones * 16, zeros, zeros, zeros > 0)
    return Workload(kernels, buffers, np.ones((len(kernels), 1), bool))


def single(kind, **columns):
    table = {n: np.full((1, 1), columns.get(n, default), np.int64) for n, default in KERNEL_COLUMNS.items()}
    return alone(Kernels(("k",), (kind,), np.ones((1, 1), bool), table))


@pytest.fixture(scope="module")
def sweep(target):
    model = load_cost_model(target.model.coefficients)
    return read_sweep(target.origin.parent.parent / "cost_models" / "m4" / model.sweep)


def test_kernels_cost_what_the_emulator_counted(target, sweep):
    costs = price(alone(sweep_kernels(sweep)), waiting(target, 0.0))
    measured = np.array([row.cycles for row in sweep])
    error = np.abs(costs.kernel_cycles[0] / measured - 1)
    assert error.max() < 0.025
    assert error.mean() < 0.005


def test_a_latency_without_an_interval_has_no_band_a_candidate(target, sweep):
    costs = price(alone(sweep_kernels(sweep)), target)
    assert costs.latency_band.shape == costs.latency_s.shape
    assert np.isnan(costs.latency_band).all()


def test_scratch_is_what_the_library_asked_for(target, sweep):
    costs = price(alone(sweep_kernels(sweep)), target)
    for row, scratch in zip(sweep, costs.kernel_scratch[0], strict=True):
        # The harness did not ask for average pooling's four bytes a channel.
        expected = row.in_channels * 4 if row.kernel == "avg_pool" else row.scratch_bytes
        assert scratch == expected, row


@pytest.mark.parametrize(
    ("kind", "columns", "reads"),
    [
        # 4 pixels = 2 pairs, 8 channels: 9 words and no rest of 36 columns, bias, multiplier, shift
        (
            "conv",
            {"in_channels": 4, "out_channels": 8, "out_h": 2, "out_w": 2, "kernel_h": 3, "kernel_w": 3},
            2 * 8 * (9 + 3),
        ),
        # 3 columns a tap: 27 = 6 words and 3 bytes; one pixel is half a pair
        ("conv", {"in_channels": 3, "out_channels": 8, "kernel_h": 3, "kernel_w": 3}, 8 * (6 + 3 + 3)),
        # weights summed once, then per pair 4 words, multiplier, shift
        ("conv", {"in_channels": 16, "out_channels": 8, "out_h": 2, "out_w": 2}, 16 * 8 + 2 * 8 * (4 + 2)),
        # strided: a call for each of two rows
        (
            "conv",
            {"in_channels": 16, "out_channels": 8, "out_h": 2, "out_w": 2, "stride_h": 2, "stride_w": 2},
            2 * 16 * 8 + 2 * 8 * (4 + 2),
        ),
        # 2 groups of four channels: nine words of weights and 4 each of bias, multiplier and shift
        (
            "conv",
            {"groups": 8, "in_channels": 8, "out_channels": 8, "kernel_h": 3, "kernel_w": 3, "out_w": 5},
            5 * 2 * (9 + 12),
        ),
        ("linear", {"in_channels": 64, "out_channels": 10}, 10 * (16 + 1)),
    ],
)
def test_flash_reads_follow_the_loops(target, kind, columns, reads):
    slow, fast = (price(single(kind, **columns), waiting(target, w)).cycles[0] for w in (1.0, 0.0))
    assert slow - fast == pytest.approx(reads)


@pytest.mark.parametrize(
    ("groups", "out_channels", "kernel_class"),
    [(1, 16, "conv"), (16, 16, "dw_3x3"), (4, 16, None), (16, 32, None)],
)
def test_a_grouped_convolution_is_priced_as_no_other(target, groups, out_channels, kernel_class):
    model = target.model.model_copy(update={"ops": (OperatorRule(match="conv"),)})
    permissive = target.model_copy(update={"model": model})
    shape = {"in_channels": 16, "kernel_h": 3, "kernel_w": 3, "out_h": 4, "out_w": 4}
    workload = single("conv", groups=groups, out_channels=out_channels, **shape)
    report = price(workload, permissive).report()
    assert report.kernels[0].kernel_class == kernel_class
    assert report.supported == (kernel_class is not None)
    assert (report.latency_s is None) == (kernel_class is None)


def test_memory_by_hand(target):
    shape = dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), 8)
    work = single(
        "conv", in_channels=3, out_channels=16, kernel_h=3, kernel_w=3, weights=432, bias=16, **shape
    )
    report = price(work, target).report()
    assert report.memory.scratch == 28 * 2 * 2  # two columns of 27, rounded up to 28, of 16 bit
    assert report.ram_bytes == 16 + 112 + STACK_AND_STATIC
    code = load_cost_model("m4/cmsis_nn").runtime
    assert report.flash.weights == 432 + 4 * 16
    assert report.flash.requantisation == 8 * 16
    assert report.flash.code == (
        code.code.bytes + code.code_per_kernel.bytes + code.code_by_class["conv"].bytes
    )
    assert report.flash_bytes == report.flash.weights + report.flash.requantisation + report.flash.code


def population(count, seed=0):
    """Random chains of convolutions of every class, with inactive slots full of nonsense."""
    rng = np.random.default_rng(seed)
    kinds = ["conv", "conv", "conv", "add", "conv", "max_pool", "avg_pool", "linear", "softmax"]
    shape = (count, len(kinds))
    table = {name: np.full(shape, default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    channels = rng.integers(1, 40, shape)
    depthwise = rng.random(shape) < 0.4
    table["in_channels"], table["groups"] = channels, np.where(depthwise, channels, 1)
    table["out_channels"] = np.where(depthwise, channels, rng.integers(1, 40, shape))
    for name in ("in_h", "in_w", "out_h", "out_w"):
        table[name] = rng.integers(1, 20, shape)
    for name in ("kernel_h", "kernel_w"):
        table[name] = rng.choice([1, 3, 5], shape)
    table["stride_h"] = table["stride_w"] = rng.integers(1, 3, shape)
    table["dilation_h"] = rng.choice([1, 1, 1, 1, 2], shape)
    table["operands"][:, 3] = 2
    table["weights"] = rng.integers(1, 900, shape)
    active = rng.random(shape) < 0.7
    active[:, 8] = True
    for name, value in table.items():
        table[name] = np.where(active, value, rng.integers(-9, 9, shape))
    sizes = rng.integers(0, 50, (count, 6)) * 8
    first, last = np.zeros((2, count, 6), np.int64)
    for row in range(count):
        pair = np.sort(rng.choice(np.flatnonzero(active[row]), (2, 6)), axis=0)
        first[row], last[row] = pair
    buffers = Buffers(
        tuple("abcdef"),
        ("activation",) * 6,
        sizes,
        first,
        last,
        sizes < 0,
    )
    kernels = Kernels(tuple(f"k{i}" for i in range(len(kinds))), tuple(kinds), active, table)
    return Workload(kernels, buffers, np.ones((len(kinds), 6), bool))


def test_a_population_costs_what_its_members_cost_alone(target):
    work = population(1200)
    costs = price(work, target)
    assert 0.2 < costs.supported.mean() < 0.9
    for index in [*range(0, 1200, 60), 511, 512, 1199]:
        part = work.candidate(index)
        if not len(part.buffers):
            continue
        one, report = price(part, target).report(), costs.report(index)
        assert one.to_dict()["kernels"] == report.to_dict()["kernels"]
        assert one.unsupported == report.unsupported
        for name in ("latency_s", "energy_j", "flash_bytes"):
            assert getattr(one, name) == (
                pytest.approx(getattr(report, name), rel=1e-12) if report.supported else None
            )


def test_the_report_adds_up_and_survives_json(target):
    costs = price(population(300), target)
    for index in range(0, 300, 20):
        report = costs.report(index)
        again = CostReport.from_dict(json.loads(json.dumps(report.to_dict())))
        assert again == report
        if not report.supported:
            continue
        assert sum(row.cycles for row in report.kernels) == pytest.approx(report.cycles)
        memory = report.memory
        assert report.ram_bytes == memory.arena + memory.scratch + memory.stack + memory.runtime
        assert memory.arena >= memory.liveness_bound
        assert memory.scratch == max((row.scratch_bytes for row in report.kernels), default=0)


def test_error_bands_combine_as_documented(target):
    report = price(single("linear", in_channels=64, out_channels=10), target).report()
    band = load_cost_model("m4/cmsis_nn").classes["fc"].error.band
    latency = math.hypot(band, target.model.device_error)
    assert report.figures["latency_s"].error == pytest.approx(latency)
    assert report.figures["energy_j"].error == pytest.approx(math.hypot(latency, target.power.active_w.error))
    assert {figure.source for figure in report.figures.values()} == {"estimated"}


def test_kernels_that_are_the_same_are_found_and_no_others():
    workload = population(300, seed=9)
    kernels = workload.kernels
    for kind in set(kernels.kinds):
        found = distinct(kernels, kind)
        slots = found.where // workload.size
        assert sorted(found.where) == sorted(
            k * workload.size + p
            for k in range(len(kernels))
            if kernels.kinds[k] == kind
            for p in np.flatnonzero(kernels.active[:, k])
        )
        rows = [
            tuple(int(kernels[name][p, k]) for name in KERNEL_COLUMNS)
            for p, k in zip(found.candidates, slots, strict=True)
        ]
        assert len(found.entries) == len(set(rows))
        for name in KERNEL_COLUMNS:
            values = [row[list(KERNEL_COLUMNS).index(name)] for row in rows]
            np.testing.assert_array_equal(found.entries.whole(name)[found.which], values)
