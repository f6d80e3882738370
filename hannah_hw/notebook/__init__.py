"""What a notebook shows of spaces, networks, expressions, targets, cost reports and runs.

Each is a small fragment of HTML without scripts; see `hannah_hw.showing`.
"""

from __future__ import annotations

from functools import singledispatch

from hannah_hw.cost import CostReport
from hannah_hw.expressions import Expression
from hannah_hw.graph import Node
from hannah_hw.notebook import hardware, language, networks, runs
from hannah_hw.parameters import Parameter
from hannah_hw.report import Candidate as Evaluated
from hannah_hw.report import Run
from hannah_hw.spaces import Assignment, Candidate, SearchSpace
from hannah_hw.targets import Target

__all__ = ["html_of"]


@singledispatch
def html_of(value: object) -> str:
    """An object as a notebook shows it.

    Raises:
        TypeError: Nothing is known of such objects.
    """
    raise TypeError(f"{type(value).__name__} has no HTML of its own")


html_of.register(Assignment, networks.assignment)
html_of.register(Candidate, networks.candidate)
html_of.register(CostReport, hardware.cost_report)
html_of.register(Evaluated, runs.evaluated)
html_of.register(Expression, language.expression)
html_of.register(Node, networks.node)
html_of.register(Parameter, language.parameter)
html_of.register(Run, runs.run)
html_of.register(SearchSpace, networks.space)
html_of.register(Target, hardware.target)
