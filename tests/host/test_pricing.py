"""Prices on hosts: against sums over kernels one by one, against themselves one at a time, and what has no price."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hannah_hw as hw
from hannah_hw.cli import main
from hannah_hw.cost import CostReport
from hannah_hw.errors import CatalogError, InputError, TargetError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.model import HostModel
from hannah_hw.operators import MaxPooling
from hannah_hw.targets import load_target
from tests.blocks import data
from tests.host.learned_host import RUN_SECONDS, fitted, write_host


@pytest.fixture(scope="module")
def space():
    return hw.load_space("ds_cnn")


@pytest.fixture(scope="module")
def rows(space):
    return space.sample_population(12, seed=0)


@pytest.fixture(scope="module", params=["float32", "int8"])
def host(request, space, rows, tmp_path_factory):
    """A host that has measured all kernels of the population, and its target."""
    candidates = [hw.Candidate(space, row) for row in rows]
    networks = [optimised_kernels(candidate_model(c, request.param)) for c in candidates]
    folder = tmp_path_factory.mktemp("host")
    model = fitted(networks)
    return networks, model, load_target(write_host(folder, model, request.param))


def test_a_network_takes_what_its_kernels_take(space, rows, host):
    networks, model, target = host
    costs = hw.estimate_population(space, rows, target)
    for latency, network in zip(costs.latency_s, networks, strict=True):
        assert latency == pytest.approx(RUN_SECONDS + sum(model.predict(network).seconds))
    assert costs.supported.all()
    assert ((costs.latency_band > 0) & (costs.latency_band < 1)).all()
    assert np.isnan(costs.energy_j).all()
    assert np.isnan(costs.ram_bytes).all()


def test_a_candidate_alone_costs_what_it_costs_among_others(space, rows, host):
    target = host[2]
    costs = hw.estimate_population(space, rows, target)
    for index in (0, 7):
        report = hw.estimate(hw.Candidate(space, rows[index]), target)
        assert report.latency_s == costs.latency_s[index]
        assert report.figures["latency_s"].error == costs.latency_band[index]
        assert report.flash_bytes == costs.flash_bytes[index]
        assert (report.macs, report.parameters) == (
            space.mac_counts(rows)[index],
            space.parameter_counts(rows)[index],
        )
        assert report.to_dict() == costs.report(index).to_dict()


def test_a_file_costs_what_its_candidate_costs(space, rows, host, tmp_path):
    target = host[2]
    candidate = hw.Candidate(space, rows[3])
    model = candidate_model(candidate, target.model.precision)
    onnx.save(model, tmp_path / "model.onnx")
    report = hw.estimate(tmp_path / "model.onnx", target)
    expected = hw.estimate(candidate, target)
    assert report.latency_s == expected.latency_s
    assert report.macs == expected.macs
    assert report.flash_bytes == expected.flash_bytes
    stored = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert report.flash_bytes == sum(array.nbytes for array in stored)


def test_a_report_has_a_row_for_every_kernel(space, rows, host):
    networks, _, target = host
    report = hw.estimate_population(space, rows, target).report(2)
    assert [row.kind for row in report.kernels] == [kernel.op for kernel in networks[2]]
    assert sum(row.latency_s for row in report.kernels) + RUN_SECONDS == pytest.approx(report.latency_s)
    assert all(0 < row.error < 1 for row in report.kernels)
    assert (report.energy_j, report.ram_bytes, report.cycles, report.memory) == (None, None, None, None)
    assert any("energy and RAM are not known" in note for note in report.notes)
    # What the rows lack of the latency is said.
    assert "with 2 µs of a run without any kernel" in report.figures["latency_s"].note
    assert CostReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    bits = {row.weight_bits for row in report.kernels if row.macs}
    assert bits == ({32} if target.model.precision == "float32" else {8})


def test_equal_rows_are_optimised_once(space, rows, host, monkeypatch):
    import hannah_hw.host.networks as module

    target = host[2]
    hw.estimate_population(space, rows, target)
    calls = []
    monkeypatch.setattr(module, "optimised_kernels", lambda *_, **__: calls.append(1))
    hw.estimate_population(space, np.repeat(rows, 3, axis=0), target)
    assert calls == []


def test_a_population_is_predicted_once(space, rows, host, monkeypatch):
    *_, target = host
    hw.estimate_population(space, rows, target)  # reads the model
    predict, calls = HostModel.predict, []

    def counted(model, kernels):
        calls.append(len(kernels))
        return predict(model, kernels)

    monkeypatch.setattr(HostModel, "predict", counted)
    costs = hw.estimate_population(space, rows, target)
    assert calls == [len(costs.table.kernels)]


def test_what_was_not_measured_has_no_price(space, rows, tmp_path):
    candidate = hw.Candidate(space, rows[0])
    known = optimised_kernels(candidate_model(candidate, "float32"))
    without = [kernel for kernel in known if kernel.kernel_class != "gemm"]
    target = load_target(write_host(tmp_path, fitted([without])))
    costs = hw.estimate_population(space, rows[:1], target)
    assert not costs.supported[0]
    assert np.isnan(costs.latency_s[0])
    assert np.isnan(costs.latency_band[0])
    report = costs.report(0)
    (row,) = report.unsupported
    assert row.kind == "Gemm"
    assert row.unpriced
    assert "no kernel of the class gemm was profiled" in row.rule
    assert "hannah-hw calibrate host" in row.rule
    assert report.latency_s is None
    partial = report.partial["latency_s"]
    assert partial.value == pytest.approx(sum(fitted([without]).predict(without).seconds))


def test_a_candidate_that_cannot_run_ends_nothing(tmp_path):
    """Windows with dilation 3 would be padded by their size, which ONNX Runtime refuses; those of 1 run."""
    dilation = hw.CategoricalParameter([1, 3], name="dilation")
    space = hw.SearchSpace(MaxPooling(3, dilation=dilation)(data(3, 8, 8)))
    rows = space.encoding.encode([{name: value} for name in space.parameters for value in (1, 3)])
    networks = [optimised_kernels(candidate_model(hw.Candidate(space, row), "float32")) for row in rows[:1]]
    costs = hw.estimate_population(space, rows, load_target(write_host(tmp_path, fitted(networks))))
    assert costs.supported.tolist() == [True, False]
    assert np.isnan(costs.latency_s).tolist() == [False, True]
    (row,) = costs.report(1).unsupported
    assert "takes only padding smaller than the window" in row.rule


def test_operators_that_our_reader_does_not_know_are_priced(tmp_path):
    """ONNX Runtime runs more than we read; what it runs is measured and priced all the same."""
    graph = helper.make_graph(
        [helper.make_node("Erf", ["x"], ["e"]), helper.make_node("Softsign", ["e"], ["y"])],
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    kernels = optimised_kernels(model, shapes={"x": (3, 64)})
    target = load_target(write_host(tmp_path, fitted([kernels])))
    report = hw.estimate(model, target, shapes={"x": (3, 64)})
    assert [row.kind for row in report.kernels] == ["Erf", "Softsign"]
    assert report.supported
    assert report.latency_s == pytest.approx(RUN_SECONDS + sum(fitted([kernels]).predict(kernels).seconds))


def test_a_machine_with_other_blocks_is_refused(space, rows, host, tmp_path):
    model = host[1]
    other = load_target(write_host(tmp_path, model, nchwc_block=32))
    with pytest.raises(TargetError, match=r"blocks of 32 on .*calibrated, or calibrate this one"):
        hw.estimate_population(space, rows, other)


def test_another_version_or_processor_is_named(space, rows, host, tmp_path):
    model = host[1]
    other = load_target(write_host(tmp_path, model, host[2].model.precision, version="0.1", processor="Z80"))
    notes = hw.estimate_population(space, rows, other).report(0).notes
    assert any("those of 0.1 were measured" in note for note in notes)
    assert any("times are those of Z80" in note for note in notes)
    own = hw.estimate_population(space, rows, host[2]).report(0).notes
    assert len(own) == 1


def test_workloads_and_missing_models_are_refused(space, rows, host, tmp_path):
    with pytest.raises(InputError, match="give `estimate` the candidate"):
        hw.estimate(hw.Candidate(space, rows[0]).workload(), host[2])
    path = write_host(tmp_path, host[1])
    (tmp_path / "desk_model.yaml").unlink()
    with pytest.raises(CatalogError, match=r"desk_model\.yaml"):
        hw.estimate_population(space, rows, str(path))


def test_the_command_line_estimates_and_checks(space, rows, host, tmp_path, capsys):
    _, model, target = host
    path = str(write_host(tmp_path, model, target.model.precision, processor="Z80"))
    file = tmp_path / "model.onnx"
    onnx.save(candidate_model(hw.Candidate(space, rows[1]), target.model.precision), file)
    assert main(["estimate", str(file), "-t", path, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    expected = hw.estimate(hw.Candidate(space, rows[1]), target)
    assert document["latency_s"] == expected.latency_s
    assert document["figures"]["latency_s"]["error"] == expected.figures["latency_s"].error
    assert main(["estimate", str(file), "-t", path]) == 0
    text = capsys.readouterr().out
    assert "energy and RAM are not known" in text
    assert "times are those of Z80" in text
    assert main(["targets", "check", path, "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert {law["law"] for law in checked["laws"]} == set(model.laws)
    assert not checked["this_machine"]
    assert set(checked["differs"]) == {"processor"}
    assert main(["targets", "check", path]) == 0
    assert "warning: processor is Z80 in the file" in capsys.readouterr().out


def test_the_command_line_names_what_has_no_price(space, rows, tmp_path, capsys):
    candidate = hw.Candidate(space, rows[0])
    onnx.save(candidate_model(candidate, "float32"), tmp_path / "model.onnx")
    kernels = optimised_kernels(candidate_model(candidate, "float32"))
    known = [kernel for kernel in kernels if kernel.kernel_class != "gemm"]
    path = write_host(tmp_path, fitted([known]))
    assert main(["estimate", str(tmp_path / "model.onnx"), "-t", str(path)]) == 1
    captured = capsys.readouterr()
    assert "no kernel of the class gemm was profiled" in captured.out
    assert "Gemm" in captured.err
    assert "desk:float32 has no price for 1 of the kernels: 1 Gemm" in captured.err
    assert "the others have no price and are left out" in captured.out
    assert "cannot run" not in captured.out + captured.err
    assert main(["targets", "ops", str(path), str(tmp_path / "model.onnx"), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "nothing" not in listed["counts"]
    (gemm,) = [entry for entry in listed["kernels"] if entry["kind"] == "Gemm"]
    assert gemm["runs_on"] == "gemm"
    assert "no kernel of the class gemm was profiled" in gemm["rule"]
