"""Calibration of cores: shipped files against their own measurements and today's kernels, what is kept, refusals."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("ziglang")

from hannah_hw import catalog
from hannah_hw.cores import core_named
from hannah_hw.cost import load_cost_model
from hannah_hw.cost.classes import feature_matrix
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.firmware.libraries import cost_library, library
from hannah_hw.firmware.toolchain import find
from hannah_hw.measure.calibration import fit_classes, write_calibration
from hannah_hw.measure.calibration_core import calibrate_core, previous_measurements
from hannah_hw.measure.calibration_memory import code_parts
from hannah_hw.measure.provenance import kernel_hashes, unchanged
from hannah_hw.measure.sweep import read_sweep, sweep_kernels

FOLDER = next(catalog.directories("cost_models"))
SHIPPED = sorted(path.parent.name for path in FOLDER.glob("*/hannah.yaml"))


@pytest.fixture(params=SHIPPED)
def core(request):
    return request.param


def test_shipped_models_are_of_the_kernels_in_this_package(core):
    model = load_cost_model(f"{core}/hannah")
    now = kernel_hashes(find(core_named(core), "zig"))
    stale = sorted(name for name, value in now.items() if model.provenance.kernels.get(name) != value)
    assert not stale, (
        f"the kernels of {', '.join(stale)} have changed since cost_models/{core}/hannah.yaml was made: "
        f"run hannah-hw calibrate {core} --out cost_models"
    )
    assert set(model.classes) == set(now)


def test_shipped_models_are_the_fit_to_their_measurements(core):
    model = load_cost_model(f"{core}/hannah")
    cost, names = LIBRARIES[model.library], ["fc", "dw_3x3", "add", "avg_pool"]
    rows = read_sweep(FOLDER / core / model.sweep)
    owners = cost.classify(sweep_kernels(rows))[0]
    mine = [row for row, owner in zip(rows, owners, strict=True) if cost.classes[owner].name in names]
    fitted, _ = fit_classes(mine, cost, reference=model.sweep)
    assert set(fitted) == set(names)
    for name, found in fitted.items():
        shipped = model.classes[name]
        assert found.cycles == pytest.approx(shipped.cycles, rel=1e-4, abs=1e-2), name
        assert found.flash_reads == pytest.approx(shipped.flash_reads, rel=1e-4, abs=1e-2), name
        assert found.error.max == pytest.approx(shipped.error.max, abs=2e-4), name


def test_errors_are_those_of_shapes_that_the_fit_did_not_see(core):
    """The stated errors, computed from the file by hand; and classes with weights within two percent on average."""
    model = load_cost_model(f"{core}/hannah")
    cost = LIBRARIES[model.library]
    rows = [row for row in read_sweep(FOLDER / core / model.sweep) if row.held_out]
    owners = cost.classify(sweep_kernels(rows))[0]
    for index, entry in enumerate(cost.classes):
        mine = [row for row, owner in zip(rows, owners, strict=True) if owner == index]
        if not mine:
            continue
        matrix = feature_matrix(entry, sweep_kernels(mine))
        stated = model.classes[entry.name]
        predicted = matrix @ [stated.cycles[name] for name in entry.features]
        error = np.abs(predicted / [row.cycles for row in mine] - 1)
        assert error.mean() == pytest.approx(stated.error.mean, abs=2e-4)
        assert error.max() == pytest.approx(stated.error.max, abs=2e-4)
        if entry.name.startswith(("conv_1", "dw", "fc")):
            assert len(mine) >= 190  # few have been made part of the fit
            assert error.mean() < 0.02


@pytest.fixture(scope="module")
def small():
    return calibrate_core(find(core_named("m4"), "zig"), fitted=4, held_out=2)


def test_what_has_not_changed_is_not_measured_again(small, tmp_path: Path):
    path = tmp_path / "m4" / "hannah.yaml"
    write_calibration(small.model, small.sweep, path)
    before = previous_measurements(path)
    done = []
    again = calibrate_core(
        find(core_named("m4"), "zig"),
        fitted=4,
        held_out=2,
        previous=before,
        progress=lambda now, every: done.append((now, every)),
    )
    assert done == []
    assert again.model == small.model
    provenance = before[0]
    other = provenance.model_copy(update={"kernels": provenance.kernels | {"fc": "another"}})
    assert unchanged(other, provenance) == set(provenance.kernels) - {"fc"}
    assert unchanged(provenance.model_copy(update={"compiler": "zig 0.1"}), provenance) == set()
    assert previous_measurements(tmp_path / "none.yaml") is None


def test_every_loop_that_runs_is_part_of_the_fit(core):
    model = load_cost_model(f"{core}/hannah")
    cost, rows = LIBRARIES[model.library], read_sweep(FOLDER / core / model.sweep)
    owners = cost.classify(sweep_kernels(rows))[0]
    for index in set(owners.tolist()):
        mine = [row for row, owner in zip(rows, owners, strict=True) if owner == index]
        runs = feature_matrix(cost.classes[index], sweep_kernels(mine)) > 0
        fitted = np.array([not row.held_out for row in mine])
        assert (runs[fitted].any(axis=0) == runs.any(axis=0)).all(), cost.classes[index].name


def test_parts_of_code_hold_every_class_once(small):
    compiler = find(core_named("m4"), "zig")
    parts = code_parts(compiler)
    assert {name for part in parts for name in part.classes} == set(library(compiler.core))
    assert len({part.classes for part in parts}) == len(parts)
    runtime = small.model.runtime
    assert set(runtime.code_by_class) == set(library(compiler.core))
    total = sum(part.bytes for part in parts)
    assert total == sum(part.bytes for part in runtime.code_shared) + sum(
        size.bytes for size in runtime.code_by_class.values()
    )


def test_all_classes_of_the_library_are_measured(small):
    rows = sweep_kernels(small.sweep)
    cost = cost_library(core_named("m4"))
    counts = np.bincount(cost.classify(rows)[0], minlength=len(cost.classes))
    for entry, count in zip(cost.classes, counts, strict=True):
        if entry.name in library(core_named("m4")):
            assert count in (3, 6), entry.name
