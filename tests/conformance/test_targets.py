"""What every shipped target must keep."""

import numpy as np
import pytest

from hannah_hw.cost import load_cost_model, price
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.targets import list_targets, load_target
from hannah_hw.workload import KERNEL_COLUMNS, KERNEL_KINDS, Buffers, Kernels, Workload


def workload(kind, **columns):
    """One kernel of P candidates, with one input and one output buffer."""
    count = max((len(v) for v in columns.values() if hasattr(v, "__len__")), default=1)
    table = {name: np.full((count, 1), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name, value in columns.items():
        table[name][:, 0] = value
    table["operands"][:] = 2 if kind == "add" else 1
    inputs = table["in_h"] * table["in_w"] * table["in_channels"]
    outputs = table["out_h"] * table["out_w"] * table["out_channels"]
    sizes = np.concatenate([inputs, outputs], axis=1)
    zeros = np.zeros_like(sizes)
    return Workload(
        Kernels(("kernel",), (kind,), np.ones((count, 1), bool), table),
        Buffers(("input", "kernel"), ("input", "activation"), sizes, zeros, zeros, zeros > 0),
        np.ones((1, 2), bool),
    )


CMSIS_NN = LIBRARIES["cmsis_nn"]

SHAPES = {
    "conv": {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1},
    "conv_1x1": {},
    "conv_1xn": {"kernel_w": 5, "in_h": 1, "out_h": 1},
    "dw_3x3": {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "groups": "channels"},
    "dw": {"kernel_h": 5, "kernel_w": 5, "groups": "channels"},
    "fc": {"in_h": 1, "in_w": 1, "out_h": 1, "out_w": 1},
    "avg_pool": {"kernel_h": 2, "kernel_w": 2},
    "max_pool": {"kernel_h": 2, "kernel_w": 2},
}


def layer(name, channels=16, size=8):
    """A population of one: the given class with `channels` in and out on a square image."""
    kind = CMSIS_NN[name].kinds[0]
    shape = dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), size)
    shape |= {"in_channels": channels, "out_channels": channels}
    shape |= {k: channels if v == "channels" else v for k, v in SHAPES.get(name, {}).items()}
    if kind in {"conv", "linear"}:
        per = channels // shape.get("groups", 1) * shape.get("kernel_h", 1) * shape.get("kernel_w", 1)
        shape |= {"weights": per * channels, "bias": channels}
    return workload(kind, **{key: [value] for key, value in shape.items()})


@pytest.fixture(params=list_targets())
def target(request):
    return load_target(request.param)


def test_its_name_is_its_file(target):
    assert target.origin.stem == target.name


def test_every_figure_says_where_it_comes_from(target):
    for figure in (target.power.active_w, target.model.cycle_scale, target.model.flash_wait_cycles):
        assert len(figure.reference) > 20


def test_its_cost_model_prices_every_class_that_its_rules_allow(target):
    model = load_cost_model(target.model.coefficients, near=target.origin.parent)
    allowed = {kind for rule in target.ops for kind in rule.kinds}
    for entry in model.kernels.classes:
        if allowed & set(entry.kinds):
            assert entry.name in model.classes
            assert entry.name in model.runtime.code_by_class
    for name, fitted in model.classes.items():
        assert sum(fitted.cycles.values()) > 0, name
        assert fitted.error.band > 0, name


@pytest.mark.parametrize("name", [entry.name for entry in CMSIS_NN.classes])
def test_each_class_is_recognised_and_priced(target, name):
    report = price(layer(name), target).report(0)
    assert report.kernels[0].kernel_class == name
    assert report.latency_s * target.clock_hz == pytest.approx(report.cycles)
    assert report.energy_j == pytest.approx(report.latency_s * target.power.active_w.value)
    assert all(figure.value > 0 for figure in report.figures.values())


@pytest.mark.parametrize("name", [entry.name for entry in CMSIS_NN.classes])
def test_more_work_never_costs_less(target, name):
    for smaller, larger in ((16, 32), (32, 64), (64, 128)):
        small, large = (price(layer(name, channels=c), target) for c in (smaller, larger))
        assert large.cycles[0] > small.cycles[0]
        assert large.ram_bytes[0] >= small.ram_bytes[0]
        assert large.flash_bytes[0] >= small.flash_bytes[0]
    wide, narrow = (price(layer(name, size=s), target) for s in (16, 8))
    assert wide.cycles[0] >= narrow.cycles[0]


#: Kinds that no class of kernels runs: a target that allows one would have no price for it.
UNPRICED = sorted(set(KERNEL_KINDS) - {kind for entry in CMSIS_NN.classes for kind in entry.kinds})


@pytest.mark.parametrize(
    ("kind", "columns", "rule"),
    [
        ("conv", {"groups": [4], "in_channels": [16], "out_channels": [16]}, "groups"),
        ("conv", {"dilation_h": [2], "kernel_h": [3]}, "dilation"),
        ("conv", {"weight_bits": [4]}, "weight_bits"),
        ("conv", {"output_bits": [4]}, "output_bits"),
        ("linear", {"weight_bits": [4]}, "weight_bits"),
        ("add", {"activation_bits": [32]}, "activation_bits"),
        ("quantize", {"output_bits": [4]}, "no rule"),
        ("attention", {}, "no rule"),
        *((kind, {}, f"{kind}: the target has no rule") for kind in UNPRICED),
    ],
)
def test_what_it_cannot_run_has_a_reason_and_no_figure(target, kind, columns, rule):
    costs = price(workload(kind, **columns), target)
    assert not costs.supported[0]
    for figure in (costs.latency_s, costs.energy_j, costs.ram_bytes, costs.flash_bytes, costs.cycles):
        assert np.isnan(figure[0])
    report = costs.report(0)
    assert report.latency_s is report.energy_j is report.ram_bytes is report.flash_bytes is None
    assert rule in report.unsupported[0].rule
