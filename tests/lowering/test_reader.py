"""Reading files that others wrote, wrong files, and files of which we know only part."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import load_space, to_onnx
from hannah_hw.errors import ModelError
from hannah_hw.lowering import read_onnx
from hannah_hw.workload import ACTIVATIONS
from tests.blocks import kernels_of

RNG = np.random.default_rng(0)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model(nodes, inputs, outputs, constants=(), opset=18):
    def infos(shapes):
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
        ]

    graph = helper.make_graph(
        nodes,
        "g",
        infos(inputs),
        infos(outputs),
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(kind, inputs, outputs, name="", **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), name=name or f"{kind}_n", **attributes)


def kinds(source):
    return list(source.workload().kernels.kinds)


def image(*nodes, constants=(), output=(1, 4, 8, 8), opset=18):
    return model(nodes, {"x": (1, 3, 8, 8)}, {"y": output}, constants, opset)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_torch_exported(tmp_path):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU6(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
        torch.nn.Softmax(dim=1),
    ).eval()
    path = tmp_path / "torch.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 3, 16, 16),), path, dynamo=False, do_constant_folding=False, opset_version=17
    )
    read = read_onnx(path)
    assert read.foreign == {}
    rows = kernels_of(read.workload(bits=8))
    assert [(r["kind"], ACTIVATIONS[r["activation"]], r["macs"]) for r in rows] == [
        ("conv", "relu6", 216 * 64),
        ("max_pool", "none", 0),
        ("conv", "relu", 72 * 16),
        ("avg_pool", "none", 0),
        ("linear", "none", 40),
        ("softmax", "none", 0),
    ]
    assert read.bits == 32


class Edge(torch.nn.Module):
    """What current edge networks consist of."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.excite = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(8, 8, 1), torch.nn.Hardsigmoid()
        )
        self.up = torch.nn.Sequential(
            torch.nn.Upsample(scale_factor=2), torch.nn.Upsample(scale_factor=2, mode="bilinear")
        )
        self.transpose = torch.nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1)
        self.pad = torch.nn.ZeroPad2d((1, 2, 0, 1))
        self.norm = torch.nn.LayerNorm(64)

    def forward(self, x):
        x = torch.nn.functional.hardswish(self.stem(x))
        x = self.excite(x) * x
        first, second = x[:, :3], x[:, -5:]
        x = torch.cat([second, first], dim=1)
        x = x.reshape(1, 2, 4, 8, 8).transpose(1, 2).reshape(1, 8, 8, 8)  # a shuffle of two groups
        x = self.transpose(self.pad(self.up(x)))
        x = self.norm(x[:, :, :, :64])
        query = x.reshape(1, 2, 3, -1).permute(0, 1, 3, 2)
        scores = (query @ query.transpose(2, 3)) / 3**0.5
        return (torch.softmax(scores, -1) @ query).sigmoid()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Constant folding:UserWarning")
def test_an_edge_network_that_torch_exported(tmp_path):
    path = tmp_path / "torch.onnx"
    torch.onnx.export(Edge().eval(), (torch.zeros(1, 3, 8, 8),), path, dynamo=False, opset_version=17)
    read = read_onnx(path)
    assert read.foreign == {}
    rows = kernels_of(read.workload(bits=8))
    outputs = [(r["kind"], r["out_channels"], r["out_h"], r["out_w"]) for r in rows]
    positions = 66 * 64
    assert outputs == [
        ("conv", 8, 8, 8),
        ("hard_swish", 8, 8, 8),
        ("avg_pool", 8, 1, 1),
        ("conv", 8, 1, 1),
        ("hard_sigmoid", 8, 1, 1),
        ("mul", 8, 8, 8),
        ("slice", 3, 8, 8),
        ("slice", 5, 8, 8),
        ("concat", 8, 8, 8),
        ("permute", 4, 16, 8),
        ("upsample", 8, 16, 16),
        ("upsample", 8, 32, 32),
        ("pad", 8, 33, 35),
        ("conv_transpose", 6, 66, 70),
        ("slice", 6, 66, 64),
        ("layer_norm", 64, 1, 6 * 66),
        ("permute", 2, positions, 3),
        ("matmul", 2 * positions, 1, positions),
        ("scale", 2, positions, positions),
        ("softmax", positions, 1, 2 * positions),
        ("matmul", 6, 1, positions),
        ("sigmoid", 2, positions, 3),
    ]
    macs = {r["kind"]: r["macs"] for r in rows}
    assert macs["conv_transpose"] == 8 * 6 * 9 * 33 * 35
    assert macs["matmul"] == 2 * 3 * positions**2


