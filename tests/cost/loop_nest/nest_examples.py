"""Small hierarchies, random layers and orderings that the tests of the loop-nest model share."""

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy, Memory, Port
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import PAD, Tables

ALL_WAYS = {"I": ("fill", "read"), "W": ("fill", "read"), "O": ("fill", "read", "update", "drain")}


def memory(name, bits, holds, served=(), width=8, least=None, pj=(1.0, 2.0), **more):
    """A memory with one read and one write port of a width."""
    least = width if least is None else least
    reads = {op: tuple(m for m in ALL_WAYS[op] if m in ("read", "drain")) for op in holds}
    writes = {op: tuple(m for m in ALL_WAYS[op] if m in ("fill", "update")) for op in holds}
    ports = (Port("r", "read", width, least, reads), Port("w", "write", width, least, writes))
    return Memory(name, bits, tuple(holds), tuple(served), ports, *pj, **more)


def weight_stationary():
    """A 4 x 4 array like a small TPU: K along one side, C along the other, one buffer for inputs and outputs."""
    return Hierarchy(
        Array({"D1": 4, "D2": 4}, 0.5, ("D1", "D2")),
        (
            memory("weight_reg", 64, "W"),
            memory("accumulator", 16, "O", width=16, served=["D2"]),
            memory("buffer", 16384, "IO", ["D1", "D2"], 64, 16, (10.0, 12.0)),
            memory("dram", None, "IWO", ["D1", "D2"], 32, pj=(100.0, 110.0)),
        ),
        16,
    ), {"D1": {"K": 4}, "D2": {"C": 4}}


def row_stationary():
    """A 6 x 3 array like a small Eyeriss: rows of the output and of the window; memories shared in several ways."""
    return Hierarchy(
        Array({"D1": 6, "D2": 3}, 0.5),
        (
            memory("input_spad", 96, "I"),
            memory("weight_spad", 128, "W"),
            memory("sum_spad", 64, "O", width=16),
            memory("weights", 4096, "W", ["D1", "D2"], 32),
            memory("shared", 12000, "OI", ["D1", "D2"], 48, 16, (6.0, 7.0)),
            memory("dram", None, "IWO", ["D1", "D2"], 16, pj=(100.0, 110.0)),
        ),
        24,
    ), {"D1": {"OY": 6}, "D2": {"FY": 3}}


def one_buffer():
    """Three operands that compete for one buffer behind an array that unrolls columns over two dimensions."""
    return Hierarchy(
        Array({"D1": 2, "D2": 3}, 0.25),
        (
            memory("sum", 16, "O", width=16),
            memory("l1", 6000, "WIO", ["D1", "D2"], 32, 8, (2.0, 3.0)),
            memory("dram", None, "IWO", ["D1", "D2"], 16, pj=(50.0, 60.0)),
        ),
    ), {"D1": {"OX": 2}, "D2": {"OX": 3}}


HIERARCHIES = (weight_stationary, row_stationary, one_buffer)


def layers(generator, count):
    """Random convolutions and linear layers that `HIERARCHIES` can run."""
    found = {
        name: []
        for name in (
            "in_channels",
            "out_channels",
            "groups",
            "in_h",
            "in_w",
            "out_h",
            "out_w",
            "kernel_h",
            "kernel_w",
            "stride_h",
            "stride_w",
            "dilation_h",
            "dilation_w",
        )
    }
    kinds = []
    for _ in range(count):
        kind = generator.choice(["conv", "depthwise", "linear"])
        kinds.append("linear" if kind == "linear" else "conv")
        groups = int(generator.integers(1, 7)) if kind == "depthwise" else 1
        row = {
            "groups": groups,
            "in_channels": groups * (1 if kind == "depthwise" else int(generator.integers(1, 18))),
            "out_channels": groups * (1 if kind == "depthwise" else int(generator.integers(1, 18))),
        }
        for side in "hw":
            linear = kind == "linear"
            out = 1 if linear else int(generator.integers(1, 15))
            window = 1 if linear else int(generator.integers(1, 5))
            stride = 1 if linear else int(generator.integers(1, 4))
            dilation = 1 if linear else int(generator.integers(1, 3))
            span = (out - 1) * stride + (window - 1) * dilation + 1
            row |= {
                f"out_{side}": out,
                f"kernel_{side}": window,
                f"stride_{side}": stride,
                f"dilation_{side}": dilation,
                f"in_{side}": max(1, span - int(generator.integers(0, window))),
            }
        for name, values in found.items():
            values.append(row[name])
    return Layers.of(kinds, **found)


def rows(tables, generator, each):
    """Some random orderings of every case: cases and orders."""
    cases = np.repeat(np.arange(len(tables)), each)
    orders = np.full((int(tables.loops.max()), len(cases)), PAD, np.uint8)
    for row, case in enumerate(cases):
        kinds = np.repeat(np.arange(tables.repeats.shape[1]), tables.repeats[case])
        orders[: len(kinds), row] = generator.permutation(kinds)
    return cases, orders


def example(make, seed, count=6, each=8, mode="whole", factors=6, hierarchy=None, **more):
    """Tables, cases and orders of random layers on an example."""
    generator = np.random.default_rng(seed)
    own, unrolling = make()
    own = hierarchy or own
    nests = LoopNests.of(layers(generator, count), own.partial_bits)
    tables = Tables(own, nests, wanted(own.array, unrolling), factors, mode, **more)
    return tables, *rows(tables, generator, each)
