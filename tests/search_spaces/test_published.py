"""Networks of the papers behind the ready spaces: the sizes that were published come out."""

import functools
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from hannah_hw import load_space
from tests.search_spaces.agreement import weighted

NB201_OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
NB201_EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


# He et al. 2016 as torchvision has them, with the stride in the 3x3 convolution of a bottleneck: 11,689,512 and
# 25,557,032 parameters; 1.814 and 4.089 billion multiply-accumulates of convolutions and classifier.
def test_resnet_18_is_the_default_of_large_images():
    space = load_space("resnet", input_shape=(3, 224, 224), classes=1000, channels=64, stages=4)
    candidate = space.candidate(space.default())
    assert candidate.parameters == 11_689_512
    assert candidate.macs == 1_814_073_344


def test_resnet_50_is_a_candidate():
    shape = (3, 224, 224)
    space = load_space("resnet", input_shape=shape, classes=1000, channels=128, stages=4, max_blocks=6)
    values = {}
    for name in space.parameters:
        if name.endswith(".bottleneck"):
            values[name] = 1
        for stage, blocks in enumerate((3, 4, 6, 3)):
            if f".stage_{stage}." in name and name.endswith(".out_channels"):
                values[name] = 256 << stage
            if f".stage_{stage}." in name and name.endswith(".blocks"):
                values[name] = blocks
    values["resnet_0.Conv2d_0.weight.out_channels"] = 64
    candidate = space.candidate(values)
    assert candidate.parameters == 25_557_032
    assert candidate.macs == 4_089_184_256


# Banbury et al. 2021, arXiv 2010.11267, Table 5 (channels and strides) and the operations that it states, in
# millions, two a multiply-accumulate; the paper rounds and does not say which small layers it leaves out.
MICRONETS = {
    "KWS-L": (276, [(248, 2), (276, 1), (276, 1), (248, 1), (248, 1), (248, 1), (248, 1)], 129.0),
    "KWS-M": (140, [(140, 2), (140, 1), (140, 1), (112, 1), (196, 1)], 30.6),
    "KWS-S": (84, [(112, 2), (84, 1), (84, 1), (84, 1), (196, 1)], 16.4),
    "AD-L": (276, [(248, 2), (276, 1), (276, 1), (248, 2), (248, 2)], 129.0),
    "AD-M": (192, [(276, 2), (276, 1), (276, 1), (276, 2), (276, 2)], 124.7),
    "AD-S": (72, [(164, 2), (220, 1), (276, 2), (276, 2)], 37.5),
}


