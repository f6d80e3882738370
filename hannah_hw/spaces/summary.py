"""What a space holds: its size, its parameters, its graph by scope, and what its candidates cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.parameters import (
    CategoricalParameter,
    FloatScalarParameter,
    IntScalarParameter,
    Parameter,
    SubsetParameter,
)
from hannah_hw.spaces.counting import Count, assignments, distinct, every_candidate
from hannah_hw.spaces.outline import Scope, local_name, outline
from hannah_hw.spaces.space import SearchSpace
from hannah_hw.workload.table import IntArray

#: What the classes of parameters are called.
_KINDS: Final = {
    IntScalarParameter: "integer",
    FloatScalarParameter: "real",
    CategoricalParameter: "choice",
    SubsetParameter: "subset",
}
#: What a line of a tree is indented by, for each scope that it is in.
INDENT: Final = "  "
#: Most levels that are listed one by one.
_LISTED: Final = 6


@dataclass(frozen=True)
class ParameterSummary:
    """A parameter.

    Attributes:
        id: Its id.
        kind: ``integer``, ``real``, ``choice``, ``subset``, or the class of another one.
        levels: Number of its values; None of a continuous one.
        values: Its values, shortened.
        ordered: Whether neighbouring values are alike.
        default: Its value in the declared starting point, active there or not.
    """

    id: str
    kind: str
    levels: int | None
    values: str
    ordered: bool
    default: Any


@dataclass(frozen=True)
class Spread:
    """A figure of the default candidate, and the least, median and largest of the sampled ones."""

    default: int
    least: int
    median: float
    most: int


@dataclass(frozen=True)
class SpaceSummary:
    """A search space.

    Attributes:
        space: Its name.
        options: Arguments of the function that builds it.
        nodes: Operators and tensors of its graph.
        assignments: Number of assignments of all parameters; None where one is continuous.
        candidates: Number of different candidates; None where it is not known.
        sampled: How many candidates `macs` and `weights` are of.
        exhaustive: Whether those are all.
        macs: Multiply-accumulates of one inference.
        weights: Trained values.
        conditions: Text of what must hold, or that itself -> ids of the nodes for which it must.
        algorithm: The search algorithm that a YAML file asks for; a search configuration may name another.
        parameters: Its parameters.
        graph: The graph by scope, alike scopes folded.
    """

    space: str
    options: dict[str, Any]
    nodes: int
    assignments: int | None
    candidates: Count | None
    sampled: int
    exhaustive: bool
    macs: Spread
    weights: Spread
    conditions: dict[str, tuple[str, ...]]
    algorithm: str | None
    parameters: tuple[ParameterSummary, ...]
    graph: Scope


def summarise(space: SearchSpace, *, samples: int = 2000, seed: int = 0) -> SpaceSummary:
    """Look at a space.

    Args:
        space: The space.
        samples: How many random candidates are looked at; all of a space that has no more.
        seed: Of their generator.
    """
    rows = every_candidate(space)
    exhaustive = rows is not None and len(rows) <= samples
    if rows is None or not exhaustive:
        rows = space.sample_population(samples, seed)
    default = space.candidate(space.default())
    encoding = space.encoding
    asked = None if space.document is None else space.document.asked_search
    return SpaceSummary(
        space.name,
        space.options,
        len(space.order),
        assignments(space),
        distinct(space),
        len(rows),
        exhaustive,
        _spread(default.macs, space.mac_counts(rows)),
        _spread(default.parameters, space.parameter_counts(rows)),
        _conditions(space),
        None if asked is None else asked.algorithm,
        tuple(map(summarise_parameter, encoding.parameters)),
        outline(space),
    )


def _conditions(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for node in space.order:
        for condition, text in node.conditions:
            found.setdefault(text or str(condition), []).append(node.id)
    return {text: tuple(nodes) for text, nodes in found.items()}


def _spread(default: int, figures: IntArray) -> Spread:
    return Spread(default, int(figures.min()), float(np.median(figures)), int(figures.max()))


def summarise_parameter(parameter: Parameter) -> ParameterSummary:
    """What a person wants to know of a parameter."""
    kind = _KINDS.get(type(parameter), type(parameter).__name__)
    if getattr(parameter, "log", False):
        kind += ", log scale"
    return ParameterSummary(
        parameter.id,
        kind,
        len(parameter.levels) or None,
        describe_values(parameter),
        parameter.ordered,
        parameter.default,
    )


def describe_values(parameter: Parameter) -> str:
    """The values of a parameter, the middle of many left out: ``8, 16, ..., 64``."""
    if isinstance(parameter, FloatScalarParameter):
        return f"{parameter.min:g} to {parameter.max:g}"
    texts = [_text(level) for level in parameter.levels]
    return ", ".join(texts if len(texts) <= _LISTED else [*texts[:2], "...", texts[-1]])


def parameter_name(parameter_id: str) -> str:
    """The name of a parameter without its node; with the name before it, if it is but a number."""
    before, _, name = parameter_id.rpartition(".")
    return f"{local_name(before)}.{name}" if name.isdecimal() and before else name


def _text(level: Any) -> str:
    if isinstance(level, Sequence) and not isinstance(level, str):
        return "{" + ", ".join(map(_text, level)) + "}"
    return str(level)


def graph_rows(graph: Scope, depth: int = 0) -> list[tuple[str, str, tuple[int, ...] | None]]:
    """The graph as lines of a tree.

    Args:
        graph: Of `outline`.
        depth: How far the first line is indented.

    Returns:
        Indented name of a scope or of a choice; the scope's own operators, or the choice's options and the
        parameters that are first used to choose; and the shape that the default candidate has there.
    """
    kinds = Counter(block.kind for block in graph.blocks if not block.is_choice)
    operators = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items())
    rows = [(INDENT * depth + (graph.title or "graph"), operators, graph.shape)]
    for item in graph.items:
        if isinstance(item, Scope):
            rows += graph_rows(item, depth + 1)
        elif item.is_choice:
            options = dict.fromkeys(_seen_from(item.id, option) for option in item.inputs)
            by = f" by {', '.join(map(parameter_name, item.parameters))}" if item.parameters else ""
            rows.append(
                (
                    INDENT * (depth + 1) + local_name(item.id),
                    f"one of {len(item.inputs)}: {', '.join(options)}{by}",
                    item.shape,
                )
            )
    return rows


def _seen_from(here: str, there: str) -> str:
    """The outermost scope, or else the name, of a node beside another one."""
    for mine, other in zip(here.split("."), there.split("."), strict=False):
        if mine != other:
            return other
    return local_name(there)
