#!/usr/bin/env bash
# An accelerator of one's own: described, checked, priced, and searched together with the networks for it. No torch.
source "$(dirname "$0")/common.sh"

install ""
step "a commented description" hannah-hw targets new my_npu
step "edited: a slower clock, larger arrays" sed -i \
  -e 's/^clock_hz: .*/clock_hz: 100e6/' -e 's/pe: {choice: \[4, 8, 16, 32\]/pe: {choice: [4, 8, 16, 32, 64]/' my_npu.yaml
step "is it valid, what does it amount to" hannah-hw targets check my_npu.yaml
step "what it says" hannah-hw targets show my_npu.yaml
cat >one_model.py <<'PYTHON'
import hannah_hw

space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
hannah_hw.to_onnx(space.candidate(space.sample(seed=0)), "model.onnx")
PYTHON
step "a model" python one_model.py
step "where each operator runs" hannah-hw targets ops my_npu.yaml model.onnx
step "cycles, energy, memories" hannah-hw estimate model.onnx --target my_npu.yaml
step "with an array twice as large" hannah-hw estimate model.onnx --target 'my_npu.yaml[pe=32]'
cat >cosearch.yaml <<'YAML'
version: 1
space: tc_resnet
target: my_npu.yaml
data: digits
objectives: {latency: min, energy: min, area: min}
search: {evaluations: 48, seed: 0}
YAML
step "networks and array, searched together" hannah-hw search cosearch.yaml --out runs/npu
expect "a page to choose from" grep -q "<html" runs/npu/report.html
step "the front as a table" hannah-hw export runs/npu --pick all --to csv --out chosen
finish