@pytest.mark.parametrize("name", MICRONETS)
def test_the_published_micronets_are_candidates(name):
    stem, blocks, mega_operations = MICRONETS[name]
    height, width, kernel, classes = (49, 10, (10, 4), 12) if "KWS" in name else (32, 32, (3, 3), 4)
    space = load_space(
        "micronets_ds_cnn", input_shape=(1, height, width), stem_kernel=kernel, classes=classes
    )
    values = {"micronets_ds_cnn_0.Conv2d_0.weight.out_channels": stem}
    values["micronets_ds_cnn_0.ChoiceOp_0.blocks"] = len(blocks)
    weights, channels = kernel[0] * kernel[1] * stem, stem
    macs, trained = weights * height * width, weights + 2 * stem
    for index, (out, stride) in enumerate(blocks):
        block = f"micronets_ds_cnn_0.separable_{index}."
        values |= {f"{block}Conv2d_0.stride": stride, f"{block}Conv2d_1.weight.out_channels": out}
        height, width = -(-height // stride), -(-width // stride)
        macs += (9 * channels + channels * out) * height * width
        trained += 9 * channels + 2 * channels + channels * out + 2 * out
        channels = out
    candidate = space.candidate(values)
    assert candidate.macs == macs + channels * classes
    assert candidate.parameters == trained + channels * classes + classes
    assert 2 * candidate.macs == pytest.approx(mega_operations * 1e6, rel=0.025)


loaded = functools.cache(load_space)


def nb201(cell, **options):
    """The space and the assignment of a cell, given as six operations in the order of `NB201_EDGES`."""
    space = loaded("nas_bench_201", **options)
    ids = {f"edge_{a}_{b}": p for a, b in NB201_EDGES for p in space.parameters if p.endswith(f"{a}_{b}")}
    assert len(ids) == len(space.parameters) == 6
    values = {ids[f"edge_{a}_{b}"]: operation for (a, b), operation in zip(NB201_EDGES, cell, strict=True)}
    return space, values


# Dong and Yang 2020: the largest network, all convolutions of 3x3, has 1.531546 million parameters and 220.12
# million multiply-accumulates (their "FLOPs") on CIFAR-10.
def test_the_largest_network_of_nas_bench_201():
    space, values = nb201(["nor_conv_3x3"] * 6)
    candidate = space.candidate(values)
    assert candidate.parameters == 1_531_546
    rows = [step.op.row().columns for step in candidate.plan.steps]
    assert sum(columns.get("macs", 0) for columns in rows) == 220_119_680
    assert space.encoding.size == 15_625
    # A cell has 6 x 9 x 16 x 16 x 32 x 32, whatever its stage.
    space, values = nb201(["nor_conv_3x3"] * 6, cells=1)
    assert space.candidate(values).macs == 220_119_680 - 3 * 4 * 6 * 9 * 16**2 * 32**2


def test_every_cell_of_nas_bench_201_has_the_edges_on_paths_from_its_input():
    """Weights of all 15,625 cells, counted by walking each cell; edges that its output does not depend on are none."""
    space, _ = nb201(["none"] * 6, cells=1)
    column = {p[-3:]: index for index, p in enumerate(space.encoding.ids)}
    X = np.zeros((5**6, 6))
    expected, joined = np.zeros(5**6, np.int64), np.zeros(5**6, bool)
    fixed = 432 + 32 + (14464 + 57600) + 128 + 650
    for row, cell in enumerate(itertools.product(range(5), repeat=6)):
        operations = dict(zip(NB201_EDGES, cell, strict=True))
        reached = {0}
        for a, b in NB201_EDGES:
            if a in reached and operations[a, b]:
                reached.add(b)
        used = {3}
        for a, b in reversed(NB201_EDGES):
            if b in used and operations[a, b]:
                used.add(a)
        live = [o for (a, b), o in operations.items() if o and a in reached and b in used]
        kernels = [{2: 1, 3: 9}[o] for o in live if o in (2, 3)]
        expected[row] = fixed + sum(k * c * c + 2 * c for k in kernels for c in (16, 32, 64))
        joined[row] = 3 in reached
        for (a, b), operation in operations.items():
            X[row, column[f"{a}_{b}"]] = operation
    counts = space.parameter_counts(X)
    np.testing.assert_array_equal(counts[joined], expected[joined])
    # By hand, 0 and 3 are joined by no path: edge 03 is none, and either 23 is none and one of 01 and 13
    # (9 x 25 cells), or it is one of four and 02 is none, and 01 or both of 12 and 13 are (4 x (25 + 4)).
    assert joined.sum() == 15_625 - 9 * 25 - 4 * (25 + 4)
    np.testing.assert_array_equal(space.workload(X[::7]).exists, joined[::7])


def test_a_cell_without_an_edge_computes_what_adding_zeros_computes():
    """The paper's arithmetic, with zeros for ``none``, on the weights of the first cell."""
    rng = np.random.default_rng(0)
    for trial in range(12):
        cell = [NB201_OPERATIONS[i] for i in rng.integers(5, size=6)]
        cell[3] = cell[3] if cell[3] != "none" else "skip_connect"
        space, values = nb201(cell, cells=1, input_shape=(3, 8, 8), channels=4)
        module = weighted(space.candidate(values), trial)

        def normal(x, name, module=module):
            mean, var, scale, offset = (
                module.weight(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")
            )
            return functional.batch_norm(x, mean, var, scale, offset)

        def edge(x, cell_name, index, operation, module=module, normal=normal):
            prefix = f"{cell_name}.edge_{index}."
            if operation == "none":
                return torch.zeros_like(x)
            if operation == "skip_connect":
                return x
            if operation == "avg_pool_3x3":
                return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            number, padding = (0, 0) if operation == "nor_conv_1x1" else (1, 1)
            if f"{prefix}Conv2d_{number}.weight" not in module.plan.weights:
                return torch.zeros_like(x)
            x = functional.conv2d(x.relu(), module.weight(f"{prefix}Conv2d_{number}.weight"), padding=padding)
            return normal(x, f"{prefix}BatchNorm_{number}")

        def network(x, module=module, cell=cell, edge=edge, normal=normal):
            root = "nas_bench_201_0"
            x = normal(
                functional.conv2d(x, module.weight(f"{root}.Conv2d_0.weight"), padding=1),
                f"{root}.BatchNorm_0",
            )
            for stage in range(3):
                if stage:
                    name = f"{root}.reduction_{stage - 1}"
                    w = [module.weight(f"{name}.Conv2d_{i}.weight") for i in range(3)]
                    main = normal(
                        functional.conv2d(x.relu(), w[0], stride=2, padding=1), f"{name}.BatchNorm_0"
                    )
                    main = normal(functional.conv2d(main.relu(), w[1], padding=1), f"{name}.BatchNorm_1")
                    x = main + functional.conv2d(functional.avg_pool2d(x, 2), w[2])
                nodes = [x]
                for target in (1, 2, 3):
                    into = [(i, a, cell[i]) for i, (a, b) in enumerate(NB201_EDGES) if b == target]
                    nodes.append(sum(edge(nodes[a], f"{root}.cell_{stage}", i, o) for i, a, o in into))
                x = nodes[3]
            x = normal(x, f"{root}.BatchNorm_1").relu().mean((2, 3))
            return x @ module.weight(f"{root}.Linear_0.weight") + module.weight(f"{root}.Linear_0.bias")

        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(trial))
        torch.testing.assert_close(module(x), network(x), rtol=1e-4, atol=1e-5)
