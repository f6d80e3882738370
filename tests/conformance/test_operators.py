"""What every operator must keep: one shape, one value and one Workload, whoever looks.

The symbolic shape, the shape that torch executes and the shape that ONNX infers are equal; ONNX Runtime computes
what torch computes; the file read back is the same Workload.
"""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

import hannah_hw.operators as operators
from hannah_hw import CategoricalParameter, IntScalarParameter, Op, SearchSpace, Tensor, lazy, to_onnx
from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.graph import resolve
from hannah_hw.lowering import read_onnx
from tests.blocks import AXES, buffers_of, kernels_of, randomised, run_onnx


def number(draw, low, high, name):
    """A number, or a parameter that has it as its default."""
    value = draw(st.integers(low, high))
    return IntScalarParameter(low, high, name=name, default=value) if draw(st.booleans()) else value


def per_dimension(draw, rank, low, high, name):
    """One for all dimensions, or one each."""
    if draw(st.booleans()):
        return number(draw, low, high, name)
    return tuple(number(draw, low, high, f"{name}{i}") for i in range(rank))


def padding(draw, rank, high=2):
    return draw(
        st.one_of(
            st.sampled_from([None, "same", "valid"]),
            st.integers(0, high),
            st.tuples(*[st.integers(0, high)] * rank),
            st.tuples(*[st.integers(0, high)] * 2 * rank),
        )
    )


def image(draw, rank, channels, low=3, high=8):
    sizes = [number(draw, low, high, f"size{i}") for i in range(rank)]
    return Tensor("input", (1, channels, *sizes), axis=AXES[rank + 2])


def weight(name, *shape, grad=True, bits=None):
    return Tensor(name, shape, grad=grad, bits=bits)


def kernel_weight(draw, *shape):
    return weight("weight", *shape, bits=draw(st.sampled_from([None, None, 1, 2, 5, 16, 32])))


def convolution(kind, rank):
    def build(draw):
        groups = draw(st.sampled_from([1, 2, 3]))
        per_group = draw(st.sampled_from([1, 1, 2]))
        out = draw(st.integers(1, 3)) * groups
        x = image(draw, rank, groups * per_group)
        kernel = [number(draw, 1, 4, f"kernel{i}") for i in range(rank)]
        bias = [weight("bias", out)] if draw(st.booleans()) else []
        op = kind(
            stride=per_dimension(draw, rank, 1, 3, "stride"),
            dilation=per_dimension(draw, rank, 1, 2, "dilation"),
            groups=groups,
            padding=padding(draw, rank),
        )
        return op(x, kernel_weight(draw, out, per_group, *kernel), *bias)

    return build


def pooling(kind, dilations):
    def build(draw):
        rank = draw(st.sampled_from([1, 2]))
        op = kind(
            kernel_size=per_dimension(draw, rank, 1, 4, "kernel"),
            stride=per_dimension(draw, rank, 1, 3, "stride"),
            dilation=per_dimension(draw, rank, 1, dilations, "dilation") if dilations > 1 else 1,
            padding=padding(draw, rank, high=1),
        )
        return op(image(draw, rank, 2))

    return build


def adaptive(draw):
    rank = draw(st.sampled_from([1, 2]))
    outputs = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    sizes = [output * draw(st.integers(1, 3)) for output in outputs]
    if len(set(outputs)) == 1 and draw(st.booleans()):
        outputs = outputs[0]
    return operators.AdaptiveAvgPooling(outputs)(Tensor("input", (1, 3, *sizes)))


def any_rank(draw, low=0):
    rank = draw(st.integers(low, 2))
    return image(draw, rank, number(draw, 1, 4, "channels"))


def batch_norm(draw):
    x = any_rank(draw)
    names = ["running_mean", "running_var", *(["weight", "bias"] if draw(st.booleans()) else [])]
    return operators.BatchNorm(epsilon=draw(st.sampled_from([1e-5, 1e-2])))(
        x, *(weight(n, x.shape()[1], grad=n in ("weight", "bias")) for n in names)
    )