def test_a_quantised_file_is_the_same_workload(tmp_path):
    from hannah_hw.lowering.quantise import quantise_int8

    candidate = load_space("ds_cnn", input_shape=(1, 12, 12), max_blocks=2).candidate({})
    to_onnx(candidate, tmp_path / "float.onnx")
    quantise_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", RNG.random((8, 1, 12, 12), np.float32))
    read = read_onnx(tmp_path / "int8.onnx")
    assert read.bits == 8
    assert read.foreign == {}
    # The quantiser drops a ReLU whose clamp the zero point already makes, so the column alone may differ.
    rows = [[{**r, "activation": 0} for r in kernels_of(w)] for w in (read.workload(), candidate.workload())]
    assert rows[0] == rows[1]
    np.testing.assert_array_equal(read.workload().buffers.bytes, candidate.workload().buffers.bytes)


@pytest.mark.parametrize(("padding", "pads"), [("SAME_UPPER", [0, 0, 1, 1]), ("VALID", [0, 0, 0, 0])])
def test_automatic_padding(padding, pads):
    size = 4 if padding == "SAME_UPPER" else 3
    source = image(
        node("Conv", "x w", "y", auto_pad=padding, strides=[2, 2]),
        constants={"w": values(4, 3, 3, 3)},
        output=(1, 4, size, size),
    )
    (row,) = kernels_of(read_onnx(source).workload())
    assert [row[f"pad_{side}"] for side in ("top", "left", "bottom", "right")] == pads


def test_constants_may_be_nodes():
    source = image(
        node("Constant", "", "low", value_float=0.0),
        node("Constant", "", "high", value=numpy_helper.from_array(np.float32(6))),
        node("Clip", "x low high", "y"),
        output=(1, 3, 8, 8),
    )
    (row,) = kernels_of(read_onnx(source).workload())
    assert ACTIVATIONS[row["activation"]] == "relu6"


