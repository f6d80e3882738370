"""Measuring the front after a search: order, continuation and failures of its file."""

import io
import json
from datetime import UTC, datetime

import pytest

from hannah_hw.errors import ConfigError, EvaluationError, InputError, MissingToolError, RunError
from hannah_hw.measure.emulated import measure_model
from hannah_hw.report import read_run, render_page
from hannah_hw.report.measurements import largest_differences
from hannah_hw.search import PlainLines, dry_run, run_search
from hannah_hw.search.config import load_config
from hannah_hw.search.measuring import Measuring, trained_model
from hannah_hw.search.rundir import MEASUREMENTS, RunDirectory
from hannah_hw.search.tasks import InProcess, Outcome
from hannah_hw.spaces import load_space
from hannah_hw.targets import load_target

FRONT = [{"id": f"c{index}", "assignment": {"width": index}} for index in range(5)]


class Squares:
    """Measures the square of a width; that of 3 cannot be measured."""

    def __init__(self):
        self.seen = []

    def start(self):
        pass

    def evaluate(self, task):
        self.seen.append(task.identifier)
        if task.assignment["width"] == 3:
            raise EvaluationError("the output differs", kind="wrong-output")
        return {"figures": {"latency_s": {"value": task.assignment["width"] ** 2}}}


class Backwards:
    """An executor whose last task finishes first."""

    def __init__(self):
        self.tasks = []

    def submit(self, index, task):
        self.tasks.append((index, task))

    def wait(self):
        index, task = self.tasks.pop()
        return index, Outcome({"width": task.assignment["width"]}, None, datetime.now(UTC), 0.0)

    def close(self):
        pass


class Follower:
    def __init__(self):
        self.calls = []

    def on_measurement(self, done, total):
        self.calls.append((done, total))


def open_run(path, resume=False):
    directory = RunDirectory(path, resume=resume)
    directory.write("config.yaml", "toy: true\n")
    return directory


def lines(path):
    return (path / MEASUREMENTS).read_bytes().splitlines(keepends=True)


def test_records_are_in_the_order_of_the_front_however_workers_finish(tmp_path):
    with open_run(tmp_path / "run") as directory:
        records = Measuring(directory.open_measurements(), Backwards()).run(FRONT)
    assert [record["measurement"]["width"] for record in records] == [0, 1, 2, 3, 4]
    assert [json.loads(line) for line in lines(tmp_path / "run")] == records


def test_a_failure_is_recorded_with_its_name_and_the_rest_is_measured(tmp_path):
    follower = Follower()
    with open_run(tmp_path / "run") as directory:
        records = Measuring(directory.open_measurements(), InProcess(Squares()), [follower, object()]).run(
            FRONT
        )
    assert [record["status"] for record in records] == ["ok", "ok", "ok", "failed", "ok"]
    assert records[3]["reason"] == {"kind": "wrong-output", "message": "the output differs"}
    assert records[3]["measurement"] is None
    assert records[4]["measurement"]["figures"]["latency_s"]["value"] == 16
    assert follower.calls == [(done, 5) for done in range(6)]


@pytest.mark.parametrize("kept", range(6))
@pytest.mark.parametrize("torn", [False, True])
def test_any_prefix_of_the_file_leads_to_the_same_file(tmp_path, kept, torn):
    with open_run(tmp_path / "whole") as directory:
        whole = Measuring(directory.open_measurements(), InProcess(Squares())).run(FRONT)
    all_lines = lines(tmp_path / "whole")
    open_run(tmp_path / "run").close()
    rest = all_lines[kept][:20] if torn and kept < 5 else b""
    (tmp_path / "run" / MEASUREMENTS).write_bytes(b"".join(all_lines[:kept]) + rest)
    squares = Squares()
    with open_run(tmp_path / "run", resume=True) as directory:
        records = Measuring(directory.open_measurements(), InProcess(squares)).run(FRONT)
    assert records == whole
    assert lines(tmp_path / "run") == all_lines
    assert squares.seen == [f"c{index}" for index in range(kept, 5)]


