"""Candidates of declared spaces: the compiled Workload, the exported file, torch and ONNX Runtime agree."""

import pytest

from hannah_hw import SearchSpace
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import parse_space
from tests.search_spaces.agreement import compare

LAYERS = """
format: hannah-space/1
input: [3, 16, 16]
modules:
  init: {type: SmallInputInitialBlock, init_plane: {int: {min: 4, max: 12, step: 4}}}
  layer:
    type: BasicLayer
    block: {choice: [{type: BasicBlock}, {type: BottleneckBlock}]}
    base_channel: {choice: [4, 6]}
    layer_reps: [{int: {min: 1, max: 2}}, {choice: [1, 3]}]
  head: {type: LinearClassificationHead, num_class: 10}
"""
POSITIONS = """
format: hannah-space/1
input: [3, 16, 16]
modules:
  init: {type: InitialBlock, init_plane: 4}
  layer:
    type: VariantLayer
    block: {type: BasicBlock}
    doublechannel: {code: {default: [0, 1, 0, 1], choices: [0, 1], ones: keep}}
    downsample: {code: {length: 4, choices: [0, 1]}}
  pool: {type: AdaptiveAvgPool2d, output_size: 1}
  view: {type: View}
  linear: {type: Linear, out_features: 10}
process:
  - type: Prune
    search: false
"""
KEPT = """
format: hannah-space/1
input: [3, 16, 16]
modules:
  init: {type: InitialBlock, init_plane: 4}
  layer: {type: BasicLayer, block: {type: BasicBlock}, base_channel: 4, layer_reps: [2, 1]}
  head: {type: LinearClassificationHead, num_class: 10}
process: [{type: Prune, search: true}]
"""
BITS = KEPT.replace(
    "{type: Prune, search: true}",
    "{type: Prune, search: true}, {type: Quant, nbit_w_list: {choice: [2, 4, 32]}, "
    "nbit_a_list: {code: {length: 7, choices: [3, 8, 32]}}}",
)


@pytest.mark.parametrize(("text", "parameters"), [(LAYERS, 5), (POSITIONS, 8), (KEPT, 6), (BITS, 14)])
def test_file_and_space_agree(text, parameters):
    space = SearchSpace(build(parse_space(text)).output)
    assert len(space.parameters) == parameters
    names, mismatches, deviations = compare(space, 12, seed=0)
    assert len(names) > 8
    assert not mismatches
    if text is not BITS:  # what is rounded differently moves by a whole step
        assert max(deviations) < 1e-4
