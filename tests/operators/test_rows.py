"""What kernels say of themselves to cost models, by hand; torch counts the same multiply-accumulates."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hannah_hw import SearchSpace, Tensor, operators
from hannah_hw.executors import BasicExecutor
from hannah_hw.workload import KERNEL_COLUMNS
from tests.blocks import kernels_of

IMAGE = Tensor("x", (1, 6, 4, 5))
HEADS = Tensor("x", (1, 2, 3, 7))  # two heads, three positions, seven channels


def sizes(channels, height, width, out=None):
    """The columns of sizes of a kernel."""
    columns = dict(zip(("in_channels", "in_h", "in_w"), (channels, height, width), strict=True))
    return columns | dict(
        zip(("out_channels", "out_h", "out_w"), out or (channels, height, width), strict=True)
    )


ROWS = {
    "sigmoid": (operators.Sigmoid()(IMAGE), sizes(6, 4, 5)),
    "hard_sigmoid": (operators.HardSigmoid()(IMAGE), sizes(6, 4, 5)),
    "hard_swish": (operators.HardSwish()(IMAGE), sizes(6, 4, 5)),
    "scale": (operators.Scale(2)(IMAGE), sizes(6, 4, 5)),
    "mul": (operators.Mul()(IMAGE, IMAGE), {**sizes(6, 4, 5), "operands": 2}),
    "mul a channel": (
        operators.Mul()(IMAGE, operators.AdaptiveAvgPooling(1)(IMAGE)),
        {**sizes(6, 4, 5), "operands": 2, "groups": 6},
    ),
    "concat": (
        operators.Concat()(IMAGE, IMAGE, IMAGE),
        {**sizes(6, 4, 5, (18, 4, 5)), "operands": 3},
    ),
    "concat of widths": (operators.Concat(-1)(IMAGE, IMAGE), {**sizes(6, 4, 5, (6, 4, 10)), "operands": 2}),
    "slice": (operators.Slice(1, 2, 3)(IMAGE), sizes(6, 4, 5, (3, 4, 5))),
    "permute": (operators.Permute((0, 3, 1, 2))(IMAGE), sizes(6, 4, 5, (5, 6, 4))),
    "permute of five dimensions": (
        operators.Permute((0, 2, 1, 3, 4))(operators.Reshape((2, 3, 4, 5))(IMAGE)),
        sizes(2, 12, 5, (3, 8, 5)),
    ),
    "pad": (
        operators.ZeroPad((0, 1, 2, 3))(IMAGE),
        {**sizes(6, 4, 5, (6, 6, 9)), "pad_left": 1, "pad_bottom": 2, "pad_right": 3},
    ),
    "upsample": (
        operators.Upsample((2, 3))(IMAGE),
        {**sizes(6, 4, 5, (6, 8, 15)), "groups": 6},
    ),
    "upsample between values": (
        operators.Upsample(2, "bilinear")(IMAGE),
        {**sizes(6, 4, 5, (6, 8, 10)), "groups": 6, "kernel_h": 2, "kernel_w": 2},
    ),
    "softmax": (operators.Softmax()(HEADS), sizes(7, 1, 6)),
    "layer_norm": (
        operators.LayerNorm(-1)(HEADS, Tensor("scale", (7,)), Tensor("offset", (7,))),
        {**sizes(7, 1, 6), "weights": 7, "bias": 7},
    ),
    "layer_norm of images": (
        operators.LayerNorm(1)(IMAGE, Tensor("scale", (6, 4, 5))),
        {**sizes(120, 1, 1), "weights": 120},
    ),
    "matmul": (
        # Per head (3, 7) times (7, 3).
        operators.MatMul()(HEADS, operators.Permute((0, 1, 3, 2))(HEADS)),
        {**sizes(14, 1, 3, (6, 1, 3)), "groups": 2, "operands": 2, "macs": 2 * 3 * 7 * 3},
    ),
    "conv_transpose": (
        operators.ConvTranspose2d(2, 1, 1, groups=3)(
            IMAGE, Tensor("weight", (6, 2, 3, 3), grad=True), Tensor("bias", (6,), grad=True)
        ),
        {
            **sizes(6, 4, 5, (6, 8, 10)),
            **dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), 1),
            **dict.fromkeys(("kernel_h", "kernel_w"), 3),
            **dict.fromkeys(("stride_h", "stride_w"), 2),
            "groups": 3,
            "weights": 108,
            "bias": 6,
            "macs": 108 * 20,
        },
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_columns(case):
    net, expected = ROWS[case]
    candidate = SearchSpace(net).candidate({})
    row = kernels_of(candidate.workload())[-1]
    assert row.pop("name") == net.id
    assert row.pop("kind") == case.split()[0]
    assert row == {**KERNEL_COLUMNS, **expected}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        BasicExecutor(candidate).eval()(torch.zeros(candidate.plan.inputs[0].shape()))
    assert counter.get_total_flops() == 2 * candidate.macs == 2 * expected.get("macs", 0)


@pytest.mark.parametrize("kind", ["reshape", "dropout", "flatten", "identity"])
def test_views_write_nothing(kind):
    op = {"reshape": operators.Reshape((-1, 2)), "dropout": operators.Dropout()}.get(kind)
    view = (op or getattr(operators, kind.capitalize())())(IMAGE)
    table = SearchSpace(operators.Softmax()(view)).candidate({}).workload()
    assert table.kernels.kinds == ("softmax",)
    assert table.buffers.bytes.tolist() == [[120, 120]]


@pytest.mark.parametrize(("kind", "fuses"), [("mul", True), ("conv_transpose", True), ("concat", False)])
def test_clamps_fuse_where_integer_kernels_clamp(kind, fuses):
    table = SearchSpace(operators.Relu6()(ROWS[kind][0])).candidate({}).workload()
    assert table.kernels.kinds == ((kind,) if fuses else (kind, "activation"))
    assert table.kernels["activation"][0].tolist() == ([2] if fuses else [0, 2])


def test_dropout_drops_while_training_only():
    module = BasicExecutor(operators.Dropout(0.25)(IMAGE))
    torch.manual_seed(0)
    x = torch.ones(64, 6, 4, 5)
    y = module.train()(x)
    assert sorted(y.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert float((y == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(module.eval()(x), x, rtol=0, atol=0)
