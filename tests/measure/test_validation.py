"""Whole networks: against published boards, against emulated firmware, and the user's own measurements."""

import pytest

from hannah_hw.cost import price
from hannah_hw.errors import CatalogError, DataError
from hannah_hw.lowering import to_onnx
from hannah_hw.measure.device_fit import fit_device
from hannah_hw.measure.references import published, read_reference
from hannah_hw.measure.validation import mlperf_tiny_workloads, validate
from hannah_hw.spaces import load_space
from hannah_hw.targets import SourcedNumber, load_target

#: Our firmwares of the networks (CMSIS-NN, gcc -O3), run on an emulated Cortex-M4: cycles at zero wait states,
#: data reads from flash, bytes of flash, bytes of arena.
FIRMWARE = {
    "ic": (35.47e6, 1.804e6, 102752, 49152),
    "kws": (9.22e6, 0.525e6, 54616, 16000),
    "vww": (29.43e6, 1.684e6, 270688, 64512),
    "ad": (0.716e6, 0.068e6, 284152, 768),
}


@pytest.fixture(scope="module")
def networks():
    return mlperf_tiny_workloads()


def test_networks_cost_what_the_emulated_firmware_costs(networks):
    target = load_target("stm32l4r5zi:cmsis_nn")

    def cycles(wait, name):
        figure = SourcedNumber(value=wait, source="assumed", reference="test")
        model = target.model.model_copy(update={"flash_wait_cycles": figure})
        return price(networks[name], target.model_copy(update={"model": model})).cycles[0]

    for name, (raw, reads, flash, arena) in FIRMWARE.items():
        assert cycles(0.0, name) == pytest.approx(raw, rel=0.02)
        assert cycles(1.0, name) - cycles(0.0, name) == pytest.approx(reads, rel=0.01)
        report = price(networks[name], target).report()
        assert report.flash_bytes == pytest.approx(flash, rel=0.025)
        assert report.memory.arena == arena


@pytest.mark.parametrize(("name", "allowed"), [("stm32l4r5zi", 0.05), ("nrf5340", 0.075)])
def test_published_latencies_are_met(networks, name, allowed):
    report = validate(load_target(name), networks=networks)
    assert {row.network for row in report.rows} == {"ic", "kws", "vww", "ad"}
    assert report.max_latency_error < allowed
    for row in report.rows:
        assert row.latency_error == pytest.approx(row.predicted_latency_s / row.reference_latency_s - 1)


def test_published_energies_are_met_where_there_are_any(networks):
    assert validate(load_target("stm32l4r5zi:cmsis_nn"), networks=networks).max_energy_error < 0.06
    assert validate(load_target("nrf5340"), networks=networks).max_energy_error is None


@pytest.mark.parametrize("name", ["stm32l4r5zi", "nrf5340"])
def test_the_stated_device_error_is_that_of_leaving_one_out(networks, name):
    target = load_target(f"{name}:cmsis_nn")
    fit = fit_device(target, published(name), networks)
    assert fit.latency.largest == pytest.approx(target.model.device_error, abs=6e-4)
    figure = target.model.flash_wait_cycles
    assert figure.value == pytest.approx(
        fit.flash_wait_cycles, rel=0.005 if figure.source == "fitted" else 0.05
    )


def test_the_users_measurements(tmp_path):
    to_onnx(load_space("mlperf_tiny:fc_autoencoder").candidate({}), tmp_path / "ad.onnx")
    table = tmp_path / "mine.csv"
    table.write_text("model,latency_ms,energy_uj\nad.onnx,10,\n")
    row = validate(load_target("stm32l4r5zi:cmsis_nn"), table).rows[0]
    assert row.latency_error == pytest.approx(row.predicted_latency_s / 0.010 - 1)
    assert row.energy_error is None
    assert row.source == "mine.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("network,latency_ms\nx,1\n", "'model'"),
        ("model,latency_ms\nx,fast\n", "not a number"),
        ("model,latency_ms\nx,-1\n", "not positive"),
        ("model,latency_ms\nx,\n", "neither"),
        ("model,latency_s,latency_ms\nx,1,1000\n", "latency_s and latency_ms are both given"),
    ],
)
def test_bad_measurements_are_named(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_reference(path)


def test_units_of_the_columns(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("model,latency_s,energy_j\na.onnx,0.25,1e-3\n")
    plain = read_reference(path)
    path.write_text("model,latency_ms,energy_uj,source\na.onnx,250,1000,mine.csv\n")
    assert [tuple(vars(r).values()) for r in read_reference(path)] == [
        tuple(pytest.approx(v) if isinstance(v, float) else v for v in vars(r).values()) for r in plain
    ]


def test_a_target_without_published_figures():
    with pytest.raises(CatalogError, match="--against"):
        published("my_chip")
