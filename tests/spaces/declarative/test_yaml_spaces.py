"""A space from YAML is a space like any other: sampled, priced, executed, exported and searched."""

import json
from pathlib import Path

import numpy as np
import pytest

import hannah_hw
from hannah_hw.cli import main
from hannah_hw.spaces.declarative.document import load_document
from hannah_hw.spaces.declarative.quant import quantised_convolutions
from hannah_hw.spaces.declarative.schema import json_schema
from tests.search_spaces.agreement import compare

SIZE = (3, 16, 16)

#: Largest share of the largest output that ONNX Runtime may deviate by. What is rounded to few bits may fall to the
#: other side of a step.
TOLERANCE = {"resnet_variant": 1e-4, "resnet20_mixed": 0.01}


@pytest.fixture(scope="module", params=["resnet_variant", "resnet20_mixed"])
def space(request):
    return hannah_hw.load_space(request.param, input_shape=SIZE, classes=10)


def test_rows_are_assignments_and_back(space):
    rows = space.sample_population(64, seed=3)
    assert np.array_equal(space.encoding.encode([space.encoding.assignment(row) for row in rows]), rows)
    assert len(np.unique(rows, axis=0)) > 32
    assert space.workload(rows).exists.all()


def test_a_population_is_what_its_candidates_are(space):
    rows = space.sample_population(8, seed=4)
    macs = space.workload(rows).macs
    for row, expected in zip(rows, macs, strict=True):
        candidate = space.candidate(space.encoding.assignment(row))
        assert candidate.macs == expected
        trained = sum(p.numel() for p in hannah_hw.to_torch(candidate).parameters() if p.requires_grad)
        assert candidate.parameters == trained


def test_candidates_are_what_their_exported_files_are(space):
    names, mismatches, deviations = compare(space, 5, seed=7)
    assert len(names) >= 4
    assert mismatches == []
    assert max(deviations) < TOLERANCE[space.document.name]


def test_costs_on_a_target():
    target = hannah_hw.load_target("stm32l4r5zi")
    variant = hannah_hw.load_space("resnet_variant", input_shape=SIZE)
    rows = variant.sample_population(6, seed=1)
    costs = hannah_hw.estimate_population(variant, rows, target)
    alone = [hannah_hw.estimate(variant.candidate(variant.encoding.assignment(row)), target) for row in rows]
    assert costs.latency_s == pytest.approx([report.latency_s for report in alone])
    # A kernel library for 8 bits says so of the others, by name, instead of pricing them as if they had 8.
    mixed = hannah_hw.load_space("resnet20_mixed", input_shape=SIZE)
    all_8 = dict.fromkeys(mixed.parameters, 8)
    four = hannah_hw.estimate(mixed.candidate({**all_8, "process.0.nbit_w_list.5": 4}), target)
    assert {(row.kind, row.rule) for row in four.unsupported if row.kind == "conv"} == {
        ("conv", "conv: weight_bits == 8")
    }


def test_bits_reach_the_workload():
    space = hannah_hw.load_space("resnet20_mixed")
    widths = quantised_convolutions(space.order)
    assert len(widths) == 20
    eight = space.candidate(dict.fromkeys(space.parameters, 8)).workload()
    four = space.candidate({name: 4 if "nbit_w" in name else 8 for name in space.parameters}).workload()
    # The stem (3 to 16 channels, 3x3, at 32x32) and the classifier (64 to 10) stay at 8 by 8 bits.
    fixed = 3 * 16 * 9 * 32 * 32 + 64 * 10
    assert eight.bops[0] == 40_813_184 * 64
    assert four.bops[0] == (40_813_184 - fixed) * 32 + fixed * 64


def test_a_search_configuration_takes_a_yaml_space(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        "format: hannah-space/1\ninput: [1, 8, 8]\nmodules:\n"
        "  stem: {type: SmallInputInitialBlock, init_plane: {choice: [4, 8, 12]}}\n"
        "  head: {type: LinearClassificationHead, num_class: 4}\n"
    )
    config = tmp_path / "search.yaml"
    config.write_text(
        "version: 1\nspace: mine.yaml\ntarget: stm32l4r5zi\nobjectives: {latency: min, parameters: max}\n"
        "search: {algorithm: nsga2, population: 4, evaluations: 8}\n"
    )
    assert main(["search", str(config), "--dry-run"]) == 0
    assert "the configuration is valid" in "".join(capsys.readouterr())
    (tmp_path / "mine.yaml").write_text("format: hannah-space/1\nmodules: {a: {type: Veiw}}\n")
    assert main(["search", str(config), "--dry-run"]) == 2
    assert "mine.yaml:2:15 a.type: unknown block 'Veiw'" in capsys.readouterr().err.replace("\n", "")


def test_the_command_line_upgrades_documents_and_prints_the_schema(tmp_path, capsys):
    vega = Path(__file__).parents[2] / "fixtures" / "vega" / "variant_layer.yaml"
    assert main(["spaces", "upgrade", str(vega)]) == 0
    (tmp_path / "own.yaml").write_text(capsys.readouterr().out)
    assert load_document(tmp_path / "own.yaml") == load_document(vega)
    assert main(["spaces", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema()))
    assert main(["spaces", "upgrade", str(tmp_path / "none.yaml")]) == 2
    assert "there is no file" in capsys.readouterr().err
