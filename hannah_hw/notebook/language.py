"""Parameters and expressions in a notebook; an expression is drawn as the graph of its operations."""

from __future__ import annotations

import math
from typing import Any, Final

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, leaves, topological
from hannah_hw.expressions.intervals import bounds
from hannah_hw.expressions.nodes import Operation
from hannah_hw.expressions.operations import OPERATIONS
from hannah_hw.notebook.markup import Markup, card, note, table, text
from hannah_hw.parameters import Parameter
from hannah_hw.report.layers import Arrangement, Edge, Line, Vertex, arrange
from hannah_hw.spaces.summary import describe_values, summarise_parameter

#: Operations of an expression that is drawn; the text of a larger one must do.
_DRAWN: Final = 40
#: Width of a character, height and padding of a box, and the margin of a drawing, in pixels.
_CHARACTER, _HEIGHT, _PAD, _MARGIN = 7.0, 22.0, 8.0, 6.0


def parameter(value: Parameter) -> str:
    """A parameter: what it can be, and where it starts."""
    found = summarise_parameter(value)
    levels = "" if found.levels is None else f", {found.levels} values"
    rows = [("values", found.values), ("default", str(found.default))]
    return card(value.id or value.name or "parameter", f"{found.kind}{levels}", table((), rows))


def expression(value: Expression) -> str:
    """An expression: its text, the least and the greatest value, and its graph."""
    if isinstance(value, Parameter):
        return parameter(value)
    low, high = bounds([value])[0]
    used = [leaf for leaf in leaves([value]) if isinstance(leaf, Parameter)]
    rows = [
        ("with the defaults", _default(value)),
        ("between", f"{_number(low)} and {_number(high)}"),
        *((p.id or p.name or "parameter", describe_values(p)) for p in used),
    ]
    return card(repr(value), "expression", table((), rows), draw_expression(value))


def draw_expression(value: Expression) -> Markup | None:
    """The graph of an expression, operands above the operations that take them.

    What is used twice is drawn once. None of more than 40 operations.
    """
    order = topological([value])
    if len(order) > _DRAWN:
        return note(f"{len(order)} operations and parameters: too many for a drawing")
    position = {id(node): index for index, node in enumerate(order)}
    labels = [_label(node) for node in order]
    edges = [
        Edge(position[id(operand)], index, str(position[id(operand)]))
        for index, node in enumerate(order)
        for operand in node.operands
        if isinstance(operand, Expression)
    ]
    boxes = [Vertex(_CHARACTER * len(label) + 2 * _PAD, _HEIGHT) for label in labels]
    placed = arrange(boxes, edges, across=14.0, down=20.0)
    return Markup(_svg(placed, boxes, labels, [isinstance(node, Parameter) for node in order]))


def _svg(placed: Arrangement, boxes: list[Vertex], labels: list[str], rounded: list[bool]) -> str:
    width, height = placed.width + 2 * _MARGIN, placed.height + 2 * _MARGIN
    head = (
        f'<svg role="img" aria-label="graph of the expression" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-_MARGIN} {-_MARGIN} {width:.1f} {height:.1f}" style="max-width:100%;height:auto" '
        'fill="none" stroke="currentColor">'
    )
    parts = [head]
    parts += [f'<path d="{_curve(line)}" opacity=".6"/>' for line in placed.lines]
    for (x, y), box, label, leaf in zip(placed.corners, boxes, labels, rounded, strict=True):
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
            f'rx="{_HEIGHT / 2 if leaf else 3}"/>'
            f'<text x="{x + box.width / 2:.1f}" y="{y + 15:.1f}" text-anchor="middle" stroke="none" '
            f'fill="currentColor" font-family="monospace" font-size="11.5">{text(label)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _curve(line: Line) -> str:
    (x, start), (end, stop) = line.start, line.stop
    leave, arrive = line.bend
    middle = (leave + arrive) / 2
    across = f"{x:.1f} {middle:.1f} {end:.1f} {middle:.1f} {end:.1f} {arrive:.1f}"
    return f"M{x:.1f} {start:.1f}V{leave:.1f}C{across}V{stop:.1f}"


def _label(node: Expression) -> str:
    """An operation with the plain numbers among its operands; the last two words of a parameter's id."""
    if not isinstance(node, Operation):
        name = str(getattr(node, "id", "") or getattr(node, "name", "") or "?")
        return ".".join(name.split(".")[-2:])
    plain = [_number(operand) for operand in node.operands if not isinstance(operand, Expression)]
    return " ".join([OPERATIONS[node.kind].symbol, *plain])


def _default(value: Expression) -> str:
    try:
        return _number(value.evaluate())
    except (SpaceError, ArithmeticError):
        return "not defined"


def _number(value: Any) -> str:
    if isinstance(value, float) and math.isinf(value):
        return "no bound" if value > 0 else "minus no bound"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
