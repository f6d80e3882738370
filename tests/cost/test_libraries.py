"""Libraries of kernel classes: who runs what, over populations as over one candidate."""

import numpy as np
import pytest

from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.workload import KERNEL_COLUMNS, Kernels

OWN = ("hannah_dsp", "hannah_portable")


def kernels(kind, count=1, **columns):
    table = {name: np.full((count, 1), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name, value in columns.items():
        table[name][:, 0] = value
    return Kernels(("k",), (kind,), np.ones((count, 1), bool), table)


def window(size, **columns):
    return {"kernel_h": size, "kernel_w": size, "in_h": 9, "in_w": 9, "out_h": 9, "out_w": 9, **columns}


def depthwise(size, stride=1, **columns):
    shared = {"groups": 8, "in_channels": 8, "out_channels": 8, "stride_h": stride, "stride_w": stride}
    return window(size, **shared, **columns)


@pytest.mark.parametrize("library", OWN)
@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("conv", window(1, in_channels=8, out_channels=8), "conv_1x1"),
        ("conv", window(1, stride_h=2, stride_w=2), "conv_1x1"),
        ("conv", window(1, pad_left=1), "conv"),
        ("conv", window(3), "conv"),
        ("conv", {"in_w": 40, "out_w": 40, "kernel_w": 3}, "conv_1xn"),
        ("conv", window(3, groups=2, in_channels=8, out_channels=8), "conv_grouped"),
        ("conv", window(3, groups=8, in_channels=8, out_channels=16), "conv_grouped"),
        ("conv", depthwise(3), "dw_3x3"),
        ("conv", depthwise(3, 2), "dw_3x3_s2"),
        ("conv", depthwise(5), "dw_5x5"),
        ("conv", depthwise(5, 2), "dw_5x5_s2"),
        ("conv", depthwise(7), "dw_7x7"),
        ("conv", depthwise(7, 2), "dw_7x7_s2"),
        ("conv", depthwise(3, 3), "dw"),
        ("conv", depthwise(9), "dw"),
        ("conv", depthwise(3, dilation_h=2, dilation_w=2), "dw"),
        ("conv", depthwise(3) | {"stride_w": 2}, "dw"),
        ("linear", {"in_channels": 64, "out_channels": 10}, "fc"),
        ("avg_pool", window(9, out_h=1, out_w=1), "global_avg_pool"),
        ("avg_pool", window(3), "avg_pool"),
        *((kind, {}, "lut") for kind in ("activation", "sigmoid", "hard_sigmoid", "hard_swish", "quantize")),
        *((kind, {}, kind) for kind in ("add", "mul", "scale", "max_pool", "concat", "softmax", "pad")),
        *((kind, {}, kind) for kind in ("slice", "upsample", "permute")),
        ("batch_norm", {}, "batch_norm"),
        *((kind, {}, None) for kind in ("layer_norm", "matmul")),
    ],
)
def test_our_kernels_are_selected_by_kind_and_shape(library, kind, columns, expected):
    found = LIBRARIES[library].classify(kernels(kind, **columns))
    assert found.shape == (1, 1)
    assert (None if found[0, 0] < 0 else LIBRARIES[library].classes[found[0, 0]].name) == expected


@pytest.mark.parametrize("name", LIBRARIES)
def test_names_are_unique_and_features_are_finite(name):
    library = LIBRARIES[name]
    assert library.name == name
    assert len({entry.name for entry in library.classes}) == len(library.classes)
    with pytest.raises(KeyError):
        library["winograd"]


def random_kernels(count, seed):
    """Convolutions of every class, in slots that some candidates do not use."""
    rng = np.random.default_rng(seed)
    kinds = ("conv", "add", "conv", "linear", "avg_pool", "conv", "hard_swish", "matmul")
    shape = (count, len(kinds))
    table = {name: np.full(shape, default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    channels = rng.integers(1, 33, shape)
    depth = rng.random(shape) < 0.5
    table["in_channels"], table["groups"] = channels, np.where(depth, channels, 1)
    table["out_channels"] = np.where(depth, channels, rng.integers(1, 33, shape))
    for name in ("in_h", "in_w", "out_h", "out_w"):
        table[name] = rng.integers(1, 20, shape)
    for axis in "hw":
        table[f"kernel_{axis}"] = rng.choice([1, 3, 5, 7], shape)
        table[f"stride_{axis}"] = rng.integers(1, 3, shape)
    return Kernels(tuple(f"k{i}" for i in range(len(kinds))), kinds, rng.random(shape) < 0.7, table)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_population_is_classified_like_each_candidate_alone(name):
    library, whole = LIBRARIES[name], random_kernels(40, seed=3)
    classes, (in_place, scratch) = library.classify(whole), library.memory(whole)
    assert (classes[~whole.active] == -1).all()
    for row in range(40):
        part = slice(row, row + 1)
        columns = {key: value[part] for key, value in whole.columns.items()}
        alone = Kernels(whole.names, whole.kinds, whole.active[part], columns)
        np.testing.assert_array_equal(library.classify(alone), classes[part])
        for one, all_ in zip(library.memory(alone), (in_place, scratch), strict=True):
            np.testing.assert_array_equal(one, all_[part])


@pytest.mark.parametrize("name", OWN)
def test_scratch_and_constants_are_whole_words(name):
    from hannah_hw.cost.entries import Entries

    whole = random_kernels(200, seed=5)
    for kind in set(whole.kinds):
        entries = Entries.of_kind(whole, kind)
        for _, entry, chosen in LIBRARIES[name].selected(kind, entries):
            for formula in (entry.scratch, entry.constants) if entry is not None else ():
                if formula is not None:
                    values = formula(chosen)
                    assert (values >= 0).all()
                    np.testing.assert_array_equal(values % 4, 0)


@pytest.mark.parametrize("name", OWN)
def test_constants_hold_weights_biases_and_multipliers(name):
    library = LIBRARIES[name]
    from hannah_hw.cost.entries import Entries

    def constants(kernel_class, **columns):
        return float(library[kernel_class].constants(Entries.of_first(kernels("conv", **columns)))[0])

    # 16 channels of 16 · 9 weights, a bias and a multiplier; 10 channels are padded to fours, or are pairs.
    fours = name == "hannah_dsp"
    assert constants("conv", **window(3, in_channels=16, out_channels=16)) == 16 * (144 + 8)
    assert constants("fc", in_channels=64, out_channels=10) == (12 if fours else 10) * (64 + 8)
    # Two groups of 6 channels.
    grouped = window(3, in_channels=8, out_channels=12, groups=2)
    assert constants("conv_grouped", **grouped) == 2 * (8 if fours else 6) * (36 + 8)
