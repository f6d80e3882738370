"""Networks on an Ethos-U: memory by hand, the compiler's order, and the compiler itself on the same networks."""

import numpy as np
import pytest

import hannah_hw
from hannah_hw import Tensor, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.lowering import lower
from hannah_hw.cost.block.memory import stored
from hannah_hw.cost.block.model import Prepared, price_operations, processor
from hannah_hw.cost.block.network import price_networks
from hannah_hw.cost.block.order import execution_order, reordered
from hannah_hw.cost.block.sequence import Run, settle
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Add,
    AvgPooling,
    Concat,
    HardSwish,
    MaxPooling,
    Mul,
    Relu,
    Sigmoid,
    Softmax,
    Upsample,
)
from hannah_hw.spaces import SearchSpace
from hannah_hw.targets import load_target


@search_space
def branches():
    """A residual block with a convolution in its shorter branch."""
    x = Tensor("input", (1, 3, 16, 16), axis=("N", "C", "H", "W"))
    x = Relu()(batch_norm(conv2d(x, 16, 3, padding="same")))
    main = batch_norm(conv2d(x, 24, 3, padding="same"))
    skip = batch_norm(conv2d(x, 24, 1))
    return Relu()(Add()(main, skip))


@search_space
def mixture():
    """Layers of many shapes, one after the other."""
    x = Tensor("input", (1, 3, 40, 40), axis=("N", "C", "H", "W"))
    x = Relu()(batch_norm(conv2d(x, 24, 5, 2, padding="same")))
    x = Relu()(batch_norm(conv2d(x, 24, 3, groups=24, padding="same")))
    x = Relu()(batch_norm(conv2d(x, 40, 1)))
    x = MaxPooling(2, 2)(x)
    main = Relu()(batch_norm(conv2d(x, 56, 3, padding="same")))
    main = batch_norm(conv2d(main, 40, 1))
    x = Relu()(Add()(main, x))
    x = AvgPooling(2, 2)(x)
    x = Relu()(batch_norm(conv2d(x, 72, 3, 2, padding="same")))
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 10))


@search_space
def tables():
    """A gate: groups, a concatenation, a sigmoid that the convolution before it applies, and an upsampling."""
    x = Tensor("input", (1, 3, 12, 12), axis=("N", "C", "H", "W"))
    x = HardSwish()(batch_norm(conv2d(x, 16, 3, padding="same")))
    joined = Concat(1)(batch_norm(conv2d(x, 16, 3, padding="same")), batch_norm(conv2d(x, 16, 1)))
    x = Relu()(batch_norm(conv2d(joined, 32, 3, groups=4, padding="same")))
    x = Mul()(x, Sigmoid()(batch_norm(conv2d(x, 32, 1))))
    return batch_norm(conv2d(Upsample(2)(x), 8, 3, padding="same"))


def workload_of(space):
    made = SearchSpace(space())
    return made.candidate(made.default()).workload()


def test_branch_that_is_written_last_runs_first():
    workload = workload_of(branches)
    order = execution_order(workload)
    names = [workload.kernels.names[k] for k in order]
    writes = {name: position for position, name in enumerate(names)}
    convs = [
        name
        for name, kind in zip(workload.kernels.names, workload.kernels.kinds, strict=True)
        if kind == "conv"
    ]
    assert sorted(order.tolist()) == list(range(len(names)))
    assert writes[convs[0]] < writes[convs[2]] < writes[convs[1]]


def test_lives_of_buffers_follow_the_order():
    workload = workload_of(branches)
    order = execution_order(workload)
    moved = reordered(workload, order)
    place = {int(k): position for position, k in enumerate(order)}
    for b, name in enumerate(workload.buffers.names):
        readers = [
            place[k] for k in range(len(order)) if workload.reads[k, b] and workload.kernels.names[k] != name
        ]
        if readers:
            assert moved.buffers.last[0, b] == max(readers)
    same = reordered(workload, np.arange(len(order)))
    assert (same.buffers.last == workload.buffers.last).all()


def test_buffers_are_whole_bricks_but_for_inputs_and_outputs():
    workload = workload_of(branches)
    found = stored(workload)
    sizes = dict(zip(workload.buffers.names, found.bytes[0].tolist(), strict=True))
    kinds = dict(zip(workload.kernels.names, workload.kernels.kinds, strict=True))
    inputs = [b for b, kind in enumerate(workload.buffers.kinds) if kind == "input"]
    assert found.bytes[0, inputs].tolist() == [16 * 16 * 3]
    convs = [sizes[name] for name, kind in kinds.items() if kind == "conv"]
    # 24 channels between layers are two bricks of 16; the result of the network is stored row by row.
    assert convs == [16 * 16 * 16, 16 * 16 * 32, 16 * 16 * 32]
    assert [sizes[name] for name, kind in kinds.items() if kind == "add"] == [16 * 16 * 24]


