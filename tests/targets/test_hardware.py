"""Hierarchies that cannot be: each mistake is named with its place, what is allowed and what to do."""

import pytest

from hannah_hw.errors import TargetError
from hannah_hw.targets import parse_target

CHIP = """\
format: hannah-target/2
name: chip
title: A chip
document: none
clock_hz: 100 MHz
array:
  dims: {D1: 8, D2: 4}
  systolic: [D1]
memories:
  - name: registers
    size: 2 B
    holds: [O]
    served: [D2]
    ports:
      - {name: out, kind: read, max_bits: 16}
      - {name: in, kind: write, max_bits: 16, min_bits: 8}
  - name: sram
    size: 64 KiB
    holds: [I, O]
    served: [D1, D2]
    ports:
      - {name: all, kind: read_write, max_bits: 64, carries: {I: [read, fill], O: [read, update, fill, drain]}}
  - name: dram
    holds: [I, W, O]
    served: [D1, D2]
    ports:
      - {name: bus, kind: read_write, max_bits: 32}
dataflow:
  spatial:
    - {D1: {K: 8}, D2: {C: 2, FX: 2}}
vector: {lanes: {value: 8, source: assumed, reference: a test}}
on_chip: sram
model: {kind: loop_nest}
ops:
  - {match: conv}
  - {match: add, unit: vector}
unsupported: error
"""


def test_a_port_carries_what_it_says_or_what_its_kind_allows():
    registers, sram, dram = parse_target(CHIP).memories
    assert registers.carried() == {"out": {"O": ("read", "drain")}, "in": {"O": ("fill", "update")}}
    assert sram.carried() == {"all": {"I": ("read", "fill"), "O": ("read", "update", "fill", "drain")}}
    assert dram.carried()["bus"]["W"] == ("fill", "read")


