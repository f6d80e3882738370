"""Bounds on a whole network, as conditions over its totals: ``layers <= 32``, ``weight_bytes <= 432 * 1024``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hannah_hw.errors import TargetError
from hannah_hw.targets.formulas import Grammar, Program

#: Totals of a network that a limit may read: kernels; kernels on the array, those that multiply and accumulate, and
#: those on the vector unit and on a processor beside them; bytes of weights without biases; elements of biases; peak of
#: live activations; multiply-accumulates.
TOTALS: Final[Mapping[str, str]] = {
    "layers": "kernels of one inference",
    "array_layers": "kernels that the array runs",
    "mac_layers": "kernels that multiply and accumulate",
    "vector_layers": "kernels that the vector unit runs",
    "cpu_layers": "kernels that another processor runs",
    "weight_bytes": "bytes of weights, biases apart",
    "biases": "elements of biases",
    "ram_bytes": "bytes of activations at their peak",
    "macs": "multiply-accumulates of one inference",
}


def parse_limit(text: str) -> Program:
    """Compile a condition over `TOTALS`: a function of total -> (P,) values to (P,) whether it holds.

    Raises:
        TargetError: Not in the grammar of `hannah_hw.targets.formulas`, or an unknown total.
    """
    return _parsed(text)[0]


def limit_names(text: str) -> frozenset[str]:
    """The totals that a limit reads; raises as `parse_limit` does."""
    return _parsed(text)[1]


def _parsed(text: str) -> tuple[Program, frozenset[str]]:
    grammar = Grammar(text, "limit", TOTALS)
    program = grammar.condition(grammar.tree())
    if not grammar.names:
        raise TargetError(f"the limit {text!r} speaks of nothing", allowed=TOTALS)
    return program, frozenset(grammar.names)
