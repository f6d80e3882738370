"""Hardware-aware neural architecture search with accelerator cost models.

Describe a family of networks as a graph with parameters and a chip as one YAML file; get the Pareto front of
models that fit it, with figures that say how they were obtained.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hannah_hw.advice import advise
    from hannah_hw.cost import CostReport, Costs
    from hannah_hw.errors import HannahError
    from hannah_hw.estimation import estimate, estimate_population
    from hannah_hw.executors import DifferentiableExecutor, WeightSharingExecutor, to_torch
    from hannah_hw.expected_cost import ExpectedCost
    from hannah_hw.expressions import lazy
    from hannah_hw.graph import ChoiceOp, Op, Tensor, dynamic_depth, get_nodes, scope, search_space
    from hannah_hw.legalization import Legalized, legalize
    from hannah_hw.lowering import to_onnx
    from hannah_hw.parameters import (
        CategoricalParameter,
        FloatScalarParameter,
        IntScalarParameter,
        SubsetParameter,
    )
    from hannah_hw.report import Run, load_run
    from hannah_hw.search import Search
    from hannah_hw.spaces import Assignment, Candidate, SearchSpace, load_space
    from hannah_hw.targets import Target, load_target

#: Public name -> the module that defines it. Modules are imported at first use, so that importing the package
#: costs nothing.
_HOMES = {
    "Assignment": "spaces",
    "Candidate": "spaces",
    "CategoricalParameter": "parameters",
    "ChoiceOp": "graph",
    "CostReport": "cost",
    "Costs": "cost",
    "DifferentiableExecutor": "executors",
    "ExpectedCost": "expected_cost",
    "FloatScalarParameter": "parameters",
    "HannahError": "errors",
    "IntScalarParameter": "parameters",
    "Legalized": "legalization",
    "Op": "graph",
    "Run": "report",
    "Search": "search",
    "SearchSpace": "spaces",
    "SubsetParameter": "parameters",
    "Target": "targets",
    "Tensor": "graph",
    "WeightSharingExecutor": "executors",
    "advise": "advice",
    "dynamic_depth": "graph",
    "estimate": "estimation",
    "estimate_population": "estimation",
    "get_nodes": "graph",
    "lazy": "expressions",
    "legalize": "legalization",
    "load_run": "report",
    "load_space": "spaces",
    "load_target": "targets",
    "scope": "graph",
    "search_space": "graph",
    "to_onnx": "lowering",
    "to_torch": "executors",
}

__version__ = "0.1.0"

__all__ = [
    "Assignment",
    "Candidate",
    "CategoricalParameter",
    "ChoiceOp",
    "CostReport",
    "Costs",
    "DifferentiableExecutor",
    "ExpectedCost",
    "FloatScalarParameter",
    "HannahError",
    "IntScalarParameter",
    "Legalized",
    "Op",
    "Run",
    "Search",
    "SearchSpace",
    "SubsetParameter",
    "Target",
    "Tensor",
    "WeightSharingExecutor",
    "advise",
    "dynamic_depth",
    "estimate",
    "estimate_population",
    "get_nodes",
    "lazy",
    "legalize",
    "load_run",
    "load_space",
    "load_target",
    "scope",
    "search_space",
    "to_onnx",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
