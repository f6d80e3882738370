from __future__ import annotations

import tempfile

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import load_space, to_onnx
from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import NCHWC, HostKernel, HostTensor
from hannah_hw.host.session import input_specs, open_session, random_inputs
from hannah_hw.host.single import single_kernel_model
from hannah_hw.lowering.quantise import quantise_int8


def model_of(nodes, weights=(), shape=(1, 3, 16, 16), outputs=("y",), opset=17, dtype=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=sets, ir_version=9)


def weight(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv_relu(channels=16, kernel=3, size=16, seed=0, prefix=""):
    pad = kernel // 2
    return model_of(
        [
            helper.make_node("Conv", ["x", f"{prefix}w"], [f"{prefix}c"], pads=[pad] * 4, name=f"{prefix}n"),
            helper.make_node("Relu", [f"{prefix}c"], ["y"]),
        ],
        [(f"{prefix}w", weight(channels, 3, kernel, kernel, seed=seed))],
        (1, 3, size, size),
    )


def candidates(precision):
    """Kernels of two random networks of two spaces."""
    for name in ("ds_cnn", "resnet"):
        space = load_space(name)
        for seed in range(2):
            model = to_onnx(space.candidate(space.sample(seed=seed)))
            if precision == "int8":
                sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
                with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
                    samples = np.random.default_rng(0).standard_normal((2, *sizes[1:])).astype(np.float32)
                    quantise_int8(model.SerializeToString(), file.name, samples)
                    model = onnx.load(file.name)
            yield model, optimised_kernels(model)


def test_the_activation_is_in_the_convolution_and_only_layout_nodes_are_beside_it():
    kernels = optimised_kernels(conv_relu())
    work = [kernel for kernel in kernels if not kernel.kernel_class.startswith("reorder")]
    assert [kernel.op_type in ("Conv", "FusedConv") for kernel in work] == [True]
    assert work[0].attribute["activation"] == "Relu"
    assert work[0].computed == (HostTensor("float32", (1, 3, 16, 16)),)
    assert kernels[-1].outputs == (HostTensor("float32", (1, 16, 16, 16)),)


def test_a_key_holds_shapes_and_neither_values_nor_names():
    keys = [kernel.key for kernel in optimised_kernels(conv_relu())]
    assert keys == [kernel.key for kernel in optimised_kernels(conv_relu(seed=1, prefix="other_"))]
    for changed in (conv_relu(channels=32), conv_relu(kernel=5), conv_relu(size=17)):
        assert keys[0] not in {kernel.key for kernel in optimised_kernels(changed)}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_every_kernel_of_random_networks_runs_alone_as_itself(precision):
    for model, kernels in candidates(precision):
        assert kernels[-1].outputs[0].shape == tuple(
            dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim
        )
        for kernel in {kernel.key: kernel for kernel in kernels}.values():
            assert HostKernel.from_json(kernel.to_json()) == kernel
            alone = single_kernel_model(kernel, seed=3)
            assert optimised_kernels(alone, optimisation="none") == (kernel,)


def test_kernels_of_random_networks_have_the_work_that_their_models_have():
    """Multiplications of all convolutions: those of the model's own nodes, where no channel is padded."""
    space = load_space("ds_cnn")
    model = to_onnx(space.candidate(space.sample(seed=3)))
    shapes = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    expected = [
        np.prod(weights[node.input[1]])
        * np.prod([dim.dim_value for dim in shapes[node.output[0]].type.tensor_type.shape.dim[2:]])
        for node in model.graph.node
        if node.op_type == "Conv"
    ]
    found = [
        np.prod(kernel.inputs[1].shape) * np.prod(kernel.outputs[0].shape[2:])
        for kernel in optimised_kernels(model)
        if kernel.op_type in ("Conv", "FusedConv")
    ]
    assert len(found) == len(expected)
    # Blocks are at most 16 wide, and no layer of this space has fewer than 8 channels but the image.
    assert all(0.99 <= a / b <= 4.0 for a, b in zip(found, expected, strict=True))


def test_constants_that_decide_what_there_is_to_do_are_kept():
    model = model_of(
        [
            helper.make_node("Clip", ["x", "low", "high"], ["a"]),
            helper.make_node("ReduceSum", ["a", "axes"], ["b"], keepdims=1),
            helper.make_node("Softmax", ["b"], ["y"], axis=1),
        ],
        [
            ("low", np.float32(0.5)),
            ("high", np.float32(6)),
            ("axes", np.array([3], np.int64)),
        ],
    )
    clip, reduce, softmax = optimised_kernels(model)
    assert [tensor.values for tensor in clip.inputs] == [None, (0.5,), (6.0,)]
    assert reduce.inputs[1] == HostTensor("int64", (1,), constant=True, values=(3,))
    assert reduce.outputs[0].shape == (1, 3, 16, 1)
    assert softmax.attribute["axis"] == 1
    session = open_session(single_kernel_model(clip).SerializeToString(), optimisation="none")
    (out,) = session.run(None, random_inputs(input_specs(session, "clip")))
    assert out.min() == 0.5  # its bounds are those of the model, not drawn ones


def test_an_absent_input_stays_absent():
    scales = np.array([1, 1, 2, 2], np.float32)
    model = model_of(
        [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest")], [("scales", scales)]
    )
    (kernel,) = optimised_kernels(model)
    assert kernel.inputs[1].dtype == ""
    assert kernel.inputs[2].values == (1, 1, 2, 2)
    assert optimised_kernels(single_kernel_model(kernel), optimisation="none") == (kernel,)


def test_a_graph_inside_of_a_node_is_one_kernel_that_cannot_run_alone():
    def branch(name, op):
        return helper.make_graph(
            [helper.make_node(op, ["x"], [name])], name, [], [onnx.ValueInfoProto(name=name)]
        )

    model = model_of(
        [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
            helper.make_node(
                "If", ["c"], ["s"], then_branch=branch("t", "Exp"), else_branch=branch("e", "Neg")
            ),
            helper.make_node("Exp", ["s"], ["y"]),
        ]
    )
    kernels = optimised_kernels(model)
    assert [kernel.op for kernel in kernels] == ["ReduceMax", "Cast", "If", "Exp"]
    assert kernels[2].outputs == kernels[3].outputs
    with pytest.raises(UnsupportedError, match="holds a graph"):
        single_kernel_model(kernels[2])


def test_what_is_no_tensor_cannot_run_alone():
    model = model_of(
        [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        shape=(1, 2),
    )
    del model.graph.output[:]
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(kind)))
    (kernel,) = optimised_kernels(model)
    assert kernel.kernel_class == kernel.op == "ai.onnx.ml.ZipMap"
    with pytest.raises(UnsupportedError, match="no tensor"):
        single_kernel_model(kernel)


def test_open_shapes_are_given_and_a_batch_alone_is_one():
    nodes = [helper.make_node("Softmax", ["x"], ["y"])]
    (kernel,) = optimised_kernels(model_of(nodes, shape=("N", 5)))
    assert kernel.outputs[0].shape == (1, 5)
    (kernel,) = optimised_kernels(model_of(nodes, shape=("N", "M")), shapes=(2, 7))
    assert kernel.outputs[0].shape == (2, 7)
    with pytest.raises(ModelError, match="dynamic shape"):
        optimised_kernels(model_of(nodes, shape=("N", "M")))


def test_a_file_and_what_it_holds_give_the_same(tmp_path):
    onnx.save(conv_relu(), tmp_path / "m.onnx")
    assert optimised_kernels(tmp_path / "m.onnx") == optimised_kernels(conv_relu())
    with pytest.raises(ModelError, match="no such file"):
        optimised_kernels(tmp_path / "other.onnx")


def kernel(op, *shapes, dtype="float32", constants=1, **attributes):
    split = len(shapes) - constants
    inputs = tuple(HostTensor(dtype, shape, constant=i >= split) for i, shape in enumerate(shapes))
    return HostKernel(op, inputs, (), tuple(sorted(attributes.items())))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (kernel(f"{NCHWC}.Conv", (1, 16, 8, 8), (32, 16, 1, 1)), "nchwc_pointwise"),
        (kernel(f"{NCHWC}.Conv", (1, 16, 8, 8), (32, 16, 3, 3), group=1), "nchwc_conv"),
        (kernel(f"{NCHWC}.Conv", (1, 16, 8, 8), (16, 1, 3, 3), group=16), "nchwc_depthwise"),
        (kernel(f"{NCHWC}.Conv", (1, 32, 8, 8), (32, 16, 3, 3), group=2), "nchwc_grouped"),
        (kernel(f"{NCHWC}.Conv", (1, 3, 8, 8), (16, 3, 3, 3)), "nchwc_stem"),
        (kernel(f"{NCHWC}.MaxPool", (1, 16, 8, 8), constants=0), "nchwc_pool"),
        (kernel(f"{NCHWC}.ReorderInput", (1, 16, 8, 8), constants=0), "reorder_in"),
        (kernel("com.microsoft.FusedConv", (1, 10, 8, 8), (10, 10, 3, 3)), "plain_conv"),
        (kernel("Conv", (1, 10, 8, 8), (10, 1, 3, 3), group=10), "plain_depthwise"),
        (kernel("MaxPool", (1, 10, 8, 8), constants=0), "pool"),
        (kernel("MaxPool", (1, 10, 8, 8), constants=0, dtype="int8"), "q_pool"),
        (kernel("com.microsoft.QLinearAdd", (1, 10), (), (), constants=2, dtype="int8"), "q_add"),
        (kernel("Transpose", (1, 10), constants=0, dtype="uint8"), "q_transpose"),
        (kernel("Flatten", (1, 10), constants=0), "view"),
        (kernel("Erf", (1, 10), constants=0), "Erf"),
        (kernel("com.microsoft.Gelu", (1, 10), constants=0), "com.microsoft.Gelu"),
        (kernel("mine.Add", (1, 10), constants=0), "mine.Add"),
    ],
)
def test_classes(found, expected):
    assert found.kernel_class == expected


