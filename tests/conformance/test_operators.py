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
from hannah_hw import IntScalarParameter, Op, SearchSpace, Tensor, lazy, to_onnx
from hannah_hw.errors import SpaceError, UnsupportedError
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


def weight(name, *shape, grad=True):
    return Tensor(name, shape, grad=grad)


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
        return op(x, weight("weight", out, per_group, *kernel), *bias)

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
    return operators.Linear()(x, weight("weight", features, out), *bias)


def add(draw):
    x = any_rank(draw)
    other = x if draw(st.booleans()) else operators.Relu()(x)
    return operators.Add()(*draw(st.permutations([x, other])), *([x] if draw(st.booleans()) else []))


CASES = {
    "AdaptiveAvgPooling": adaptive,
    "Add": add,
    "AvgPooling": pooling(operators.AvgPooling, 1),
    "BatchNorm": batch_norm,
    "Conv1d": convolution(operators.Conv1d, 1),
    "Conv2d": convolution(operators.Conv2d, 2),
    "Flatten": lambda draw: operators.Flatten()(any_rank(draw)),
    "Identity": lambda draw: operators.Identity()(any_rank(draw)),
    "Linear": linear,
    "MaxPooling": pooling(operators.MaxPooling, 2),
    "Relu": lambda draw: operators.Relu()(any_rank(draw)),
    "Relu6": lambda draw: operators.Relu6()(any_rank(draw)),
    "Softmax": lambda draw: operators.Softmax()(image(draw, 0, number(draw, 1, 6, "classes"))),
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
    candidate = space.candidate({})
    module = randomised(candidate)
    op = candidate.plan.steps[-1].op
    if isinstance(op, operators.AvgPooling | operators.MaxPooling):
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
    if name != "Identity":  # which the file writes as a node only to name the output
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
    "uneven windows": (lambda: operators.AdaptiveAvgPooling(3)(X4).shape(), "no multiples"),
    "number as operand": (lambda: operators.Relu()(3), "must be a Tensor or an operator"),
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
