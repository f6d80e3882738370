#!/usr/bin/env bash
# A model for a microcontroller: from nothing to C that is built for the chip and checked on an emulated core.
source "$(dirname "$0")/common.sh"

install "[all]"
step "what is installed" hannah-hw doctor --quick
step "a configuration for data and chip" hannah-hw init digits --target stm32l4r5zi --out my.yaml
step "is the search valid" hannah-hw search my.yaml --dry-run
step "search, 8 networks trained" hannah-hw search my.yaml --out runs/first \
  --set search.evaluations=8 --set training.epochs=3 --set constraints.flash="<= 48 KiB" --set constraints.latency="<= 10 ms"
expect "a page to choose from" grep -q "<html" runs/first/report.html
step "the knee as ONNX and table" hannah-hw export runs/first --pick knee --to onnx,csv --out models
expect "an int8 model" test -s models/*.onnx
step "the knee as C, built for the chip" hannah-hw export runs/first --pick knee --to c --build --out firmware
expect "a firmware file" grep -q . <(find firmware -name '*.elf' -size +1k)
step "the firmware on an emulated core" hannah-hw measure models/*.onnx --target stm32l4r5zi
finish
