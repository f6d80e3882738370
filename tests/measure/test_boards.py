"""Boards made up by a known device layer: the fit must find it, and what it writes must be a target that says so."""

import numpy as np
import pytest

from hannah_hw.cost import price
from hannah_hw.errors import DataError, InputError
from hannah_hw.lowering import to_onnx
from hannah_hw.measure.boards import fit_board, write_target
from hannah_hw.measure.device_fit import fit_device
from hannah_hw.measure.references import Reference
from hannah_hw.measure.validation import validate
from hannah_hw.spaces import load_space
from hannah_hw.targets import SourcedNumber, load_target

NAMES = ("resnet8", "ds_cnn_kws", "fc_autoencoder")


@pytest.fixture(scope="module")
def networks():
    spaces = {name: load_space(f"mlperf_tiny:{name}") for name in NAMES}
    return {name: space.candidate(space.default()).workload() for name, space in spaces.items()}


def board(target, networks, *, scale=1.0, wait=0.0, watts=0.03, noise=None):
    """Latencies and energies of a chip that behaves exactly so."""

    def cycles(workload, figure):
        model = target.model.model_copy(update={"flash_wait_cycles": figure(0.0)})
        free = price(workload, target.model_copy(update={"model": model})).cycles[0]
        model = target.model.model_copy(update={"flash_wait_cycles": figure(1.0)})
        return free, price(workload, target.model_copy(update={"model": model})).cycles[0] - free

    references = []
    for index, (name, workload) in enumerate(networks.items()):
        free, reads = cycles(workload, lambda v: SourcedNumber(value=v, source="assumed", reference="test"))
        seconds = (scale * free + wait * reads) / target.clock_hz * (1 if noise is None else noise[index])
        references.append(Reference(name, seconds, seconds * watts, "made up"))
    return references


def test_wait_cycles_and_power_of_an_exact_board_are_found(networks):
    target = load_target("stm32l4r5zi:cmsis_nn")
    fit = fit_device(target, board(target, networks, wait=3.25, watts=0.0421), networks)
    assert fit.flash_wait_cycles == pytest.approx(3.25, rel=1e-9)
    assert fit.cycle_scale == target.model.cycle_scale.value
    assert fit.active_w == pytest.approx(0.0421, rel=1e-9)
    for errors in (fit.latency, fit.energy):
        assert set(errors.seen) == set(errors.held_out) == set(NAMES)
        assert errors.largest == pytest.approx(0.0, abs=1e-9)


def test_a_board_that_is_faster_than_the_core_has_its_scale_fitted(networks):
    target = load_target("stm32l4r5zi:cmsis_nn")
    fit = fit_device(target, board(target, networks, scale=0.6), networks)
    assert (fit.cycle_scale, fit.flash_wait_cycles) == (pytest.approx(0.6, rel=1e-9), 0.0)
    assert fit.latency.largest == pytest.approx(0.0, abs=1e-9)


def test_the_error_that_is_stated_is_that_of_the_network_left_out(networks):
    target = load_target("stm32l4r5zi:cmsis_nn")
    references = board(target, networks, wait=4.0, noise=[1.0, 1.1, 0.95])
    fit = fit_device(target, references, networks)
    for index, name in enumerate(networks):
        others = [entry for k, entry in enumerate(references) if k != index]
        wait = fit_device(target, others, networks).flash_wait_cycles
        expected = board(target, networks, wait=wait)[index].latency_s / references[index].latency_s - 1
        assert fit.latency.held_out[name] == pytest.approx(expected)
    assert fit.latency.largest == max(map(abs, fit.latency.held_out.values())) > 0.01


def measured(folder, target, networks, **board_is):
    lines = ["model,latency_ms,energy_j"]
    for entry, name in zip(board(target, networks, **board_is), NAMES, strict=True):
        space = load_space(f"mlperf_tiny:{name}")
        to_onnx(space.candidate(space.default()), folder / f"{name}.onnx")
        lines.append(f"{name}.onnx,{entry.latency_s * 1e3:.12g},{entry.energy_j:.12g}")
    table = folder / "board.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_a_fitted_target_predicts_the_board_and_says_where_it_comes_from(networks, tmp_path):
    target = load_target("stm32l4r5zi:cmsis_nn")
    table = measured(tmp_path, target, networks, wait=2.0, watts=0.05)
    found = fit_board(target, table)
    write_target(found.target, tmp_path / "mine.yaml")
    read = load_target(tmp_path / "mine.yaml")
    assert read.name == "mine"
    assert read.model.flash_wait_cycles.source == read.power.active_w.source == "measured"
    assert "board.csv" in read.model.flash_wait_cycles.reference
    assert read.model.flash_wait_cycles.value == pytest.approx(2.0, rel=1e-3)
    assert read.model.device_error == pytest.approx(0.0, abs=1e-6)
    report = validate(read, table)
    assert report.max_latency_error < 1e-3
    assert report.max_energy_error < 1e-3
    unchanged = {"clock_hz", "ram_bytes", "flash_bytes", "core", "ops", "document"}
    assert all(getattr(read, field) == getattr(target, field) for field in unchanged)


def test_latencies_alone_leave_the_power_as_it_was(networks, tmp_path):
    target = load_target("stm32l4r5zi:cmsis_nn")
    table = measured(tmp_path, target, networks, wait=2.0)
    table.write_text("\n".join(line.rsplit(",", 1)[0] for line in table.read_text().splitlines()))
    found = fit_board(target, table)
    assert found.fit.active_w is None
    assert found.target.power == target.power
    assert [row["power_error"] for row in found.to_dict()["networks"]] == [None] * 3


def test_what_cannot_be_fitted_is_said(networks, tmp_path):
    target = load_target("stm32l4r5zi:cmsis_nn")
    one = board(target, networks)[:1]
    with pytest.raises(DataError, match="needs two networks with a latency; given: 1"):
        fit_device(target, one, networks)
    with pytest.raises(InputError, match=r"a target is a \.yaml file"):
        write_target(target, tmp_path / "mine.json")
    with pytest.raises(InputError, match="name"):
        write_target(target, tmp_path / "My Board.yaml")


def test_factors_are_those_of_least_squares_of_relative_errors():
    from hannah_hw.measure.device_fit import _factor

    values, stated = np.array([1.0, 2.0, 5.0]), np.array([2.1, 3.9, 10.4])
    best = _factor(values, stated)
    losses = [(((best + step) * values / stated - 1) ** 2).sum() for step in (-1e-4, 0.0, 1e-4)]
    assert losses[1] == min(losses)