def test_what_one_port_names_no_other_takes():
    text = CHIP.replace(
        "- {name: bus, kind: read_write, max_bits: 32}",
        "- {name: bus, kind: read_write, max_bits: 32, carries: {W: [read]}}\n"
        "      - {name: more, kind: read_write, max_bits: 32}\n"
        "      - {name: rest, kind: read, max_bits: 32}",
    )
    dram = parse_target(text).memories[2]
    assert dram.carried() == {
        "bus": {"W": ("read",)},
        "more": {"I": ("fill", "read"), "W": ("fill",), "O": ("fill", "read", "update", "drain")},
        "rest": {},
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # Sizes and units.
        (
            "size: 64 KiB",
            "size: 65536",
            (
                "chip.yaml:18:5 memories.1.size: 65536 has no unit, and some tools count bits: write '64.0 KiB' if "
                "it is bytes, '8.0 KiB' if it is bits"
            ),
        ),
        ("size: 64 KiB", "size: 0 B", "chip.yaml:18:5 memories.1.size: must be at least 1"),
        ("size: 64 KiB", "size: 64 MHz", "has the unit 'MHz', which is none of bytes"),
        (
            "size: 64 KiB",
            "double_buffer: auto",
            (
                "chip.yaml:17:5 memories.1: 'sram' has no size, and only the outermost memory of an operand may be "
                "without bound; further out is 'dram': give a size, such as size: 64 KiB"
            ),
        ),
        ("D1: 8, D2: 4", "D1: 0, D2: 4", "chip.yaml:7:10 array.dims.D1: must be at least 1 (given: 0)"),
        ("max_bits: 32", "max_bits: 0", "memories.2.ports.0.max_bits: must be at least 1 (given: 0)"),
        ("min_bits: 8", "min_bits: 32", "memories.0.ports.1.min_bits: must be at most max_bits, 16"),
        # Names.
        (
            "systolic: [D1]",
            "systolic: [D3]",
            "chip.yaml:8:14 array.systolic.0: 'D3' is no dimension of the array; allowed: D1, D2",
        ),
        (
            "served: [D2]",
            "served: [D2, X]",
            "chip.yaml:13:18 memories.0.served.1: 'X' is no dimension of the array; allowed: D1, D2",
        ),
        (
            "on_chip: sram",
            "on_chip: srm",
            (
                "chip.yaml:32:1 on_chip: 'srm' is no memory with a size; allowed: registers, sram; "
                "did you mean 'sram'?"
            ),
        ),
        ("on_chip: sram", "on_chip: dram", "'dram' is no memory with a size"),
        (
            "on_chip: sram",
            "on_chip: registers",
            "activations cannot stay in 'registers', which does not hold I; allowed: sram",
        ),
        ("name: dram", "name: sram", "a second memory is called 'sram'; give every memory its own name"),
        (
            "name: out",
            "name: in",
            "chip.yaml:16:10 memories.0.ports.1.name: a second port is called 'in'; give every port its own name",
        ),
        # Directions.
        (
            "kind: read_write, max_bits: 32",
            "max_bits: 32",
            ("memories.2.ports.0.kind: the field 'kind' is missing; allowed: read, write, read_write"),
        ),
        (
            "kind: read_write, max_bits: 32",
            "kind: both, max_bits: 32",
            "must be 'read', 'write' or 'read_write'",
        ),
        ("I: [read, fill]", "I: []", "I has no direction; name some of fill, read, update, drain"),
        ("I: [read, fill]", "I: [tl]", "must be 'fill', 'read', 'update' or 'drain' (given: 'tl')"),
        (
            "I: [read, fill]",
            "I: [read, fill, drain]",
            "a read_write port cannot carry 'drain' of I; allowed: fill, read",
        ),
        (
            "I: [read, fill]",
            "I: [read, fill], W: [read]",
            (
                "chip.yaml:22:80 memories.1.ports.0.carries.W: the port carries W, which 'sram' does not hold; add it "
                "to 'holds', or remove it here; allowed: I, O"
            ),
        ),
        ("holds: [I, O]", "holds: [I, X]", "must be 'I', 'W' or 'O' (given: 'X')"),
        # Ways to the array.
        (
            "holds: [I, W, O]",
            "holds: [I, O]",
            (
                "chip.yaml:9:1 memories: W has no path to the array: no memory holds it; add W to 'holds' of one"
            ),
        ),
        (
            "I: [read, fill]",
            "I: [fill]",
            (
                "chip.yaml:21:5 memories.1.ports: I has no path to the array: no port of 'sram' carries its 'read'; "
                "add carries: {I: [read]} to a port whose kind allows it"
            ),
        ),
        ("O: [read, update, fill, drain]", "O: [read, update]", "no port of 'sram' carries its 'fill'"),
        (
            "kind: write, max_bits: 16",
            "kind: read, max_bits: 16",
            "no port of 'registers' carries its 'update'",
        ),
        # Unrollings.
        (
            "C: 2, FX: 2",
            "C: 2, FX: 3",
            (
                "chip.yaml:30:20 dataflow.spatial.0.D2: contradictory unrolling: C 2 x FX 3 takes 6 units of D2, "
                "which has 4; lower a factor, or widen the array"
            ),
        ),
        ("D2: {C: 2", "D3: {C: 2", "'D3' is no dimension of the array; allowed: D1, D2"),
        (
            "C: 2, FX",
            "CC: 2, FX",
            (
                "chip.yaml:30:25 dataflow.spatial.0.D2.CC: 'CC' is no loop; allowed: B, K, G, OX, OY, C, FX, FY; "
                "did you mean 'C'?"
            ),
        ),
        (
            "dataflow:",
            "dataflow:\n  temporal: [K, Q]",
            "dataflow.temporal: 'Q' is no loop; allowed: B, K, G, OX, OY, C, FX, FY",
        ),
        ("dataflow:", "dataflow:\n  temporal: [K, K]", "dataflow.temporal: a loop occurs twice"),
        ("C: 2, FX", "C: 0, FX", "must be at least 1 (given: 0)"),
        ("    - {D1: {K: 8}, D2: {C: 2, FX: 2}}", "    []", "lists no unrolling"),
        ("    - {D1: {K: 8}, D2: {C: 2, FX: 2}}", "    any", "must be 'search' (given: 'any')"),
        # Units.
        (
            "unsupported: error",
            "unsupported: cpu_fallback",
            (
                "chip.yaml:37:1 unsupported: 'cpu_fallback' needs the section cpu_fallback with cycles_per_mac and "
                "cycles_per_value, or write 'unsupported: error'"
            ),
        ),
        (
            "unit: vector",
            "unit: cpu",
            "chip.yaml:36:18 ops.1.unit: the rule needs the section 'cpu_fallback', which describes it",
        ),
        (
            "vector: {lanes: {value: 8, source: assumed, reference: a test}}",
            "",
            "the rule needs the section 'vector', which describes that unit",
        ),
        (
            "unit: vector",
            "unit: gpu",
            "must be 'array', 'vector' or 'cpu' (given: 'gpu')",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(old, new, message):
    assert CHIP.count(old) == 1
    with pytest.raises(TargetError) as failure:
        parse_target(CHIP.replace(old, new), "chip.yaml")
    assert message in str(failure.value)
    assert str(failure.value).startswith("chip.yaml:")


def test_a_loop_nest_needs_an_array_and_memories():
    head, rest = CHIP.split("array:\n")
    with pytest.raises(TargetError, match=r"loop_nest needs the section 'array', such as dims: {D1: 16"):
        parse_target(head + rest[rest.index("memories:") :])
    with pytest.raises(TargetError, match="the model loop_nest needs 'memories'"):
        parse_target(
            CHIP[: CHIP.index("memories:")] + CHIP[CHIP.index("dataflow:") :].replace("on_chip: sram\n", "")
        )
