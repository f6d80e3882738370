from __future__ import annotations

import numpy as np
import onnx
import pytest

from hannah_hw.errors import EvaluationError
from hannah_hw.host.session import open_session
from hannah_hw.lowering import to_onnx
from hannah_hw.scoring import Training, candidate_seed, load_data, score_candidate
from hannah_hw.scoring.answers import model_errors
from hannah_hw.scoring.nominal import nominal_seconds, within_budget
from hannah_hw.spaces import load_space

pytest.importorskip("torch")

QUICK = Training(epochs=4)


@pytest.fixture(scope="module")
def setup():
    data = load_data("digits")
    space = load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes)
    encoding = space.encoding
    return space, encoding.assignment(encoding.canonical(encoding.default[None])[0]), data


@pytest.fixture(scope="module")
def scored(setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    space, assignment, data = setup
    return score_candidate(space, assignment, data, QUICK, 7, folder / "new")


def test_the_score_is_that_of_the_file_that_was_written(setup, scored):
    space, assignment, data = setup
    assert scored.artifact.name == f"{space.candidate(assignment).id}.onnx"
    assert [p.name for p in scored.artifact.parent.iterdir()] == [scored.artifact.name]
    session = open_session(scored.artifact)
    (value,) = session.get_inputs()
    assert value.shape == [1, *data.input_shape]
    for error, x, y in (
        (scored.error, data.x_val, data.y_val),
        (scored.test_error, data.x_test, data.y_test),
    ):
        answers = [session.run(None, {value.name: row[None]})[0].argmax() for row in x]
        assert error == pytest.approx((np.array(answers) != y).mean())
    assert scored.error < 0.5  # ten classes: guessing gives 0.9
    assert abs(scored.error - scored.float_error) < 0.05
    assert scored.metrics().keys() == {"error", "test_error", "float_error"}
    assert "int8" in scored.provenance["error"]
    assert 0 < scored.train_s < scored.score_s


def test_a_float32_model_is_what_torch_trained(setup, scored, tmp_path):
    space, assignment, data = setup
    score = score_candidate(space, assignment, data, QUICK, 7, tmp_path, precision="float32")
    assert score.losses == scored.losses
    # Sums in another order may change an answer that is nearly a tie.
    assert score.error == pytest.approx(score.float_error, abs=1.5 / len(data.y_val))
    open_session(score.artifact, optimised_path=tmp_path / "o.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node}
    assert not any("QLinear" in kind or kind.endswith("QuantizeLinear") for kind in kinds)
    assert "float32" in score.provenance["error"]


def test_every_product_runs_on_integers(scored, tmp_path):
    open_session(scored.artifact, optimised_path=tmp_path / "o.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node}
    assert {"QLinearConv", "QGemm"} <= kinds or {"QLinearConv", "QLinearMatMul"} <= kinds
    assert not {"Conv", "FusedConv", "Gemm", "MatMul", "FusedGemm", "BatchNormalization", "Relu"} & kinds


def test_the_same_seed_gives_the_same_file_whatever_ran_before(setup, scored, tmp_path):
    space, assignment, data = setup
    again = score_candidate(space, assignment, data, QUICK, 7, tmp_path)
    assert again.artifact.read_bytes() == scored.artifact.read_bytes()
    assert again.metrics() == scored.metrics()
    other = score_candidate(space, assignment, data, Training(epochs=1), 8, tmp_path)
    assert other.losses[0] != scored.losses[0]


def test_seeds_differ_by_run_and_by_candidate():
    seeds = {candidate_seed(run, f"{index:x}") for run in range(20) for index in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert candidate_seed(1, "11") != candidate_seed(11, "1")


def test_a_failed_candidate_leaves_no_file(setup, tmp_path):
    space, assignment, data = setup
    broken = Training(epochs=2, optimizer="sgd", learning_rate=10, schedule="constant", weight_decay=1)
    data = type(data)(**{**vars(data), "x_train": np.where(data.x_train > 2, np.float32(3e38), data.x_train)})
    with pytest.raises(EvaluationError) as caught:
        score_candidate(space, assignment, data, broken, 0, tmp_path / "artifacts")
    assert caught.value.kind == "diverged"
    assert list(tmp_path.iterdir()) == []


def test_errors_are_counted_over_every_sample(setup, tmp_path):
    space, assignment, data = setup
    path = tmp_path / "float.onnx"
    to_onnx(space.candidate(assignment), path)
    session = open_session(path)
    (value,) = session.get_inputs()
    x = data.x_val[:70]
    truth = np.array([session.run(None, {value.name: row[None]})[0].argmax() for row in x])
    assert model_errors(path, (x, truth), (x[:1], truth[:1] + 1)) == (0.0, 1.0)
    truth[-1] = (truth[-1] + 1) % 10
    assert model_errors(path, (x, truth)) == (1 / 70,)


def test_a_budget_cuts_the_epochs_of_expensive_candidates_only(setup):
    space, _, _ = setup
    rows = space.sample_population(40, seed=0)
    loads = [space.candidate(space.encoding.assignment(row)).workload() for row in rows]
    seconds = np.array([nominal_seconds(load) for load in loads])
    budget = float(np.median(seconds)) * 1000 * 5
    epochs = np.array([within_budget(Training(budget_s=budget), load, 1000).epochs for load in loads])
    assert (epochs[seconds <= np.median(seconds)] == 5).all()
    cut = (epochs < 5) & (epochs > 0.5)
    assert cut.sum() > 10
    np.testing.assert_allclose(epochs[cut] * seconds[cut] * 1000, budget)
    assert within_budget(Training(budget_s=1e-9), loads[0], 1000).epochs == 0.5
    assert within_budget(Training(epochs=9), loads[0], 10**9).epochs == 9
