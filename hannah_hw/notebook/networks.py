"""Spaces, networks of them and nodes of their graphs in a notebook."""

from __future__ import annotations

from typing import Any, Final

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Node
from hannah_hw.notebook.markup import Markup, card, folded, lines, picture, table
from hannah_hw.quantities import format_si
from hannah_hw.report.space_drawing import draw_space
from hannah_hw.spaces import Assignment, Candidate, SearchSpace
from hannah_hw.spaces.summary import Spread, graph_rows, summarise

#: Random candidates that the figures of a space are of.
_SAMPLES: Final = 100
#: Characters of the largest picture that a notebook is to carry.
_PICTURE: Final = 60_000


def space(value: SearchSpace) -> str:
    """A space: its size, what its networks cost, its parameters, its graph."""
    found = summarise(value, samples=_SAMPLES)
    of = f"all {found.sampled}" if found.exhaustive else f"{found.sampled} random networks"
    rows = [
        ("networks", "not counted" if found.candidates is None else str(found.candidates)),
        (f"MACs of {of}", _spread(found.macs)),
        (f"trained values of {of}", _spread(found.weights)),
        *(("must hold", text) for text in found.conditions),
    ]
    parameters = table(
        ("parameter", "kind", "values", "default"),
        [(p.id, p.kind, p.values, str(p.default)) for p in found.parameters],
    )
    tree = [f"{name:<34} {what}  {_shape(shape)}".rstrip() for name, what, shape in graph_rows(found.graph)]
    return card(
        found.space,
        f"search space, {found.nodes} nodes",
        table((), rows),
        folded(f"{len(found.parameters)} parameters", parameters),
        folded("graph by scope", lines(tree)),
        folded("picture", _picture(value)),
    )


def candidate(value: Candidate) -> str:
    """A network: its size, its shapes and its parameters."""
    rows = [
        ("MACs", f"{value.macs:,}"),
        ("trained values", f"{value.parameters:,}"),
        ("input", ", ".join(_shape(value.shapes[tensor.id]) for tensor in value.plan.inputs)),
        ("output", ", ".join(_shape(value.shapes[name]) for name in value.plan.outputs)),
    ]
    count = len(value.assignment)
    return card(
        value.id,
        f"network of {value.space.name}",
        table((), rows),
        folded(f"{count} parameters", _values(value.assignment)),
    )


def assignment(value: Assignment) -> str:
    """Values of parameters."""
    return card("Assignment", f"{len(value)} parameters", _values(value))


def node(value: Node) -> str:
    """A node: what it takes, its shape, and the graph that ends in it."""
    rows = [
        ("operands", ", ".join(operand.id for operand in value.operands) or None),
        ("users", ", ".join(user.id for user in value.users) or None),
        ("shape", str(tuple(value.shape()))),
    ]
    own = {p.id: p for p in value.parametrization().get(value.id, {}).values()}
    rows += [(name, repr(parameter)) for name, parameter in own.items()]
    picture = None
    try:
        picture = _picture(SearchSpace(value)) if value.operands else None
    except SpaceError:
        # A part of a graph need not be a space of its own.
        rows.append(("picture", "none: what ends here is no whole network"))
    return card(value.id, type(value).__name__, table((), rows), folded("picture", picture))


def _values(values: Any) -> Markup | None:
    return table(("parameter", "value"), [(name, str(item)) for name, item in values.items()])


def _picture(value: SearchSpace) -> Markup | None:
    svg = draw_space(value)
    return picture(svg, f"graph of {value.name}") if len(svg) <= _PICTURE else None


def _spread(found: Spread) -> str:
    least, median, most = (format_si(n, "").strip() for n in (found.least, found.median, found.most))
    return f"{least} to {most}, median {median}"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape[1:]))