def test_damage_before_the_end_is_an_error_with_the_line(tmp_path):
    open_run(tmp_path / "run").close()
    (tmp_path / "run" / MEASUREMENTS).write_text('{"id": "a", "status": "ok"}\n{"status": "ok"}\n')
    with (
        open_run(tmp_path / "run", resume=True) as directory,
        pytest.raises(RunError, match="jsonl:2 is damaged"),
    ):
        directory.open_measurements()


def test_an_interrupt_keeps_what_was_measured(tmp_path):
    class Interrupted(Squares):
        def evaluate(self, task):
            if task.identifier == "c2":
                raise KeyboardInterrupt
            return super().evaluate(task)

    with open_run(tmp_path / "run") as directory, pytest.raises(RunError, match="3 of 5 models to measure"):
        Measuring(directory.open_measurements(), InProcess(Interrupted())).run(FRONT)
    assert [json.loads(line)["id"] for line in lines(tmp_path / "run")] == ["c0", "c1"]


CONFIG = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {latency: min, ram: min}
search: {algorithm: nsga2, population: 8, evaluations: 4}
"""


def test_what_is_measured_does_not_change_the_question(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    plain, measured = load_config(path), load_config(path, ["measure.emulate=front", "measure.compiler=gcc"])
    assert plain.hash == measured.hash
    assert (plain.measure.emulate, measured.measure.emulate, measured.measure.compiler) == (
        None,
        "front",
        "gcc",
    )
    with pytest.raises(ConfigError, match=r"measure\.emulate.*'front'"):
        load_config(path, ["measure.emulate=all"])
    with pytest.raises(ConfigError, match="did you mean 'emulate'"):
        load_config(path, ["measure.emulat=front"])


def test_the_front_of_a_search_is_measured_again_and_again_the_same(tmp_path):
    for package in ("unicorn", "capstone", "elftools", "ziglang"):
        pytest.importorskip(package)
    path = tmp_path / "c.yaml"
    text = CONFIG.replace("space: ds_cnn", "space: tc_resnet").replace("evaluations: 4", "evaluations: 3")
    path.write_text(text + "constraints: {macs: '<= 300 k'}\nmeasure: {emulate: front}\n")
    result = run_search(path, tmp_path / "run")
    assert [record["id"] for record in result.measured] == [record["id"] for record in result.front]
    assert {record["status"] for record in result.measured} == {"ok"}
    space, target = load_space("tc_resnet"), load_target("stm32l4r5zi")
    first = result.front[0]
    measured = measure_model(space.candidate(first["assignment"]), target).to_dict()
    assert result.measured[0]["measurement"] == json.loads(json.dumps(measured))
    assert (result.measured[0]["measurement"]["weights"], result.measured[0]["status"]) == ("random", "ok")
    log = tmp_path / "run" / MEASUREMENTS
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    run_search(None, tmp_path / "run", resume=True)
    assert log.read_bytes() == whole
    facts = load_config(tmp_path / "run" / "config.yaml").resolved["measure"]
    assert facts["core"] == "Cortex-M4"
    assert facts["emulator"].startswith("Unicorn")
    data = read_run(tmp_path / "run")
    page = render_page(data)
    assert set(data.measured) == {record["id"] for record in result.front}
    assert "Measured on an emulated core" in page
    for key, worst in largest_differences(data).items():
        expected = [
            abs(record["metrics"][key] / found["measurement"]["figures"][key]["value"] - 1)
            for record, found in zip(result.front, result.measured, strict=True)
        ]
        assert worst == pytest.approx(max(expected))


def test_a_finished_run_is_measured_later_and_one_that_was_not_asked_for_is_not(tmp_path):
    for package in ("unicorn", "capstone", "elftools", "ziglang"):
        pytest.importorskip(package)
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("evaluations: 4", "evaluations: 1"))
    plain = run_search(path, tmp_path / "run")
    assert (plain.measured, (tmp_path / "run" / MEASUREMENTS).exists()) == ([], False)
    assert "Measured on" not in render_page(read_run(tmp_path / "run"))
    later = run_search(None, tmp_path / "run", resume=True, overrides=["measure.emulate=front"])
    assert later.records == plain.records
    assert len(later.measured) == len(plain.front) == 1


def test_what_measuring_lacks_is_said_before_anything_is_written(tmp_path, monkeypatch):
    pytest.importorskip("unicorn")
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "measure: {emulate: front, compiler: gcc}\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match="no C compiler gcc for Cortex-M4"):
        run_search(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_front_for_an_ethos_u_is_compiled_by_its_vendors_compiler(tmp_path):
    for package in ("ethosu.vela", "tflite"):
        pytest.importorskip(package)
    from hannah_hw.measure.vela import compile_with_vela

    path = tmp_path / "c.yaml"
    text = CONFIG.replace("stm32l4r5zi", "ethos_u55_128").replace("space: ds_cnn", "space: tc_resnet")
    path.write_text(
        text.replace("evaluations: 4", "evaluations: 2")
        + "constraints: {macs: '<= 300 k'}\nmeasure: {emulate: front}\n"
    )
    result = run_search(path, tmp_path / "run")
    assert result.front
    assert {record["status"] for record in result.measured} == {"ok"}
    candidate = load_space("tc_resnet").candidate(result.front[0]["assignment"])
    measured = compile_with_vela(candidate, load_target("ethos_u55_128")).to_dict()
    assert json.dumps(result.measured[0]["measurement"]) == json.dumps(measured)
    facts = load_config(tmp_path / "run" / "config.yaml").resolved["measure"]
    assert facts["core"].startswith("ethos-u55-128, ")
    assert facts["compiler"].startswith("ethos-u-vela ")
    data = read_run(tmp_path / "run")
    page = render_page(data)
    assert "Measured by the vendor's compiler" in page
    assert "Measured on an emulated core" not in page
    assert set(largest_differences(data)) >= {"latency_s", "ram_bytes"}


def test_a_compiler_of_firmware_for_an_ethos_u_is_refused_at_once(tmp_path):
    pytest.importorskip("ethosu.vela")
    path = tmp_path / "c.yaml"
    text = CONFIG.replace("stm32l4r5zi", "ethos_u55_128")
    path.write_text(text + "measure: {emulate: front, compiler: gcc}\n")
    with pytest.raises(InputError, match=r"measure\.compiler: firmware is built with it"):
        run_search(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_hosts_are_profiled(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "measure: {profile: front}\n")
    with pytest.raises(
        InputError, match=r"measure\.profile: stm32l4r5zi is a target of the family .*emulate: front"
    ):
        run_search(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"measure\.profile.*'front' or 'contenders'"):
        load_config(path, ["measure.profile=all"])


def test_a_run_and_its_dry_run_say_beforehand_what_will_be_measured(tmp_path):
    for package in ("unicorn", "capstone", "elftools", "ziglang"):
        pytest.importorskip(package)
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "measure: {emulate: front, compiler: zig}\n")
    text = dry_run(load_config(path)).plan
    assert text.startswith("the models of the front are measured: core Cortex-M4, compiler zig")
    assert dry_run(load_config(path, ["measure={}"])).plan == ""
    stream = io.StringIO()
    run_search(path, tmp_path / "run", overrides=["search.evaluations=1"], observers=[PlainLines(stream)])
    lines = stream.getvalue().splitlines()
    said = lines.index(f"after the search {text}")
    assert said < next(i for i, line in enumerate(lines) if line.startswith("search: "))
    assert lines[-1].startswith("measuring: 1 of 1 models are done")


def test_a_fine_tuned_model_is_measured_in_place_of_the_first(tmp_path):
    assert trained_model(tmp_path, "a") is None
    (tmp_path / "a.onnx").touch()
    assert trained_model(tmp_path, "a") == tmp_path / "a.onnx"
    (tmp_path / "a.tuned.onnx").touch()
    assert trained_model(tmp_path, "a") == tmp_path / "a.tuned.onnx"
