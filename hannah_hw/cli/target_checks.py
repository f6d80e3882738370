"""``hannah-hw targets check`` of accelerators: what a description amounts to, and a few layers priced with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.cli.output import paragraph, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.targets import Accelerator

#: Share by which multipliers in use may be above all of them before it is a mistake.
_ROUNDING: Final = 1e-6
#: Layers that are tried: of a small image network and of a keyword spotter.
_TRIED: Final[dict[str, tuple[str, dict[str, int]]]] = {
    "convolution 3 x 3, 16 to 32 channels, 16 x 16": (
        "conv",
        {"in_channels": 16, "out_channels": 32, "in_h": 16, "in_w": 16, "out_h": 16, "out_w": 16}
        | {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1},
    ),
    "depthwise convolution 3 x 3, 32 channels, 16 x 16": (
        "conv",
        {"in_channels": 32, "out_channels": 32, "groups": 32, "in_h": 16, "in_w": 16, "out_h": 16}
        | {"out_w": 16, "kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "pad_bottom": 1}
        | {"pad_right": 1},
    ),
    "convolution of width 9, 16 to 24 channels, length 101": (
        "conv",
        {"in_channels": 16, "out_channels": 24, "in_w": 101, "out_w": 101, "kernel_w": 9}
        | {"pad_left": 4, "pad_right": 4},
    ),
    "fully connected, 256 to 64": ("linear", {"in_channels": 256, "out_channels": 64}),
}


def checked(target: Accelerator) -> dict[str, Any]:
    """What an accelerator's description amounts to, as JSON-able data.

    Raises:
        TargetError: The cost model cannot use the description.
    """
    from hannah_hw.targets.advice import multipliers, understood, warnings

    layers = _tried(target)
    return {
        "target": target.name,
        "file": target.origin,
        "model": target.kind,
        "operators": len(target.ops),
        "valid": True,
        "understood": understood(target),
        "warnings": [*warnings(target), *_too_fast(layers, multipliers(target))],
        "layers": layers,
    }


def _tried(target: Accelerator) -> list[dict[str, Any]]:
    """Some layers as the target's cost model prices them, each in memory outside of the chip."""
    import numpy as np

    from hannah_hw.cost.accelerators.layers import Layers
    from hannah_hw.cost.accelerators.models import MODELS
    from hannah_hw.targets.load import legality

    rules = legality(target.ops)
    found = []
    for name, (kind, columns) in _TRIED.items():
        layer = Layers.of(kind, **columns, **_work(columns))
        entry: dict[str, Any] = {"layer": name, "cycles": None, "energy_j": None, "utilisation": None}
        failed = rules.failed(kind, layer.columns) if rules.covers(kind) else None
        if not rules.covers(kind):
            entry["refused"] = f"{kind}: the target has no rule for this operator"
        elif failed is not None and failed[0] >= 0:
            entry["refused"] = rules.rules[failed[0]]
        else:
            costs = MODELS[target.kind](layer, target)
            if costs.failed[0] >= 0:
                entry["refused"] = costs.rules[costs.failed[0]]
            else:
                entry["cycles"] = float(costs.cycles[0])
                if np.isfinite(costs.energy_pj[0]):
                    entry["energy_j"] = float(costs.energy_pj[0]) * 1e-12
                if costs.utilisation is not None and np.isfinite(costs.utilisation[0]):
                    entry["utilisation"] = float(costs.utilisation[0])
        found.append(entry)
    return found


def _too_fast(layers: Iterable[dict[str, Any]], multipliers: int) -> Iterator[str]:
    """The layer that is furthest below the cycles that all multipliers together need; formulas may give so few."""
    found: list[tuple[float, float, float, str]] = []
    for entry in layers:
        kind, columns = _TRIED[entry["layer"]]
        if multipliers and entry["cycles"] is not None and kind in ("conv", "linear"):
            needed = _work(columns)["macs"] / multipliers
            if entry["cycles"] < needed * (1 - _ROUNDING):
                found.append((entry["cycles"] / needed, entry["cycles"], needed, entry["layer"]))
    if found:
        _, cycles, needed, layer = min(found, key=lambda entry: entry[0])
        yield (
            f"{layer}: {cycles:.6g} cycles are fewer than the {needed:.6g} that {multipliers} multipliers need; "
            "reports would show more than 100 % in use: correct the formulas of model, or array.dims"
        )


def _work(columns: dict[str, int]) -> dict[str, int]:
    """Weights, biases and multiply-accumulates of a layer."""
    size = {"groups": 1, "kernel_h": 1, "kernel_w": 1, "out_h": 1, "out_w": 1, **columns}
    weights = (
        size["in_channels"] // size["groups"] * size["out_channels"] * size["kernel_h"] * size["kernel_w"]
    )
    return {"weights": weights, "bias": size["out_channels"], "macs": weights * size["out_h"] * size["out_w"]}


def render(target: Accelerator, document: dict[str, Any], given: str) -> None:
    """Write what `checked` found for a person, about a target that was given by this name."""
    write(f"{target.origin}: valid, {len(target.ops)} operator rules, {target.kind} model")
    write("")
    table(("understood", "as"), _facts(target, document["understood"]))
    balance = document["understood"]["balance"]
    if balance:
        write("")
        rows = [
            (
                entry["operand"],
                entry["memory"],
                entry["wanted_bits"],
                entry["supplied_bits"],
                f"{max(1.0, entry['uses']):.3g}",
            )
            for entry in balance
        ]
        names = (
            "operand",
            "memory",
            "array takes (bit a cycle)",
            "memory moves",
            "uses of a value to keep up",
        )
        table(names, rows, right=(2, 3, 4))
    write("")
    layers = [(entry["layer"], *_cost(entry), entry.get("refused", "")) for entry in document["layers"]]
    table(("layer tried", "cycles", "multipliers in use", "energy", "refused by"), layers, right=(1, 2, 3))
    for warning in document["warnings"]:
        write("")
        paragraph(f"warning: {warning}")
    write("")
    write(f"next: {pricing(given)}")


def pricing(given: str) -> str:
    """The command that prices a model on a target that has been checked."""
    return f"hannah-hw estimate model.onnx --target {shlex.quote(given)}"


def _facts(target: Accelerator, found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if found["multipliers"]:
        rate = format_si(found["peak_macs_per_s"], "MAC/s")
        rows.append(
            ("multipliers", f"{found['multipliers']}, at most {rate} at {format_si(target.clock_hz, 'Hz')}")
        )
    if found["on_chip_bytes"]:
        rows.append(("memories with a size", f"{format_bytes(found['on_chip_bytes'])} in all"))
    if target.on_chip is not None:
        rows.append(("between layers", f"activations stay in {target.on_chip} if they fit"))
    known = [] if found["area_mm2"] is None else [f"{found['area_mm2']:.3g} mm²"]
    rows.append(("area", "; ".join([*known, *found["area_notes"]])))
    rows += [
        (f"param {name}", f"{len(param.levels)} values, {param.levels[0]} to {param.levels[-1]}")
        for name, param in target.params.items()
    ]
    if target.params:
        rows.append(("variants", str(found["variants"])))
    rows.append(("operators with a rule", ", ".join(found["operators"])))
    return rows


def _cost(entry: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    cycles = None if entry["cycles"] is None else f"{entry['cycles']:.0f}"
    used = None if entry["utilisation"] is None else f"{100 * entry['utilisation']:.3g} %"
    energy = None if entry["energy_j"] is None else format_si(entry["energy_j"], "J")
    return cycles, used, energy
