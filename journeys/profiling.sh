#!/usr/bin/env bash
# Candidates on this machine: profiled, compared, and this machine as a target that others are priced on. No torch.
source "$(dirname "$0")/common.sh"

install ""
expect "no torch and no TVM" venv/bin/python -c \
  'import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ("torch", "tvm", "sklearn"))))'
# Stands for two models of your own.
cat >two_models.py <<'PYTHON'
import hannah_hw

space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
for name, seed in (("model.onnx", 0), ("other.onnx", 5)):
    hannah_hw.to_onnx(space.candidate(space.sample(seed=seed)), name)
PYTHON
step "two candidates as ONNX" python two_models.py
step "profile" hannah-hw profile model.onnx --runs 50
step "compare" hannah-hw profile model.onnx --compare other.onnx --runs 50
step "this machine as a target" hannah-hw calibrate host --models model.onnx --seconds 20 --out my_host.yaml
step "the other, priced without a run" hannah-hw estimate other.onnx --target my_host.yaml
step "and on a microcontroller" hannah-hw estimate other.onnx --target stm32l4r5zi
expect "figures say where they come from" python - <<'PYTHON'
import json, subprocess

command = ["hannah-hw", "estimate", "other.onnx", "--target", "my_host.yaml", "--json"]
document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
latency = document["figures"]["latency_s"]
assert 0 < latency["error"] and latency["source"] == "estimated" and latency["note"], latency
PYTHON
step "what needs an extra names it" fails_with 1 "pip install 'hannah-hw[" \
  hannah-hw search digits_quick --out runs/first
finish
