from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from hannah_hw.errors import ConfigError, EvaluationError, SpaceError
from hannah_hw.scoring.own import find_score, make_subject, score_own
from hannah_hw.spaces import load_space

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def candidate():
    space = load_space("ds_cnn", input_shape=(1, 8, 8))
    return space.candidate(space.default())


def subject_of(candidate, folder, seed=3):
    return make_subject("x", candidate.assignment.to_dict(), candidate, seed, folder)


def test_a_subject_is_the_network_with_weights_of_its_own_seed(candidate, tmp_path):
    subject = subject_of(candidate, tmp_path)
    assert (subject.id, subject.folder) == (candidate.id, tmp_path / candidate.id)
    module = subject.module().eval()
    torch.manual_seed(99)  # whatever the process has done
    again = subject.module().eval()
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        expected = module(x)
        assert torch.equal(expected, again(x))
        assert not torch.equal(expected, subject_of(candidate, tmp_path, seed=4).module().eval()(x))
    subject.folder.mkdir()
    path = subject.onnx(module)
    assert path == subject.folder / "model.onnx"
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    got = np.concatenate([session.run(None, {name: row[None]})[0] for row in x.numpy()])
    np.testing.assert_allclose(got.reshape(2, -1), expected.numpy(), rtol=1e-3, atol=1e-5)


def test_files_of_a_smaller_budget_are_there_for_a_larger_one(candidate, tmp_path):
    def score(subject, budget):
        kept = subject.folder / "done"
        before = float(kept.read_text()) if kept.exists() else 0.0
        kept.write_text(str(budget))
        return {"error": 1 - budget, "before": before, "artifact": subject.onnx()}

    subject = subject_of(candidate, tmp_path)
    first = score_own(score, subject, 0.25)
    assert first == {"error": 0.75, "before": 0.0, "artifact": subject.folder / "model.onnx"}
    assert score_own(score, subject_of(candidate, tmp_path), 1.0)["before"] == 0.25


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        ({"error": float("nan")}, EvaluationError, "error is nan"),
        ({"error": "low"}, EvaluationError, "no number"),
        ({"error": None}, EvaluationError, "no number"),
        ({"error": 0.1, "artifact": "/etc/hostname"}, EvaluationError, "no file in the folder"),
        ({"error": 0.1, "artifact": "missing.onnx"}, EvaluationError, "no file in the folder"),
        ({"error": 0.1, "latency_s": 1}, ConfigError, "latency_s"),
        ({"error": 0.1, "share": 1}, ConfigError, "share"),
        ({1: 0.1}, ConfigError, "names"),
        (0.1, ConfigError, "float"),
    ],
)
def test_what_a_score_may_not_be(candidate, tmp_path, result, kind, message):
    with pytest.raises(kind, match=message):
        score_own(lambda *_: result, subject_of(candidate, tmp_path), 1.0)


def test_numbers_of_any_kind_are_recorded_as_floats(candidate, tmp_path):
    result = {"error": np.float32(0.25), "f1": torch.tensor(0.5), "epochs": 3, "quick": True}
    score = score_own(lambda *_: result, subject_of(candidate, tmp_path), 1.0)
    assert score == {"error": 0.25, "f1": 0.5, "epochs": 3.0, "quick": 1.0}
    assert all(type(value) is float for value in score.values())


def test_what_is_no_space_of_networks_has_no_module(tmp_path):
    subject = make_subject("row-7", {"a": 1}, None, 0, tmp_path)
    assert subject.folder == tmp_path / "row-7"
    with pytest.raises(SpaceError, match="no space of networks"):
        subject.module()


def test_a_function_is_found_in_a_file_only_where_code_is_allowed(tmp_path):
    file = tmp_path / "trainer.py"
    file.write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\ndef score(c, b): return {}\n"
    )
    with pytest.raises(ConfigError, match="allow_code: true"):
        find_score(f"{file}:score")
    assert not file.with_suffix(".ran").exists()
    assert find_score(f"{file}:score", allow_code=True)(None, 1.0) == {}
    with pytest.raises(ConfigError, match=r"no function 'scores'.*did you mean 'score'"):
        find_score(f"{file}:scores", allow_code=True)
    for reference in ("trainer:score", "score", str(file)):
        with pytest.raises(ConfigError, match=r"write file\.py:function"):
            find_score(reference, allow_code=True)
    with pytest.raises(ConfigError, match="cannot read"):
        find_score(f"{tmp_path}/none.py:score", allow_code=True)
    file.write_text("import nothing_like_this\n")
    with pytest.raises(ConfigError, match="does not run"):
        find_score(f"{file}:score", allow_code=True)
