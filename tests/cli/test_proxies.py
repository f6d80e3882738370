from __future__ import annotations

import json

import pytest

from hannah_hw.cli import main
from hannah_hw.scoring.proxies import PROXIES
from hannah_hw.scoring.ranking import TOGETHER
from hannah_hw.search.proxy_study import TRAINED_LOG

pytest.importorskip("torch")

CONFIG = """
version: 1
space: {name: ds_cnn, max_blocks: 2}
target: stm32l4r5zi
data: digits
objectives: {error: min, latency: min}
constraints: {latency: "<= 10 ms"}
training: {epochs: 0.5, batch_size: 64}
search: {workers: 1}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A configuration, the folder of a study, and what the command line said of it."""
    folder = tmp_path_factory.mktemp("proxies")
    config, out = folder / "digits.yaml", folder / "out"
    config.write_text(CONFIG)
    return config, out, run(config, out)


def run(config, out, *more):
    from contextlib import redirect_stdout
    from io import StringIO

    stream = StringIO()
    with redirect_stdout(stream):
        assert main(["proxies", str(config), "--count", "10", "--out", str(out), *more, "--json"]) == 0
    return json.loads(stream.getvalue())


def test_every_proxy_stands_beside_parameters_and_macs(study):
    _, out, found = study
    names = [standing["name"] for standing in found["standings"]]
    assert names[:7] == ["parameters", "macs", *PROXIES]
    assert TOGETHER in names
    assert found["trained"] == 10
    assert found["failed"] == 0
    assert sorted(found["kept"] + found["dropped"]) == sorted(PROXIES)
    values = {s["name"]: s["spearman"]["value"] for s in found["standings"]}
    for name in PROXIES:
        assert (name in found["kept"]) == (values[name] > values["parameters"])
    assert all(-1 <= value <= 1 for value in found["predictor"].values())
    assert all(s["ms_per_candidate"] > 0 for s in found["standings"] if s["name"] in PROXIES)
    assert len(list((out / "artifacts").iterdir())) == 10


def test_a_study_that_was_stopped_trains_only_what_is_missing_and_says_what_is_dropped(study, capsys):
    config, out, found = study
    lines = (out / TRAINED_LOG).read_text().splitlines(keepends=True)
    # A kill in the middle of a line.
    (out / TRAINED_LOG).write_text("".join(lines[:8]) + lines[8][:9])
    assert main(["proxies", str(config), "--count", "10", "--out", str(out)]) == 0
    later = (out / TRAINED_LOG).read_text().splitlines(keepends=True)
    assert later[:8] == lines[:8]
    assert sorted(json.loads(x)["error"] for x in later) == sorted(json.loads(x)["error"] for x in lines)
    text = capsys.readouterr().out
    for standing in found["standings"]:
        assert f"{standing['name']}" in text
        assert f"{standing['spearman']['value']:+.2f}" in text
    for name in found["dropped"]:
        assert name in text.partition("so dropped: ")[2]
    assert (
        "10 networks were trained (epochs 0.5, batch_size 64), 0 failed; 32 training samples of digits"
        in text
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "3"], "3 networks are too few for a rank correlation"),
        (["--set", "training.epochs=2"], "holds results of another configuration"),
        (["--set", "objectives={latency: min}"], "nothing is trained with this configuration"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_trained(study, capsys, arguments, message):
    config, out, _ = study
    assert main(["proxies", str(config), "--out", str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
