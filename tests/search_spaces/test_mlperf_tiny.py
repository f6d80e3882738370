"""The four MLPerf Tiny networks against the published models, layer by layer.

Source of the tables: the quantised TFLite files of github.com/mlcommons/tiny at commit 1afd2c98
(benchmark/training/*/trained_models: pretrainedResnet_quant, kws_ref_model, vww_96_int8, ad01_int8); parameters are
weights and biases with batch normalisation folded, peaks are bytes of int8 activations alive at once.
"""

import numpy as np
import pytest

from hannah_hw import load_space, to_onnx
from hannah_hw.lowering import read_onnx
from hannah_hw.workload import ACTIVATIONS
from tests.blocks import buffers_of, kernels_of, randomised, run_onnx


def c(out, kernel, size, macs, act="relu", stride=1, kind="conv"):
    """A row: kind, output channels, kernel, output height and width, MACs, activation, stride."""
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    size = size if isinstance(size, tuple) else (size, size)
    return (kind, out, *kernel, *size, macs, act, stride)


def dw(channels, size, macs, stride=1):
    return c(channels, 3, size, macs, stride=stride, kind="depthwise")


def fc(out, macs, act="none"):
    return c(out, 1, 1, macs, act, kind="linear")


def plain(kind, channels, size=1, act="none"):
    return (kind, channels, size, act)


RESNET8 = [
    c(16, 3, 32, 442368),
    c(16, 3, 32, 2359296),
    c(16, 3, 32, 2359296, "none"),
    plain("add", 16, 32, "relu"),
    c(32, 3, 16, 1179648, stride=2),
    c(32, 3, 16, 2359296, "none"),
    c(32, 1, 16, 131072, "none", stride=2),
    plain("add", 32, 16, "relu"),
    c(64, 3, 8, 1179648, stride=2),
    c(64, 3, 8, 2359296, "none"),
    c(64, 1, 8, 131072, "none", stride=2),
    plain("add", 64, 8, "relu"),
    plain("avg_pool", 64),
    fc(10, 640),
    plain("softmax", 10),
]
DS_CNN = [
    c(64, (10, 4), (25, 5), 320000, stride=2),
    *[dw(64, (25, 5), 72000), c(64, 1, (25, 5), 512000)] * 4,
    plain("avg_pool", 64),
    fc(12, 768),
    plain("softmax", 12),
]
MOBILENET = [
    c(8, 3, 48, 497664, stride=2),
    *[dw(8, 48, 165888), c(16, 1, 48, 294912)],
    *[dw(16, 24, 82944, 2), c(32, 1, 24, 294912)],
    *[dw(32, 24, 165888), c(32, 1, 24, 589824)],
    *[dw(32, 12, 41472, 2), c(64, 1, 12, 294912)],
    *[dw(64, 12, 82944), c(64, 1, 12, 589824)],
    *[dw(64, 6, 20736, 2), c(128, 1, 6, 294912)],
    *[dw(128, 6, 41472), c(128, 1, 6, 589824)] * 5,
    *[dw(128, 3, 10368, 2), c(256, 1, 3, 294912)],
    *[dw(256, 3, 20736), c(256, 1, 3, 589824)],
    plain("avg_pool", 256),
    fc(2, 512),
    plain("softmax", 2),
]
AUTOENCODER = [
    fc(128, 81920, "relu"),
    *[fc(128, 16384, "relu")] * 3,
    fc(8, 1024, "relu"),
    fc(128, 1024, "relu"),
    *[fc(128, 16384, "relu")] * 3,
    fc(640, 81920),
]
#: MACs, parameters, peak bytes, layers.
PUBLISHED = {
    "resnet8": (12_501_632, 77_706, 49_152, RESNET8),
    "ds_cnn_kws": (2_656_768, 22_604, 16_000, DS_CNN),
    "mobilenet_v1_025": (7_489_664, 210_850, 55_296, MOBILENET),
    "fc_autoencoder": (264_192, 265_864, 768, AUTOENCODER),
}


def layer(row):
    """A kernel in the form of the tables."""
    kind, act = row["kind"], ACTIVATIONS[row["activation"]]
    if kind not in ("conv", "linear"):
        return plain(kind, row["out_channels"], row["out_h"], act)
    if kind == "conv" and row["groups"] == row["in_channels"] > 1:
        kind = "depthwise"
    kernel, size = (row["kernel_h"], row["kernel_w"]), (row["out_h"], row["out_w"])
    assert row["stride_h"] == row["stride_w"]
    return c(row["out_channels"], kernel, size, row["macs"], act, row["stride_h"], kind)


@pytest.fixture(params=PUBLISHED)
def network(request):
    return load_space(f"mlperf_tiny:{request.param}").candidate({}), PUBLISHED[request.param]


def test_layers_and_totals_are_the_published_ones(network):
    candidate, (macs, parameters, _, layers) = network
    rows = kernels_of(candidate.workload())
    assert [layer(row) for row in rows] == layers
    assert candidate.macs == macs == sum(row["macs"] for row in rows)
    # Folded: each convolution and fully connected layer has its weights and a bias a channel.
    assert sum(row["weights"] + row["bias"] for row in rows) == parameters
    assert candidate.workload().weight_bytes.sum() == sum(row["weights"] for row in rows)


def test_peaks_are_the_published_ones(network):
    candidate, (_, _, peak, _) = network
    buffers = candidate.workload().buffers
    live = [
        buffers.bytes[0, (buffers.first[0] <= k) & (k <= buffers.last[0])].sum()
        for k in range(len(candidate.workload().kernels))
    ]
    assert max(live) == peak


def test_the_exported_file_reads_back_and_computes_the_same(network):
    candidate, (macs, *_) = network
    module = randomised(candidate)
    model = to_onnx(candidate, module=module)
    assert {node.op_type for node in model.graph.node}.isdisjoint({"BatchNormalization"})
    of_file = read_onnx(model).workload(bits=8)
    assert kernels_of(of_file) == kernels_of(candidate.workload())
    assert buffers_of(of_file) == buffers_of(candidate.workload())
    assert of_file.macs.tolist() == [macs]
    import torch

    (declared,) = candidate.plan.inputs
    x = torch.randn(declared.shape(), generator=torch.Generator().manual_seed(1))
    expected = module(x).detach().numpy()
    (computed,) = run_onnx(model, x)
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))
