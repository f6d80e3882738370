"""Symbolic numbers: nodes, and their evaluation for one assignment or for a population."""

from hannah_hw.expressions.functions import And, Ceil, Floor, If, Int, Max, Min, Not, Or, Select, lazy
from hannah_hw.expressions.nodes import Expression, Scalar, leaves, topological
from hannah_hw.expressions.program import Evaluator, Program, evaluate

__all__ = [
    "And",
    "Ceil",
    "Evaluator",
    "Expression",
    "Floor",
    "If",
    "Int",
    "Max",
    "Min",
    "Not",
    "Or",
    "Program",
    "Scalar",
    "Select",
    "evaluate",
    "lazy",
    "leaves",
    "topological",
]
