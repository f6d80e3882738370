"""The page that comes with a float32 project: memory, inputs and outputs, how to build and use it."""

from __future__ import annotations

from typing import Final

from hannah_hw.cores import Core
from hannah_hw.firmware.floating.network import FloatNetwork, FloatValue
from hannah_hw.firmware.naming import markdown
from hannah_hw.firmware.readme import LICENCE, building_lines

_ORDER: Final = (
    "Elements are in the order of the ONNX model's tensors. An inference overwrites its inputs: write all of them "
    "before each run."
)
_KERNELS: Final = (
    "The kernels in `layers.c` are what Apache TVM made of the model (Apache License 2.0), without its run-time "
    "library."
)


def readme(network: FloatNetwork, prefix: str, core: Core, title: str, stack_bytes: int) -> str:
    """``README.md``.

    Args:
        network: The network.
        prefix: Beginning of its public names.
        core: The core.
        title: The chip, or the core.
        stack_bytes: What the stack may grow to.
    """
    macs = sum(layer.macs for layer in network.layers)
    layers = "1 layer" if len(network.layers) == 1 else f"{len(network.layers)} layers"
    about = (
        f"A float32 network as C for {markdown(title)}: {layers}, {macs:,} multiply-accumulates an inference. "
        "There is no heap and no C library; all state is one static arena."
    )
    lines = [
        f"# {prefix}",
        "",
        about,
        "",
        *building_lines(prefix, core),
        "## Memory",
        "",
        "| | bytes | |",
        "|---|---:|---|",
        f"| RAM: arena | {network.arena_bytes:,} | exact; values between layers and scratch memory |",
        f"| RAM: stack | {stack_bytes:,} | reserved in `link.ld` |",
        f"| flash: weights and biases | {network.constant_bytes:,} | exact |",
        "",
        "`make size` shows what a build needs.",
        "",
        "## Use",
        "",
        "```c",
        f'#include "{prefix}.h"',
        "",
        f"float *input = {prefix}_input(0);      // write the input there, before every run",
        f"{prefix}_run();",
        f"const float *output = {prefix}_output(0);",
        "```",
        "",
        "| | name | shape | type |",
        "|---|---|---|---|",
        *(_row(f"input {n}", value) for n, value in enumerate(network.inputs)),
        *(_row(f"output {n}", value) for n, value in enumerate(network.outputs)),
        "",
        _ORDER,
        "",
        "## Layers",
        "",
        "| function | layer | kernel | MACs |",
        "|---|---|---|---:|",
        *(
            f"| `{prefix}_layer_{k}` | {markdown(layer.name)} | `{layer.function}` ({layer.kind}) | {layer.macs:,} |"
            for k, layer in enumerate(network.layers)
        ),
        "",
        "## Licence",
        "",
        LICENCE,
        _KERNELS,
        "",
    ]
    return "\n".join(lines)


def _row(what: str, value: FloatValue) -> str:
    return f"| {what} | {markdown(value.name)} | {' x '.join(map(str, value.shape))} | {value.dtype} |"
