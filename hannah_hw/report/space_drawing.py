"""A search space as an SVG picture: needs no other program, holds no script, and is the same for the same space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax import saxutils

from hannah_hw.report.space_layout import LARGE, PAD, ROW, SMALL, Box, Picture, Wire, lay_out
from hannah_hw.spaces import SearchSpace
from hannah_hw.wording import printable

#: Space around everything, and what the title and the legend take.
_MARGIN: Final = 16.0
_HEAD: Final = 44.0
#: A distance that nobody sees.
_UNSEEN: Final = 0.05
_LEGEND: Final = (
    "amber: a choice; blue: parameters and their values; right: shape of the default candidate without batch; "
    "dashed: not in the default candidate; (3x): scopes that are alike"
)
_ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0.8 8 4 0 7.2z"/></marker></defs>'
)
_STYLE: Final = """
text { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 12px; fill: #1a2430; white-space: pre }
.head { font-size: 15px; font-weight: bold }
.small, .note, .parameter { font-size: 10px }
.small, .note { fill: #5c6875 }
.parameter { fill: #1456a0 }
.title { font-weight: bold; fill: #37475a; paint-order: stroke; stroke: #fff; stroke-width: 3px }
rect { stroke: #8593a3; fill: #fff }
.scope { fill: #f4f6f9; stroke: #b3bfcc }
.odd { fill: #e9edf3 }
.choice { fill: #ffe2a1; stroke: #c98a00; stroke-width: 1.5 }
.input { fill: #dff0df; stroke: #5d995d }
.absent { stroke-dasharray: 4 3 }
text.absent { fill: #8b95a0 }
path { fill: none; stroke: #4a5a6b; stroke-width: 1.2 }
path.absent { stroke: #9aa5b1 }
marker path { fill: #4a5a6b; stroke: none }
"""


def draw_space(space: SearchSpace) -> str:
    """An SVG document: operators in boxes, scopes around them, choices in colour, data flowing downwards."""
    return render(lay_out(space))


def render(picture: Picture) -> str:
    """The SVG document of a picture."""
    width = max(picture.width, LARGE * 1.3 * len(picture.title), SMALL * len(_LEGEND)) + 2 * _MARGIN
    height = picture.height + _HEAD + 2 * _MARGIN
    left = (width - picture.width) / 2
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label={saxutils.quoteattr(printable(picture.title))}>'
    )
    parts = [
        root,
        f"<title>{_escape(picture.title)}</title>",
        f"<style>{_escape(_STYLE)}</style>",
        _ARROW,
        f'<rect width="{width:.0f}" height="{height:.0f}" style="stroke:none"/>',
        f'<text class="head" x="{_MARGIN}" y="{_MARGIN + 12}">{_escape(picture.title)}</text>',
        f'<text class="small" x="{_MARGIN}" y="{_MARGIN + 30}">{_escape(_LEGEND)}</text>',
        f'<g transform="translate({left:.1f} {_HEAD + _MARGIN:.1f})">',
    ]
    parts += [_rectangle(box) for box in picture.boxes]
    parts += [_path(wire) for wire in picture.wires]
    for box in picture.boxes:
        parts += _texts(box)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _escape(text: str) -> str:
    """A text as XML has it, whatever names are made of."""
    return saxutils.escape(printable(text))


def _rectangle(box: Box) -> str:
    classes: list[str] = [box.kind]
    if box.kind == "scope" and box.depth % 2:
        classes.append("odd")
    if not box.present:
        classes.append("absent")
    radius = 9 if box.kind == "choice" else 4
    return (
        f'<rect class="{" ".join(classes)}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius}"><title>{_escape(chr(10).join(box.ids))}</title></rect>'
    )


def _path(wire: Wire) -> str:
    (x, start), (end, stop) = wire.start, wire.stop
    leave, arrive = wire.bend
    middle = (leave + arrive) / 2
    steps = [f"M{x:.1f} {start:.1f}"]
    if abs(x - end) < _UNSEEN:
        steps.append(f"V{stop:.1f}")
    else:
        steps += [f"V{leave:.1f}"] * (abs(leave - start) > _UNSEEN)
        steps.append(f"C{x:.1f} {middle:.1f} {end:.1f} {middle:.1f} {end:.1f} {arrive:.1f}")
        # Without a step of no length, an arrow points where the curve does.
        steps += [f"V{stop:.1f}"] * (abs(stop - arrive) > _UNSEEN)
    kind = "" if wire.present else ' class="absent"'
    arrow = ' marker-end="url(#arrow)"' if wire.arrow else ""
    return f'<path{kind}{arrow} d="{"".join(steps)}"/>'


def _texts(box: Box) -> Iterator[str]:
    if box.kind == "scope":
        yield f'<text class="title" x="{box.x + PAD:.1f}" y="{box.y + 14:.1f}">{_escape(box.title)}</text>'
    for index, row in enumerate(box.rows):
        y = box.y + PAD / 2 + ROW * (index + 0.72)
        absent = "" if row.present else " absent"
        kind = "parameter" if row.role == "parameter" else "name"
        indent = PAD if row.role == "name" else 2 * PAD
        yield f'<text class="{kind}{absent}" x="{box.x + indent:.1f}" y="{y:.1f}">{_escape(row.text)}</text>'
        if row.note:
            x = box.x + box.width - PAD
            yield f'<text class="note{absent}" x="{x:.1f}" y="{y:.1f}" text-anchor="end">{_escape(row.note)}</text>'
