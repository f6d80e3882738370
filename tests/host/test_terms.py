"""Work of kernels, counted by hand and tap by tap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw import load_space
from hannah_hw.host.geometry import Convolutions, block_width
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import NCHWC, HostKernel, HostTensor
from hannah_hw.host.terms import terms
from hannah_hw.lowering import to_onnx


def conv(inputs, outputs, size, kernel=1, stride=1, groups=1, *, domain=NCHWC, added=False, activation=None):
    """A convolution of square images, padded by half the filter."""
    pad = kernel // 2
    out = (size + 2 * pad - kernel) // stride + 1
    source = HostTensor("float32", (1, inputs, size, size))
    result = HostTensor("float32", (1, outputs, out, out))
    weight = HostTensor("float32", (outputs, inputs // groups, kernel, kernel), constant=True)
    attributes = {
        "group": groups,
        "kernel_shape": (kernel, kernel),
        "pads": (pad,) * 4,
        "strides": (stride, stride),
        **({"activation": activation} if activation else {}),
    }
    name = f"{domain}.Conv" if domain else "Conv"
    bias = HostTensor("float32", (outputs,), constant=True)
    tensors = (source, weight, bias, result) if added else (source, weight, bias)
    return HostKernel(name, tensors, (result,), tuple(sorted(attributes.items())))


def q_conv(inputs, outputs, size, kernel=1, groups=1):
    """A convolution of 8-bit images, channels last."""
    pad = kernel // 2
    scale, zero = HostTensor("float32", (), constant=True), HostTensor("int8", (), constant=True)
    weight = HostTensor("int8", (outputs, inputs // groups, kernel, kernel), constant=True)
    bias = HostTensor("int32", (outputs,), constant=True)
    attributes = (
        ("channels_last", 1),
        ("group", groups),
        ("kernel_shape", (kernel, kernel)),
        ("pads", (pad,) * 4),
        ("strides", (1, 1)),
    )
    source, result = HostTensor("int8", (1, size, size, inputs)), HostTensor("int8", (1, size, size, outputs))
    tensors = (source, scale, zero, weight, scale, zero, scale, zero, bias)
    return HostKernel("com.microsoft.QLinearConv", tensors, (result,), attributes)


def amounts(kernel, block=8):
    """Name -> amount of one kernel."""
    found = terms([kernel], block)
    return dict(zip(found.names, found.work[0], strict=True))


@given(
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 2),
)
def test_taps_inside_of_the_input_are_those_counted_one_by_one(height, width, taps, stride, pad, dilation):
    span = (taps - 1) * dilation + 1
    rows, columns = ((size + 2 * pad - span) // stride + 1 for size in (height, width))
    if rows < 1 or columns < 1:
        return
    source = HostTensor("float32", (2, 8, height, width))
    result = HostTensor("float32", (2, 8, rows, columns))
    weight = HostTensor("float32", (8, 8, taps, taps), constant=True)
    attributes = (
        ("dilations", (dilation, dilation)),
        ("kernel_shape", (taps, taps)),
        ("pads", (pad,) * 4),
        ("strides", (stride, stride)),
    )
    sizes = Convolutions.of([HostKernel("Conv", (source, weight), (result,), attributes)])

    def inside(output, tap, size):
        return 0 <= output * stride - pad + tap * dilation < size

    every = range(taps)
    assert sizes.valid_rows[0] == 2 * sum(inside(y, tap, height) for y in range(rows) for tap in every)
    assert sizes.valid_columns[0] == sum(inside(x, tap, width) for x in range(columns) for tap in every)
    whole = [all(inside(x, tap, width) for tap in every) for x in range(columns)]
    assert sizes.inner[0] == sum(whole)
    assert sizes.macs[0] == 2 * rows * columns * 8 * 8 * taps * taps


def test_taps_of_an_image_of_any_width_are_counted_without_a_table_of_its_outputs():
    wide = 10**12
    source = HostTensor("float32", (1, 8, 2, wide))
    result = HostTensor("float32", (1, 8, 2, wide // 2))
    weight = HostTensor("float32", (8, 8, 3, 3), constant=True)
    attributes = (("kernel_shape", (3, 3)), ("pads", (1, 1, 1, 1)), ("strides", (1, 2)))
    sizes = Convolutions.of([HostKernel("Conv", (source, weight), (result,), attributes)])
    assert sizes.valid_columns[0] == 3 * wide // 2 - 1  # the first output lacks the left tap
    assert sizes.valid_rows[0] == 4  # each of two rows lacks one


def test_a_pointwise_convolution_goes_over_tiles_of_three_outputs_and_four_blocks():
    # 40 channels are a set of 4 blocks of 8 and one of 1; 100 outputs are 33 tiles of 3 and one output.
    found = amounts(conv(16, 40, 10))
    # A step of 3 outputs and 4 blocks: 12 multiply-adds, 2 a cycle. All others wait 4 cycles for the sum before.
    assert found["inner"] == 16 * (33 * 6 + 4) + 16 * (33 * 4 + 4)
    assert found["sum"] == 100 * 5
    assert found["row"] == 2
    assert found["macs"] == 100 * 16 * 40 / 8
    # Registers of 16 floats, of which there are twice as many: 6 outputs and up to 4 blocks, of which 3 are used.
    wide = amounts(conv(16, 48, 10), block=16)
    assert wide["inner"] == 16 * (16 * 9 + 6)


def test_a_direct_convolution_adds_up_blocks_of_channels_and_skips_padding():
    found = amounts(conv(16, 24, 8, kernel=3))
    # 3 blocks of outputs, 6 inner columns in 2 tiles, a step of which is 9 multiply-adds, 2 a cycle.
    steps = (8 * 3 - 2) * 16
    assert found["inner"] == steps * 3 * 2 * 4.5
    # Two columns at the border with 2 of 3 taps inside each.
    assert found["border_step"] == steps * 4
    assert found["border"] == steps * 4 * 3
    assert found["skipped"] == (8 * 3 - 2) * 2 * 2
    assert found["sum"] == 64 * 3 * 2
    # A stem goes over single channels, all else being the same.
    stem = amounts(conv(4, 24, 8, kernel=3))
    assert stem["inner"] == found["inner"] / 4
    assert stem["sum"] == 64 * 3 * 4


def test_a_depthwise_convolution_computes_columns_at_the_border_one_by_one():
    found = amounts(conv(16, 16, 8, kernel=3, groups=16))
    # 6 of 8 columns have their whole filter inside; 2 rows of 8 have 2 of 3 rows of the filter.
    rows = 2 * (8 * 3 - 2)
    assert found["inner"] == rows * 3 * 6
    assert found["tile"] == rows * 3 * 2
    assert found["border"] == rows * 3 * 2
    assert found["row"] == 2 * 8


def test_passes_of_their_own_are_those_of_clips_and_additions():
    assert amounts(conv(16, 16, 8, activation="Relu"))["clip"] == 0
    assert amounts(conv(16, 16, 8, activation="Clip"))["clip"] == 8 * 8 * 2
    assert amounts(conv(16, 16, 8))["add"] == 0
    assert amounts(conv(16, 16, 8, added=True))["add"] == 8 * 8 * 2


@pytest.mark.parametrize(
    ("size", "outputs", "jobs"),
    [
        (4, 64, 1),  # 16 outputs are one part
        (8, 64, 4),  # 4096 weights: 16 outputs make 64 Ki products
        (8, 8, 1),  # 512 weights: 128 outputs would
        (32, 64, 5),  # at most 5 parts
    ],
)
def test_weights_of_quantised_convolutions_are_laid_out_for_each_part(size, outputs, jobs):
    found = amounts(q_conv(64, outputs, size))
    assert found["jobs"] == jobs
    assert found["weights"] == 64 * outputs * jobs


def test_products_of_8_bits_are_whole_registers_and_what_is_left():
    # 3x3x3 are 27 products, laid out as 28: a register of 16 and three groups of 4.
    found = amounts(q_conv(3, 8, 10, kernel=3))
    assert found["products"] == 100 * 8
    assert found["left_products"] == 100 * 8 * 3
    # 1300 products are 10 parts of 128, and one of 20.
    assert amounts(q_conv(1300, 8, 10))["sums"] == 100 * 8 * 11


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.sampled_from([1, 3, 5]), st.integers(1, 2)
)
def test_work_is_finite_and_not_negative_and_grows_with_the_image(inputs, outputs, size, kernel, stride):
    small = conv(inputs, outputs, size, kernel, stride, domain="")
    large = conv(inputs, outputs, size + 2 * stride, kernel, stride, domain="")
    quantised = [q_conv(inputs, outputs, n, kernel) for n in (size, size + 1)]
    for pair in ([small, large], quantised):
        work = terms(pair).work
        assert np.isfinite(work).all()
        assert (work >= 0).all()
        assert work[1].sum() > work[0].sum()


def test_kernels_are_of_one_class_and_the_block_is_that_of_all_widths():
    with pytest.raises(ValueError, match="one class"):
        terms([conv(16, 16, 8), q_conv(16, 16, 8)])
    with pytest.raises(ValueError, match="one class"):
        terms([])
    assert block_width([conv(16, 16, 8), conv(16, 24, 8)]) == 8
    assert block_width([conv(16, 32, 8)]) == 16
    assert block_width([q_conv(16, 16, 8)]) == 1


@pytest.mark.parametrize("name", ["ds_cnn", "resnet"])
def test_every_kernel_of_a_network_has_terms_wherever_it_runs(name):
    space = load_space(name)
    model = to_onnx(space.candidate(space.sample(seed=0)))
    for kernel in optimised_kernels(model):
        found = terms([kernel])
        assert len(set(found.names)) == len(found.names)
        assert np.isfinite(found.work).all()
        assert (found.work >= 0).all()
        assert found.work.any()
