"""The graph language: tensors, operators, choices, scopes, and walking the graph."""

from hannah_hw.graph.choice import ChoiceOp, dynamic_depth
from hannah_hw.graph.naming import scope, search_space
from hannah_hw.graph.node import Node, Shape, Tensor
from hannah_hw.graph.op import Op
from hannah_hw.graph.plan import Plan, PlanStep, Value, resolve
from hannah_hw.graph.traversal import execution_order, get_nodes, parameters_by_node

__all__ = [
    "ChoiceOp",
    "Node",
    "Op",
    "Plan",
    "PlanStep",
    "Shape",
    "Tensor",
    "Value",
    "dynamic_depth",
    "execution_order",
    "get_nodes",
    "parameters_by_node",
    "resolve",
    "scope",
    "search_space",
]