def test_repeated_names_are_told_apart():
    source = image(
        node("MaxPool", "x", "a", name="x", kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", "a", "b", name="n"),
        node("Add", "a b", "c", name="n"),
        node("Sigmoid", "c", "y", name="n"),
        output=(1, 3, 4, 4),
    )
    table = read_onnx(source).workload(bits=8)
    assert table.kernels.names == ("x:1", "n", "n:1", "n:2")
    assert table.buffers.names == ("x", "x:1", "n", "n:1", "n:2")
    assert table.buffers.bytes.tolist() == [[192, 48, 48, 48, 48]]
    assert table.buffers.last.tolist() == [[0, 2, 2, 3, 3]]


def resize(**attributes):
    return helper.make_node("Resize", ["x", "", "s"], ["y"], name="Resize_n", **attributes)


def test_numbers_of_a_quantised_file_are_read_by_their_value():
    """A constant zero has the code of the zero point, a constant clip may have any."""
    quantised = {"zs": np.float32(0.5), "zz": np.int8(-3), "z": np.int8(-3), "h": np.int8(9)}
    source = image(
        node("DequantizeLinear", "z zs zz", "zero", name="d0"),
        node("DequantizeLinear", "h zs zz", "six", name="d1"),
        node("Pad", "x p zero", "a"),
        node("Clip", "a zero six", "y"),
        constants={**quantised, "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        output=(1, 3, 10, 10),
    )
    read = read_onnx(source)
    assert read.foreign == {}
    assert kinds(read) == ["pad", "activation"]
    assert read.workload().kernels["activation"][0, 1] == ACTIVATIONS.index("relu6")


FOREIGN = {
    "unknown operator": (image(node("Erf", "x", "y"), output=(1, 3, 8, 8)), "no operator reads Erf"),
    "clip": (
        image(
            node("Clip", "x l h", "y"),
            constants={"l": np.float32(-1), "h": np.float32(1)},
            output=(1, 3, 8, 8),
        ),
        "a Clip from -1.0 to 1.0 is neither",
    ),
    "three dimensions": (
        model([node("Relu", "x", "y")], {"x": (1, 2, 4, 4, 4)}, {"y": (1, 2, 4, 4, 4)}),
        "none of",
    ),
    "vector": (model([node("Relu", "x", "y")], {"x": (4,)}, {"y": (4,)}), "takes data (N, ...)"),
    "volume pooling": (
        model([node("GlobalAveragePool", "x", "y")], {"x": (1, 2, 4, 4, 4)}, {"y": (1, 2, 1, 1, 1)}),
        "takes one operand of shape (N, C, L) or (N, C, H, W)",
    ),
    "constant summand": (
        image(node("Add", "x c", "y"), constants={"c": values(1, 3, 8, 8)}, output=(1, 3, 8, 8)),
        "adding a constant",
    ),
    "broadcast": (
        image(node("GlobalAveragePool", "x", "a"), node("Add", "x a", "y"), output=(1, 3, 8, 8)),
        "adds values of one shape",
    ),
    "padding that counts": (
        image(
            node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
            output=(1, 3, 8, 8),
        ),
        "counts its padding",
    ),
    "ceil mode": (
        image(
            node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), output=(1, 3, 4, 4)
        ),
        "ceil_mode",
    ),
    "computed weight": (
        model([node("Conv", "x w", "y")], {"x": (1, 3, 8, 8), "w": (4, 3, 1, 1)}, {"y": (1, 4, 8, 8)}),
        "its weight is computed",
    ),
    "computed bias": (
        model([node("Gemm", "x w b", "y")], {"x": (1, 4), "b": (1, 4)}, {"y": (1, 4)}, {"w": values(4, 4)}),
        "its bias is computed",
    ),
    "softmax over space": (image(node("Softmax", "x", "y", axis=1), output=(1, 3, 8, 8)), "a softmax"),
    "reshape": (
        image(node("Reshape", "x s", "y"), constants={"s": np.array([3, 64], np.int64)}, output=(3, 64)),
        "does not keep the batch",
    ),
    "flatten": (image(node("Flatten", "x", "y", axis=2), output=(3, 64)), "not to (N, features)"),
    "transpose": (image(node("Transpose", "x", "y", perm=[1, 0, 2, 3]), output=(3, 1, 8, 8)), "batch, first"),
    "joined constant": (
        image(node("Concat", "x c", "y", axis=1), constants={"c": values(1, 1, 8, 8)}, output=(1, 4, 8, 8)),
        "takes at least two",
    ),
    "joined constants": (
        image(node("Concat", "x x c", "y", axis=1), constants={"c": values(1, 1, 8, 8)}, output=(1, 7, 8, 8)),
        "joining constants",
    ),
    "joined batches": (image(node("Concat", "x x", "y", axis=0), output=(2, 3, 8, 8)), "axis 0 is the batch"),
    "steps": (
        image(
            node("Slice", "x b e a s", "y"),
            constants={k: np.array([v], np.int64) for k, v in {"b": 0, "e": 8, "a": 3, "s": 2}.items()},
            output=(1, 3, 8, 4),
        ),
        "in steps of [2]",
    ),
    "edge padding": (
        image(
            node("Pad", "x p", "y", mode="edge"),
            constants={"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
            output=(1, 3, 10, 10),
        ),
        "only zeros",
    ),
    "padding with ones": (
        image(
            node("Pad", "x p v", "y"),
            constants={"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.float32(1)},
            output=(1, 3, 10, 10),
        ),
        "only zeros",
    ),
    "padded channels": (
        image(
            node("Pad", "x p", "y"), constants={"p": np.array([0, 1, 0, 0, 0, 0, 0, 0])}, output=(1, 4, 8, 8)
        ),
        "of the channels is not supported",
    ),
    "padded axes": (
        image(
            helper.make_node("Pad", ["x", "p", "", "a"], ["y"], name="Pad_n"),
            constants={"p": np.array([1, 1]), "a": np.array([3])},
            output=(1, 3, 8, 10),
        ),
        "one constant input for all dimensions",
    ),
    "resize by a fraction": (
        image(resize(), constants={"s": np.float32([1, 1, 1.5, 1.5])}, output=(1, 3, 12, 12)),
        "no whole factors",
    ),
    "cubic resize": (
        image(resize(mode="cubic"), constants={"s": np.float32([1, 1, 2, 2])}, output=(1, 3, 16, 16)),
        "mode 'cubic'",
    ),
    "aligned corners": (
        image(
            resize(mode="linear", coordinate_transformation_mode="align_corners"),
            constants={"s": np.float32([1, 1, 2, 2])},
            output=(1, 3, 16, 16),
        ),
        "coordinates 'align_corners'",
    ),
    "resize that rounds up": (
        image(
            resize(coordinate_transformation_mode="asymmetric", nearest_mode="ceil"),
            constants={"s": np.float32([1, 1, 2, 2])},
            output=(1, 3, 16, 16),
        ),
        "(ceil)",
    ),
    "inverse": (
        image(node("Div", "c x", "y"), constants={"c": np.float32(1)}, output=(1, 3, 8, 8)),
        "one number",
    ),
    "factors along the width": (
        model([node("Mul", "x z", "y")], {"x": (1, 3, 8, 8), "z": (8, 8)}, {"y": (1, 3, 8, 8)}),
        "multiplies values of the shapes",
    ),
    "product with a matrix": (
        image(node("MatMul", "x w", "y"), constants={"w": values(8, 4)}, output=(1, 3, 8, 4)),
        "by constant (in, out) product",
    ),
    "broadcast matrices": (
        model([node("MatMul", "x z", "y")], {"x": (1, 3, 8, 8), "z": (8, 8)}, {"y": (1, 3, 8, 8)}),
        "different numbers of dimensions",
    ),
    "training dropout": (
        image(
            node("Dropout", "x r t", "y"),
            constants={"r": np.float32(0.5), "t": np.array(True)},
            output=(1, 3, 8, 8),
        ),
        "training_mode",
    ),
    "broadcast layer norm": (
        image(
            node("LayerNormalization", "x s", "y", axis=2), constants={"s": values(8)}, output=(1, 3, 8, 8)
        ),
        "it must have (8, 8)",
    ),
    "automatic transposed padding": (
        image(
            node("ConvTranspose", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2]),
            constants={"w": values(3, 4, 3, 3)},
            output=(1, 4, 16, 16),
        ),
        "auto_pad",
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_nobody_reads_is_a_kernel_under_its_own_name(case):
    source, reason = FOREIGN[case]
    read = read_onnx(source)
    last = source.graph.node[-1]
    assert reason in read.foreign[last.name]
    assert kinds(read)[-1] == last.op_type


def test_every_output_of_a_foreign_node_has_a_reader():
    # Outputs of other shapes than the first one's are read as they are; they lie in one buffer.
    source = image(node("Parts", "x", "a b c", domain="nobody"), node("Add", "b c", "y"), output=(1, 2, 8, 8))
    source.opset_import.append(helper.make_opsetid("nobody", 1))
    for name, channels in {"a": 1, "b": 2, "c": 2}.items():
        shape = (1, channels, 8, 8)
        source.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    read = read_onnx(source)
    assert kinds(read) == ["nobody.Parts", "add"]
    assert list(read.foreign) == ["Parts_n"]


def function(name, nodes, inputs, outputs, uses=("",)):
    imports = [helper.make_opsetid(domain, 18 if not domain else 1) for domain in uses]
    return helper.make_function("other", name, inputs.split(), outputs.split(), nodes, imports)


def calling(*functions, nodes, **shapes):
    source = model(nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 3, 8, 8)}, **shapes)
    source.functions.extend(functions)
    source.opset_import.append(helper.make_opsetid("other", 1))
    return source


def test_functions_of_a_file_are_what_they_consist_of():
    half = function(
        "half", [node("Relu", "a", "b"), node("MaxPool", "b", "c", kernel_shape=[1, 1])], "a", "c"
    )
    both = function(
        "both",
        [node("half", "a", "b", domain="other"), node("half", "b", "c", domain="other")],
        "a",
        "c",
        ("", "other"),
    )
    read = read_onnx(calling(half, both, nodes=[node("both", "x", "y", domain="other")]))
    assert read.foreign == {}
    assert kinds(read) == ["activation", "max_pool", "max_pool"]  # the second activation folds


def test_functions_of_functions_that_would_fill_the_memory_are_refused():
    bodies = [function("f0", [node("Relu", "a", "b"), node("Relu", "b", "c")], "a", "c")]
    for level in range(1, 40):
        calls = [node(f"f{level - 1}", names, out, domain="other") for names, out in (("a", "b"), ("b", "c"))]
        bodies.append(function(f"f{level}", calls, "a", "c", ("other",)))
    with pytest.raises(ModelError, match=rf"its functions stand for {2**40} nodes; at most"):
        read_onnx(calling(*bodies, nodes=[node("f39", "x", "y", domain="other")]))


def test_a_foreign_operator_has_no_name_that_a_target_knows():
    """One that is called as a kernel kind of the package would have the price of its empty row."""
    source = image(node("Relu", "x", "a"), node("conv", "a", "y", domain="other"), output=(1, 3, 8, 8))
    source.opset_import.append(helper.make_opsetid("other", 1))
    assert kinds(read_onnx(source)) == ["activation", "other.conv"]


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ([node("Conv", "x w z", "y")], "Conv_n"),
        ([node("Clip", "x l m", "y")], "Clip_n"),
    ],
)
def test_what_is_read_where_it_is_constant_may_not_be_computed(nodes, name):
    source = model(
        nodes,
        {"x": (1, 3, 8, 8), "z": (3,), "m": ()},
        {"y": (1, 3, 8, 8)},
        {"w": values(3, 3, 1, 1), "l": np.float32(0)},
    )
    read = read_onnx(source)
    assert read.foreign == {name: "it computes from values what is read only where it is constant"}


