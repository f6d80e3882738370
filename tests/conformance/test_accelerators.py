"""What every shipped accelerator must keep."""

import functools
import math

import numpy as np
import pytest
from pydantic import BaseModel

from hannah_hw import catalog, load_space
from hannah_hw.cost import price
from hannah_hw.cost.accelerators.book import SHELF
from hannah_hw.cost.accelerators.streams import outermost
from hannah_hw.cost.accelerators.units import CPU
from hannah_hw.targets import Accelerator, Sourced, list_targets, load_target
from hannah_hw.workload import KERNEL_KINDS
from tests.cost.accelerators.chips import lone

NAMES = [name for name in list_targets() if isinstance(load_target(name), Accelerator)]
SPACES = [name for name in catalog.names("search_spaces") if name != "mlperf_tiny"]
SPACES += [f"mlperf_tiny:{name}" for name in ("resnet8", "ds_cnn_kws", "mobilenet_v1_025", "fc_autoencoder")]
FIGURES = ("latency_s", "energy_j", "ram_bytes", "flash_bytes", "cycles")


@pytest.fixture(params=NAMES)
def target(request):
    return load_target(request.param)


@functools.cache
def default(name):
    """The default candidate of a space."""
    space = load_space(name)
    return space.candidate(space.default()).workload()


@functools.cache
def population():
    space = load_space("tc_resnet")
    return space.workload(space.sample_population(3, seed=1))


def layers():
    """Kind -> a layer of it, with three kinds of convolution."""
    image = {"in_channels": [16], "out_channels": [16], "in_h": [8], "in_w": [8], "out_h": [8], "out_w": [8]}
    window = {
        "kernel_h": [3],
        "kernel_w": [3],
        **{side: [1] for side in ("pad_top", "pad_left", "pad_bottom", "pad_right")},
    }
    line = {"in_channels": [16], "out_channels": [16], "in_w": [50], "out_w": [50], "kernel_w": [3]}
    line |= {"pad_left": [1], "pad_right": [1]}
    dense = {"in_channels": [64], "out_channels": [16], "weights": [1024], "macs": [1024], "bias": [16]}
    found = {
        "conv": ("conv", {**image, **window, "weights": [2304], "macs": [147456], "bias": [16]}),
        "depthwise": (
            "conv",
            {**image, **window, "groups": [16], "weights": [144], "macs": [9216], "bias": [16]},
        ),
        "grouped": (
            "conv",
            {**image, **window, "groups": [4], "weights": [576], "macs": [36864], "bias": [16]},
        ),
        "conv_1d": ("conv", {**line, "weights": [768], "macs": [38400], "bias": [16]}),
        "conv_transpose": (
            "conv_transpose",
            {
                **image,
                "kernel_h": [3],
                "kernel_w": [3],
                "stride_h": [2],
                "stride_w": [2],
                "out_h": [16],
                "out_w": [16],
                "weights": [2304],
                "macs": [147456],
            },
        ),
        "linear": ("linear", dense),
        "matmul": (
            "matmul",
            {
                "groups": [2],
                "in_channels": [32],
                "out_channels": [32],
                "in_w": [16],
                "out_w": [16],
                "operands": [2],
                "macs": [32 * 16 * 16],
            },
        ),
    }
    for kind in KERNEL_KINDS:
        pooling = {
            "kernel_h": [2],
            "kernel_w": [2],
            "stride_h": [2],
            "stride_w": [2],
            "out_h": [4],
            "out_w": [4],
        }
        extra = pooling if kind in ("avg_pool", "max_pool") else {}
        extra = {"out_h": [16], "out_w": [16]} if kind == "upsample" else extra
        sides = {side: [1] for side in ("pad_top", "pad_left", "pad_bottom", "pad_right")}
        extra = {"out_h": [10], "out_w": [10], **sides} if kind == "pad" else extra
        extra = {"operands": [2]} if kind in ("add", "mul") else extra
        found.setdefault(kind, (kind, {**image, **extra}))
    return found


def figures_of(model):
    """Every figure with a source in a description."""
    if isinstance(model, Sourced):
        yield model
    elif isinstance(model, BaseModel):
        for name in type(model).model_fields:
            yield from figures_of(getattr(model, name))
    elif isinstance(model, tuple | list):
        for item in model:
            yield from figures_of(item)
    elif isinstance(model, dict):
        yield from figures_of(list(model.values()))


def test_its_name_is_its_file(target):
    assert target.origin.stem == target.name


