"""Building blocks and comparisons that several tests share; nothing of the package is replaced here."""

from functools import partial

import numpy as np
import onnxruntime
import torch

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    SubsetParameter,
    Tensor,
    dynamic_depth,
    scope,
    search_space,
)
from hannah_hw.executors import BasicExecutor
from hannah_hw.expressions import If, Int
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Add,
    BatchNorm,
    Conv2d,
    Identity,
    Linear,
    MaxPooling,
    Relu,
    Relu6,
)

AXES = {2: ("N", "C"), 3: ("N", "C", "W"), 4: ("N", "C", "H", "W")}


def data(*shape, name="input"):
    """A graph input of batch 1."""
    return Tensor(name, (1, *shape), axis=AXES[len(shape) + 1])


def conv(x, out_channels, kernel_size=3, bias=False, groups=1, **attributes):
    """A square convolution of an image."""
    shape = (out_channels, x.shape()[1] // groups, kernel_size, kernel_size)
    weights = [Tensor("weight", shape, axis=("O", "I", "kH", "kW"), grad=True)]
    if bias:
        weights.append(Tensor("bias", (out_channels,), axis=("O",), grad=True))
    return Conv2d(groups=groups, **attributes)(x, *weights)


def batch_norm(x, affine=True):
    """A batch normalisation with statistics, and a trained scale and offset."""
    channels = (x.shape()[1],)
    names = {"running_mean": False, "running_var": False}
    names |= {"weight": True, "bias": True} if affine else {}
    return BatchNorm()(x, *(Tensor(name, channels, axis=("C",), grad=grad) for name, grad in names.items()))


def linear(x, out_features, bias=True):
    """A fully connected layer on everything behind the batch."""
    features = 1
    for size in x.shape()[1:]:
        features = features * size
    weights = [Tensor("weight", (features, out_features), axis=("in", "out"), grad=True)]
    if bias:
        weights.append(Tensor("bias", (out_features,), axis=("out",), grad=True))
    return Linear()(x, *weights)


@scope
def separable(x, out_channels, kernel_size):
    x = Relu()(batch_norm(conv(x, x.shape()[1], kernel_size, groups=x.shape()[1])))
    return batch_norm(conv(x, out_channels, 1))


@scope
def bottleneck(x, kernel_size):
    """A choice within an option of a choice."""
    expansion = IntScalarParameter(1, 3, name="expansion")
    inner = Relu6()(conv(x, expansion * 4, 1))
    deep = CategoricalParameter([False, True], name="deep")
    inner = ChoiceOp(
        Identity(),
        lambda node: Relu()(batch_norm(conv(node, expansion * 4, kernel_size, groups=expansion * 2))),
        switch=deep,
    )(inner)
    return conv(inner, x.shape()[1], 1, bias=True)


@scope
def residual(x, kernel_size):
    width = x.shape()[1]
    main = ChoiceOp(
        partial(separable, out_channels=width, kernel_size=kernel_size),
        partial(bottleneck, kernel_size=kernel_size),
        Identity(),
    )(x)
    return Relu()(Add()(main, x))


@search_space
def nasty():
    """Every construct at once: choices in choices, depth around residuals, shared parameters, nodes and weights."""
    x = data(4, 12, 12)
    activation = CategoricalParameter(["relu", "relu6", "none"], name="activation")
    multiplier = FloatScalarParameter(0.5, 2.0, name="multiplier", default=1.0)
    extras = SubsetParameter(["pool", "norm"], 0, 2, name="extras")
    kernel_size = CategoricalParameter([1, 3, 5], name="kernel_size")
    width = Int(IntScalarParameter(4, 12, 4, name="width") * multiplier) * 2

    x = conv(x, width, kernel_size, stride=IntScalarParameter(1, 2, name="stride"))
    switch = If(activation == "relu", 0, If(activation == "relu6", 1, 2))
    x = ChoiceOp(Relu(), Relu6(), Identity(), switch=switch)(x)
    x = ChoiceOp(Identity(), batch_norm, switch=extras.contains("norm"))(x)
    x = ChoiceOp(Identity(), MaxPooling(2, stride=2), switch=Int(extras.contains("pool")))(x)
    exits = [x]
    for _ in range(3):
        x = residual(x, kernel_size)
        exits.append(x)
    x = dynamic_depth(*exits, switch=IntScalarParameter(0, 3, name="depth", default=1))
    # Options that share a node, and two convolutions that share a weight.
    base = conv(x, 8, 1)
    shared = Tensor("shared", (8, 8, 3, 3), axis=("O", "I", "kH", "kW"), grad=True)
    once = Conv2d()(base, shared)
    twice = Relu()(Conv2d()(Relu()(once), shared))
    x = ChoiceOp(base, once, twice, Relu()(base), batch_norm(once))()
    return linear(AdaptiveAvgPooling(1)(x), 5)


def randomised(network, seed=0, assignment=None):
    """An executor in eval mode with weights and running statistics that are neither 0 nor 1."""
    module = BasicExecutor(network, assignment).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in module.plan.weights:
            weight = module.weight(name)
            low, high = (0.5, 1.5) if weight.ndim == 1 else (-0.5, 0.5)
            weight.uniform_(low, high, generator=generator)
    return module


def run_onnx(model, *inputs, without=()):
    """The outputs that ONNX Runtime computes on one thread, without some of its optimisations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(without),
    )
    feeds = {i.name: np.asarray(x, np.float32) for i, x in zip(session.get_inputs(), inputs, strict=True)}
    return session.run(None, feeds)


def kernels_of(workload):
    """The active kernels of a Workload of one candidate, as plain rows."""
    return list(workload.rows())


def buffers_of(workload):
    """Buffer name -> everything the Workload says of it."""
    buffers = workload.buffers
    return {
        name: (
            buffers.kinds[i],
            int(buffers.bytes[0, i]),
            int(buffers.first[0, i]),
            int(buffers.last[0, i]),
            bool(buffers.output[0, i]),
        )
        for i, name in enumerate(buffers.names)
    }