def test_what_a_quantise_node_leaves_open_is_8_bits():
    source = image(
        node("QuantizeLinear", "x s", "q"),
        node("DequantizeLinear", "q s", "d"),
        node("Relu", "d", "y"),
        constants={"s": np.float32(0.1)},
        output=(1, 3, 8, 8),
    )
    assert read_onnx(source).bits == 8
    assert read_onnx(source).workload().buffers.bytes.tolist() == [[192, 192]]


@pytest.mark.parametrize("kind", ["Constant", "QuantizeLinear", "Identity", "Shape", "Relu"])
def test_an_operator_of_another_domain_is_not_the_one_of_its_name(kind):
    """It would disappear, or be read as what it is not."""
    source = image(node(kind, "x", "a", domain="other"), node("Relu", "a", "y"), output=(1, 3, 8, 8))
    source.opset_import.append(helper.make_opsetid("other", 1))
    source.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, (1, 3, 8, 8)))
    assert kinds(read_onnx(source)) == [f"other.{kind}", "activation"]


def broken(change):
    """A model of which something was changed."""
    source = image(
        node("Slice", "x b e a", "s"),
        node("Clip", "s l h", "y"),
        constants={
            **{k: np.array([v]) for k, v in {"b": 0, "e": 8, "a": 3}.items()},
            "l": np.float32(0),
            "h": np.float32(6),
        },
        output=(1, 3, 8, 8),
    )
    assert read_onnx(source).foreign == {}
    change(source.graph)
    return source


