"""``hannah-hw calibrate TARGET --against FILE``: the device layer of a chip from a board's measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli.output import emit, say, table, write
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.measure.boards import Board

AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="BOARD.csv",
        help="Measurements of whole networks on your board, as for `validate`; then the argument is a target.",
    ),
]


def calibrate_board(target: str, against: Path, out: Path | None, as_json: bool) -> None:
    """Fit wait cycles and power of a target to a board, show what was left out, and write the target if asked.

    Args:
        target: A target's name or path.
        against: The measurements.
        out: The target file to write.
        as_json: Whether ``--json`` was given.

    Raises:
        InputError: The target or the measurements cannot be used.
        RunError: The file cannot be written.
    """
    from hannah_hw.measure.boards import fit_board, write_target
    from hannah_hw.targets import load_target, microcontroller

    chip = microcontroller(load_target(target), "fitting the device layer")
    found = fit_board(chip, against, out.stem if out is not None else None)
    if out is not None:
        write_target(found.target, out)
        say(f"wrote {out}")
    emit({"file": out, **found.to_dict()}, as_json, lambda: _render(found))


def _render(found: Board) -> None:
    fit = found.fit
    wait = f"{fit.flash_wait_cycles:.3g} wait cycles per flash read"
    scale = f"cycles of the kernels x {fit.cycle_scale:.4g}"
    power = "" if fit.active_w is None else f", {format_si(fit.active_w, 'W')} while it runs"
    write(f"{found.target.name}: {wait}, {scale}{power}")
    energy = fit.energy
    table(
        ("network", "latency", "error", "left out", "energy", "error", "left out"),
        [
            (
                entry.network,
                None if entry.latency_s is None else format_si(entry.latency_s, "s"),
                _signed(fit.latency.seen.get(entry.network)),
                _signed(fit.latency.held_out.get(entry.network)),
                None if entry.energy_j is None else format_si(entry.energy_j, "J"),
                _signed(None if energy is None else energy.seen.get(entry.network)),
                _signed(None if energy is None else energy.held_out.get(entry.network)),
            )
            for entry in found.references
        ],
        right=range(1, 7),
    )
    write(
        "left out: the error of a network that the fit to the others did not see; that of the energy is at the"
    )
    write("measured latency")


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:+.1f} %"
