"""How far estimates are from what was measured: a plot, and a page around it. No script, no network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw.measure.comparison import FIGURES, NetworkComparison, by_class
from hannah_hw.quantities import format_si
from hannah_hw.report.axes import axis
from hannah_hw.report.escaping import escape

#: Size of the plot, and the space around it.
_WIDTH: Final = 860
_HEIGHT: Final = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 46, 48
#: Pixels that the name of a network takes, about.
_NAME_WIDTH: Final = 40
_PAGE_STYLE: Final = """
body { font: 14px/1.45 system-ui, -apple-system, "DejaVu Sans", sans-serif; max-width: 1100px; margin: 20px auto }
table { border-collapse: collapse; margin: 12px 0 }
td, th { padding: 3px 10px; border-bottom: 1px solid #dde2ea; text-align: right; font-variant-numeric: tabular-nums }
td:first-child, th:first-child { text-align: left }
h2 { font-size: 15px }
"""
#: The band of errors that the estimates aim at.
GOAL: Final = 0.05
#: The axis of errors reaches at least this far, so that small errors look small.
_LEAST_REACH: Final = 0.08
_COLOURS: Final = (
    "#4e79a7", "#59a14f", "#b6992d", "#9c6bb0", "#499894", "#d37295", "#79706e", "#6f8fd8", "#c2410c", "#8c564b",
)  # fmt: skip
_STYLE: Final = """
text { font: 11px system-ui, -apple-system, "DejaVu Sans", sans-serif; fill: #5b6576 }
.head { font-size: 15px; font-weight: bold; fill: #1b2230 }
.strong { fill: #1b2230 }
.grid { stroke: #e6e9ef }
.zero { stroke: #5b6576 }
.goal { fill: #0b62c4; opacity: .07 }
.frame { fill: none; stroke: #dde2ea }
circle { opacity: .75 }
.network { fill: #1b2230; stroke: #fff }
"""


@dataclass(frozen=True)
class _Scales:
    """Cycles to the right, by their logarithm; errors upwards.

    Attributes:
        low: Logarithm of the cycles at the left end.
        high: The same at the right end.
        reach: Largest error at the upper end; the smallest, at the lower one, is its negative.
    """

    low: float
    high: float
    reach: float

    @classmethod
    def of(cls, networks: Sequence[NetworkComparison]) -> _Scales:
        points = [kernel for network in networks for kernel in network.kernels]
        sizes = [*(point.measured_cycles for point in points), *map(_cycles, networks)] or [1.0, 1e6]
        errors = [*(point.error for point in points), *map(_error, networks)]
        low, high = (math.log10(max(pick(sizes), 1.0)) for pick in (min, max))
        reach = max(_LEAST_REACH, 1.05 * max(map(abs, errors), default=0.0))
        return cls(math.floor(low * 10 - 1) / 10, math.ceil(high * 10 + 1) / 10, reach)

    def x(self, cycles: float) -> float:
        share = (math.log10(max(cycles, 1.0)) - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, error: float) -> float:
        return _TOP + (self.reach - error) / (2 * self.reach) * (_HEIGHT - _TOP - _BOTTOM)


def _cycles(network: NetworkComparison) -> float:
    return sum(kernel.measured_cycles for kernel in network.kernels)


def _error(network: NetworkComparison) -> float:
    return network.figures["latency_s"].error


def draw_agreement(title: str, comparisons: Sequence[NetworkComparison]) -> str:
    """An SVG document: error of the estimated cycles of every kernel and network over the measured ones.

    Args:
        title: Its first line.
        comparisons: What was compared; networks without figures are left out.
    """
    shown = [network for network in comparisons if network.figures]
    scales = _Scales.of(shown)
    colours = {row.kernel_class: _COLOURS[i % len(_COLOURS)] for i, row in enumerate(by_class(shown))}
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
    )
    parts = [
        root,
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text class="head" x="12" y="20">{escape(title)}</text>',
        f'<text x="12" y="36">error of the estimated cycles against the measured ones; band: ± {GOAL:.0%}</text>',
        *_axes(scales),
        *_kernels(shown, scales, colours),
        *_networks(shown, scales),
        *_legend(colours),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _axes(scales: _Scales) -> Iterator[str]:
    right, bottom, band = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, min(GOAL, scales.reach)
    yield (
        f'<rect class="goal" x="{_LEFT}" y="{scales.y(band):.1f}" width="{right - _LEFT}" '
        f'height="{scales.y(-band) - scales.y(band):.1f}"/>'
    )
    for error in _error_ticks(scales.reach):
        at, kind = scales.y(error), "grid" if error else "zero"
        yield (
            f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{f"{100 * error:+g}" if error else 0} %</text>'
        )
    for power in range(math.ceil(scales.low), math.floor(scales.high) + 1):
        at = scales.x(10.0**power)
        yield (
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>'
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{format_si(10.0**power, "").strip()}</text>'
        )
    yield (
        f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"/>'
        f'<text class="strong" x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">measured cycles'
        "</text>"
    )


def _error_ticks(reach: float) -> Iterator[float]:
    step = next(size for size in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 1e9) if reach / size <= 5)
    for index in range(-int(reach / step), int(reach / step) + 1):
        yield round(index * step, 10)


def _kernels(
    networks: Sequence[NetworkComparison], scales: _Scales, colours: Mapping[str, str]
) -> Iterator[str]:
    for network in networks:
        for k in network.kernels:
            note = f"{network.network}: {k.name}\n{k.kernel_class}, {k.measured_cycles:,.0f} cycles, {k.error:+.1%}"
            yield (
                f'<circle cx="{scales.x(k.measured_cycles):.1f}" cy="{scales.y(k.error):.1f}" r="4" '
                f'fill="{colours[k.kernel_class]}"><title>{escape(note)}</title></circle>'
            )


def _networks(networks: Sequence[NetworkComparison], scales: _Scales) -> Iterator[str]:
    before, above = -math.inf, False
    for network in sorted(networks, key=_cycles):
        x, y, name = scales.x(_cycles(network)), scales.y(_error(network)), escape(network.network)
        # Of neighbours that would write over each other, every second one is named below its point.
        above, before = not above if x - before < _NAME_WIDTH else True, x
        label = y - 10 if above else y + 18
        yield (
            f'<rect class="network" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" '
            f'transform="rotate(45 {x:.1f} {y:.1f})"><title>{name} {_error(network):+.1%}</title></rect>'
            f'<text class="strong" x="{x:.1f}" y="{label:.1f}" text-anchor="middle">{name}</text>'
        )


def _legend(colours: Mapping[str, str]) -> Iterator[str]:
    left = _WIDTH - _RIGHT + 16
    for index, (name, colour) in enumerate(colours.items()):
        at = _TOP + 10 + 17 * index
        yield (
            f'<circle cx="{left}" cy="{at}" r="4" fill="{colour}"/>'
            f'<text x="{left + 10}" y="{at + 4}">{escape(name)}</text>'
        )
    at = _TOP + 10 + 17 * len(colours)
    yield (
        f'<rect class="network" x="{left - 4}" y="{at - 4}" width="8" height="8" transform="rotate(45 {left} {at})"/>'
        f'<text x="{left + 10}" y="{at + 4}">whole network</text>'
    )


def agreement_page(title: str, comparisons: Sequence[NetworkComparison], notes: Sequence[str] = ()) -> str:
    """An HTML page with the plot and the tables under it."""
    keys = [f"{axis(key).label}, estimated</th><th>measured</th><th>error" for key in FIGURES]
    networks = [
        (network.network, *_figures(network)) if network.reason is None else (network.network, network.reason)
        for network in comparisons
    ]
    kernels = [
        (
            network.network,
            kernel.name,
            kernel.kernel_class,
            f"{kernel.macs:,}",
            f"{kernel.estimated_cycles:,.0f}",
            f"{kernel.measured_cycles:,.0f}",
            f"{kernel.error:+.1%}",
        )
        for network in comparisons
        for kernel in network.kernels
    ]
    columns = ("Network", "Kernel", "Class", "MACs", "Cycles, estimated", "measured", "error")
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title><style>{_PAGE_STYLE}</style></head><body>",
        draw_agreement(title, comparisons),
        _table(("Network", *keys), networks),
        *(f"<p>{escape(note)}</p>" for note in notes),
        "<h2>Kernels</h2>",
        _table(columns, kernels),
        "</body></html>",
    ]
    return "\n".join([*parts, ""])


def _figures(network: NetworkComparison) -> Iterator[str]:
    for key, figure in network.figures.items():
        yield axis(key).format(figure.estimated)
        yield axis(key).format(figure.measured)
        yield f"{figure.error:+.1%}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        if len(row) > 2
        else f'<tr><td>{escape(row[0])}</td><td colspan="9">{escape(row[1])}</td></tr>'
        for row in rows
    )
    return f"<table><thead><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr></thead><tbody>{body}</tbody></table>"