@st.composite
def tensors(draw):
    """A tensor, with its values where it is small."""
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=4)))
    size, value = int(np.prod(shape)), st.integers(-5, 5) | st.floats(allow_nan=False)
    values = draw(st.none() | st.lists(value, min_size=size, max_size=size)) if size <= 3 else None
    dtype = draw(st.sampled_from(["float32", "int8", "int64", "str", "bool"]))
    return HostTensor(dtype, shape, draw(st.booleans()), None if values is None else tuple(values))


plain = st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
kernels = st.builds(
    HostKernel,
    op=st.sampled_from(["Conv", "com.microsoft.QGemm"]),
    inputs=st.lists(tensors(), max_size=3).map(tuple),
    outputs=st.lists(tensors(), max_size=2).map(tuple),
    attributes=st.dictionaries(
        st.text(min_size=1, max_size=5), plain | st.lists(plain, max_size=3).map(tuple)
    ).map(lambda d: tuple(sorted(d.items()))),
    version=st.integers(1, 25),
)


@settings(max_examples=50)
@given(kernels, kernels)
def test_json_keeps_all_of_a_kernel(one, other):
    assert HostKernel.from_json(one.to_json()) == one
    assert (one.key == other.key) == (one.to_json() == other.to_json())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"op": 1}', '{"op":"A","version":1,"inputs":[[]],"outputs":[]}']
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"not a kernel|Expecting|unpack"):
        HostKernel.from_json(text)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ('["float32",[4294967296,4294967296],1]', "with the sizes"),
        ('["",[4294967296],1]', None),
        ('["float64",[300000000],0]', "with the sizes"),
        ('["str",[4294967296],0]', "with the sizes"),
        ('["float32",[-1,-1],0]', "with the sizes"),
        ('["float32",[1e999],0]', "not a kernel"),
        ('["object",[1],0]', "no numbers"),
        ('["datetime64[s]",[1],0]', "no numbers"),
        ('["V1000000000",[1],0]', "no numbers"),
        ('["int64",[3],1,[1,2]]', "2 values"),
        ("[" * 100_000, "not a kernel"),
        (",".join(['["float32",[200000000],1]'] * 3), "more than 2147483648 bytes"),
    ],
)
def test_tensors_that_no_network_has_are_refused(tensor, message):
    text = f'{{"op":"A","version":1,"inputs":[{tensor}],"outputs":[],"attributes":{{}}}}'
    if message is None:
        assert HostKernel.from_json(text).inputs[0].elements == 0
        return
    with pytest.raises(ValueError, match=message):
        HostKernel.from_json(text)


