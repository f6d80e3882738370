"""Small accelerators and networks whose figures can be computed by hand."""

import numpy as np

from hannah_hw import search_space
from hannah_hw.operators import AdaptiveAvgPooling, Add, Relu, Softmax
from hannah_hw.targets import parse_target
from hannah_hw.workload import KERNEL_COLUMNS, Buffers, Kernels, Workload
from tests.blocks import conv, data, linear

MACS = "[conv, conv_transpose, linear, matmul]"
OTHERS = (
    "[add, mul, scale, avg_pool, max_pool, softmax, activation, sigmoid, hard_sigmoid, hard_swish, batch_norm, "
    "layer_norm, upsample, concat, slice, permute, pad, quantize]"
)


def figure(value):
    return f"{{value: {value}, source: assumed, reference: a test}}"


#: Words of 128 bits cost 16 pJ to read and 32 pJ to write, so that a bit costs 1/8 and 1/4 pJ.
SRAM = f"""\
- name: sram
  size: SIZE
  holds: [I, W, O]
  served: [D1, D2]
  read_pj: {figure(16)}
  write_pj: {figure(32)}
  ports: [{{name: r, kind: read, max_bits: 128}}, {{name: w, kind: write, max_bits: 128}}]
"""
#: Words of 64 bits through one port; a bit costs 8 pJ to read and 16 pJ to write.
DRAM = f"""\
- name: dram
  holds: [I, W, O]
  served: [D1, D2]
  read_pj: {figure(512)}
  write_pj: {figure(1024)}
  ports: [{{name: p, kind: read_write, max_bits: 64}}]
"""
VECTOR = f"vector: {{lanes: {figure(8)}, op_pj: {figure(0.5)}}}\n"
CPU = f"""\
cpu_fallback:
  clock_hz: 50 MHz
  cycles_per_mac: {figure(3)}
  cycles_per_value: {figure(2)}
  active_w: {figure(0.01)}
"""


def chip(
    size="64 KiB",
    on_chip="on_chip: sram\n",
    vector=VECTOR,
    model="{kind: closed_form, form: weight_stationary}",
    ops=(f"{{match: {MACS}}}", f"{{match: {OTHERS}}}"),
    limits="{}",
    unsupported="error",
    more="",
    clock="100 MHz",
    memories=SRAM + DRAM,
):
    """An accelerator of 8 x 8 multipliers at 100 MHz, a vector unit of 8 lanes, an SRAM and a DRAM."""
    return parse_target(
        "format: hannah-target/2\nname: chip\ntitle: a chip\ndocument: none\n"
        f"clock_hz: {clock}\narray: {{dims: {{D1: 8, D2: 8}}, mac_pj: {figure(1)}}}\n"
        f"memories:\n{memories.replace('SIZE', size)}{on_chip}{vector}model: {model}\nops:\n"
        + "".join(f"- {rule}\n" for rule in ops)
        + f"limits: {limits}\nunsupported: {unsupported}\n{more}"
    )


def lone(kind, **columns):
    """P candidates of one kernel each, between an input and an output of the network; columns are (P,)."""
    count = max((len(v) for v in columns.values()), default=1)
    table = {name: np.full((count, 1), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name, value in columns.items():
        table[name][:, 0] = value
    sizes = np.concatenate(
        [table[f"{side}_h"] * table[f"{side}_w"] * table[f"{side}_channels"] for side in ("in", "out")],
        axis=1,
    )
    zeros = np.zeros_like(sizes)
    outputs = np.broadcast_to([False, True], sizes.shape)
    return Workload(
        Kernels(("kernel",), (kind,), np.ones((count, 1), bool), table),
        Buffers(("input", "kernel"), ("input", "activation"), sizes, zeros, zeros, outputs),
        np.ones((1, 2), bool),
    )


@search_space
def residual():
    """conv, conv, add of both, pool, linear, softmax: 8 x 8 x 8 values between the first of them."""
    x = conv(data(3, 8, 8), 8, 3)
    x = Add()(conv(x, 8, 3), x)
    x = AdaptiveAvgPooling(1)(Relu()(x))
    return Softmax()(linear(x, 10))
