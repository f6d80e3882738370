"""The building blocks against what PyTorch computes with the same weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from hannah_hw import IntScalarParameter, SearchSpace, Tensor, blocks, get_nodes, lazy, to_onnx
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import Concat, Sigmoid
from tests.blocks import buffers_of, data, kernels_of, randomised, run_onnx


def executed(net, assignment=None):
    """A candidate, its module with random weights, an input, and what the module computes of it.

    The exported file computes the same and is the same Workload.
    """
    candidate = SearchSpace(net).candidate(assignment or {})
    module = randomised(candidate)
    (declared,) = candidate.plan.inputs
    x = torch.randn((3, *declared.shape()[1:]), generator=torch.Generator().manual_seed(1))
    y = module(x).detach()
    assert tuple(y.shape) == (3, *candidate.plan.steps[-1].shape[1:])
    (computed,) = run_onnx(to_onnx(candidate, module=module, batch=3), x)
    np.testing.assert_allclose(computed, y.numpy(), rtol=1e-4, atol=1e-4)
    read = read_onnx(to_onnx(candidate, module=module))
    assert read.foreign == {}
    assert kernels_of(read.workload(bits=8)) == kernels_of(candidate.workload())
    assert buffers_of(read.workload(bits=8)) == buffers_of(candidate.workload())
    return candidate, module, x, y


def weights(module, operator):
    """The weights of an operator by their last name, as in the module."""
    prefix = f"{operator}."
    names = [name for name in module.plan.weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): module.weight(name).detach() for name in names}


@pytest.mark.parametrize("size", [(6, 5), (7,)])
@pytest.mark.parametrize("gate", ["hard", "sigmoid"])
def test_squeeze_excite(size, gate):
    net = blocks.squeeze_excite(data(8, *size), 3, None if gate == "hard" else Sigmoid())
    candidate, module, x, y = executed(net)
    kind = f"Conv{len(size)}d"
    squeeze, excite = (weights(module, f"{kind}_{i}") for i in range(2))
    means = x.flatten(2).mean(-1)
    hidden = (means @ squeeze["weight"].flatten(1).T + squeeze["bias"]).relu()
    logits = hidden @ excite["weight"].flatten(1).T + excite["bias"]
    factors = functional.hardsigmoid(logits) if gate == "hard" else logits.sigmoid()
    torch.testing.assert_close(y, x * factors.reshape(3, 8, *[1] * len(size)), rtol=1e-5, atol=1e-5)
    assert candidate.macs == 2 * 8 * 3
    kinds = candidate.workload().kernels.kinds
    assert kinds == ("avg_pool", "conv", "conv", "hard_sigmoid" if gate == "hard" else "sigmoid", "mul")


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(4, 5), (7,)])
def test_channel_shuffle(groups, size):
    candidate, _, x, y = executed(blocks.channel_shuffle(data(6, *size), groups))
    image = x if len(size) == 2 else x[..., None]
    torch.testing.assert_close(y, torch.nn.ChannelShuffle(groups)(image).reshape(x.shape), rtol=0, atol=0)
    assert candidate.workload().kernels.kinds == ("permute",)
    assert candidate.macs == 0


def test_groups_of_a_shuffle_divide_the_channels():
    with pytest.raises(SpaceError, match="cannot be read as"):
        blocks.channel_shuffle(data(6, 4, 4), 4).shape()
    groups = IntScalarParameter(2, 4, name="groups")
    space = SearchSpace(blocks.channel_shuffle(data(6, 4, 4), groups))
    rows = space.sample_population(50, seed=0)
    rows = rows[space.workload(rows).exists]
    assert {space.encoding.assignment(row)["Reshape_0.groups"] for row in rows} == {2, 3}


def test_channel_split():
    width = IntScalarParameter(1, 5, name="width", default=2)
    x = data(6, 4, 4)
    first, second, third = blocks.channel_split(x, width, 1)
    assert [lazy(part.shape()) for part in (first, second, third)] == [(1, c, 4, 4) for c in (2, 1, 3)]
    _, _, given, y = executed(Concat()(third, first, second), {"Slice_0.width": 3})
    torch.testing.assert_close(y, torch.cat([given[:, 4:], given[:, :3], given[:, 3:4]], 1), rtol=0, atol=0)
    with pytest.raises(SpaceError, match="0 of them from 6 on cannot be taken"):
        blocks.channel_split(x, 6)[1].shape()


@pytest.mark.parametrize(("heads", "size"), [(1, (5,)), (2, (5,)), (4, (3, 2))])
def test_multi_head_attention_is_that_of_torch(heads, size):
    channels = 8
    candidate, module, x, y = executed(blocks.multi_head_attention(data(channels, *size), heads))
    query, key, value, result = (weights(module, f"Conv1d_{i}") for i in range(4))
    reference = torch.nn.MultiheadAttention(channels, heads, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([w["weight"][..., 0] for w in (query, key, value)]))
        reference.in_proj_bias.copy_(torch.cat([w["bias"] for w in (query, key, value)]))
        reference.out_proj.weight.copy_(result["weight"][..., 0])
        reference.out_proj.bias.copy_(result["bias"])
        sequence = x.flatten(2).transpose(1, 2)
        expected = reference(sequence, sequence, sequence, need_weights=False)[0].transpose(1, 2)
    torch.testing.assert_close(y, expected.reshape(y.shape), rtol=1e-4, atol=1e-5)
    positions = int(np.prod(size))
    # Four projections, the scores and the means.
    assert candidate.macs == 4 * channels**2 * positions + 2 * channels * positions**2
    # The scale of the scores is part of the projection of the queries.
    assert "scale" not in candidate.workload().kernels.kinds


def test_attention_of_a_memory_with_heads_of_any_size():
    x = data(6, 4)
    memory = blocks.conv1d(x, 10, 2, padding=0)
    heads, size = IntScalarParameter(1, 3, name="heads"), IntScalarParameter(2, 6, name="size")
    net = blocks.multi_head_attention(x, heads, size, memory=memory, bias=False)
    _, module, given, y = executed(net, {"Conv1d_1.weight.heads": 3, "Conv1d_1.weight.size": 5})
    asked = functional.conv1d(given, weights(module, "Conv1d_0")["weight"])
    query, key, value = (
        functional.conv1d(source, weights(module, f"Conv1d_{i}")["weight"])
        .reshape(3, 3, 5, -1)
        .transpose(2, 3)
        for i, source in ((1, given), (2, asked), (3, asked))
    )
    mixed = functional.scaled_dot_product_attention(query, key, value).transpose(2, 3).reshape(3, 15, -1)
    expected = functional.conv1d(mixed, weights(module, "Conv1d_4")["weight"])
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_layer_norm(axis):
    _, module, x, y = executed(blocks.layer_norm(data(3, 4, 5), axis))
    own = weights(module, "LayerNorm_0")
    shape = (3, 4, 5)[axis - 1 if axis > 0 else axis :]
    assert own["scale"].shape == own["offset"].shape == shape
    torch.testing.assert_close(y, functional.layer_norm(x, shape, own["scale"], own["offset"]))


def test_a_fresh_layer_norm_changes_mean_and_variance_only():
    module = BasicExecutor(blocks.layer_norm(data(3, 4, 5), 1)).eval()
    y = module(torch.randn(2, 3, 4, 5) * 3 + 1).detach().flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(2), rtol=1e-4, atol=0)


def test_conv_transpose2d():
    candidate, module, x, y = executed(blocks.conv_transpose2d(data(6, 4, 5), 8, groups=2, bias=True))
    own = weights(module, "ConvTranspose2d_0")
    expected = functional.conv_transpose2d(x, own["weight"], own["bias"], stride=2, groups=2)
    torch.testing.assert_close(y, expected)
    assert candidate.plan.steps[-1].shape == (1, 8, 8, 10)


def test_blocks_with_parameters_are_one_program_for_a_population():
    x = Tensor("x", (1, 8, 6, 6))
    width = IntScalarParameter(4, 12, 4, name="width")
    net = blocks.conv2d(x, width, 3)
    net = blocks.squeeze_excite(net, width // 4)
    net = blocks.channel_shuffle(net, IntScalarParameter(2, 4, 2, name="groups"))
    net = blocks.multi_head_attention(net, IntScalarParameter(1, 2, name="heads"))
    net = blocks.conv_transpose2d(net, 4, stride=IntScalarParameter(1, 2, name="stride"))
    space = SearchSpace(net)
    rows = space.sample_population(30, seed=3)
    together = space.workload(rows)
    for index, row in enumerate(rows):
        candidate = space.candidate(space.encoding.assignment(row))
        of_file = read_onnx(to_onnx(candidate)).workload(bits=8)
        assert kernels_of(of_file) == list(together.rows(index))
        assert buffers_of(of_file) == buffers_of(together.candidate(index))


def test_nested_ways_to_build_convolutions_add_up():
    def gated(x, make):
        return blocks.squeeze_excite(make(x, None), 2)

    def coarse(x, make):
        return make(x, 4)

    x = data(3, 6, 6)
    for outer, inner in ((gated, coarse), (coarse, gated)):
        with blocks.convolutions_by(outer), blocks.convolutions_by(inner):
            net = blocks.conv2d(x, 4, 3)
        assert type(net).__name__ == "Mul"
        weights = [node for node in get_nodes(net) if node.id.endswith(".weight")]
        assert [weight.bits for weight in weights if weight.shape() == (4, 3, 3, 3)] == [4]
    with (
        blocks.convolutions_by(coarse),
        blocks.convolutions_by(coarse),
        pytest.raises(SpaceError, match="gets 4 bits, and 4"),
    ):
        blocks.conv2d(x, 4, 3)
    with blocks.convolutions_by(coarse), blocks.convolutions_by(coarse):
        assert blocks.conv2d(x, 4, 3, weight_bits=2).operands[1].bits == 2
