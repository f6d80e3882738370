"""Models with operators that nobody reads, at the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.cli import main
from hannah_hw.cost import CostReport


@pytest.mark.parametrize("target", ["stm32l4r5zi", "eyeriss"])
def test_what_cannot_run_is_counted_and_the_rest_is_priced(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    def written(name: str, *nodes: tuple[str, str, str]) -> str:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in "xy")
        weight = numpy_helper.from_array(np.ones((4, 4, 3, 3), np.float32), "w")
        made = [
            helper.make_node(
                kind,
                inputs.split(),
                [output],
                name=f"{kind}_{output}",
                **({"pads": [1, 1, 1, 1]} if kind == "Conv" else {}),
            )
            for kind, inputs, output in nodes
        ]
        graph = helper.make_graph(made, "g", [x], [y], [weight])
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / name)
        return str(tmp_path / name)

    whole = written("whole.onnx", ("Conv", "x w", "y"))
    assert main(["estimate", whole, "-t", target, "--json"]) == 0
    priced = json.loads(capsys.readouterr().out)
    assert (priced["partial"], priced["unsupported_kinds"]) == ({}, [])
    part = written("part.onnx", ("Conv", "x w", "a"), ("Erf", "a", "b"), ("Erf", "b", "c"), ("Sin", "c", "y"))
    assert main(["estimate", part, "-t", target, "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["latency_s"] is None
    assert [(row["kind"], row["count"], row["unread"]) for row in found["unsupported_kinds"]] == [
        ("Erf", 2, "no operator reads Erf"),
        ("Sin", 1, "no operator reads Sin"),
    ]
    row = next(kernel for kernel in found["kernels"] if kernel["latency_s"] is not None)
    assert found["partial"]["latency_s"]["value"] == row["latency_s"] > 0
    assert "1 of 4 kernels" in found["partial"]["latency_s"]["note"]
    assert "cannot run 3 of the kernels: 2 Erf, 1 Sin" in captured.err
    assert main(["estimate", part, "-t", target]) == 1
    assert "more than" in capsys.readouterr().out
    report = CostReport.from_dict(found)
    assert report.partial["cycles"].value == row["cycles"]