def linear(draw):
    x = any_rank(draw)
    features = 1
    for size in x.shape()[1:]:
        features = features * size
    out = number(draw, 1, 5, "out")
    bias = [weight("bias", out)] if draw(st.booleans()) else []
    return operators.Linear()(x, kernel_weight(draw, features, out), *bias)


def add(draw):
    x = any_rank(draw)
    other = x if draw(st.booleans()) else operators.Relu()(x)
    return operators.Add()(*draw(st.permutations([x, other])), *([x] if draw(st.booleans()) else []))


def transposed(kind, rank):
    def build(draw):
        groups = draw(st.sampled_from([1, 2, 3]))
        out = draw(st.integers(1, 3))
        x = image(draw, rank, groups * draw(st.integers(1, 2)), high=5)
        kernel = [number(draw, 1, 4, f"kernel{i}") for i in range(rank)]
        bias = [weight("bias", out * groups)] if draw(st.booleans()) else []
        stride = per_dimension(draw, rank, 1, 3, "stride")
        dilation = per_dimension(draw, rank, 1, 2, "dilation")
        steps = lazy(stride) if isinstance(stride, tuple) else (lazy(stride),)
        side = st.integers(0, 1)
        op = kind(
            stride=stride,
            dilation=dilation,
            groups=groups,
            padding=draw(st.one_of(side, st.tuples(*[side] * rank), st.tuples(*[side] * 2 * rank))),
            output_padding=per_dimension(draw, rank, 0, min(2, *steps) - 1, "output_padding"),
        )
        return op(x, kernel_weight(draw, x.shape()[1], out, *kernel), *bias)

    return build


def mul(draw):
    x = any_rank(draw)
    same = operators.Sigmoid()(x)
    pooled = operators.AdaptiveAvgPooling(1)(x) if len(x.shape()) > 2 else same
    second = draw(st.sampled_from([x, same, pooled, operators.Flatten()(pooled)]))
    return operators.Mul()(x, second)


def scale(draw):
    return operators.Scale(number(draw, 1, 9, "factor"), draw(st.sampled_from([1.0, -0.5, -1.0])))(
        any_rank(draw)
    )


def concat(draw):
    x = any_rank(draw)
    axis = draw(st.integers(1, len(x.shape()) - 1))
    parts = [x, operators.Sigmoid()(x), operators.Slice(axis, 0, 1)(x)]
    chosen = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3))
    return operators.Concat(draw(st.sampled_from([axis, axis - len(x.shape())])))(x, *chosen)


def part(draw):
    x = any_rank(draw)
    axis = draw(st.integers(1, len(x.shape()) - 1))
    whole = lazy(x.shape()[axis])
    begin = number(draw, 0, whole - 1, "begin")
    size = number(draw, 1, whole - lazy(begin), "size")
    return operators.Slice(draw(st.sampled_from([axis, axis - len(x.shape())])), begin, size)(x)


def permute(draw):
    x = any_rank(draw)
    if draw(st.booleans()):
        x = operators.Reshape((1, *x.shape()[1:]))(x)
    return operators.Permute((0, *draw(st.permutations(range(1, len(x.shape()))))))(x)


def reshape(draw):
    x = any_rank(draw)
    sizes = list(draw(st.permutations([*x.shape()[1:], 1])))
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return operators.Reshape(tuple(sizes))(x)


def zero_pad(draw):
    rank = draw(st.sampled_from([1, 2]))
    sides = [number(draw, 0, 2, f"side{i}") for i in range(2 * rank)]
    return operators.ZeroPad(draw(st.sampled_from([sides[0], tuple(sides[:rank]), tuple(sides)])))(
        image(draw, rank, 2)
    )


def softmax(draw):
    x = any_rank(draw)
    return operators.Softmax()(operators.Reshape((1, *x.shape()[1:]))(x) if draw(st.booleans()) else x)


