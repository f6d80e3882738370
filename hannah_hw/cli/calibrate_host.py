"""``hannah-hw calibrate host``: a target of this machine from its own kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import emit, say, table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.measure.host_calibrated import HostCalibration

#: Most kernels: the file of what is learned from more could not be read again.
_MOST_KERNELS: Final = 1000
#: Failures that are shown.
_SHOWN = 8

SpaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        autocompletion=completion.spaces,
        help="Of host: a search space whose kernels are profiled; may be given several times.",
    ),
]
ModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="FILE.onnx",
        autocompletion=completion.models,
        help="Of host: a model whose kernels are; likewise.",
    ),
]
SearchOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--search",
        metavar="CONFIG.yaml",
        autocompletion=completion.configurations,
        help="Of host: the space of a search, with its options and the shape of its data; likewise.",
    ),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="Of host: of the networks of spaces; float32, int8 or both.")
]
KernelsOption = Annotated[
    int | None,
    typer.Option(
        "--kernels", min=1, max=_MOST_KERNELS, help="Of host: kernels that are profiled.  [default: 200]"
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option("--seconds", min=0.0, help="Of host: after which no more are begun.  [default: 600]"),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Of host: threads within an operator.")]


@dataclass(frozen=True)
class HostOptions:
    """Options of ``calibrate host``; see the options above.

    Attributes:
        spaces: Names or paths of search spaces.
        searches: Configurations of searches.
        models: ONNX files.
        precision: ``float32``, ``int8`` or ``both``.
        kernels: None for the default.
        seconds: None for the default.
        threads: Threads within an operator.
    """

    spaces: Sequence[str]
    searches: Sequence[Path]
    models: Sequence[Path]
    precision: str
    kernels: int | None
    seconds: float | None
    threads: int


def calibrate_this_host(
    options: HostOptions, out: Path | None, seed: int, again: bool, as_json: bool
) -> None:
    """Profile kernels of this machine, fit a model to them, and write both with a target.

    Args:
        options: What is profiled.
        out: The target file to write.
        seed: Of the networks and the choice.
        again: Whether what was measured before is measured again.
        as_json: Whether ``--json`` was given.

    Raises:
        InputError: An option, a space or a model cannot be used.
        RunError: Nothing could be measured.
    """
    from hannah_hw.measure.host_calibration import KERNELS, SECONDS, calibrate_host
    from hannah_hw.measure.host_files import HostFiles
    from hannah_hw.measure.host_pool import draw
    from hannah_hw.search.config import load_config
    from hannah_hw.search.pipeline import configured_space
    from hannah_hw.spaces import load_space

    precisions = _precisions(options.precision)
    files = HostFiles.of(out) if out is not None else None
    spaces = [(Path(name).stem, load_space(name)) for name in options.spaces]
    for path in options.searches:
        config = load_config(path)
        spaces.append((Path(config.space.name).stem, configured_space(config)))
    pool = draw(
        spaces, options.models, precisions=precisions, threads=options.threads, seed=seed, progress=say
    )
    say(f"{len(pool.table.kernels)} different kernels in {len(pool.networks)} networks")
    kernels = KERNELS if options.kernels is None else options.kernels
    found = calibrate_host(
        pool,
        kernels=kernels,
        seconds=SECONDS if options.seconds is None else options.seconds,
        previous=[] if files is None or again else files.previous(),
        threads=options.threads,
        seed=seed,
        file="" if files is None else files.rows.name,
        save=(lambda _rows: None) if files is None else files.save_rows,
        progress=say,
    )
    if files is not None:
        source = ", ".join([*(name for name, _ in spaces), *(path.name for path in options.models)])
        files.save(found, threads=options.threads, precision=precisions[0], source=source)
        say(f"wrote {files.target}, {files.model} and {files.rows}")
    wanted = min(kernels, found.pool)
    missing = wanted - len(found.rows) - len(found.failures)
    if missing > 0:
        more = "give more --seconds" if files is None else "the same command goes on with them"
        say(f"the time was over before {missing} of {wanted} kernels were chosen; {more}")
    if found.disturbed:
        say(f"these figures may be wrong together: {found.disturbed}")
    emit(_document(found, files), as_json, lambda: _render(found))


def _precisions(text: str) -> Sequence[Literal["float32", "int8"]]:
    """The precisions that an option means.

    Raises:
        InputError: None.
    """
    if text == "float32":
        return ("float32",)
    if text == "int8":
        return ("int8",)
    if text == "both":
        return ("float32", "int8")
    raise InputError(
        f"unknown precision {text!r}", where="--precision", allowed=("float32", "int8", "both"), given=text
    )


def _document(found: HostCalibration, files: Any) -> dict[str, Any]:
    return {
        "file": None if files is None else files.target,
        "model": None if files is None else files.model,
        "measurements": None if files is None else files.rows,
        "kernels": len(found.rows),
        "reused": found.reused,
        "pool": found.pool,
        "seconds": found.seconds,
        "run_s": found.model.run_seconds,
        "inside": asdict(found.inside),
        "calm": found.calm,
        "disturbed": found.disturbed,
        "retest": {"median": found.retest[0], "p90": found.retest[1]},
        "laws": {
            name: {
                "kernels": len(errors),
                # Without its only kernel there is no law.
                "mean_error": float(abs(errors).mean()) if len(errors) > 1 else None,
                "max_error": float(abs(errors).max()) if len(errors) > 1 else None,
            }
            for name, errors in found.model.errors.items()
        },
        "networks": [asdict(check) for check in found.checks],
        "failures": found.failures,
    }


def _render(found: HostCalibration) -> None:
    write(
        f"{len(found.rows)} kernels of {found.pool} measured in {found.seconds:.0f} s, {found.reused} of them before; "
        f"{found.calm:.0%} of the visits undisturbed, halves differ by {found.retest[0]:.1%} (median)"
    )
    inside = found.inside
    write(
        f"a run of nothing takes {format_si(found.model.run_seconds, 's')}; in a network a node takes more than alone: "
        f"in float {format_si(inside.float_node_s, 's')} and {inside.weight_byte_s * 1e12:.1f} µs per MB of weights, "
        f"in int8 {format_si(inside.int8_node_s, 's')} and {inside.int8_share:.1%}"
    )
    table(
        ("law", "kernels", "left out: mean", "max"),
        [
            (name, len(errors), f"{abs(errors).mean():.1%}", f"{abs(errors).max():.1%}")
            if len(errors) > 1
            else (name, len(errors), None, None)
            for name, errors in sorted(found.model.errors.items())
        ],
        right=(1, 2, 3),
    )
    table(
        ("network", "measured", "sum of kernels", "predicted", "interval"),
        [
            (
                check.name,
                format_si(check.measured_s, "s"),
                None if check.summed_s is None else f"{check.summed_s / check.measured_s - 1:+.1%}",
                *(
                    (f"{check.predicted_s / check.measured_s - 1:+.1%}", f"± {check.half_width:.1%}")
                    if math.isfinite(check.predicted_s)
                    else (None, None)
                ),
            )
            for check in found.checks
        ],
        right=(1, 2, 3, 4),
    )
    reasons = list(found.failures.values())
    for reason in reasons[:_SHOWN]:
        write(f"not measured: {reason}")
    if len(reasons) > _SHOWN:
        write(f"not measured: {len(reasons) - _SHOWN} more, which --json lists")
