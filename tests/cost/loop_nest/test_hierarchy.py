"""What a hierarchy refuses, and chains that end on chip."""

from dataclasses import replace

import pytest
from nest_examples import memory, weight_stationary

from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy, Memory, Port
from hannah_hw.errors import TargetError

ARRAY = Array({"D1": 4, "D2": 4}, 0.5)
DRAM = memory("dram", None, "IWO", ["D1", "D2"])


def port(**changes):
    return replace(Port("p", "read_write", 8, 8, {"I": ("fill", "read")}), **changes)


def with_ports(*ports):
    return Memory("buffer", 64, ("I",), (), ports, 1.0, 1.0)


@pytest.mark.parametrize(
    ("array", "memories", "field", "next_step"),
    [
        (Array({}, 1.0), [DRAM], "array.dims", "at least one"),
        (Array({"D1": 0}, 1.0), [DRAM], "array.dims", "1 or more"),
        (Array({"D1": 4}, 1.0, ("D2",)), [memory("dram", None, "IWO")], "array.systolic", "allowed: D1"),
        (ARRAY, [memory("a", 8, "I"), memory("a", 8, "I"), DRAM], "memories.a", "its own"),
        (ARRAY, [memory("a", 0, "I"), DRAM], "memories.a.size", "more than 0"),
        (ARRAY, [memory("a", 8, ""), DRAM], "memories.a.holds", "leave the memory out"),
        (ARRAY, [replace(DRAM, served=("D3",))], "memories.dram.served", "allowed: D1, D2"),
        (ARRAY, [replace(DRAM, read_pj=-1.0)], "memories.dram.read_pj", "0 or more"),
        (ARRAY, [memory("dram", None, "IO", ["D1"])], "memories", "W has no path to the array"),
        (ARRAY, [with_ports(port(carries={})), DRAM], "ports.p.carries", "a port without direction"),
        (ARRAY, [with_ports(port(carries={"I": ()})), DRAM], "ports.p.carries", "a port without direction"),
        (ARRAY, [with_ports(port(kind="both")), DRAM], "ports.p.kind", "read_write"),
        (ARRAY, [with_ports(port(max_bits=0)), DRAM], "ports.p.max_bits", "1 or more"),
        (ARRAY, [with_ports(port(min_bits=16)), DRAM], "ports.p.min_bits", "1 to max_bits (8)"),
        (ARRAY, [with_ports(port(kind="write")), DRAM], "ports.p.carries.I", "cannot carry 'read'"),
        (
            ARRAY,
            [with_ports(port(carries={"I": ("drain",)})), DRAM],
            "ports.p.carries.I",
            "allowed: fill, read",
        ),
        (ARRAY, [with_ports(port(carries={"W": ("fill",)})), DRAM], "ports.p.carries", "does not hold"),
        (
            ARRAY,
            [with_ports(port(carries={"I": ("read",)})), DRAM],
            "memories.buffer.ports",
            "carries: {I: [fill]}",
        ),
        (ARRAY, [with_ports(port(), port(name="q")), DRAM], "memories.buffer.ports", "one of them"),
    ],
)
def test_what_cannot_work_names_the_field_and_the_next_step(array, memories, field, next_step):
    with pytest.raises(TargetError) as caught:
        Hierarchy(array, tuple(memories), name="chip")
    assert field in str(caught.value)
    assert next_step in str(caught.value)


def test_partial_sums_need_bits():
    with pytest.raises(TargetError, match="partial_bits"):
        Hierarchy(ARRAY, (DRAM,), 0)


def test_a_chain_that_ends_on_chip():
    whole, _ = weight_stationary()
    cut = whole.ending({"O": "buffer"})
    assert [m.name for m in cut.memories] == ["weight_reg", "accumulator", "buffer", "dram"]
    assert cut.memory("dram").holds == ("I", "W")
    assert all("O" not in port.carries for port in cut.memory("dram").ports)
    assert cut.memory("buffer") == whole.memory("buffer")
    # Nothing is left for the outermost memory to hold.
    inner = whole.ending({"I": "buffer", "O": "buffer", "W": "weight_reg"})
    assert [m.name for m in inner.memories] == ["weight_reg", "accumulator", "buffer"]


def test_a_chain_ends_at_a_memory_that_holds_the_operand():
    whole, _ = weight_stationary()
    with pytest.raises(TargetError, match=r"W cannot stay in 'buffer'.*allowed: weight_reg, dram"):
        whole.ending({"W": "buffer"})
    with pytest.raises(TargetError, match=r"no memory 'bufer'.*did you mean 'buffer'"):
        whole.ending({"O": "bufer"})
