"""Params of a target: what ``${...}`` stands for, what it may be, and mistakes with their place."""

import operator
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.errors import TargetError
from hannah_hw.targets import parse_target
from hannah_hw.targets.amounts import Amount, compute
from hannah_hw.targets.params import Param

TOY = """\
format: hannah-target/2
name: toy
title: ${pe} x ${pe} multipliers
document: none
clock_hz: ${clock}
params:
  pe: {choice: [4, 8, 16], default: 8}
  wmem: {range: [16 KiB, 256 KiB], step: 16 KiB, default: 64 KiB}
  depth: {range: [1, 64], factor: 4, default: 16}
  clock: {choice: [100 MHz, 200 MHz], default: 100 MHz}
  objective: {choice: [cycles, energy], default: cycles}
array:
  dims:
    D1: ${pe}
    D2: ${pe * pe / 4}
memories:
  - name: weights
    size: ${wmem / 2 + 4 KiB}
    holds: [I, W, O]
    ports:
      - {name: all, kind: read_write, max_bits: "${depth}"}
model:
  kind: loop_nest
  objective: ${objective}
ops:
  - match: conv
    when:
      - in_channels % ${pe} == 0
unsupported: error
"""


@pytest.fixture(scope="module")
def toy():
    return parse_target(TOY, "toy.yaml")


def test_fields_follow_the_defaults(toy):
    assert toy.assignment == {
        "pe": 8,
        "wmem": 65536,
        "depth": 16,
        "clock": 100e6,
        "objective": "cycles",
    }
    assert toy.title == "8 x 8 multipliers"
    assert toy.array.dims == {"D1": 8, "D2": 16}
    assert toy.memories[0].size == 32 * 1024 + 4096
    assert toy.memories[0].ports[0].max_bits == 16
    assert toy.clock_hz == 100e6
    assert toy.ops[0].when == ("in_channels % 8 == 0",)


def test_fields_follow_given_values_and_everything_else_stays(toy):
    other = toy.with_params({"pe": 16, "wmem": "128 KiB", "clock": 200_000_000, "objective": "energy"})
    assert other.array.dims == {"D1": 16, "D2": 64}
    assert other.memories[0].size == 64 * 1024 + 4096
    assert (other.clock_hz, other.model.objective) == (200e6, "energy")
    assert other.memories[0].ports == toy.memories[0].ports
    assert other.label == "toy[pe=16,wmem=128KiB,clock=200MHz,objective=energy]"
    assert other.params == toy.params
    # Values are of the file, not of the target that was asked.
    assert other.with_params({}) == toy


def test_levels_are_those_of_the_file(toy):
    assert toy.params["pe"].values == (4, 8, 16)
    assert toy.params["wmem"].values == tuple(16384 * i for i in range(1, 17))
    assert toy.params["depth"].values == (1, 4, 16, 64)
    fractions = Param.model_validate({"range": [0.1, 0.9], "step": 0.2, "default": 0.3})
    assert fractions.values == (0.1, 0.3, 0.5, 0.7, 0.9)
    assert (toy.params["wmem"].dimension, toy.params["objective"].dimension) == ("bytes", "word")


