"""Formulas in a target file: they price as a registered form does, and what is wrong in them is named."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hannah_hw as hw
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form, priced_kinds
from hannah_hw.errors import TargetError
from hannah_hw.targets import parse_target

HEAD = """
format: hannah-target/2
name: written
title: An array as formulas
document: this test
clock_hz: 1 MHz
params: {side: {choice: [4, 8, 16], default: 8}}
array:
  dims: {rows: "${side}", columns: "${side}"}
  mac_pj: {value: 0.5, source: assumed, reference: this test}
memories:
  - name: buffer
    size: 64 KiB
    holds: [I, W, O]
    served: [rows, columns]
    ports: [{name: port, kind: read_write, max_bits: 64}]
    read_pj: {value: 10, source: assumed, reference: this test}
ops: [{match: [conv, linear, add]}]
unsupported: error
"""
MODEL = """
model:
  kind: closed_form
  settings: {setup: {value: 12, source: assumed, reference: this test}}
  let: {window: in_channels // groups * kernel_h * kernel_w}
  layers:
    - match: [conv, linear]
      when: [groups < 100]
      let:
        filters: out_channels // groups
        folds: ceil(window / rows) * ceil(filters / columns)
      cycles:
        array: groups * (folds * (2 * rows + columns + out_h * out_w - 2) - 1)
        setup: setup
      energy_pj: macs * mac_pj + weights * weight_bits / buffer_read_bits * buffer_read_pj
    - match: conv
      cycles: macs / 2
    - match: add
      cycles: where(operands > 2, 1 / (operands - 3), out_w / columns)
"""


def layers_like(values):
    c, k, h, w, f = values
    return Layers.of(
        "conv", in_channels=c, out_channels=k, out_h=h, out_w=w, kernel_h=f, kernel_w=f, weights=c * k * f * f,
        macs=c * k * f * f * h * w,
    )  # fmt: skip


#: Side of the array -> target with formulas and target with the registered form.
PAIRS = {
    side: tuple(
        parse_target(HEAD + model).with_params({"side": side})
        for model in (MODEL, "model: {kind: closed_form, form: weight_stationary}")
    )
    for side in (4, 16)
}


@given(
    st.lists(st.tuples(*[st.integers(1, 40)] * 4, st.integers(1, 5)), min_size=1, max_size=5),
    st.sampled_from(sorted(PAIRS)),
)
def test_formulas_price_as_the_registered_form_does(shapes, side):
    written, registered = PAIRS[side]
    for shape in shapes:
        layer = layers_like(shape)
        own = price_closed_form(layer, written)
        assert own.cycle_parts["array"][0] == price_closed_form(layer, registered).cycles[0]
        assert own.cycles[0] == own.cycle_parts["array"][0] + 12
        assert own.energy_pj[0] == pytest.approx(layer["macs"][0] * 0.5 + layer["weights"][0] * 8 / 64 * 10)


def test_layers_of_many_kinds_are_priced_together_and_refused_by_name():
    target = parse_target(HEAD + MODEL)
    kinds = ["conv", "add", "conv", "add", "linear", "matmul"]
    layers = Layers.of(
        kinds,
        groups=[1, 1, 200, 1, 1, 1],
        operands=[1, 2, 1, 3, 1, 2],
        in_channels=200,
        out_channels=200,
        macs=6,
        out_w=4,
    )
    costs = price_closed_form(layers, target)
    reasons = [None if index < 0 else costs.rules[index] for index in costs.failed]
    assert reasons == [
        None,
        None,
        None,
        "add: the formula 'where(operands > 2, 1 / (operands - 3), out_w / columns)' gives no number of at least 0",
        None,
        "matmul: the target has no formula for this layer",
    ]
    assert np.isnan(costs.cycles[[3, 5]]).all()
    # The second entry of a kind prices what the first does not, without an energy.
    assert costs.cycles[2] == 3
    assert costs.cycles[1] == 4 / 8
    assert np.isnan(costs.energy_pj[[1, 2]]).all()
    assert np.isfinite(costs.energy_pj[[0, 4]]).all()
    assert set(priced_kinds(target)) == {"conv", "linear", "add"}


def test_a_network_is_priced_by_the_formulas_of_a_file(tmp_path):
    path = tmp_path / "written.yaml"
    path.write_text(
        HEAD.replace("[conv, linear, add]", "[conv, linear, add, avg_pool]")
        + MODEL
        + "    - {match: avg_pool, cycles: out_channels}\n"
    )
    space = hw.load_space("tc_resnet")
    report = hw.estimate(space.candidate(space.default()), hw.load_target(path))
    assert report.unsupported == ()
    assert report.cycles == sum(kernel.cycles for kernel in report.kernels)
    assert next(k.cycles for k in report.kernels if k.kind == "avg_pool") == 24


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("macs / 2", "mac / 2", "did you mean 'macs'"),
        ("macs / 2", "macs / ", "is not a formula"),
        ("macs / 2", "macs if 1 else 2", "is not a number or a name"),
        ("macs / 2", "__import__('os')", "is not a function call that is known"),
        ("macs / 2", "buffer_write_pj", "reads 'buffer_write_pj', of which the file says nothing"),
        ("groups < 100", "groops < 100", "did you mean 'groups'"),
        ("setup: {value: 12", "macs: {value: 12", "'macs' is a column or a function already"),
        ("filters: out_channels // groups", "filters: folds", "reads the unknown name 'folds'"),
        ("match: add", "match: ad", "unknown kernel kind 'ad'"),
        ("kind: closed_form", "kind: closed_form\n  form: channel_array", "give either 'form'"),
        ("kind: closed_form", "kind: closed_form\n  colour: red", "colour"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old, new, message):
    with pytest.raises(TargetError, match=message.replace("(", "\\(")) as caught:
        parse_target(HEAD + MODEL.replace(old, new, 1), "mine.yaml")
    # File, line and field of the mistake.
    assert re.match(r"mine\.yaml:\d+:\d+ model", caught.value.where)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{kind: closed_form, form: ultratrial}", "unknown closed form 'ultratrial'"),
        ("{kind: closed_form, form: max7800}", "did you mean 'max78000'"),
        ("{kind: closed_form}", "give either 'form'"),
        ("{kind: closed_form, form: gap9}", "needs the settings layer_cycles"),
    ],
)
def test_a_form_that_there_is_not_is_named(model, message):
    with pytest.raises(TargetError, match=message):
        parse_target(HEAD + f"model: {model}")


def test_an_array_of_another_shape_says_which_is_needed():
    text = HEAD.replace('{rows: "${side}", columns: "${side}"}', '{rows: "${side}"}').replace(
        "[rows, columns]", "[rows]"
    )
    with pytest.raises(TargetError, match="an array with two dimensions"):
        parse_target(text + "model: {kind: closed_form, form: output_stationary}")
