"""A small accelerator as a target file, and layers for it, which tests of mappings and prices share."""

import yaml

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.targets.load import parse_target


def figure(value):
    return {"value": value, "source": "assumed", "reference": "a test"}


def memory(name, size, holds, served, bits, pj):
    ports = [
        {"name": "r", "kind": "read", "max_bits": bits, "min_bits": 8},
        {"name": "w", "kind": "write", "max_bits": bits, "min_bits": 8},
    ]
    found = {"name": name, "holds": list(holds), "served": served, "ports": ports}
    found |= {"read_pj": figure(pj), "write_pj": figure(1.5 * pj)}
    return found if size is None else found | {"size": size}


def chip(spatial=None, temporal="search", buffer="16 KiB", known=True, **model):
    """4 x 4 multipliers, registers, one buffer for everything, and memory outside."""
    document = {
        "format": "hannah-target/2",
        "name": "small",
        "title": "a small accelerator",
        "document": "made up for tests",
        "clock_hz": "100 MHz",
        "array": {"dims": {"D1": 4, "D2": 4}, "mac_pj": figure(0.5), "partial_sum_bits": 24},
        "memories": [
            memory("weight_reg", "4 B", "W", [], 8, 0.1),
            memory("sum_reg", "3 B", "O", ["D2"], 24, 0.1),
            memory("buffer", buffer, "IWO", ["D1", "D2"], 64, 8.0),
            memory("dram", None, "IWO", ["D1", "D2"], 32, 100.0),
        ],
        "dataflow": {"spatial": spatial or [{"D1": {"K": 4}, "D2": {"C": 4}}], "temporal": temporal},
        "on_chip": "buffer",
        "model": {"kind": "loop_nest", **model},
        "ops": [{"match": ["conv", "conv_transpose", "linear", "matmul"]}],
        "unsupported": "error",
    }
    if not known:
        document["memories"][0].pop("read_pj")
    return parse_target(yaml.safe_dump(document))


def convolutions():
    """A plain, a depthwise, a grouped, a one-dimensional and a strided convolution, and a linear layer."""
    return Layers.of(
        ["conv", "conv", "conv", "conv", "conv", "linear"],
        in_channels=[8, 12, 8, 5, 3, 40],
        out_channels=[16, 12, 8, 6, 8, 10],
        groups=[1, 12, 2, 1, 1, 1],
        in_h=[10, 10, 6, 1, 16, 1],
        in_w=[10, 10, 6, 30, 16, 1],
        out_h=[10, 8, 6, 1, 8, 1],
        out_w=[10, 8, 6, 28, 8, 1],
        kernel_h=[3, 3, 3, 1, 3, 1],
        kernel_w=[3, 3, 3, 3, 3, 1],
        stride_h=[1, 1, 1, 1, 2, 1],
        stride_w=[1, 1, 1, 1, 2, 1],
    )
