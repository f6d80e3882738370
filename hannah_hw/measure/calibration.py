"""Fitting the coefficients of a cost model to measurements of single kernels.

Every class of the model's library that the sweep covers is fitted on its own by non-negative least squares
in relative error. Rows that the sweep marks as held out judge the fit and are not part of it; where none are marked,
the held-out error is that of leaving one shape out, and the fit to CMSIS-NN, of which there are few rows, is drawn
weakly towards a prior. The result depends on the rows alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.classes import KernelClass, Library, feature_matrix
from hannah_hw.cost.coefficients import ClassModel, CostModel, FitError, cost_model_text
from hannah_hw.errors import DataError, RunError
from hannah_hw.least_squares import ridge_nnls
from hannah_hw.measure.sweep import SweepRow, sweep_kernels, write_sweep
from hannah_hw.workload.table import Kernels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Cycles per unit of a feature on a Cortex-M4, gcc -O3: an earlier fit of our own to 32 random shapes per kind,
#: held-out errors 1.3 % (conv), 3.4 % (1x1), 1.8 % (depthwise 3x3), 1.7 % (depthwise), 0.3 % (fully connected).
#: Its rows were not kept; its coefficients stand in where the sweep is too small. Features it did not have are
#: absent here and left free, but for ``weight_sums``: the loop over two rows at once has two byte loads (3), two
#: additions (2), a counter (2) and a taken branch (3), 5 cycles a weight by hand.
_CMSIS_NN: Final[Mapping[str, Mapping[str, float]]] = {
    "conv": {"macs": 1.90, "outputs": 50, "im2col": 3.7, "taps": 79, "rest_macs": 2.4, "calls": 4100},
    "conv_1x1": {"macs": 1.79, "outputs": 50, "weight_sums": 5.0},
    "dw_3x3": {"macs": 9.3, "pixels": 230, "rest_pixels": 44},
    "dw": {"macs": 7.9, "outputs": 63, "taps": 51, "rest_macs": 4.6, "pixels": 364},
    "fc": {"macs": 2.32, "outputs": 62, "rest_macs": 2.4, "calls": 470},
}
#: Library -> class -> feature -> cycles that a fit is drawn towards.
PRIORS: Final[Mapping[str, Mapping[str, Mapping[str, float]]]] = {"cmsis_nn": _CMSIS_NN}
STRENGTH: Final = 1e-4
#: Relative half width that is reported where a class has fewer distinct shapes than `ENOUGH`.
ASSUMED_BAND: Final = 0.25
ENOUGH: Final = 6
#: Wait cycles of a read at which errors of reads count: those of flash on a fast microcontroller.
READ_CYCLES: Final = 5.0


@dataclass(frozen=True)
class FitRow:
    """One row of the sweep against its class: cycles predicted by the fit, and by a fit that did not see the row.

    The latter is None for a row of a fit that others judge, or of a class with too few rows.
    """

    kernel_class: str
    row: SweepRow
    predicted: float
    held_out: float | None


@dataclass(frozen=True)
class Calibration:
    """A fitted cost model and how well it fits."""

    model: CostModel
    rows: tuple[FitRow, ...]


def calibrate(rows: Sequence[SweepRow], base: CostModel, *, reference: str = "") -> Calibration:
    """Fit a cost model to a sweep.

    Args:
        rows: The measurements.
        base: The model to start from: classes that the sweep does not cover, and all of the runtime's memory,
            are taken from it.
        reference: Where the rows come from, for the file.

    Raises:
        DataError: A row is of no kernel class.
    """
    fitted, fits = fit_classes(rows, base.kernels, reference=reference)
    classes = base.classes | fitted
    # Where the sweep has no 1-D convolution, the fit to its 2-D ones stands in.
    if "conv" in fitted and "conv_1xn" in classes and "conv_1xn" not in fitted:
        classes["conv_1xn"] = classes["conv_1xn"].model_copy(update={"cycles": classes["conv"].cycles})
    return Calibration(base.model_copy(update={"classes": classes}), fits)


def fit_classes(
    rows: Sequence[SweepRow], library: Library, *, reference: str = ""
) -> tuple[dict[str, ClassModel], tuple[FitRow, ...]]:
    """Fit each class of a library that a sweep covers.

    Args:
        rows: The measurements.
        library: Says which class runs a row, and what its time depends on.
        reference: Where the rows come from, for the file.

    Returns:
        Class -> its model, and the rows against it.

    Raises:
        DataError: A row is of no kernel class.
    """
    distinct = list(dict.fromkeys(rows))
    kernels = sweep_kernels(distinct)
    owners = _owners(library, kernels, distinct)
    classes: dict[str, ClassModel] = {}
    fits: list[FitRow] = []
    for number, entry in enumerate(library.classes):
        members = np.flatnonzero(owners == number)
        if not len(members):
            continue
        mine = [distinct[m] for m in members]
        matrix = feature_matrix(entry, kernels)[members]
        cycles = np.array([row.cycles for row in mine], np.float64)
        judges = np.array([bool(row.held_out) for row in mine])
        priors = PRIORS.get(library.name, {}).get(entry.name, {})
        prior = np.array([priors.get(name, 0.0) for name in entry.features])
        fit = _Fit(matrix, cycles, cycles, judges, prior)
        note = "; drawn towards an earlier fit to 32 random shapes" if priors else ""
        model = _class_model(entry, fit, (reference or "the sweep") + note)
        reads = np.array([np.nan if row.flash_reads is None else row.flash_reads for row in mine])
        if judges.any() and not np.isnan(reads).any():
            # What an error of reads makes of the time where each takes a few cycles.
            counted = _Fit(matrix, reads, reads + cycles / READ_CYCLES, judges, np.zeros(matrix.shape[1]))
            model = model.model_copy(
                update={
                    "flash_reads": _by_feature(entry, counted.coefficients),
                    "flash_reads_error": _fit_error(counted),
                }
            )
        classes[entry.name] = model
        for row, predicted, out in zip(mine, fit.predicted, fit.held_out, strict=True):
            fits.append(FitRow(entry.name, row, float(predicted), None if np.isnan(out) else float(out)))
    return classes, tuple(fits)


def _owners(library: Library, kernels: Kernels, rows: Sequence[SweepRow]) -> NDArray[np.int8]:
    """(K,) index of the class that runs each row."""
    owners: NDArray[np.int8] = library.classify(kernels)[0]
    if (owners < 0).any():
        raise DataError(f"no kernel class runs {rows[int(np.argmin(owners))]}")
    return owners


class _Fit:
    """Coefficients of one class.

    Args:
        matrix: (N, F) features.
        measured: (N,) what they are to give.
        scale: (N,) in what units errors count.
        judges: (N,) rows that are held out.
        prior: (F,) what the coefficients are drawn towards, 0 where nothing is known.

    Attributes:
        coefficients: (F,).
        predicted: (N,) what the fit gives.
        held_out: (N,) that of a fit that did not see the row; NaN where there is none.
        errors: Relative errors of the held-out rows.
        fitted: Rows of the fit.
    """

    def __init__(
        self,
        matrix: FloatArray,
        measured: FloatArray,
        scale: FloatArray,
        judges: BoolArray,
        prior: FloatArray,
    ) -> None:
        seen = ~judges
        if not seen.any():
            raise DataError("all rows of a kernel class are held out; at least one must be part of the fit")
        self.fitted = int(seen.sum())
        self.coefficients = ridge_nnls(matrix[seen], measured[seen], prior, STRENGTH, scale=scale[seen])
        self.predicted = matrix @ self.coefficients
        self.judged = bool(judges.any())
        self.held_out = np.full(len(measured), np.nan)
        if self.judged:
            self.held_out[judges] = self.predicted[judges]
        elif len(measured) >= 3:
            for row in range(len(measured)):
                others = np.arange(len(measured)) != row
                self.held_out[row] = matrix[row] @ ridge_nnls(
                    matrix[others], measured[others], prior, STRENGTH, scale=scale[others]
                )
        known = ~np.isnan(self.held_out)
        self.errors = np.abs(self.held_out[known] / np.maximum(measured[known], 1.0) - 1)


def _fit_error(fit: _Fit) -> FitError:
    if not len(fit.errors):
        return FitError(
            n=fit.fitted,
            method=f"{fit.fitted} shape(s): too few to hold any out; the band is an assumption",
            band=ASSUMED_BAND,
        )
    largest, enough = float(fit.errors.max()), fit.judged or fit.fitted >= ENOUGH
    method = f"{len(fit.errors)} other shapes" if fit.judged else "leave one shape out"
    if not enough:
        method += f"; {fit.fitted} shapes are few, so the band is at least an assumption"
    return FitError(
        mean=round(float(fit.errors.mean()), 4),
        max=round(largest, 4),
        n=fit.fitted,
        method=method,
        band=round(largest if enough else max(largest, ASSUMED_BAND), 4),
    )


def _by_feature(entry: KernelClass, coefficients: FloatArray) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in zip(entry.features, coefficients, strict=True)}


def _class_model(entry: KernelClass, fit: _Fit, reference: str) -> ClassModel:
    return ClassModel(
        cycles=_by_feature(entry, fit.coefficients),
        source="fitted",
        reference=reference,
        error=_fit_error(fit),
    )


def write_calibration(model: CostModel, rows: Sequence[SweepRow], path: Path) -> Path:
    """Write a cost model and the measurements beside it; both, or neither.

    Args:
        model: The model; the file that it names as its measurements is the one that is written.
        rows: The measurements.
        path: The YAML file.

    Returns:
        The file of the measurements.

    Raises:
        RunError: A file cannot be written.
    """
    kept = path.with_suffix(".sweep.csv")
    part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(write_sweep(list(dict.fromkeys(rows))), encoding="utf-8")
            write_cost_model(model.model_copy(update={"sweep": kept.name}), path)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
    except OSError as failure:
        raise RunError(f"cannot write {kept}: {failure}") from failure
    return kept


def write_cost_model(model: CostModel, path: str | Path) -> None:
    """Write a cost model as YAML, complete or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    path = Path(path)
    text = cost_model_text(model)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as failure:
        raise RunError(f"cannot write {path}: {failure}; the file is as it was before") from failure
