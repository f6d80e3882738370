"""What every shipped target must keep."""

import numpy as np
import pytest

from hannah_hw.cost import load_cost_model, price
from hannah_hw.targets import Microcontroller, list_targets, load_target
from hannah_hw.workload import KERNEL_COLUMNS, KERNEL_KINDS, Buffers, Kernels, Workload


def workload(kind, **columns):
    """One kernel of P candidates, with one input and one output buffer."""
    count = max((len(v) for v in columns.values() if hasattr(v, "__len__")), default=1)
    table = {name: np.full((count, 1), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name, value in columns.items():
        table[name][:, 0] = value
    table["operands"][:] = 2 if kind in {"add", "mul"} else 1
    inputs = table["in_h"] * table["in_w"] * table["in_channels"]
    outputs = table["out_h"] * table["out_w"] * table["out_channels"]
    sizes = np.concatenate([inputs, outputs], axis=1)
    zeros = np.zeros_like(sizes)
    return Workload(
        Kernels(("kernel",), (kind,), np.ones((count, 1), bool), table),
        Buffers(("input", "kernel"), ("input", "activation"), sizes, zeros, zeros, zeros > 0),
        np.ones((1, 2), bool),
    )


SQUARE = {f"dw_{k}x{k}{suffix}": (k, stride) for k in (3, 5, 7) for suffix, stride in (("", 1), ("_s2", 2))}


def shape_of(name, channels, size):
    """Columns of a kernel of the given class with `channels` in and out on a square image."""
    shape = dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), size)
    shape |= {"in_channels": channels, "out_channels": channels}
    kernel, stride = SQUARE.get(name, (3, 1))
    if name in {"conv", "conv_grouped", *SQUARE}:
        shape |= {"kernel_h": kernel, "kernel_w": kernel, "stride_h": stride, "stride_w": stride}
        shape |= dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), kernel // 2)
        shape |= {"out_h": size // stride, "out_w": size // stride}
    if name in {"dw", *SQUARE}:
        shape["groups"] = channels
    special = {
        "conv_1xn": {"kernel_w": 5, "in_h": 1, "out_h": 1},
        "conv_grouped": {"groups": 2},
        "dw": {"kernel_h": 9, "kernel_w": 9},
        "fc": {"in_h": 1, "in_w": 1, "out_h": 1, "out_w": 1},
        "avg_pool": {"kernel_h": 2, "kernel_w": 2},
        "max_pool": {"kernel_h": 2, "kernel_w": 2},
        "global_avg_pool": {"kernel_h": size, "kernel_w": size, "out_h": 1, "out_w": 1},
    }
    return shape | special.get(name, {})


def layer(entry, channels=16, size=8):
    """A population of one with a kernel of a class; see `shape_of`."""
    shape = shape_of(entry.name, channels, size)
    if entry.kinds[0] in {"conv", "linear"}:
        per = channels // shape.get("groups", 1) * shape.get("kernel_h", 1) * shape.get("kernel_w", 1)
        shape |= {"weights": per * channels, "bias": channels}
    return workload(entry.kinds[0], **{key: [value] for key, value in shape.items()})


MICROCONTROLLERS = [t for t in map(load_target, list_targets()) if isinstance(t, Microcontroller)]
LABELS = [f"{target.name}:{runtime}" for target in MICROCONTROLLERS for runtime in target.model.runtimes]


def model_of(target):
    return load_cost_model(target.model.coefficients, near=target.origin.parent)


#: Every runtime with every class of kernels that its rules allow.
CLASSES = [
    (label, entry.name)
    for label in LABELS
    for target in [load_target(label)]
    for entry in model_of(target).kernels.classes
    if set(entry.kinds) & {kind for rule in target.ops for kind in rule.kinds}
]


@pytest.fixture(params=LABELS)
def target(request):
    return load_target(request.param)


def test_its_name_is_its_file(target):
    assert target.origin.stem == target.name


def test_every_figure_says_where_it_comes_from(target):
    for figure in (target.power.active_w, target.model.cycle_scale, target.model.flash_wait_cycles):
        assert len(figure.reference) > 20


def test_its_cost_model_prices_every_class_that_its_rules_allow(target):
    model = model_of(target)
    allowed = {kind for rule in target.ops for kind in rule.kinds}
    for entry in model.kernels.classes:
        if allowed & set(entry.kinds):
            assert entry.name in model.classes
            assert entry.name in model.runtime.code_by_class
    for name, fitted in model.classes.items():
        assert sum(fitted.cycles.values()) > 0, name
        # A kernel whose features are its loops is priced without any error.
        assert fitted.error.band > 0 or fitted.error.max == 0, name


@pytest.mark.parametrize(("label", "name"), CLASSES)
def test_each_class_is_recognised_and_priced(label, name):
    target = load_target(label)
    report = price(layer(model_of(target).kernels[name]), target).report(0)
    assert report.kernels[0].kernel_class == name
    assert report.latency_s * target.clock_hz == pytest.approx(report.cycles)
    assert report.energy_j == pytest.approx(report.latency_s * target.power.active_w.value)
    assert all(figure.value > 0 for figure in report.figures.values())
    memory, flash = report.memory, report.flash
    assert report.ram_bytes == memory.arena + memory.scratch + memory.stack + memory.runtime
    assert report.flash_bytes == flash.weights + flash.requantisation + flash.code


@pytest.mark.parametrize(("label", "name"), CLASSES)
def test_more_work_never_costs_less(label, name):
    target = load_target(label)
    entry = model_of(target).kernels[name]
    for smaller, larger in ((16, 32), (32, 64), (64, 128)):
        small, large = (price(layer(entry, channels=c), target) for c in (smaller, larger))
        assert large.cycles[0] > small.cycles[0]
        assert large.ram_bytes[0] >= small.ram_bytes[0]
        assert large.flash_bytes[0] >= small.flash_bytes[0]
    wide, narrow = (price(layer(entry, size=s), target) for s in (16, 8))
    assert wide.cycles[0] >= narrow.cycles[0]


def refusals():
    """Runtime, kernel kind, columns, and what the rule that refuses it speaks of."""
    for label in LABELS:
        target = load_target(label)
        allowed = {kind for rule in target.ops for kind in rule.kinds}
        yield label, "conv", {"dilation_h": [2], "kernel_h": [3]}, "dilation"
        yield label, "conv", {"weight_bits": [4]}, "weight_bits"
        yield label, "conv", {"output_bits": [4]}, "output_bits"
        yield label, "linear", {"weight_bits": [4]}, "weight_bits"
        yield label, "add", {"activation_bits": [32]}, "activation_bits"
        yield label, "quantize", {"output_bits": [4]}, "output_bits" if "quantize" in allowed else "no rule"
        if target.model.runtime == "cmsis_nn":
            yield label, "conv", {"groups": [4], "in_channels": [16], "out_channels": [16]}, "groups"
        if "upsample" in allowed:
            yield label, "upsample", {"kernel_h": [2], "kernel_w": [2]}, "kernel_h"
        for kind in ("layer_norm", "matmul", "attention"):
            yield label, kind, {}, f"{kind}: the target has no rule"
        # A target that allows a kind without a kernel would have no price for it.
        for kind in sorted(set(KERNEL_KINDS) - allowed):
            yield label, kind, {}, f"{kind}: the target has no rule"


@pytest.mark.parametrize(("label", "kind", "columns", "rule"), [*refusals()])
def test_what_it_cannot_run_has_a_reason_and_no_figure(label, kind, columns, rule):
    target = load_target(label)
    costs = price(workload(kind, **columns), target)
    assert not costs.supported[0]
    for figure in (costs.latency_s, costs.energy_j, costs.ram_bytes, costs.flash_bytes, costs.cycles):
        assert np.isnan(figure[0])
    report = costs.report(0)
    assert report.latency_s is report.energy_j is report.ram_bytes is report.flash_bytes is None
    assert rule in report.unsupported[0].rule