@pytest.mark.parametrize(
    ("attributes", "tensor"),
    [
        ((("axis", None),), HostTensor("float32", (2,))),
        ((("axis", (1, "one")),), HostTensor("float32", (2,))),
        ((("value", ("tensor", "float32", (3,), (1.0, 2.0))),), HostTensor("float32", (2,))),
        ((("value", ("tensor",)),), HostTensor("float32", (2,))),
        ((("axis", 2**70),), HostTensor("float32", (2,))),
        ((), HostTensor("complex256", (2,))),
        ((), HostTensor("float32", (2,), constant=True, values=("one", "two"))),
    ],
)
def test_what_onnx_cannot_write_is_refused_by_its_operator(attributes, tensor):
    with pytest.raises(UnsupportedError, match="a kernel Exp"):
        single_kernel_model(HostKernel("Exp", (tensor,), (HostTensor("float32", (2,)),), attributes))


def test_nodes_that_run_in_another_order_than_the_graph_has_them_in_are_found():
    """ONNX Runtime runs the end of the second branch before that of the first here, as in models of scikit-learn."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["g"], name="product"),
        helper.make_node("ReduceSumSquare", ["x"], ["r"], name="squares", keepdims=1),
        helper.make_node("Add", ["g", "r"], ["a"], name="distance"),
        helper.make_node("ArgMin", ["a"], ["label"], name="nearest", axis=1),
        helper.make_node("Sqrt", ["a"], ["score"], name="root"),
    ]
    model = model_of(nodes, [("w", np.ones((4, 3), np.float32))], (2, 4), ("label", "score"), opset=13)
    shapes = {kernel.op: kernel.outputs[0].shape for kernel in optimised_kernels(model)}
    assert shapes == {
        "Gemm": (2, 3),
        "ReduceSumSquare": (1, 1),
        "Add": (2, 3),
        "ArgMin": (2, 1),
        "Sqrt": (2, 3),
    }