def test_the_fingerprint_tells_descriptions_apart_and_nothing_else(toy):
    prints = {toy.with_params({"pe": pe}).fingerprint for pe in (4, 8, 16)}
    assert len(prints) == 3
    assert toy.fingerprint in prints
    assert parse_target(TOY.replace("[4, 8, 16]", "[2, 8]").replace("document: none", "document: x")) == toy
    # Worker processes get targets pickled.
    assert pickle.loads(pickle.dumps(toy)).with_params({}) == toy  # noqa: S301
    faster = toy.model_copy(update={"clock_hz": 1.0})
    assert faster.fingerprint != toy.fingerprint
    assert len({toy, toy.with_params({}), faster}) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "D1: ${pe}",
            "D1: ${pi}",
            (
                "toy.yaml:14:5 array.dims.D1: 'pi' reads 'pi', which is no param of this target; add it to 'params'; "
                "allowed: pe, wmem, depth, clock, objective"
            ),
        ),
        ("D1: ${pe}", "D1: ${pe", "toy.yaml:14:5 array.dims.D1: in '${pe', ${ is never closed; write ${pe}"),
        (
            "D1: ${pe}",
            "D1: ${pe / 3}",
            (
                "toy.yaml:14:5 array.dims.D1: must be a whole number (given: 2.6666666666666665); it follows from "
                "'${pe / 3}'"
            ),
        ),
        (
            "D1: ${pe}",
            "${pe}: 3",
            "toy.yaml:14:5 array.dims.${pe}: the key '${pe}' contains ${; only values can follow params",
        ),
        ("D1: ${pe}", "D1: ${pe + wmem}", "'pe + wmem' combines count and bytes"),
        ("D1: ${pe}", "D1: ${wmem * wmem}", "'wmem * wmem' combines bytes and bytes"),
        ("D1: ${pe}", "D1: ${__import__('os')}", "calls the unknown function __import__()"),
        ("D1: ${pe}", "D1: ${pe.real}", "part that is not allowed (Attribute)"),
        ("D1: ${pe}", "D1: ${pe ** 99}", "operator that is not allowed (Pow)"),
        ("D1: ${pe}", "D1: ${pe // (pe - 8)}", "has no value: integer division"),
        ("D1: ${pe}", "D1: ${-objective}", "computes with the word 'cycles'"),
        ("D1: ${pe}", "D1: ${pe +}", "'pe +' is no expression"),
        ("D1: ${pe}", "D1: ${" + "pe + " * 99 + "pe}", "an expression is longer than 200 characters"),
        ('"${depth}"', "${depth}", 'quote what contains ${...}: "${name}"'),
        (
            "clock_hz: ${clock}",
            "clock_hz: 1 MHz",
            (
                "toy.yaml:10:3 params.clock: no field reads the param 'clock'; write ${clock} where it belongs, or "
                "remove it"
            ),
        ),
        (
            "default: 8}",
            "default: 7}",
            "toy.yaml:7:3 params.pe: the default 7 is none of the values; allowed: 4, 8, 16",
        ),
        (
            "[16 KiB, 256 KiB]",
            "[16 KiB, 48 KiB]",
            "the default 64 KiB is none of the values; allowed: 16 KiB, 32",
        ),
        ("[16 KiB, 256 KiB]", "[16, 256 KiB]", "the ends and the step of a range need the same unit"),
        ("[16 KiB, 256 KiB]", "[16 KiB, 2 KiB]", "ends at 2 KiB, which is not above its begin 16 KiB"),
        ("step: 16 KiB", "step: 0 B", "the step must be greater than 0"),
        ("step: 16 KiB", "step: 1 B", "the range has 245761 values; it may have up to 10000"),
        ("step: 16 KiB", "step: 1e-320 B", "the range has inf values; it may have up to 10000"),
        ("[1, 64], factor: 4", "[1e-308, 1e308], factor: 1.01", "values; it may have up to 10000"),
        (", step: 16 KiB", "", "a 'range' needs either 'step', such as 4 KiB, or 'factor', such as 2"),
        ("factor: 4", "factor: 1", "params.depth.factor: must be greater than 1.0 (given: 1)"),
        ("[4, 8, 16]", "[4, 8, 16], step: 4", "'step' and 'factor' belong to 'range'"),
        ("choice: [4, 8, 16], ", "", "give either 'choice: [4, 8, 16]' or 'range: [4, 16]'"),
        ("[4, 8, 16]", "[4, 8, 8]", "a value occurs twice"),
        ("[4, 8, 16]", "[4, 8, 16 KiB]", "the values differ in their units: 4, 8, 16 KiB, 8"),
        ("[4, 8, 16]", "[4, 8, true]", "True is no number, quantity or word"),
        ("choice: [4, 8", "chioce: [4, 8", "unknown field 'chioce'; allowed: choice, default, factor, range"),
        ("  pe: {", "  Pe: {", "must match the pattern"),
    ],
)
def test_mistakes_are_named_with_their_place(old, new, message):
    assert TOY.count(old) == 1
    with pytest.raises(TargetError) as failure:
        parse_target(TOY.replace(old, new), "toy.yaml")
    assert message in str(failure.value)
    assert str(failure.value).startswith("toy.yaml:")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pes": 8}, "toy.yaml:6:1 params: the target has no param 'pes'; allowed: pe, .*did you mean 'pe'"),
        ({"pe": 5}, "the param 'pe' cannot be 5; allowed: 4, 8, 16"),
        ({"wmem": 1000}, "the param 'wmem' cannot be 1 kB; allowed: 16 KiB, "),
        ({"wmem": "1 MHz"}, "the param 'wmem' cannot be 1 MHz"),
        ({"pe": None}, "None is no number, quantity or word"),
    ],
)
def test_values_that_a_param_does_not_have_are_refused(toy, values, message):
    with pytest.raises(TargetError, match=message):
        toy.with_params(values)


def test_a_description_that_cannot_be_with_some_values_names_them():
    text = TOY.replace("D1: ${pe}", "D1: ${pe - 4}")
    with pytest.raises(TargetError, match=r"array.dims.D1: must be at least 1 .*; so it is with pe = 4"):
        parse_target(text, "toy.yaml").with_params({"pe": 4})


def test_a_target_without_params_takes_none(toy):
    plain = toy.model_copy(update={"params": {}})
    plain._document = None
    assert plain.with_params({}) is plain
    with pytest.raises(TargetError, match="no param 'pe'; its file declares none"):
        plain.with_params({"pe": 8})


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("pe", 8, "count"),
        ("2 * (pe + 1) - 7 % 4", 15, "count"),
        ("pe%3", 2, "count"),
        ("wmem / (4 KiB)", 16, "count"),
        ("wmem // pe", 8192, "bytes"),
        ("1.5 KiB", 1536, "bytes"),
        ("max(wmem, 1 MiB) / 2", 2**19, "bytes"),
        ("ceil(pe / 3) * 1 MHz", 3_000_000, "hertz"),
        ("log2(pe) + sqrt(16)", 7, "count"),
        ("-pe * 50 %", -4, "count"),
        ("mode", "fast", "word"),
    ],
)
def test_expressions_have_units(text, value, dimension):
    names = {"pe": Amount(8), "wmem": Amount(65536, "bytes"), "mode": Amount("fast", "word")}
    assert compute(text, names)[0] == Amount(value, dimension)


@given(
    st.integers(-1000, 1000),
    st.integers(1, 1000),
    st.sampled_from(["add", "sub", "mul", "truediv", "floordiv", "mod"]),
)
def test_expressions_compute_as_python_does(a, b, name):
    sign = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%"}[name]
    result, read = compute(f"a {sign} b", {"a": Amount(a), "b": Amount(b)})
    assert result.value == getattr(operator, name)(a, b)
    assert read == {"a", "b"}
