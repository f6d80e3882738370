"""Networks and hardware searched together, on UltraTrail with its params."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hannah_hw import estimate, estimate_population, load_space, load_target
from hannah_hw.cli.app import main
from hannah_hw.errors import ConfigError, InputError, SpaceError
from hannah_hw.report import read_run
from hannah_hw.report.page import render_page
from hannah_hw.report.payload import payload
from hannah_hw.search import PlainLines, Search, dry_run, load_config, run_search
from hannah_hw.search.algorithms.variation import Variation
from hannah_hw.search.cosearch import CoSearchProblem, make_problem
from hannah_hw.search.pipeline import build
from tests.report.unpacked import unpack

CONFIG = """\
version: 1
space: tc_resnet
target: ultratrail
objectives: {latency: min, area: min, macs: max}
constraints: {latency: "<= 100 ms"}
search: {algorithm: nsga2, population: 8, evaluations: 16, seed: 3}
"""
PARAMS = ("pe", "weight_bits", "wmem", "fmem", "lmem")


@pytest.fixture(scope="module")
def problem():
    return make_problem(load_space("tc_resnet"), load_target("ultratrail"), {}, legal=True)[0]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "co.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def square_millimetres(chip):
    """Multipliers and memories one by one: UltraTrail has one of each memory."""
    target = load_target("ultratrail").with_params(chip)
    array = chip["pe"] ** 2 * target.array.mac_mm2.value
    return array + sum(memory.area_mm2.value for memory in target.memories)


def chip_of(assignment):
    return {name: assignment[f"target.{name}"] for name in PARAMS}


def network_of(assignment):
    return {name: value for name, value in assignment.items() if not name.startswith("target.")}


def test_a_candidate_is_a_network_on_its_own_chip(problem):
    space, target = load_space("tc_resnet"), load_target("ultratrail")
    rows = problem.encoding.sample(12, np.random.default_rng(5))
    estimates = problem.estimate(rows)
    described = problem.describe(rows)
    assert len({identifier for identifier, _ in described}) == 12
    for index, (_, assignment) in enumerate(described):
        json.dumps(assignment)
        chip = chip_of(assignment)
        assert estimates.columns["area_mm2"][index] == pytest.approx(square_millimetres(chip), rel=1e-12)
        candidate = space.candidate(network_of(assignment))
        report = estimate(candidate, target.with_params(chip))
        assert estimates.columns["macs"][index] == candidate.macs
        assert estimates.columns["parameters"][index] == candidate.parameters
        if estimates.supported[index]:
            for key in ("latency_s", "energy_j", "ram_bytes", "flash_bytes"):
                assert estimates.columns[key][index] == pytest.approx(getattr(report, key), rel=1e-12)
            assert estimates.report(index)["target"] == report.target
            assert report.flash_bytes <= chip["wmem"]
            assert report.ram_bytes <= chip["fmem"]
        else:
            assert report.ram_bytes > chip["fmem"]
            assert "limits: ram of " in estimates.unsupported(index)
    assert estimates.supported.any()


def test_one_network_on_two_chips_is_two_candidates(problem):
    space = problem.space
    row = space.encoding.sample(1, np.random.default_rng(0))[0]
    assignment = space.encoding.assignment(row)
    small = space.candidate({**assignment, "target.pe": 4})
    large = space.candidate({**assignment, "target.pe": 16})
    assert small.id != large.id
    assert (small.macs, small.parameters) == (large.macs, large.parameters)
    whole = load_space("tc_resnet")
    assert (
        whole.candidate(network_of(small.assignment)).id == whole.candidate(network_of(large.assignment)).id
    )


def stored(workload):
    """Bytes of weights and of 32-bit biases."""
    biases = np.where(workload.kernels.active, workload.kernels["bias"], 0)
    return workload.weight_bytes.sum(axis=1) + 4 * biases.sum(axis=1)


def test_rules_that_follow_params_bind_network_and_chip_together(problem):
    """Weights of 8 bits need an array of 8 bits, and a memory of weights that holds them."""
    rng = np.random.default_rng(2)
    rows = problem.encoding.sample(300, rng)
    children = Variation(problem.encoding).children(
        rows, rng.integers(300, size=300), rng.integers(300, size=300), rng, crossover=0.9
    )
    space, narrowest = problem.space, problem.encoding.ids.index("target.weight_bits")
    assert space.parameters["target.weight_bits"].levels == (8,)
    for part in (rows, children):
        assert (part[:, narrowest] == 0).all()
        assert (stored(space.workload(part)) <= space.encoding.values(part)["target.wmem"]).all()
    free = make_problem(load_space("tc_resnet"), load_target("ultratrail"), {}, legal=False)[0]
    rows = free.encoding.sample(300, np.random.default_rng(2))
    too_much = stored(free.space.workload(rows)) > free.encoding.values(rows)["target.wmem"]
    assert too_much.mean() > 0.05


def test_what_compressed_weights_take_is_left_to_pricing(tmp_path):
    """An Ethos-U stores fewer bytes than weights have, or more, so that their sum is no bound on a searched flash."""
    written = Path(load_target("ethos_u55_128").origin).read_text(encoding="utf-8")
    path = tmp_path / "npu.yaml"
    flash = "params: {flash: {choice: [8 KiB, 16 KiB, 24 KiB, 32 KiB], default: 32 KiB}}\nmemories:\n"
    head, tail = written.replace("\nmemories:\n", f"\n{flash}").split("ops:\n")
    path.write_text(f"{head}limits: {{flash_bytes: '${{flash}}'}}\nops:\n{tail}", encoding="utf-8")
    problem, legalized = make_problem(load_space("ds_cnn"), load_target(str(path)), {}, legal=True)[:2]
    assert [rule.text for rule in legalized.priced] == ["limits: flash_bytes <= ${flash}"]
    rows = problem.encoding.sample(200, np.random.default_rng(0))
    compressed = estimate_population(problem.space, rows, load_target(str(path))).flash_bytes
    raw, flash = stored(problem.space.workload(rows)), problem.encoding.values(rows)["target.flash"]
    assert (compressed < raw).any()
    assert (compressed > raw).any()
    assert (raw > flash).any()


def test_a_run_moves_the_hardware_and_shows_it(config, tmp_path, capsys):
    out, stream = tmp_path / "run", io.StringIO()
    result = run_search(config, out, observers=[PlainLines(stream)])
    assert sum(record["status"] == "ok" for record in result.records) == 16
    for record in result.records:
        area = square_millimetres(chip_of(record["assignment"]))
        assert record["metrics"]["area_mm2"] == pytest.approx(area, rel=1e-12)
        if record["status"] == "ok":
            assert record["objectives"]["area"] == record["metrics"]["area_mm2"]
    assert len({record["assignment"]["target.pe"] for record in result.front}) > 1
    texts = stream.getvalue()
    assert "front pe " in texts
    assert "front wmem " in texts
    assert " KiB" in texts
    facts = load_config(out / "config.yaml").resolved["hardware"]
    assert facts["target.fmem"] == {"dimension": "bytes", "values": [4096 * i for i in range(1, 17)]}
    data = read_run(out)
    assert [h.name for h in data.hardware] == list(PARAMS)
    chosen = data.candidates[data.front[0]]
    wmem = next(h for h in data.hardware if h.name == "wmem")
    assert wmem.text(chosen) == f"{chosen.assignment['target.wmem'] // 1024} KiB"
    page = render_page(data)
    assert '<button type="button">wmem</button>' in page
    assert f">{wmem.text(chosen)}</td>" in page
    assert "Area" in page
    assert "Activations over the inference" in page
    drawn = next(row for row in unpack(payload(data, {})["candidates"]) if row["id"] == chosen.id)
    for kernel in drawn["cost"]["kernels"]:
        assert sum(kernel["cycle_parts"].values()) == pytest.approx(kernel["cycles"])
        assert sum(kernel["energy_parts_j"].values()) == pytest.approx(kernel["energy_j"])
    assert (
        main(["export", str(out), "--pick", "front", "--to", "csv", "--out", str(tmp_path / "export")]) == 0
    )
    rows = list(csv.DictReader((tmp_path / "export" / "candidates.csv").open()))
    for row in rows:
        assert float(row["area_mm2"]) == pytest.approx(
            square_millimetres(chip_of(json.loads(row["assignment"])))
        )
    capsys.readouterr()
    assert main(["report", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["front"][0]["hardware"]) == set(PARAMS)


def test_a_killed_run_goes_on_to_the_same_end(config, tmp_path):
    run_search(config, tmp_path / "whole")
    lines = (tmp_path / "whole" / "candidates.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "whole" / "config.yaml", tmp_path / "cut")
    (tmp_path / "cut" / "candidates.jsonl").write_text("".join(lines[:7]) + lines[7][:40])
    run_search(None, tmp_path / "cut", resume=True)

    def told(folder):
        records = map(json.loads, (tmp_path / folder / "candidates.jsonl").read_text().splitlines())
        return [{k: v for k, v in record.items() if k != "timestamps"} for record in records]

    assert told("cut") == told("whole")


def test_fixed_params_are_not_searched(config):
    setup = build(load_config(config, ["params.pe=4", "params.wmem=32 KiB"]), config.parent)
    assert isinstance(setup.problem, CoSearchProblem)
    assert setup.problem.axes.ids == ("target.weight_bits", "target.fmem", "target.lmem")
    assert setup.problem.target.assignment["wmem"] == 32 * 1024
    rows = setup.problem.encoding.sample(3, np.random.default_rng(0))
    report = setup.problem.estimate(rows).report(0)
    assert report["target"].startswith("ultratrail[pe=4,wmem=32KiB")
    none = build(load_config(config, ["params=default"]), config.parent)
    assert not isinstance(none.problem, CoSearchProblem)
    assert not any(name.startswith("target.") for name in none.problem.encoding.ids)
    with pytest.raises(ConfigError, match=r"params: .*no param 'size'"):
        build(load_config(config, ["params.size=4"]), config.parent)
    with pytest.raises(ConfigError, match="the target stm32l4r5zi:hannah has no params, so no pe"):
        build(
            load_config(config, ["target=stm32l4r5zi", "params.pe=4", "objectives={latency: min}"]),
            config.parent,
        )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("stm32l4r5zi", "is a microcontroller, whose area is not known"),
        ("eyeriss", ".* not known are array.mac_mm2"),
    ],
)
def test_an_area_that_nobody_knows_is_no_goal(config, target, message):
    with pytest.raises(ConfigError, match=rf"objectives\.area: .*{target}.*{message}"):
        dry_run(load_config(config, [f"target={target}"]))
    changes = [f"target={target}", "objectives={latency: min}", "constraints={area: '<= 1 mm2'}"]
    with pytest.raises(InputError, match=r"constraints\.area: "):
        dry_run(load_config(config, changes))
    with pytest.raises(ConfigError, match=rf"objectives\.area: .*{message}"):
        Search("tc_resnet", target, ["area"])
    with pytest.raises(ConfigError, match=rf"constraints\.area: .*{message}"):
        Search("tc_resnet", target, ["latency"], {"area": "<= 1 mm2"})


def test_an_energy_that_nobody_knows_is_no_goal(config):
    """What an Ethos-U needs is published nowhere, and its area neither."""
    message = "the energy of the target ethos_u55_128 is not known: no energy: .* gives? "
    with pytest.raises(ConfigError, match=rf"objectives\.energy: {message}"):
        dry_run(load_config(config, ["target=ethos_u55_128", "objectives={energy: min}"]))
    with pytest.raises(ConfigError, match=rf"constraints\.energy: {message}"):
        Search("ds_cnn", "ethos_u55_128", ["latency"], {"energy": "<= 1 mJ"})
    assert (
        Search("ds_cnn", "ethos_u55_128", ["latency", "ram", "flash"], algorithm="nsga2", population=4)
        .fit(4)
        .front_
    )


def test_dry_run_shows_the_spread_of_the_area(config, monkeypatch):
    monkeypatch.setattr("hannah_hw.search.dryrun.DRY_RUN_CHIPS", 100)
    found = dry_run(load_config(config))
    assert found.sampled == 100
    low, *_, high = found.quartiles["area_mm2"]
    assert 0 < low < high < 1.0
    assert "limits: flash_bytes <= ${wmem}" in found.legalized


def test_search_from_python_takes_the_params_too():
    search = Search(
        "tc_resnet",
        "ultratrail",
        {"latency": "min", "area": "min"},
        algorithm="nsga2",
        population=4,
        params={"fmem": 16384},
    )
    front = search.fit(6).front_
    assert all(
        set(chip) >= {"target.pe", "target.wmem"} for chip in (record["assignment"] for record in front)
    )
    assert not any("target.fmem" in record["assignment"] for record in front)


def test_a_space_with_a_parameter_of_the_same_name_is_refused(problem):
    with pytest.raises(SpaceError, match=r"has a parameter 'target\.pe' already"):
        problem.space.extended(problem.axes.parameters)