def everything_in_sram(name):
    target = load_target(name)
    changed = {"feature_maps": "sram", "constants": "sram", "staging_bytes": None}
    return target.model_copy(update={"model": target.model.model_copy(update=changed)})


def test_sram_peak_by_hand():
    # Without copies of weights the peak is the addition: both operands are 32 channels deep, its result is stored row
    # by row and so cannot lie over one of them.
    costs = price_networks(workload_of(branches), everything_in_sram("ethos_u55_128"))
    assert costs.ram_bytes.tolist() == [16 * 16 * (32 + 32 + 24)]


@pytest.mark.parametrize(("name", "channels"), [("ethos_u55_256", 112), ("ethos_u65_512", 144)])
def test_operations_settle_to_what_one_after_the_other_takes(name, channels):
    # Each of these copies its weights under the end of the one before, so that a change runs through all of them.
    count, size = 24, 12
    weights = channels * channels * 9
    layers = Layers.of(
        "conv",
        **dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), size),
        **dict.fromkeys(("in_channels", "out_channels"), channels),
        **dict.fromkeys(("kernel_h", "kernel_w"), 3),
        **dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1),
        weights=weights,
        bias=channels,
        macs=weights * size * size,
        input_on_chip=1,
        output_on_chip=1,
    )
    npu, encoding = processor(load_target(name))
    operations = lower(layers, npu.spills)
    run = Run.of(operations["layer"], 1, np.zeros(count, np.int64), np.zeros(count, np.int64))
    settled = settle(operations, npu, encoding, run)
    alone, slack, expected = Prepared.of(operations, npu, encoding), np.zeros(1, np.int64), []
    slacks = []
    for position in range(count):
        priced = price_operations(alone, slack, np.array([position == 0]))
        expected.append((int(priced.total[0]), int(priced.plan.buffer_bytes[0])))
        slack = priced.plan.last_slice
        slacks.append(int(slack[0]))
    assert list(zip(settled.cycles.tolist(), settled.buffer_bytes.tolist(), strict=True)) == expected
    # The end of the tenth operation still is another than that of the ninth.
    assert slacks[9] != slacks[8]


def test_larger_weights_never_make_a_network_faster():
    target = load_target("ethos_u55_256")
    workload = workload_of(mixture)
    cycles = [price_networks(workload, target, Encoding(bits, bits)).cycles[0] for bits in (1, 4, 8)]
    assert cycles == sorted(cycles)


def test_candidates_cost_the_same_alone_and_in_a_population():
    space = hannah_hw.load_space("ds_cnn")
    population = space.sample_population(6, seed=3)
    workload = space.workload(population)
    target = load_target("ethos_u65_256")
    together = price_networks(workload, target)
    alone = [price_networks(workload.candidate(index), target) for index in range(6)]
    assert together.cycles.tolist() == [costs.cycles[0] for costs in alone]
    assert together.ram_bytes.tolist() == [costs.ram_bytes[0] for costs in alone]


def test_the_multipliers_in_use_are_those_of_the_cycles_that_are_shown():
    report = hannah_hw.estimate(workload_of(mixture), load_target("ethos_u55_128"))
    rows = [row for row in report.kernels if row.utilisation is not None]
    assert any("neighbours" in row.cycle_parts for row in rows)
    for row in rows:
        assert row.utilisation == pytest.approx(row.macs / (row.cycles * 128))


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (mixture, "ethos_u55_256"),
        (mixture, "ethos_u65_512"),
        (branches, "ethos_u55_64"),
        (tables, "ethos_u65_256"),
    ],
)
def test_the_compiler_itself_states_the_same(space, name):
    pytest.importorskip("ethosu.vela")
    pytest.importorskip("tflite")
    from hannah_hw.measure.vela import compile_with_vela

    made = SearchSpace(space())
    candidate = made.candidate(made.default())
    target = load_target(name)
    measured = compile_with_vela(candidate, target)
    costs = price_networks(candidate.workload(), target)
    assert costs.cycles[0] == pytest.approx(measured.value("cycles"), rel=0.05)
    assert costs.ram_bytes[0] == pytest.approx(measured.value("ram_bytes"), rel=0.05)
    assert costs.flash_bytes[0] == pytest.approx(measured.flash["constants"], rel=0.08)