def upsample(draw):
    rank = draw(st.sampled_from([1, 2]))
    mode = draw(st.sampled_from(["nearest", "bilinear"]))
    return operators.Upsample(per_dimension(draw, rank, 1, 3, "scale"), mode)(image(draw, rank, 2, 1, 4))


def layer_norm(draw):
    x = any_rank(draw)
    rank = len(x.shape())
    axis = draw(st.integers(1, rank - 1))
    names = ["scale", "offset"] if draw(st.booleans()) else ["scale"]
    op = operators.LayerNorm(draw(st.sampled_from([axis, axis - rank])), draw(st.sampled_from([1e-5, 1e-2])))
    return op(x, *(weight(name, *x.shape()[axis:]) for name in names))


def matmul(draw):
    x = image(draw, draw(st.sampled_from([1, 2])), 2)
    order = [*range(len(x.shape()) - 2), len(x.shape()) - 1, len(x.shape()) - 2]
    other = operators.Permute(order)(x)
    if draw(st.booleans()):
        other = operators.Slice(-1, 0, number(draw, 1, 2, "columns"))(other)
    return operators.MatMul()(x, other)


def quantised(kind):
    def build(draw):
        x = any_rank(draw)
        signed = draw(st.booleans())
        widths = [2 if signed else 1, 3, 8, 16, 32]
        bits = draw(st.sampled_from([*widths, CategoricalParameter(widths, name="bits")]))
        if draw(st.booleans()):
            x = operators.Relu()(x)
        return kind(bits, signed)(x, weight("running_max", 1, grad=False))

    return build


CASES = {
    "AdaptiveAvgPooling": adaptive,
    "Add": add,
    "AvgPooling": pooling(operators.AvgPooling, 1),
    "BatchNorm": batch_norm,
    "Concat": concat,
    "Conv1d": convolution(operators.Conv1d, 1),
    "Conv2d": convolution(operators.Conv2d, 2),
    "ConvTranspose1d": transposed(operators.ConvTranspose1d, 1),
    "ConvTranspose2d": transposed(operators.ConvTranspose2d, 2),
    "Dropout": lambda draw: operators.Dropout(draw(st.floats(0, 1)))(any_rank(draw)),
    "Flatten": lambda draw: operators.Flatten()(any_rank(draw)),
    "HardSigmoid": lambda draw: operators.HardSigmoid()(any_rank(draw)),
    "HardSwish": lambda draw: operators.HardSwish()(any_rank(draw)),
    "Identity": lambda draw: operators.Identity()(any_rank(draw)),
    "LayerNorm": layer_norm,
    "Linear": linear,
    "MatMul": matmul,
    "MaxPooling": pooling(operators.MaxPooling, 2),
    "Mul": mul,
    "Permute": permute,
    "Quantize": quantised(operators.Quantize),
    "Relu": lambda draw: operators.Relu()(any_rank(draw)),
    "Relu6": lambda draw: operators.Relu6()(any_rank(draw)),
    "Requantize": quantised(operators.Requantize),
    "Reshape": reshape,
    "Scale": scale,
    "Sigmoid": lambda draw: operators.Sigmoid()(any_rank(draw)),
    "Slice": part,
    "Softmax": softmax,
    "Upsample": upsample,
    "ZeroPad": zero_pad,
}


def test_every_operator_has_a_case():
    exported = {
        name
        for name in operators.__all__
        if isinstance(value := getattr(operators, name), type) and issubclass(value, Op)
    }
    assert exported - {"Op"} == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(data=st.data())