def test_every_figure_says_where_it_comes_from(target):
    for figure in figures_of(target):
        assert len(figure.reference) > 10, figure


def test_it_bounds_what_its_outermost_memory_must_hold(target):
    sizes = {memory.name: memory.size for memory in target.memories}
    texts = " ".join(target.limits.when)
    for operand, limit, total in (
        ("I", target.limits.ram_bytes, "ram_bytes"),
        ("W", target.limits.flash_bytes, "weight_bytes"),
    ):
        name = outermost(target, operand)
        if name is not None and sizes[name] is not None:
            assert limit is not None or total in texts, (operand, name)


@pytest.mark.parametrize("name", layers())
def test_a_layer_is_priced_or_a_rule_is_named(target, name):
    kind, columns = layers()[name]
    costs = price(lone(kind, **columns), target)
    report = costs.report(0)
    if not costs.supported[0]:
        assert report.latency_s is None
        assert all(row.rule.startswith(kind) or "no mapping" in row.rule for row in report.unsupported)
        assert len(report.unsupported) == 1
        return
    row = report.kernels[0]
    # What is folded into a neighbour, or is a matter of addresses, costs nothing and says so.
    assert row.cycles > 0 or row.detail.get("free")
    assert row.latency_s * target.clock_hz == pytest.approx(row.cycles)
    assert sum(row.cycle_parts.values()) == pytest.approx(row.cycles)
    assert row.utilisation is None or 0 < row.utilisation <= 1
    if row.energy_j is None and "energy" in row.detail:
        # GAP9's energy is fitted to whole networks, by multiply-accumulates and cycles in which its engine is busy.
        assert (target.name, row.macs) == ("gap9", 0)
    elif row.energy_j is None:
        assert any(note.startswith("no energy") for note in report.notes)
    else:
        assert row.energy_j > 0 or row.detail.get("free")
        assert sum(row.energy_parts_j.values()) == pytest.approx(row.energy_j)


def test_shipped_spaces_are_priced_or_a_rule_is_named(target):
    """A third of the spaces on each target; each of them on a third of the targets."""
    for name in SPACES[NAMES.index(target.name) % 3 :: 3]:
        costs = price(default(name), target)
        if costs.supported[0]:
            assert costs.latency_s[0] > 0
            assert costs.ram_bytes[0] > 0
            assert math.isnan(costs.energy_j[0]) or costs.energy_j[0] > 0
        else:
            failed = [costs.rules[rule] for rule in costs.failed_rules[0] if rule >= 0]
            failed += [costs.rules[rule] for rule in costs.failed_limits if rule >= 0]
            assert failed, name
            assert all(failed)


def test_a_candidate_costs_the_same_alone_and_in_any_order(target):
    workload = population()
    together = price(workload, target)
    SHELF.clear()
    for index in (2, 1):
        alone = price(workload.candidate(index), target)
        for name in FIGURES:
            np.testing.assert_allclose(getattr(alone, name)[0], getattr(together, name)[index], rtol=1e-12)
    again = price(workload, target)
    for name in FIGURES:
        assert np.array_equal(getattr(again, name), getattr(together, name), equal_nan=True)


def test_twice_the_clock_takes_half_the_time(target):
    slow = price(population(), target)
    fast = price(population(), target.model_copy(update={"clock_hz": 2 * target.clock_hz}))
    own = slow.workload.kernels.active & (slow.kernel_units != CPU) & (slow.failed_rules < 0)
    assert np.array_equal(slow.kernel_cycles[own], fast.kernel_cycles[own])
    np.testing.assert_array_equal(slow.supported, fast.supported)
    runs = slow.supported & ~((slow.kernel_units == CPU).any(axis=1))
    np.testing.assert_allclose(fast.latency_s[runs], slow.latency_s[runs] / 2, rtol=1e-12)


def test_twice_the_channels_never_take_less(target):
    for name in ("conv", "conv_1d", "linear"):
        kind, columns = layers()[name]
        wide = {**columns, "out_channels": [2 * columns["out_channels"][0]], "bias": [2 * columns["bias"][0]]}
        wide |= {column: [2 * columns[column][0]] for column in ("weights", "macs")}
        narrow, wider = (price(lone(kind, **given), target) for given in (columns, wide))
        if narrow.supported[0] and wider.supported[0]:
            assert wider.cycles[0] >= narrow.cycles[0], name
            assert wider.flash_bytes[0] > narrow.flash_bytes[0]
            assert math.isnan(wider.energy_j[0]) or wider.energy_j[0] >= narrow.energy_j[0]
