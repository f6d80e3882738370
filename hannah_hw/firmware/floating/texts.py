"""The C texts of a float32 network's firmware."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hannah_hw.firmware.floating.network import C_TYPES, FloatLayer, FloatNetwork, FloatValue
from hannah_hw.firmware.naming import comment
from hannah_hw.firmware.sources import ATTRIBUTE_LINES, MADE, constant_lines, guarded, switch_lines, text


def header(network: FloatNetwork, prefix: str, title: str) -> str:
    """``PREFIX.h``: what an application uses."""
    upper = prefix.upper()
    lines = [
        f'/* "{comment(network.name)}", a float32 network for {comment(title)}. {MADE}',
        "",
        f"   write the elements of every input to {prefix}_input(i)",
        f"   {prefix}_run();",
        f"   read the elements of every output from {prefix}_output(i)",
        "",
        "   Elements are in the order of the ONNX model's tensors. An inference overwrites the inputs: write all of",
        "   them before each run. There is one arena, so one inference at a time. */",
    ]
    body = [f"#define {upper}_ARENA_BYTES {network.arena_bytes}"]
    for kind, values in (("INPUT", network.inputs), ("OUTPUT", network.outputs)):
        body += [f"#define {upper}_{kind}S {len(values)}"]
        for number, value in enumerate(values):
            macro = f"{upper}_{kind}_{number}"
            shape = " x ".join(map(str, value.shape))
            body += [
                "",
                f'/* "{comment(value.name)}": {shape} {value.dtype} */',
                f"#define {macro}_TYPE {C_TYPES[value.dtype]}",
                f"#define {macro}_ELEMENTS {int(np.prod(value.shape))}",
            ]
    body += [
        "",
        "/* Where the elements of input i are to be written; 0 if there is no such input. */",
        f"void *{prefix}_input(int i);",
        "",
        "/* Where the elements of output i are; 0 if there is no such output. */",
        f"const void *{prefix}_output(int i);",
        "",
        "/* One inference. */",
        f"void {prefix}_run(void);",
    ]
    return text([*lines, *guarded(upper, body)])


def api(network: FloatNetwork, prefix: str) -> str:
    """``PREFIX.c``: the arena and the functions of the header."""
    size = max(network.arena_bytes, network.alignment)

    def places(values: Sequence[FloatValue]) -> list[tuple[int, int]]:
        return [(number, value.offset) for number, value in enumerate(values)]

    lines = [
        f"/* {MADE} */",
        f'#include "{prefix}.h"',
        '#include "layers.h"',
        "",
        f"_Alignas({network.alignment}) int8_t {prefix}_arena[{size}];",
        "",
        f"void *{prefix}_input(int i) {{",
        *switch_lines(prefix, places(network.inputs)),
        "}",
        "",
        f"const void *{prefix}_output(int i) {{",
        *switch_lines(prefix, places(network.outputs)),
        "}",
        "",
        f"void {prefix}_run(void) {{",
        *(f"  {prefix}_layer_{k}();" for k in range(len(network.layers))),
        "}",
    ]
    return text(lines)


def layers_header(network: FloatNetwork, prefix: str) -> str:
    """``layers.h``: what the C files of the project share."""
    lines = [
        f"/* {MADE} */",
        "#ifndef LAYERS_H",
        "#define LAYERS_H",
        "#include <stdint.h>",
        "",
        f"extern int8_t {prefix}_arena[];",
        "",
        *(
            f"extern const uint8_t {prefix}_constants_{name}[{array.nbytes}];"
            for name, array in network.kernels.constants.items()
        ),
        "",
        *(f"void {prefix}_layer_{k}(void);" for k in range(len(network.layers))),
        "#endif",
    ]
    return text(lines)


def layers(network: FloatNetwork, prefix: str, *, features: bool) -> str:
    """``layers.c``: the kernels, and one function a layer that calls one.

    Args:
        network: The network.
        prefix: Beginning of public names.
        features: Whether there is a header that checks the compiler for the core.
    """
    lines = [
        f"/* The layers of the network, in their order, and the kernels that TVM made for them. {MADE} */",
        *(['#include "features.h"'] if features else []),
        '#include "hn_float.h"',
        '#include "layers.h"',
        "",
        network.kernels.text.rstrip(),
    ]
    for k, layer in enumerate(network.layers):
        lines += ["", f"/* Layer {k}: {comment(layer.name)}, {layer.kind}, {layer.macs:,} MACs */"]
        lines += [f"void {prefix}_layer_{k}(void) {{", *_call(layer, prefix), "}"]
    return text(lines)


def _call(layer: FloatLayer, prefix: str) -> list[str]:
    arguments = [
        f"(void *){prefix}_constants_{value}"
        if isinstance(value, str)
        else f"(void *)({prefix}_arena + {value})"
        for value in layer.arguments
    ]
    return [
        f"  {layer.function}(",
        *(f"      {argument}," for argument in arguments[:-1]),
        f"      {arguments[-1]});",
    ]


def weights(network: FloatNetwork, prefix: str) -> str:
    """``weights.c``: constants as their kernels read them."""
    lines = [f"/* Weights and biases. {MADE} */", '#include "layers.h"', *ATTRIBUTE_LINES]
    for name, array in network.kernels.constants.items():
        lines += ["", *constant_lines(f"{prefix}_constants_{name}", array.tobytes())]
    return text(lines)