def test_shapes_values_and_workload_agree(name, data):
    batch = data.draw(st.sampled_from([1, 3]))
    try:
        net = CASES[name](data.draw)
        expected = lazy(net.shape())
    except SpaceError:
        reject()  # a window that does not fit its input; tests/workload/test_exists.py is about those
    assume(all(size >= 1 for size in expected))
    space = SearchSpace(net)
    try:
        resolve(space.order, space.outputs, {})
    except SpaceError:
        reject()
    candidate = space.candidate({})
    module = randomised(candidate)
    op = candidate.plan.steps[-1].op
    if isinstance(op, operators.MaxPooling):
        kernel, begin, end = (op._window()[i] for i in (2, 5, 6))
        if any(max(sides) >= size for *sides, size in zip(begin, end, kernel, strict=True)):
            with pytest.raises(UnsupportedError, match="padding smaller than the window"):
                to_onnx(candidate)
            return
    model = to_onnx(candidate, module=module, batch=batch)
    (declared,) = candidate.plan.inputs
    x = torch.randn((batch, *declared.shape()[1:]), generator=torch.Generator().manual_seed(0)) * 4
    y = module(x).detach()

    assert candidate.plan.steps[-1].shape == expected
    assert tuple(y.shape) == (batch, *expected[1:])
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.output[0].type.tensor_type.shape.dim[:]
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert tuple(d.dim_value for d in dims) == tuple(y.shape)
    (computed,) = run_onnx(model, x)
    np.testing.assert_allclose(computed, y.numpy(), rtol=1e-4, atol=1e-4)

    read = read_onnx(to_onnx(candidate, module=module))
    assert read.foreign == {}
    if name not in ("Identity", "Dropout"):  # which the file writes as a node only to name the output
        assert kernels_of(read.workload(bits=8)) == kernels_of(candidate.workload())
        assert buffers_of(read.workload(bits=8)) == buffers_of(candidate.workload())
    assert read.workload(bits=8).macs[0] == candidate.macs


