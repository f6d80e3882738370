"""Target descriptions: what a chip is and which kernels it can run. Data, no prices."""

from hannah_hw.targets.legality import Legality, Predicate, compile_legality
from hannah_hw.targets.load import describe_target, json_schema, list_targets, load_target, parse_target
from hannah_hw.targets.models import KernelsModel
from hannah_hw.targets.schema import OperatorRule, Sourced, Target

__all__ = [
    "KernelsModel",
    "Legality",
    "OperatorRule",
    "Predicate",
    "Sourced",
    "Target",
    "compile_legality",
    "describe_target",
    "json_schema",
    "list_targets",
    "load_target",
    "parse_target",
]
