"""Arrays that multiply a tile of input channels with a tile of output channels every cycle, such as UltraTrail.

An array of R x C multipliers takes R input channels of one pixel and one tap of the window, and adds to the sums of C
output channels. All pixels of the output pass before the next weights are read, so a layer of one group takes
ceil(filters / C) ceil(channels / R) taps pixels cycles; sums that are not complete wait in the memory nearest to the
array that holds outputs (the local memory of UltraTrail), finished ones go on to the next. Where the sums of all pixels
do not fit there, pixels pass in pieces, and the weights are read again for each piece.

UltraTrail: Palomero Bernardo, Gerum, Frischknecht, Lübeck, Bringmann, "UltraTrail: a configurable ultralow-power
TC-ResNet AI accelerator for efficient keyword spotting", IEEE TCAD 39(11), 2020. The abstract states a configurable
array of processing elements, a distributed memory, 22FDX, 8.2 microwatts and 100 ms an inference; the form gives 24,429
cycles for TC-ResNet8 on 8 x 8 multipliers.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.gemm import Products, ceil_div
from hannah_hw.cost.closed_form.machine import Counts, Direction, FloatArray, Machine
from hannah_hw.targets.hardware import Operand


def channel_array(layers: Layers, machine: Machine) -> Counts:
    """Count layers of `hannah_hw.cost.accelerators.layers.MAC_KINDS`; see the module.

    The first dimension of the array takes input channels, the second one output channels.
    """
    rows, columns = machine.sides()
    products = Products.of(layers)
    # A window's taps follow each other, whichever side of the product they are counted on.
    taps = layers["kernel_h"] * layers["kernel_w"]
    transposed = layers.is_kind("conv_transpose")
    channels = np.where(transposed, products.inner, products.inner // taps)
    filters = np.where(transposed, products.filters // taps, products.filters)
    across, down = ceil_div(filters, columns), ceil_div(channels, rows)
    steps = products.groups * products.pixels * taps
    cycles = steps * across * down
    additions = steps * filters * down
    held = (
        8 * machine.near["O"].capacity / (columns * machine.partial_sum_bits)
        if "O" in machine.near
        else np.inf
    )
    pieces = np.ceil(products.pixels / max(np.floor(held), 1.0))
    results = layers["out_channels"] * layers["out_h"] * layers["out_w"]
    partial = float(machine.partial_sum_bits)
    waiting = np.maximum(additions - results, 0) * partial
    finished = (results * layers["output_bits"]).astype(np.float64)
    # With one memory for outputs, unfinished sums lie there as well.
    beyond: dict[tuple[Operand, Direction], FloatArray] = (
        {("O", "write"): finished} if "O" in machine.far else {}
    )
    return Counts(
        cycles={"compute": cycles.astype(np.float64)},
        near={
            ("I", "read"): (steps * channels * across * layers["activation_bits"]).astype(np.float64),
            ("W", "read"): products.groups
            * products.inner
            * products.filters
            * layers["weight_bits"]
            * pieces,
            ("O", "write"): waiting + (0.0 if beyond else finished),
            ("O", "read"): waiting,
        },
        far=beyond,
    )