X4 = Tensor("x", (1, 4, 8, 8))
REFUSED = {
    "no operand": (operators.Conv2d(), "takes data, a weight"),
    "data of another rank": (lambda: operators.Conv1d()(X4, weight("w", 4, 4, 3)), "must have 3 dimensions"),
    "channels": (lambda: operators.Conv2d()(X4, weight("w", 8, 3, 3, 3)).shape(), "has 4 channels"),
    "groups": (lambda: operators.Conv2d(groups=2)(X4, weight("w", 5, 2, 3, 3)).shape(), "divide O"),
    "padding word": (
        lambda: operators.Conv2d(padding="full")(X4, weight("w", 4, 4, 3, 3)).shape(),
        "allowed: same",
    ),
    "padding length": (
        lambda: operators.Conv2d(padding=(1, 1, 1))(X4, weight("w", 4, 4, 3, 3)).shape(),
        "give None, 'same'",
    ),
    "stride length": (
        lambda: operators.Conv2d(stride=(1, 1, 1))(X4, weight("w", 4, 4, 3, 3)).shape(),
        "stride is",
    ),
    "features": (lambda: operators.Linear()(X4, weight("w", 255, 3)), "takes 255 features, but x has 256"),
    "matrix": (lambda: operators.Linear()(X4, weight("w", 256, 3, 1)), r"must be \(in, out\)"),
    "one summand": (lambda: operators.Add()(X4), "at least two"),
    "summands": (lambda: operators.Add()(X4, Tensor("y", (1, 4, 8, 4))), "adds values of one shape"),
    "summands of other ranks": (
        lambda: operators.Add()(X4, Tensor("y", (1, 4, 8))),
        "adds values of one shape",
    ),
    "statistics": (lambda: operators.BatchNorm()(X4, weight("mean", 4)), "running mean, running variance"),
    "pooled vector": (lambda: operators.MaxPooling(2)(Tensor("x", (1, 4))), "takes one operand of shape"),
    "dilated average": (lambda: operators.AvgPooling(2, dilation=2)(X4).shape(), "has no dilation"),
    "average of nothing": (lambda: operators.AvgPooling(1, padding=1)(X4).shape(), "reach no value"),
    "windows beside the data": (
        lambda: operators.MaxPooling(2, dilation=2)(Tensor("x", (1, 2, 1))).shape(),
        "reach no value",
    ),
    "uneven windows": (lambda: operators.AdaptiveAvgPooling(3)(X4).shape(), "no multiples"),
    "quantised data only": (lambda: operators.Quantize(4)(X4), "use hannah_hw.blocks.quantize"),
    "one signed bit": (lambda: operators.Quantize(1), "allowed are 2 to 16, and 32"),
    "no bits": (lambda: operators.Quantize(0, signed=False), "allowed are 1 to 16, and 32"),
    "half a bit": (lambda: operators.Quantize(4.5), "4.5 bits"),
    "some levels of a parameter": (
        lambda: operators.Quantize(IntScalarParameter(14, 18, name="bits")),
        "17 bits",
    ),
    "number as operand": (lambda: operators.Relu()(3), "must be a Tensor or an operator"),
    "one factor": (lambda: operators.Mul()(X4), "Mul takes data and what it is multiplied with"),
    "factors": (lambda: operators.Mul()(X4, Tensor("y", (1, 4, 8, 1))), "one number a channel"),
    "factors of other channels": (lambda: operators.Mul()(X4, Tensor("y", (1, 3))), "one number a channel"),
    "factors of other ranks": (lambda: operators.Mul()(X4, Tensor("y", (1, 4, 8))), "one number a channel"),
    "negative factor": (lambda: operators.Scale(-2)(X4).shape(), "must be positive"),
    "one part": (lambda: operators.Concat()(X4), "at least two"),
    "joined batches": (
        lambda: operators.Concat(0)(X4, X4),
        "axis 0 is the batch.*allowed: 1, 2, 3, -3, -2, -1",
    ),
    "parts": (lambda: operators.Concat()(X4, Tensor("y", (1, 4, 8, 4))), "differ only in dimension 1"),
    "parts of other ranks": (
        lambda: operators.Concat()(X4, Tensor("y", (1, 4, 8))),
        "one number of dimensions",
    ),
    "slice beyond the end": (lambda: operators.Slice(1, 2, 3)(X4).shape(), "3 of them from 2 on cannot"),
    "empty slice": (lambda: operators.Slice(1, 2, 0)(X4).shape(), "0 of them from 2 on cannot"),
    "axis of a slice": (lambda: operators.Slice(4, 0, 1)(X4).shape(), "the axis of Slice is 4"),
    "moved batch": (lambda: operators.Permute((1, 0, 2, 3))(X4).shape(), "batch, first"),
    "order": (lambda: operators.Permute((0, 1, 2))(X4).shape(), "the numbers from 0 to 3"),
    "reshape": (lambda: operators.Reshape((3, 64))(X4).shape(), r"cannot be read as \(3, 64\)"),
    "open reshape": (lambda: operators.Reshape((3, -1))(X4).shape(), "cannot be read as"),
    "two open sizes": (lambda: operators.Reshape((-1, -1)), "one may be -1"),
    "no sizes": (lambda: operators.Reshape(()), "give those behind the batch"),
    "cut sides": (lambda: operators.ZeroPad(-1)(X4).shape(), "no side may be negative"),
    "padding of a vector": (lambda: operators.ZeroPad(1)(Tensor("x", (1, 4))).shape(), r"takes \(N, C, L\)"),
    "padding by a word": (lambda: operators.ZeroPad("same"), "the padding of ZeroPad is 'same'"),
    "probability": (lambda: operators.Dropout(1.5)(X4).shape(), "it must be from 0 to 1"),
    "mode": (lambda: operators.Upsample(2, "bilnear"), "did you mean 'bilinear'"),
    "shrinking": (lambda: operators.Upsample(0)(X4).shape(), "a whole number from 1 to"),
    "half steps": (lambda: operators.Upsample(1.5)(X4).shape(), "a whole number from 1 to"),
    "upsampled vector": (lambda: operators.Upsample(2)(Tensor("x", (1, 4))).shape(), r"takes \(N, C, L\)"),
    "normalised batch": (
        lambda: operators.LayerNorm(0)(X4, weight("s", 1, 4, 8, 8)),
        "the axis of LayerNorm is 0",
    ),
    "normalised shape": (lambda: operators.LayerNorm(-1)(X4, weight("s", 4)), r"it must have \(8,\)"),
    "normalised dimensions": (lambda: operators.LayerNorm(-2)(X4, weight("s", 8)), r"it must have \(8, 8\)"),
    "weights of a normalisation": (lambda: operators.LayerNorm()(X4), "takes data, scale"),
    "one matrix": (lambda: operators.MatMul()(X4), "takes two values"),
    "matrices of other ranks": (lambda: operators.MatMul()(X4, Tensor("y", (1, 8, 8))), "takes two values"),
    "inner sizes": (lambda: operators.MatMul()(X4, Tensor("y", (1, 4, 7, 8))), "does not fit"),
    "numbers of matrices": (lambda: operators.MatMul()(X4, Tensor("y", (1, 2, 8, 8))), "does not fit"),
    "transposed channels": (
        lambda: operators.ConvTranspose2d()(X4, weight("w", 3, 4, 3, 3)).shape(),
        "has 4 channels",
    ),
    "transposed groups": (
        lambda: operators.ConvTranspose2d(groups=3)(X4, weight("w", 4, 2, 3, 3)).shape(),
        "the groups divide the channels",
    ),
    "output padding": (
        lambda: operators.ConvTranspose2d(stride=2, output_padding=2)(X4, weight("w", 4, 2, 3, 3)).shape(),
        "must be below the stride",
    ),
    "all cut off": (
        lambda: operators.ConvTranspose2d(padding=5)(X4, weight("w", 4, 2, 3, 3)).shape(),
        "does not fit into",
    ),
    "transposed padding by a word": (lambda: operators.ConvTranspose2d(padding="same"), "give one number"),
    "transposed image": (
        lambda: operators.ConvTranspose1d()(X4, weight("w", 4, 2, 3)),
        "must have 3 dimensions",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_operands_that_do_not_fit_are_refused(case):
    build, message = REFUSED[case]
    with pytest.raises(SpaceError, match=message):
        build()


def test_a_misfit_that_depends_on_parameters_is_refused_when_resolved():
    channels = IntScalarParameter(4, 8, name="channels")
    x = Tensor("x", (1, 4, 8, 8))
    net = operators.Add()(x, operators.Conv2d()(x, weight("w", channels, 4, 3, 3)))
    space = SearchSpace(net)
    assert space.candidate({"Conv2d_0.w.channels": 4}).plan.outputs == ("Add_0",)
    with pytest.raises(SpaceError, match="Add_0: it adds values of one shape"):
        _ = space.candidate({"Conv2d_0.w.channels": 5}).plan


#: What stands for each argument of the operators below.
NOT_NUMBERS = [None, "two", float("nan"), 2**40, 1.5, (), {}, lambda: 2]
ARGUMENTS = {
    "stride": lambda value: operators.Conv2d(stride=value)(X4, weight("w", 4, 4, 3, 3)).shape(),
    "strides": lambda value: operators.Conv2d(stride=(1, value))(X4, weight("w", 4, 4, 3, 3)).shape(),
    "dilation": lambda value: operators.MaxPooling(2, dilation=value)(X4).shape(),
    "groups": lambda value: operators.Conv2d(groups=value),
    "side": lambda value: operators.Conv2d(padding=(0, value))(X4, weight("w", 4, 4, 3, 3)).shape(),
    "output padding": lambda value: operators.ConvTranspose2d(2, 0, value)(
        X4, weight("w", 4, 4, 3, 3)
    ).shape(),
    "kernel": lambda value: operators.AvgPooling(value)(X4).shape(),
    "outputs": lambda value: operators.AdaptiveAvgPooling(value)(X4).shape(),
    "begin": lambda value: operators.Slice(1, value, 1),
    "size of a part": lambda value: operators.Slice(1, 0, value),
    "axis": lambda value: operators.Concat(value)(X4, X4),
    "order": lambda value: operators.Permute((0, value, 1, 2))(X4).shape(),
    "sizes": lambda value: operators.Reshape((4, value)),
    "scale": lambda value: operators.Upsample(value)(X4).shape(),
    "size": lambda value: Tensor("x", (1, value)),
    "bits": operators.Quantize,
}


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize(
    "value", NOT_NUMBERS, ids=lambda value: type(value).__name__ if callable(value) else repr(value)
)
def test_what_is_no_whole_number_is_refused(argument, value):
    with pytest.raises(SpaceError):
        ARGUMENTS[argument](value)


@pytest.mark.parametrize("value", [None, "two", float("nan"), float("inf"), (), {}], ids=repr)
@pytest.mark.parametrize(
    "kind", [operators.Dropout, operators.Scale, operators.BatchNorm, lambda v: operators.LayerNorm(-1, v)]
)
def test_what_is_no_finite_number_is_refused(kind, value):
    with pytest.raises(SpaceError, match="it must be a finite number"):
        kind(value)


def test_steps_that_may_be_none_rule_candidates_out():
    """A step of 0 or of one and a half describes no network, whoever asks."""
    for values, good in (([0, 1, 2], [1, 2]), ([1, 1.5, 2.0], [1, 2.0])):
        for build in (
            lambda step: operators.Conv2d(step)(X4, weight("w", 4, 4, 3, 3)),
            lambda step: operators.MaxPooling(2, dilation=step)(X4),
            lambda step: operators.ConvTranspose2d(step)(X4, weight("w", 4, 4, 3, 3)),
            lambda step: operators.AvgPooling((step, 1))(X4),
            lambda step: operators.Upsample(step)(X4),
            lambda step: operators.Slice(1, 0, step)(X4),
            lambda step: operators.Reshape((step, -1))(X4),
            lambda step: operators.AdaptiveAvgPooling(step)(X4),
        ):
            step = CategoricalParameter(values, name="step")
            space = SearchSpace(build(step))
            rows = space.encoding.positions([{step.id: value} for value in values])
            assert space.workload(rows).exists.tolist() == [value in good for value in values]
            for value in good:
                sizes = space.candidate({step.id: value}).plan.steps[-1].shape
                assert all(isinstance(size, int) for size in sizes)


W4 = weight("w", 4, 4, 3, 3)
W4.owner = operators.Conv2d()(X4, W4)
KINDS_OF_OPERANDS = {
    "no operand": (operators.Relu(), (), "Relu takes one operand; it was given 0"),
    "two operands": (operators.Relu(), (X4, X4), "Relu takes one operand; it was given 2"),
    "template": (operators.Relu(), (operators.Relu(),), "operand 0 of Relu is Relu, which is not connected"),
    "computed weight": (operators.Conv2d(), (X4, operators.Relu()(X4)), "weights of Conv2d must be tensors"),
    "data as weight": (operators.Conv2d(), (X4, X4), "x is data of other operators"),
    "weight as data": (operators.Relu(), (W4,), "takes data, but Conv2d_[0-9]*.w is a weight"),
    "trained data": (operators.Add(), (X4, weight("w", 1, 4, 8, 8)), "takes data, but w is a weight"),
    "no batch": (operators.Flatten(), (Tensor("x", (4,)),), r"takes data \(N, ...\); x has shape \(4,\)"),
    "bias": (operators.Conv2d(), (X4, weight("w", 4, 4, 1, 1), weight("b", 3)), r"b has shape \(3,\)"),
    "bias of features": (
        operators.Linear(),
        (Tensor("y", (1, 4)), weight("w", 4, 3), weight("b", 4)),
        r"it must have \(3,\)",
    ),
    "statistics": (operators.BatchNorm(), (X4, weight("m", 4), weight("v", 5)), r"v has shape \(5,\)"),
    "four operands": (operators.BatchNorm(), (X4, *[weight("m", 4)] * 3), "it was given 4 operands"),
    "ranges": (operators.Quantize(8), (X4, weight("r", 4, grad=False)), r"it must have \(1,\)"),
}


@pytest.mark.parametrize("case", KINDS_OF_OPERANDS)
def test_operands_of_another_kind_are_refused(case):
    op, operands, message = KINDS_OF_OPERANDS[case]
    with pytest.raises(SpaceError, match=message):
        op(*operands).shape()