BROKEN = {
    "too little data": lambda graph: graph.initializer[4].ClearField("raw_data"),
    "too many dimensions": lambda graph: graph.initializer[0].dims.append(7),
    "no batch": lambda graph: graph.input[0].type.tensor_type.shape.ClearField("dim"),
    "no such type": lambda graph: setattr(graph.initializer[3], "data_type", 1000),
    "huge output": lambda graph: setattr(graph.output[0].type.tensor_type.shape.dim[3], "dim_value", 2**60),
    "no inputs": lambda graph: graph.node[0].ClearField("input"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_models_are_refused_or_foreign(case):
    try:
        source = broken(BROKEN[case])
        read = read_onnx(source)
    except ModelError:
        return
    assert read.foreign
    assert read.deployed().size == 1


WRONG = {
    "dynamic": (
        lambda: model([node("Relu", "x", "y")], {"x": ("N", 3, "H", 8)}, {"y": ("N", 3, "H", 8)}),
        r"'x' has the dynamic shape \(N, 3, H, 8\); give one with --shape, for example --shape 1,3,16,8",
    ),
    "no graph": (onnx.ModelProto, "it has no graph"),
    "no dimensions": (
        lambda: model([node("Relu", "x", "y")], {"x": None}, {"y": (1, 3)}),
        "not a valid ONNX model",
    ),
    "no nodes": (image, "'y' is not an output of any node"),
    "missing value": (lambda: image(node("Relu", "nowhere", "y")), "not a valid ONNX model"),
    "constant output": (
        lambda: model([node("Relu", "x", "y")], {"x": (1, 3)}, {"c": (1, 3)}, {"c": values(1, 3)}),
        "'c' does not depend on an input",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_models_are_refused(case):
    build, message = WRONG[case]
    with pytest.raises(ModelError, match=message):
        read_onnx(build())


def test_open_shapes_can_be_given():
    source = model([node("Relu", "x", "y")], {"x": ("N", 3, "H", 8)}, {"y": ("N", 3, "H", 8)})
    read = read_onnx(source, shapes=(1, 3, 5, 8))
    assert read.workload(bits=8).buffers.bytes.tolist() == [[120, 120]]
    assert source.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    with pytest.raises(ModelError, match=r"shape \(1, 3\) does not fit"):
        read_onnx(source, shapes={"x": (1, 3)})
    with pytest.raises(
        ModelError, match=r"shape \(1, 4, 5, 8\) does not fit the input 'x', which is \(N, 3, H, 8\)"
    ):
        read_onnx(source, shapes={"x": (1, 4, 5, 8)})
    with pytest.raises(ModelError, match="no input 'X'; allowed: x"):
        read_onnx(source, shapes={"X": (1, 3, 5, 8)})


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(ModelError, match="cannot read the file: No such file"):
        read_onnx(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        read_onnx(tmp_path)
    for content in (b"", b"not a model at all", bytes(range(256)) * 20):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.onnx: not"):
            read_onnx(tmp_path / "bad.onnx")


def test_a_truncated_file_is_never_priced(tmp_path):
    candidate = load_space("ds_cnn", max_blocks=1).candidate({})
    whole = to_onnx(candidate).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            read_onnx(path)


def test_weights_in_another_file(tmp_path):
    weight = values(4, 3, 1, 1)
    source = image(node("Conv", "x w", "y"), constants={"w": weight})
    onnx.save(
        source,
        tmp_path / "split.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="weights.bin",
        size_threshold=0,
    )
    held = read_onnx(tmp_path / "split.onnx").model.graph.initializer[0]
    np.testing.assert_array_equal(numpy_helper.to_array(held), weight)
    with pytest.raises(ModelError, match="its weights are in another file"):
        read_onnx(onnx.load(tmp_path / "split.onnx", load_external_data=False))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"in the file 'weights\.bin', which is not beside the model"):
        read_onnx(tmp_path / "split.onnx")


def test_weights_outside_of_the_models_folder_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    source = image(node("Conv", "x w", "y"), constants={"w": values(4, 3, 1, 1)})
    onnx.save(source, folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (folder / "w.bin").rename(tmp_path / "w.bin")
    found = onnx.load(folder / "m.onnx", load_external_data=False)
    found.graph.initializer[0].external_data[0].value = "../w.bin"
    (folder / "m.onnx").write_bytes(found.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx: not a valid ONNX model: .*w\.bin"):
        read_onnx(folder / "m.onnx")
