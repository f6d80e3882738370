"""The C texts of a generated project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.firmware.calls import FIELDS
from hannah_hw.firmware.design import Design
from hannah_hw.firmware.layers import Value
from hannah_hw.firmware.naming import comment

#: What files say of themselves.
MADE: Final = "Made by hannah_hw; made again rather than edited."
#: Bytes of constants in a line of C.
_BYTES_A_LINE: Final = 28
_OCTAL: Final = tuple(f"\\{byte:03o}" for byte in range(256))
#: What stands before `constant_lines`.
ATTRIBUTE_LINES: Final = (
    "",
    "/* The strings are as long as their arrays, without a terminator. */",
    "#if defined(__has_attribute)",
    "#if __has_attribute(nonstring)",
    "#define CONSTANTS __attribute__((aligned(4), nonstring))",
    "#endif",
    "#endif",
    "#ifndef CONSTANTS",
    "#define CONSTANTS __attribute__((aligned(4)))",
    "#endif",
)


def title(core: Core | None) -> str:
    """What the project is for, in words."""
    return core.title if core is not None else "any machine with a C compiler"


def header(design: Design) -> str:
    """``PREFIX.h``: what an application uses."""
    network, prefix, upper = design.network, design.prefix, design.prefix.upper()
    lines = [
        f'/* "{comment(network.name)}", an int8 network for {title(design.core)}. {MADE}',
        "",
        f"   {prefix}_init();",
        f"   write the values of every input to {prefix}_input(i)",
        f"   {prefix}_run();",
        f"   read the values of every output from {prefix}_output(i)",
        "",
        "   Values are int8, channels last: value (y, x, c) is at [(y * WIDTH + x) * CHANNELS + c]. A real value is",
        "   SCALE * (value - ZERO_POINT). An inference overwrites the inputs: write all of them before each run.",
        "   Outputs stay until the next run or the next write to an input. There is one arena, so one inference at a",
        "   time. */",
    ]
    body = [f"#define {upper}_ARENA_BYTES {design.memory.arena_bytes}"]
    for kind, indices in (("INPUT", network.inputs), ("OUTPUT", network.outputs)):
        body += [f"#define {upper}_{kind}S {len(indices)}"]
        for number, index in enumerate(indices):
            body += ["", *_value_lines(f"{upper}_{kind}_{number}", network.values[index])]
    body += [
        "",
        "/* Sets every input to the value of 0. Needed once; there is nothing else to prepare. */",
        f"void {prefix}_init(void);",
        "",
        "/* Where the values of input i are to be written; 0 if there is no such input. */",
        f"int8_t *{prefix}_input(int i);",
        "",
        "/* Where the values of output i are; 0 if there is no such output. */",
        f"const int8_t *{prefix}_output(int i);",
        "",
        "/* One inference. */",
        f"void {prefix}_run(void);",
        "",
        "/* A real value as int8: rounded to the nearest step, saturated. */",
        f"static inline int8_t {prefix}_quantise(float value, float scale, int zero_point) {{",
        "  float steps = value / scale + (float)zero_point;",
        "  if (!(steps > -128.0f)) {",
        "    return -128;",
        "  }",
        "  return steps >= 127.0f ? 127 : (int8_t)((int)(steps + 128.5f) - 128);",
        "}",
    ]
    return text([*lines, *guarded(upper, body)])


def guarded(upper: str, body: Sequence[str]) -> list[str]:
    """The lines of a header that is read once, by C and by C++.

    Args:
        upper: Prefix of its macros.
        body: What it declares.
    """
    return [
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *body,
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
    ]


def _value_lines(macro: str, value: Value) -> list[str]:
    sizes = zip(("HEIGHT", "WIDTH", "CHANNELS"), value.shape, strict=True)
    return [
        f'/* "{comment(value.name)}" */',
        *(f"#define {macro}_{name} {size}" for name, size in sizes),
        f"#define {macro}_BYTES {value.size}",
        f"#define {macro}_SCALE {_float(value.scale)}",
        f"#define {macro}_ZERO_POINT {_number(value.zero_point)}",
    ]


def api(design: Design) -> str:
    """``PREFIX.c``: the arena and the functions of the header."""
    network, prefix, memory = design.network, design.prefix, design.memory
    inputs = [(index, memory.offsets[index]) for index in network.inputs]
    outputs = [(index, memory.offsets[index]) for index in network.outputs]
    lines = [
        f"/* {MADE} */",
        f'#include "{prefix}.h"',
        '#include "layers.h"',
        "",
        f"_Alignas({memory.alignment}) int8_t {prefix}_arena[{max(memory.arena_bytes, memory.alignment)}];",
        "",
        f"void {prefix}_init(void) {{",
    ]
    for index, offset in inputs:
        value = network.values[index]
        lines.append(
            f"  __builtin_memset({prefix}_arena + {offset}, {_literal(value.zero_point)}, {value.size});"
        )
    lines += [
        "}",
        "",
        f"int8_t *{prefix}_input(int i) {{",
        *switch_lines(prefix, inputs),
        "}",
        "",
        f"const int8_t *{prefix}_output(int i) {{",
        *switch_lines(prefix, outputs),
        "}",
        "",
        f"void {prefix}_run(void) {{",
        *(f"  {prefix}_layer_{k}();" for k in range(len(design.steps))),
        "}",
    ]
    return text(lines)


def switch_lines(prefix: str, places: Iterable[tuple[int, int]]) -> list[str]:
    """The body of a function that gives places in the arena by number: (number, offset)."""
    cases = [
        f"    case {number}: return {prefix}_arena + {offset};" for number, (_, offset) in enumerate(places)
    ]
    return ["  switch (i) {", *cases, "    default: return 0;", "  }"]


def layers_header(design: Design) -> str:
    """``layers.h``: what the C files of the project share."""
    prefix = design.prefix
    lines = [
        f"/* {MADE} */",
        "#ifndef LAYERS_H",
        "#define LAYERS_H",
        "#include <stdint.h>",
        "",
        f"extern int8_t {prefix}_arena[];",
        "",
        *(
            f"extern const uint8_t {prefix}_constants_{k}[{len(step.packed.data)}];"
            for k, step in enumerate(design.steps)
            if step.packed.data
        ),
        "",
        *(f"void {prefix}_layer_{k}(void);" for k in range(len(design.steps))),
        "#endif",
    ]
    return text(lines)


def layers(design: Design) -> str:
    """``layers.c``: one function a layer."""
    lines = [
        f"/* The layers of the network, in their order. {MADE} */",
        *(['#include "features.h"'] if design.core is not None else []),
        '#include "hn.h"',
        '#include "layers.h"',
        "",
        "/* Kernels: kernels/NAME.c says what each does. */",
        *(f"hn_kernel {function};" for function in design.functions),
    ]
    for k in range(len(design.steps)):
        lines += ["", *_layer(design, k)]
    return text(lines)


def _layer(design: Design, k: int) -> list[str]:
    step, prefix, memory = design.steps[k], design.prefix, design.memory
    result = f"{prefix}_arena + {memory.offsets[step.layer.output]}"
    scratch = f"{prefix}_arena + {memory.scratch_offsets[k]}" if memory.scratch_bytes[k] else "0"
    constants = f"{prefix}_constants_{k}" if step.packed.data else "0"
    lines = [f"/* {describe(design, k)} */", f"void {prefix}_layer_{k}(void) {{"]
    names = [f"call_{n}" for n in range(len(step.calls))] if len(step.calls) > 1 else ["layer"]
    for name, call in zip(names, step.calls, strict=True):
        fields = [f".{field} = {_literal(call.fields[field])}" for field in FIELDS if call.fields[field]]
        lines += [f"  static const hn_layer {name} = {{", *_wrapped(fields, "      ", 112), "  };"]
    for name, call in zip(names, step.calls, strict=True):
        operands = [f"{prefix}_arena + {memory.offsets[step.layer.inputs[n]]}" for n in call.reads]
        first, second = (*operands, "0")[:2]
        arguments = ", ".join([f"&{name}", constants, first, second, result, scratch])
        lines.append(f"  {step.choice.implementation.function}({arguments});")
    return [*lines, "}"]


def describe(design: Design, k: int) -> str:
    """One line on a layer: name, class, shapes, what is special."""
    step = design.steps[k]
    columns = step.layer.columns
    values = design.network.values
    shapes = " and ".join(_shape(values[index]) for index in step.layer.inputs)
    parts = [f"{shapes} -> {_shape(values[step.layer.output])}"]
    if columns["kernel_h"] * columns["kernel_w"] > 1:
        parts.append(f"window {columns['kernel_h']} x {columns['kernel_w']}")
    if columns["stride_h"] * columns["stride_w"] > 1:
        parts.append(f"stride {columns['stride_h']} x {columns['stride_w']}")
    if columns["macs"]:
        parts.append(f"{columns['macs']:,} MACs")
    if design.memory.in_place[k]:
        parts.append("in place")
    return f"Layer {k}: {comment(step.layer.name)}, {step.choice.kernel_class.title}, {', '.join(parts)}"


def weights(design: Design) -> str:
    """``weights.c``: constants as their kernels read them.

    They are string literals, of which compilers read ten times more a second than of lists of numbers.
    """
    lines = [
        f"/* Weights, biases, multipliers and tables, as the kernels read them. {MADE} */",
        '#include "layers.h"',
        *ATTRIBUTE_LINES,
    ]
    for k, step in enumerate(design.steps):
        if step.packed.data:
            name = f"{design.prefix}_constants_{k}"
            lines += [
                "",
                f"/* Layer {k}: {comment(step.layer.name)} */",
                *constant_lines(name, step.packed.data),
            ]
    return text(lines)


def constant_lines(name: str, data: bytes) -> list[str]:
    """The definition of an array of bytes, for a file that has `ATTRIBUTE_LINES`."""
    rows = [
        '    "' + "".join(map(_OCTAL.__getitem__, data[start : start + _BYTES_A_LINE])) + '"'
        for start in range(0, len(data), _BYTES_A_LINE)
    ]
    rows[-1] += ";"
    return [f"CONSTANTS const uint8_t {name}[{len(data)}] =", *rows]


def _shape(value: Value) -> str:
    return " x ".join(map(str, value.shape))


def _literal(value: int) -> str:
    """A number where no operator is near; the smallest int32 has no literal of its own."""
    return "-2147483647 - 1" if value == -(1 << 31) else str(value)


def _number(value: int) -> str:
    """A number as an operand."""
    return f"({_literal(value)})" if value < 0 else str(value)


def _float(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _wrapped(parts: Sequence[str], indent: str, width: int) -> list[str]:
    lines, current = [], indent
    for part in parts:
        if len(current) + len(part) + 2 > width and current != indent:
            lines.append(current.rstrip())
            current = indent
        current += f"{part}, "
    return [*lines, current.rstrip()]


def text(lines: Iterable[str]) -> str:
    """Lines as the content of a file."""
    return "\n".join([*lines, ""])
