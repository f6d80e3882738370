"""Every kernel kind on every target with a closed form: a price, or a rule that says why not; never nothing."""

import numpy as np
import pytest

from hannah_hw import load_target
from hannah_hw.cost import price
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form, priced_kinds
from hannah_hw.cost.closed_form.model import REGISTERED
from hannah_hw.targets import Accelerator, list_targets
from hannah_hw.targets.models.closed_form import FORMS
from hannah_hw.workload import KERNEL_COLUMNS, KERNEL_KINDS, Buffers, Kernels, Workload

TARGETS = [
    target
    for target in map(load_target, list_targets())
    if isinstance(target, Accelerator) and target.kind == "closed_form"
]


def columns_of(kind, **special):
    table = {"in_channels": 8, "out_channels": 8, "in_h": 4, "in_w": 4, "out_h": 4, "out_w": 4}
    if kind in ("conv", "conv_transpose", "linear"):
        table |= {"weights": 64, "bias": 8, "macs": 64 * 16}
    if kind == "linear":
        table |= dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), 1)
    if kind in ("add", "mul", "matmul"):
        table["operands"] = 2
    return {**KERNEL_COLUMNS, **table, **special}


#: Shapes that chips treat apart.
SHAPES = {
    "depthwise": ("conv", {"groups": 8, "kernel_h": 3, "kernel_w": 3, "weights": 72, "macs": 72 * 16}),
    "grouped": ("conv", {"groups": 2, "kernel_h": 3, "kernel_w": 3, "weights": 288, "macs": 288 * 16}),
    "one dimension": ("conv", {"in_h": 1, "out_h": 1, "kernel_w": 3, "weights": 192, "macs": 192 * 4}),
    "transposed": (
        "conv_transpose",
        {"kernel_h": 3, "kernel_w": 3, "stride_h": 2, "stride_w": 2, "out_h": 8, "out_w": 8},
    ),
    "pool": (
        "max_pool",
        {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2, "out_h": 2, "out_w": 2},
    ),
    **{kind: (kind, {}) for kind in KERNEL_KINDS},
}


def priced(target, kind, columns):
    kernels = Kernels(
        (kind,), (kind,), np.ones((1, 1), bool), {k: np.array([[v]]) for k, v in columns.items()}
    )
    sizes = np.array(
        [[columns[f"{s}_channels"] * columns[f"{s}_h"] * columns[f"{s}_w"] for s in ("in", "out")]]
    )
    zeros = np.zeros_like(sizes)
    buffers = Buffers(("input", kind), ("input", "activation"), sizes, zeros, zeros, zeros > 0)
    return price(Workload(kernels, buffers, np.ones((1, 2), bool)), target)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_it_has_a_price_or_a_named_rule(target, shape):
    kind, special = SHAPES[shape]
    costs = priced(target, kind, columns_of(kind, **special))
    if costs.supported[0]:
        assert costs.cycles[0] > 0
        assert np.isfinite(costs.latency_s[0])
    else:
        assert np.isnan(costs.cycles[0])
        assert costs.rules[costs.failed_rules[0, 0]].startswith(f"{kind}: ")


#: What the chips are known to run.
RUNS = {
    "ultratrail": {"one dimension", "linear", "add", "concat"},
    "max78000": {"one dimension", "conv", "transposed", "linear", "pool", "add", "concat", "softmax"},
    "gap9": set(SHAPES),
    "gemmini_ws16": set(SHAPES),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_a_chip_is_known_to_run_is_priced(target):
    supported = {
        shape
        for shape, (kind, special) in SHAPES.items()
        if priced(target, kind, columns_of(kind, **special)).supported[0]
    }
    assert supported >= RUNS[target.name]


def test_registered_forms_are_those_that_files_may_name():
    assert set(REGISTERED) == set(FORMS)


def test_a_kind_that_a_form_does_not_know_fails_a_rule_of_its_own():
    target = load_target("ultratrail")
    costs = price_closed_form(Layers.of(["conv", "add", "softmax", "add"], weights=1, macs=1), target)
    reasons = [None if index < 0 else costs.rules[index] for index in costs.failed]
    add = "add: the closed form 'channel_array' has no price for this operator"
    assert reasons == [None, add, add.replace("add", "softmax", 1), add]
    assert np.isnan(costs.cycles[1:]).all()
    assert "add" not in priced_kinds(target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_layers_are_priced_alike_alone_and_together(target):
    rng = np.random.default_rng(0)
    count = 40
    columns = {
        name: rng.integers(1, 12, count)
        for name in (
            "in_channels",
            "out_channels",
            "in_h",
            "in_w",
            "out_h",
            "out_w",
            "kernel_h",
            "kernel_w",
            "weights",
            "macs",
        )
    }
    kinds = rng.choice(sorted(set(priced_kinds(target))), count).tolist()
    layers = Layers.of(kinds, **columns)
    together = price_closed_form(layers, target)
    for i in range(count):
        alone = price_closed_form(layers.at(np.array([i])), target)
        np.testing.assert_array_equal(alone.cycles[0], together.cycles[i])
        np.testing.assert_array_equal(alone.energy_pj[0], together.energy_pj[i])
