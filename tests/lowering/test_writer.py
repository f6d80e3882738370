"""ONNX files: folding, names, batches, outputs, and what is refused."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hannah_hw import Op, SearchSpace, Tensor, load_space, search_space, to_onnx
from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import (
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Identity,
    MaxPooling,
    Permute,
    Relu,
    Reshape,
    Scale,
)
from tests.blocks import batch_norm, buffers_of, conv, data, kernels_of, linear, randomised, run_onnx


def check(build, *, nodes, batch=2, shape=(3, 8, 8)):
    """Folded and unfolded files compute what torch computes and are the same Workload; returns the folded file."""

    @search_space
    def n():
        return build(data(*shape))

    candidate = SearchSpace(n()).candidate({})
    module = randomised(candidate)
    x = torch.randn((batch, *shape), generator=torch.Generator().manual_seed(0))
    expected = module(x).detach().numpy()
    for fold in (True, False):
        model = to_onnx(candidate, module=module, batch=batch, fold_batch_norm=fold)
        (computed,) = run_onnx(model, x)
        np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        assert kernels_of(read_onnx(model).workload(bits=8)) == kernels_of(candidate.workload())
        if fold:
            folded = model
    assert [node.op_type for node in folded.graph.node] == nodes
    return folded


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_batch_norm_folds_into_convolutions(bias, affine, groups):
    model = check(
        lambda x: Relu()(batch_norm(conv(x, 6, bias=bias, groups=groups, stride=2), affine)),
        nodes=["Conv", "Relu"],
    )
    assert {t.name for t in model.graph.initializer} == {"n_0.Conv2d_0.weight", "n_0.Conv2d_0.bias"}


@pytest.mark.parametrize("bias", [False, True])
def test_a_scale_leaves_no_bias_where_there_was_none(bias):
    model = check(lambda x: Scale(4.0, -0.5)(conv(x, 6, bias=bias)), nodes=["Conv"])
    assert len(model.graph.initializer) == 1 + bias
    (row,) = kernels_of(read_onnx(model).workload())
    assert row["bias"] == 6 * bias


@pytest.mark.parametrize(
    "build",
    [
        lambda x: [Identity()(n := conv(x, 4)), Identity()(n)],
        lambda x: [n := conv(x, 4), n, Identity()(n)],
        lambda x: [n := batch_norm(conv(x, 4)), n],
        lambda x: [n := batch_norm(conv(x, 4)), batch_norm(n)],
        lambda x: [x, Identity()(x), Relu()(x)],
        lambda x: [x],
        lambda x: [n := Identity()(conv(x, 4)), Relu()(n), n],
    ],
)
def test_outputs_that_are_one_value_have_names_of_their_own(build):
    @search_space
    def n():
        return build(data(3, 8, 8))

    candidate = SearchSpace(n()).candidate({})
    module = randomised(candidate)
    x = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    expected = module(x)
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    for fold in (True, False):
        model = to_onnx(candidate, module=module, fold_batch_norm=fold)
        names = [value.name for value in (*model.graph.output, *model.graph.input)]
        assert len(set(names)) == len(names)
        for computed, y in zip(run_onnx(model, x), expected, strict=True):
            np.testing.assert_allclose(computed, y.detach().numpy(), rtol=1e-4, atol=1e-4)
        read = read_onnx(model)
        assert kernels_of(read.workload(bits=8)) == kernels_of(candidate.workload())
        assert buffers_of(read.workload(bits=8)) == buffers_of(candidate.workload())


@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_folds_into_fully_connected_layers(bias):
    check(lambda x: batch_norm(linear(x, 5, bias=bias)), nodes=["Flatten", "Gemm"])


def test_batch_norm_folds_behind_views_that_keep_the_channels():
    check(lambda x: batch_norm(Identity()(conv(x, 4))), nodes=["Conv"])
    check(lambda x: batch_norm(Dropout()(conv(x, 4))), nodes=["Conv"])
    check(lambda x: batch_norm(Reshape((4, -1))(conv(x, 4))), nodes=["Conv", "Reshape"])
    check(
        lambda x: Relu()(batch_norm(Flatten()(conv(x, 4, 8, padding=0)))), nodes=["Conv", "Flatten", "Relu"]
    )
    # The channels go and come back; the order of the values is the same.
    check(
        lambda x: batch_norm(Reshape((4, 8, 8))(Reshape((2, 2, 64))(conv(x, 4)))),
        nodes=["Conv", "Reshape", "Reshape"],
    )


def test_batch_norm_does_not_fold_behind_views_with_other_channels():
    check(lambda x: batch_norm(Flatten()(conv(x, 4))), nodes=["Conv", "Flatten", "BatchNormalization"])
    check(lambda x: batch_norm(Reshape((8, -1))(conv(x, 4))), nodes=["Conv", "Reshape", "BatchNormalization"])
    check(
        lambda x: batch_norm(Permute((0, 2, 1, 3))(conv(x, 8))),
        nodes=["Conv", "Transpose", "BatchNormalization"],
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "outputs"), [(1, 5), (3, 2), (2, 3)])
def test_batch_norm_folds_into_transposed_convolutions(bias, groups, outputs):
    def build(x):
        weights = [Tensor("weight", (6, outputs, 3, 2), grad=True)]
        if bias:
            weights.append(Tensor("bias", (outputs * groups,), grad=True))
        return Relu()(batch_norm(ConvTranspose2d(2, groups=groups, output_padding=1)(x, *weights)))

    check(build, nodes=["ConvTranspose", "Relu"], shape=(6, 4, 4))


@pytest.mark.parametrize("bias", [False, True])
def test_a_scale_folds_into_a_convolution_and_is_a_kernel_elsewhere(bias):
    check(lambda x: Scale(4, -0.5)(conv(x, 4, bias=bias)), nodes=["Conv"])
    check(lambda x: Scale(3.0)(MaxPooling(2)(x)), nodes=["MaxPool", "Mul"])
    check(lambda x: batch_norm(Scale(3.0)(Reshape((4, -1))(conv(x, 4)))), nodes=["Conv", "Reshape"])
    check(lambda x: batch_norm(batch_norm(conv(x, 4, bias=bias))), nodes=["Conv"])


def test_batch_norm_is_kept_where_it_cannot_fold():
    check(lambda x: batch_norm(MaxPooling(2)(x)), nodes=["MaxPool", "BatchNormalization"])
    check(lambda x: batch_norm(Relu()(conv(x, 4))), nodes=["Conv", "Relu", "BatchNormalization"])

    def read_twice(x):
        y = conv(x, 4)
        return Conv2d()(batch_norm(y), Tensor("w", (4, 4, 1, 1), grad=True)), y

    @search_space
    def n():
        return list(read_twice(data(3, 8, 8)))

    candidate = SearchSpace(n()).candidate({})
    module = randomised(candidate)
    x = torch.randn(1, 3, 8, 8)
    computed = run_onnx(to_onnx(candidate, module=module), x)
    for one, other in zip(computed, module(x), strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_a_shared_weight_is_not_folded_into():
    def build(x):
        shared = Tensor("shared", (3, 3, 3, 3), grad=True)
        return batch_norm(Conv2d()(Relu()(Conv2d()(x, shared)), shared))

    check(build, nodes=["Conv", "Relu", "Conv", "BatchNormalization"])


def test_a_shared_bias_is_not_folded_into():
    def build(x):
        bias = Tensor("bias", (3,), grad=True)
        weights = [Tensor("weight", (3, 3, 1, 1), grad=True) for _ in range(2)]
        x = Conv2d()(x, weights[0], bias)
        return batch_norm(Conv2d()(x, weights[1], bias))

    check(build, nodes=["Conv", "Conv", "BatchNormalization"])


def test_names_are_ids_and_weights_are_initialisers():
    candidate = load_space("ds_cnn").candidate({})
    model = to_onnx(candidate)
    graph = model.graph
    kernels = candidate.workload().kernels.names
    assert set(kernels) <= {node.name for node in graph.node}
    assert [i.name for i in graph.input] == ["ds_cnn_0.input"]
    assert [o.name for o in graph.output] == list(candidate.plan.outputs)
    initialisers = {t.name for t in graph.initializer}
    used = {name for node in graph.node for name in node.input}
    assert initialisers <= used
    assert model.opset_import[0].version == 18
    assert len({node.name for node in graph.node}) == len(graph.node)
    onnx.checker.check_model(model, full_check=True)


def test_trained_weights_arrive_unchanged_without_folding():
    candidate = SearchSpace(batch_norm(conv(data(3, 8, 8), 4))).candidate({})
    module = randomised(candidate)
    model = to_onnx(candidate, module=module, fold_batch_norm=False)
    written = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert set(written) == set(candidate.plan.weights)
    for name, values in written.items():
        np.testing.assert_array_equal(values, module.weight(name).detach().numpy())


def test_random_weights_are_seeded():
    candidate = SearchSpace(conv(data(3, 8, 8), 4)).candidate({})
    same, again, other = (to_onnx(candidate, seed=s).SerializeToString() for s in (1, 1, 2))
    assert same == again != other


def test_outputs_keep_their_ids_where_nothing_computes_them():
    @search_space
    def n():
        x = data(3, 8, 8)
        y = Relu()(x)
        return [y, Identity()(y), Identity()(x), batch_norm(conv(y, 2)), Identity()(Flatten()(y))]

    candidate = SearchSpace(n()).candidate({})
    module = randomised(candidate)
    model = to_onnx(candidate, module=module)
    assert [o.name for o in model.graph.output] == list(candidate.plan.outputs)
    x = torch.randn(1, 3, 8, 8)
    for one, other in zip(run_onnx(model, x), module(x), strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_symbolic_batch_takes_any_size():
    candidate = load_space("tc_resnet", input_shape=(6, 32), classes=3).candidate({})
    model = to_onnx(candidate, batch="N")
    for size in (1, 5):
        (y,) = run_onnx(model, np.zeros((size, 6, 32)))
        assert y.shape == (size, 3)


def test_files_are_written_whole_or_not_at_all(tmp_path):
    candidate = SearchSpace(conv(data(3, 8, 8), 4)).candidate({})
    model = to_onnx(candidate, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == model.SerializeToString()
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(OSError, match=r"folder\.onnx"):
        to_onnx(candidate, tmp_path / "folder.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.onnx", "model.onnx"]


def test_what_cannot_be_written_is_refused():
    class Mine(Op):
        pass

    with pytest.raises(UnsupportedError, match=r"Mine \(Mine_0\) has no ONNX form; define to_onnx"):
        to_onnx(SearchSpace(Mine()(data(3, 8, 8))).candidate({}))
    with pytest.raises(UnsupportedError, match="padding smaller than the window"):
        to_onnx(SearchSpace(MaxPooling(3, dilation=3)(data(3, 8, 8))).candidate({}))
    one, other = (SearchSpace(conv(data(3, 8, 8), n)).candidate({}) for n in (4, 5))
    with pytest.raises(
        SpaceError, match=r"Conv2d_0.weight is \(4, 3, 3, 3\), but the module has \(5, 3, 3, 3\)"
    ):
        to_onnx(one, module=randomised(other))
